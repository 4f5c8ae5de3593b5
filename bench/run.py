#!/usr/bin/env python3
"""The figures this project promises, measured on this machine. See bench/README.md.

Rounds are interleaved and medians compared, for machines are shared and drift: a ratio in one run says more than a
time.
"""

import argparse
import datetime
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "Tests" / "Mount" / "harness"))

from instance import mounts  # noqa: E402
from connections import connections  # noqa: E402
from first_byte import first_byte  # noqa: E402
from first_paint import first_paint  # noqa: E402
from memory import idle, streams  # noqa: E402
from results import Row, table  # noqa: E402
from rivals import tuned_flags, unmount, version  # noqa: E402
from seeks import seeks  # noqa: E402
from sequential import cold, warm  # noqa: E402
from slow_disk import slow_disk  # noqa: E402
from stage import refusal  # noqa: E402
from tail_probe import tail_probe  # noqa: E402
from upload import upload  # noqa: E402

FIGURES = {
    "cold": cold,
    "warm": warm,
    "connections": connections,
    "first-byte": first_byte,
    "tail-probe": tail_probe,
    "seeks": seeks,
    "memory": streams,
    "stat": slow_disk,
    "upload": upload,
    "page": first_paint,
    "idle": idle,
}
RESULTS = HERE / "RESULTS.md"


class Bench:
    """The settings of a figure: how much to do, in which modes, and a folder for what it writes."""

    def __init__(self, folder, options):
        self.folder = folder
        self.quick = options.quick
        self._rounds = options.rounds
        self._modes = options.mode and (options.mode,)

    def rounds(self, count, quick=1):
        return self._rounds or (quick if self.quick else count)

    def modes(self, *wanted):
        """The fetch modes to measure, and a row for each that this build refuses."""
        wanted = self._modes or wanted or ("temp-file", "range-lru")
        rows = [Row(f"everything in {mode}", note=refusal(mode)) for mode in wanted if refusal(mode)]
        for row in rows:
            print(f"  {row.what}: {row.note}")
        return [mode for mode in wanted if not refusal(mode)], rows

    def turns(self, contestants, number):
        """Whose turn is when in a round: each begins once in a while, so that none has the better place."""
        order = list(contestants)
        first = number % len(order)
        return order[first:] + order[:first]


def machine(folder):
    """A description of the machine that the figures were taken on."""
    with open("/proc/cpuinfo") as lines:
        model = next(
            (line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine()
        )
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)
    kind = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=True).stdout.strip()
    commit = subprocess.run(
        ["git", "-C", HERE, "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return "\n".join(
        [
            f"- {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, commit {commit or 'unknown'}",
            f"- Linux {platform.release()}, {os.cpu_count()} cores ({model}), {memory:.0f} GiB of memory, cache on {kind}",
            f"- {version('curl')}, {version('rclone')}; rclone tuned: `{' '.join(tuned_flags())}`",
            f"- load average at the start {os.getloadavg()[0]:.1f}",
        ]
    )


def end_in_order(number, _):
    """Ctrl-C once: everything is taken down; more of them may not interrupt that."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def take(names, bench):
    """The rows of each figure; one that fails is a row as well, and the others are taken."""
    rows = []
    for name in names:
        start = time.monotonic()
        print(f"{name}:", flush=True)
        try:
            found = FIGURES[name](bench)
        except Exception as error:
            traceback.print_exc()
            found = [Row(name, note=f"failed: {str(error).splitlines()[0] if str(error) else type(error).__name__}")]
        rows += found
        print(f"\n{table(found)}\n  ({time.monotonic() - start:.0f} s)\n", flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which figures: {', '.join(FIGURES)}; all by default")
    parser.add_argument("--quick", action="store_true", help="one round each, smaller files: to see that it works")
    parser.add_argument("--mode", choices=["temp-file", "range-lru"], help="one fetch mode only")
    parser.add_argument("--rounds", type=int, help="so many rounds of each, instead of each figure's own number")
    parser.add_argument("--write", action="store_true", help="write RESULTS.md, though not everything was taken")
    options = parser.parse_args()
    for name in options.names:
        if name not in FIGURES:
            parser.error(f"there is no figure {name!r}; choose from {', '.join(FIGURES)}")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end_in_order)
    # Everything lies in one folder: also what the tests' own classes make.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="fsmvp-bench-"))
    tempfile.tempdir = str(folder)
    try:
        about = machine(folder)
        print(about + "\n", flush=True)
        rows = take(options.names or FIGURES, Bench(folder, options))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    finally:
        for point in mounts():
            if point.startswith(f"{folder}/"):
                unmount(point)
        shutil.rmtree(folder, ignore_errors=True)
    if options.write or not options.names and not (options.quick or options.mode or options.rounds):
        RESULTS.write_text(
            f"# Results\n\nWritten by `make bench`; README.md beside it says how each figure is taken.\n\n{about}\n\n{table(rows)}"
        )
        print(f"written to {RESULTS.relative_to(HERE.parent)}")
    bad = [row.what for row in rows if "missed" in row.verdict or row.note.startswith("failed")]
    print("all targets met" if not bad else "not met: " + "; ".join(bad))
    return 1 if bad and not options.quick else 0


if __name__ == "__main__":
    sys.exit(main())
