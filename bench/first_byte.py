"""How long a reader waits for the first 128 KiB of a file that was never read."""

import contextlib
import mmap
import os
import time

from instance import MiB, wait_until
from results import Row, at_most, percentile, shown
from rivals import curl_first_bytes, rclone
from stage import instance, signed_link, simulator

DELAY = 20
LENGTH = 128 << 10
KINDS = {"O_DIRECT": os.O_DIRECT, "buffered": 0}


def first_read(path, flags):
    """Milliseconds from before open(2) to the first 128 KiB."""
    buffer = mmap.mmap(-1, LENGTH)
    start = time.perf_counter()
    fd = os.open(path, os.O_RDONLY | flags)
    try:
        assert os.preadv(fd, [buffer], 0) == LENGTH
        return (time.perf_counter() - start) * 1000
    finally:
        os.close(fd)


def first_byte(bench):
    """With the link that staging minted, and with none yet."""
    count = bench.rounds(30, quick=3)
    modes, rows = bench.modes()
    with simulator(first_byte_delay_ms=DELAY) as sim:
        file = sim.add(64 * MiB, "clip.mp4")

        def origin(number):
            return curl_first_bytes(signed_link(sim, file, f"curl {number}"), LENGTH) * 1000

        rows += with_link(bench, sim, file, count, modes, origin)
        for mode in modes:
            rows += compare(
                f"first 128 KiB, {mode}, O_DIRECT, no link yet", *without_link(sim, file, count, mode, origin)
            )
    return rows


def with_link(bench, sim, file, count, modes, origin):
    links = {f"{number}.mp4": signed_link(sim, file, f"rclone {number}") for number in range(count)}
    with contextlib.ExitStack() as stack:
        mount = stack.enter_context(rclone(links, "full"))

        def by_us(run, kind):
            def read(number):
                minted = sim.stats()["links_minted"]
                path = run.stage(file, f"{kind} {number}")
                assert sim.stats()["links_minted"] == minted + 1, (
                    "`stage` mints no link any more: this figure has another meaning"
                )
                taken = first_read(path, KINDS[kind])
                run.cli("unstage", path)
                return taken

            return read

        contestants = {"origin": origin, "rclone": lambda number: first_read(mount.path(f"{number}.mp4"), os.O_DIRECT)}
        for mode in modes:
            run = stack.enter_context(instance(sim, mode))
            # Token, curl and the first threads are of the start, not of a file.
            first_read(run.stage(file, "before"), 0)
            contestants |= {f"{mode}, {kind}": by_us(run, kind) for kind in KINDS}
        took = {name: [] for name in contestants}
        for number in range(count):
            for name, read in bench.turns(contestants.items(), number):
                undisturbed(sim)
                took[name].append(read(number))
            print(
                f"  round {number + 1}: "
                + ", ".join(f"{name} {shown(values[-1])} ms" for name, values in took.items()),
                flush=True,
            )
    rows = []
    for name in took:
        if name not in ("origin", "rclone"):
            rows += compare(f"first 128 KiB, {name}, link minted by `stage`", took[name], took["origin"])
    more = [one - other for one, other in zip(took["rclone"], took["origin"])]
    rows.append(
        Row(
            "first 128 KiB, rclone mount, full cache, O_DIRECT",
            "ms",
            took["rclone"],
            "the origin's first byte",
            took["origin"],
            more,
            "ms more",
        )
    )
    return rows


def without_link(sim, file, count, mode, origin):
    """Items that another run staged: the new control plane knows them and has no link; its first read asks for one."""
    ours, theirs = [], []
    with instance(sim, mode) as run:
        before, *paths = (run.stage(file, f"again {number}") for number in range(count + 1))
        assert run.stop() == 0
        run.start()
        first_read(before, 0)
        for number, path in enumerate(paths):
            undisturbed(sim)
            minted = sim.stats()["links_minted"]
            ours.append(first_read(path, os.O_DIRECT))
            assert sim.stats()["links_minted"] == minted + 1, "there was a link: this figure has another meaning"
            run.cli("unstage", path)
            undisturbed(sim)
            theirs.append(origin(number))
            print(
                f"  round {number + 1}, {mode}, no link yet: {shown(ours[-1])} ms, origin {shown(theirs[-1])} ms",
                flush=True,
            )
    return ours, theirs


def undisturbed(sim):
    """Waits until no fetch for an earlier reader is under way."""
    wait_until(lambda: sim.stats()["active"] == 0, 20, what="the origin is at rest")


def compare(what, ours, origin):
    """Median and 90th percentile; the promise is of the median."""
    p90 = percentile(ours, 0.9), percentile(origin, 0.9)
    return [
        Row(
            what,
            "ms",
            ours,
            "the origin's first byte (curl)",
            origin,
            [one - other for one, other in zip(ours, origin)],
            "ms more",
            at_most(5),
        ),
        Row(
            f"{what}: 90th percentile",
            "ms",
            [p90[0]],
            "the same",
            [p90[1]],
            [p90[0] - p90[1]],
            "ms more",
            drawn_from=len(ours),
        ),
    ]
