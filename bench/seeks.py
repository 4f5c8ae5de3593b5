"""Readers that jump about: how much is fetched without being read."""

from instance import GiB
from results import Row, at_most, shown
from rivals import rclone
from stage import instance, quiet_bytes, read_by, signed_link, simulator

SIZE = 2 * GiB
# Each answers after 20 ms. The second is a loopback that fills every socket buffer before a client can say that it has
# enough.
ORIGINS = {"40 MiB/s a connection": "40MiB", "unlimited": 0}
KINDS = {"direct": "O_DIRECT 128 KiB", "buffered": "buffered"}
RIVALS = {"rclone mount, no cache": "off", "rclone mount, full cache": "full"}


class Cost:
    """The cost of each round of one reader on one mount: its time, the bytes fetched beyond those read and, if that
    is known, beyond those its kernel asked for."""

    def __init__(self):
        self.seconds, self.beyond_read, self.beyond_asked = [], [], []

    def add(self, found, fetched, asked=None):
        self.seconds.append(found["seconds"])
        self.beyond_read.append((fetched / found["bytes"] - 1) * 100)
        if asked:
            self.beyond_asked.append((fetched / asked - 1) * 100)


def seeks(bench):
    modes, rows = bench.modes("range-lru")
    for origin, rate in ORIGINS.items():
        with simulator(rate_per_connection=rate, first_byte_delay_ms=20) as sim:
            rows += seeks_on(bench, sim, origin, modes)
    return rows


def seeks_on(bench, sim, origin, modes):
    count = 10 if bench.quick else 60

    def by_rclone(cache_mode):
        def read(file, seed, kind):
            with rclone({"clip.mp4": signed_link(sim, file, "rclone")}, cache_mode) as mount:
                found = read_by("trace", mount.path("clip.mp4"), SIZE, seed, count, kind)
                return found, quiet_bytes(sim, file)

        return read

    def by_us(mode):
        def read(file, seed, kind):
            with instance(sim, mode) as run:
                path = run.stage(file, "ours")
                found = read_by("trace", path, SIZE, seed, count, kind)
                return found, quiet_bytes(sim, file), run.item(path)["bytesServed"]

        return read

    contestants = {mode: by_us(mode) for mode in modes} | {
        name: by_rclone(cache_mode) for name, cache_mode in RIVALS.items()
    }
    costs = {(name, kind): Cost() for name in contestants for kind in KINDS}
    for number in range(bench.rounds(1)):
        for kind in KINDS:
            for name, read in bench.turns(contestants.items(), number):
                # A file of its own each time: the simulator counts what it sends by file.
                costs[name, kind].add(*read(sim.add(SIZE, "clip.mp4"), number, kind))
            print(
                f"  round {number + 1}, origin {origin}, {kind}: "
                + ", ".join(
                    f"{name} {shown(costs[name, kind].beyond_read[-1])} % more than read in {shown(costs[name, kind].seconds[-1])} s"
                    for name in contestants
                ),
                flush=True,
            )
    target = at_most(15) if ORIGINS[origin] else None
    return [row for mode in modes for kind in KINDS for row in rows_of(origin, mode, kind, costs, target)]


def rows_of(origin, mode, kind, costs, target):
    """The promise is of what was asked for: by the reader with O_DIRECT, by its kernel and the read-ahead of that
    otherwise."""
    ours, what = costs[mode, kind], f"seeks, {KINDS[kind]}, origin {origin}, {mode}"
    if kind == "buffered":
        yield Row(f"{what}: fetched beyond what the kernel asked for", "%", ours.beyond_asked, target=target)
    for number, rival in enumerate(RIVALS):
        judged = target if kind == "direct" and number == 0 else None
        yield Row(
            f"{what}: fetched beyond what was read",
            "%",
            ours.beyond_read,
            rival,
            costs[rival, kind].beyond_read,
            target=judged,
        )
    for rival in RIVALS:
        yield Row(f"{what}: time of the trace", "s", ours.seconds, rival, costs[rival, kind].seconds)
