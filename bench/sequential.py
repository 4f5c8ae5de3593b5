"""Sequential reads at the speed of a fast origin: of bytes that were never fetched, and of bytes that are here."""

from instance import GiB
from results import Row, at_least, ratios, shown
from rivals import curl, rclone, tuned_flags
from stage import dd, instance, settle, signed_link, simulator, timed


def cold(bench):
    """`dd` through the mounts, each time of a copy that was never read, and `curl -o` to the same disk."""
    size = GiB // (8 if bench.quick else 1)
    rates = {}
    with simulator() as sim:
        file = sim.add(size, "clip.mp4")
        copy = bench.folder / "curl.copy"

        def by_curl(tag):
            url = signed_link(sim, file, tag)
            seconds, _ = timed(lambda: curl(url, copy))
            copy.unlink()
            return seconds

        def by_rclone(*flags):
            def read(tag):
                with rclone({"clip.mp4": signed_link(sim, file, tag)}, "full", flags) as mount:
                    return dd(mount.path("clip.mp4"))

            return read

        def by_us(mode):
            def read(tag):
                with instance(sim, mode) as run:
                    return dd(run.stage(file, tag))

            return read

        modes, rows = bench.modes()
        contestants = {mode: by_us(mode) for mode in modes} | {
            "curl -o": by_curl,
            "rclone mount, full cache": by_rclone(),
            "rclone mount, full cache, tuned": by_rclone(*tuned_flags()),
        }
        for number in range(bench.rounds(5)):
            for name, read in bench.turns(contestants.items(), number):
                settle()
                rates.setdefault(name, []).append(size / read(f"{name} {number}") / 1e6)
            print(
                f"  round {number + 1}: "
                + ", ".join(f"{name} {shown(values[-1])} MB/s" for name, values in rates.items()),
                flush=True,
            )
    floors = {"curl -o": 0.9, "rclone mount, full cache": 2, "rclone mount, full cache, tuned": None}
    for mode in modes:
        for rival, floor in floors.items():
            rows.append(
                Row(
                    f"cold sequential read, {mode}",
                    "MB/s",
                    rates[mode],
                    rival,
                    rates[rival],
                    ratios(rates[mode], rates[rival]),
                    target=floor and at_least(floor),
                )
            )
    return rows


def warm(bench):
    """Present bytes: O_DIRECT, so that it is the mount that answers and not the kernel's cache."""
    size = GiB // (8 if bench.quick else 1)
    ours, theirs = [], []
    with simulator() as sim, instance(sim) as run:
        file = sim.add(size, "clip.mp4")
        with rclone({"clip.mp4": signed_link(sim, file, "rclone")}, "full") as mount:
            path, other = run.stage(file, "ours"), mount.path("clip.mp4")
            dd(path)
            dd(other)
            settle()
            for number in range(bench.rounds(5)):
                for rates, what in bench.turns([(ours, path), (theirs, other)], number):
                    rates.append(size / dd(what, "iflag=direct") / 1e6)
                print(
                    f"  round {number + 1}: mount {shown(ours[-1])} MB/s, rclone {shown(theirs[-1])} MB/s", flush=True
                )
            print(run.cli("trace").out)
    return [
        Row("read of present bytes, O_DIRECT", "MB/s", ours, "rclone mount, full cache", theirs, ratios(ours, theirs))
    ]
