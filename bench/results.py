"""The results of a figure, as rows of one table; targets are judged here and nowhere else."""

import dataclasses
import math
import statistics


@dataclasses.dataclass(frozen=True)
class Target:
    """A bound on the median of the comparison or, in a row without one, of our own figure."""

    limit: float
    is_floor: bool

    def is_met(self, value):
        return value >= self.limit if self.is_floor else value <= self.limit


def at_least(limit):
    return Target(limit, True)


def at_most(limit):
    return Target(limit, False)


@dataclasses.dataclass
class Row:
    """One line: our figure of each round, a rival's where there is one, and the two compared round by round."""

    what: str
    unit: str = ""
    ours: list = dataclasses.field(default_factory=list)
    rival: str = ""
    theirs: list = dataclasses.field(default_factory=list)
    compared: list = dataclasses.field(default_factory=list)
    comparison: str = "x"
    target: Target | None = None
    # How many a single figure, a percentile, was drawn from.
    drawn_from: int = 0
    # A sentence in place of figures: why there are none.
    note: str = ""

    @property
    def verdict(self):
        """ "met", "missed", or nothing where nothing was asked."""
        values = self.compared or self.ours
        if self.target is None or not values:
            return "not taken" if self.note else ""
        return "met" if self.target.is_met(statistics.median(values)) else "**missed**"

    @property
    def cells(self):
        if self.note:
            return [self.what, self.note, "", "", "", "", "", self.verdict]
        unit = self.comparison if self.compared else self.unit
        return [
            self.what,
            amount(statistics.median(self.ours), self.unit),
            self.rival,
            amount(statistics.median(self.theirs), self.unit) if self.theirs else "",
            spread(self.compared, self.comparison) if self.compared else "",
            f"at {'least' if self.target.is_floor else 'most'} {amount(self.target.limit, unit)}"
            if self.target
            else "",
            str(self.drawn_from or len(self.ours)),
            self.verdict,
        ]


HEAD = ["figure", "ours", "rival", "the rival's", "compared: median (min..max)", "target", "rounds", ""]


def shown(value):
    """Three digits, no exponent."""
    if math.isinf(value):
        return "never"
    digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:.{digits}f}"


def amount(value, unit):
    return f"{shown(value)} {unit}" if math.isfinite(value) else shown(value)


def spread(values, unit):
    if len(values) == 1:
        return amount(values[0], unit)
    return f"{amount(statistics.median(values), unit)} ({shown(min(values))}..{shown(max(values))})"


def percentile(values, share):
    """The smallest value that `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def ratios(ours, theirs):
    """Ratios of neighbours in time: the machine's drift is in both."""
    return [one / other for one, other in zip(ours, theirs, strict=True)]


def table(rows):
    lines = [HEAD, ["---"] * len(HEAD), *(row.cells for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"
