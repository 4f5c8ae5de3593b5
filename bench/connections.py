"""An origin that gives each connection little: how soon the mount has enough of them."""

import math

from instance import GiB, MiB
from results import Row, amount, at_least, at_most, ratios, shown
from rivals import curl, rclone
from stage import instance, read_by, settle, signed_link, simulator

RATE = 8 * MiB
DELAY = 80
# The rate that counts is that of these seconds after the first read began.
WINDOW = (3.0, 6.0)


def rate_within(samples, start, end):
    """MiB/s between the samples nearest to two moments; `samples` are (seconds, bytes so far)."""
    first = min(samples, key=lambda sample: abs(sample[0] - start))
    last = min(samples, key=lambda sample: abs(sample[0] - end))
    return (last[1] - first[1]) / max(1e-3, last[0] - first[0]) / MiB


def first_above(samples, rate, span=0.5):
    """Seconds until the last `span` of them brought `rate` MiB/s; infinite where they never did."""
    first = 0
    for now, total in samples:
        while samples[first + 1][0] <= now - span:
            first += 1
        if now >= span and total - samples[first][1] >= rate * MiB * (now - samples[first][0]):
            return now
    return math.inf


def connections(bench):
    rates, reached = {}, {}
    with simulator(rate_per_connection=RATE, first_byte_delay_ms=DELAY) as sim:
        file = sim.add(2 * GiB, "clip.mp4")

        def by_curl(tag):
            copy = bench.folder / "curl.copy"
            curl(signed_link(sim, file, tag), copy, "--max-time", str(WINDOW[1]), check=False)
            size = copy.stat().st_size
            copy.unlink()
            return [[0.0, 0], [DELAY / 1000, 0], [WINDOW[1], size]]

        def by_rclone(tag):
            with rclone({"clip.mp4": signed_link(sim, file, tag)}, "full") as mount:
                return read_by("timeline", mount.path("clip.mp4"), WINDOW[1] + 0.1)

        def by_us(mode):
            def read(tag):
                with instance(sim, mode) as run:
                    return read_by("timeline", run.stage(file, tag), WINDOW[1] + 0.1)

            return read

        modes, rows = bench.modes()
        contestants = {mode: by_us(mode) for mode in modes} | {
            "one curl": by_curl,
            "rclone mount, full cache": by_rclone,
        }
        for number in range(bench.rounds(3)):
            for name, read in bench.turns(contestants.items(), number):
                settle()
                samples = read(f"{name} {number}")
                if name == "one curl":
                    rate = rate_within(samples, DELAY / 1000, WINDOW[1])
                else:
                    rate = rate_within(samples, *WINDOW)
                    reached.setdefault(name, []).append(first_above(samples, 6 * RATE / MiB))
                rates.setdefault(name, []).append(rate)
            print(
                f"  round {number + 1}: "
                + ", ".join(f"{name} {shown(values[-1])} MiB/s" for name, values in rates.items())
                + "; 6 connections' worth after "
                + ", ".join(f"{amount(values[-1], 's')} ({name})" for name, values in reached.items()),
                flush=True,
            )
    for mode in modes:
        what = f"8 MiB/s a connection after 80 ms, {mode}"
        for rival in ("one curl", "rclone mount, full cache"):
            rows.append(
                Row(
                    f"{what}: rate from 3 s to 6 s",
                    "MiB/s",
                    rates[mode],
                    rival,
                    rates[rival],
                    ratios(rates[mode], rates[rival]),
                    target=at_least(6) if rival == "one curl" else None,
                )
            )
        other = reached["rclone mount, full cache"]
        rows.append(
            Row(
                f"{what}: first 6 times one connection",
                "s",
                reached[mode],
                "rclone mount, full cache",
                other,
                target=at_most(3),
            )
        )
    return rows
