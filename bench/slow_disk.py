"""Names and attributes while the disk of the cache is slow: nothing that asks for them may wait for it."""

import ctypes
import os
import time

from instance import MiB
from preloaded_calls import Calls, compiled
from readers import Crowd
from results import Row, at_most, percentile, shown
from stage import instance, simulator

# Each write and cold read of the disk takes so long.
SLOW_MS = 2000

_libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS = -100, 0x2000, 0x7FF


def stat_asking(path):
    """statx(2) that the kernel may not answer from what it was told before: it asks the mount."""
    if _libc.statx(
        AT_FDCWD, os.fsencode(path), AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, ctypes.create_string_buffer(256)
    ):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), path)


def slow_disk(bench):
    disk = Calls(compiled(bench.folder), bench.folder)
    count = 20 if bench.quick else 200
    took = {"statx": [], "stat": [], "ls": []}
    with simulator() as sim, instance(sim, **disk.environment) as run:
        for number in range(bench.rounds(3)):
            since = disk.now()
            slow = [disk.slow(call, SLOW_MS / 1000, path=".bytes", since=since) for call in ("pwrite", "preadv2")]
            path = run.stage(sim.add(64 * MiB, "slow.mp4"), f"round {number}")
            crowd = Crowd(path, 16, direct=True, step=MiB, length=128 << 10)
            try:
                for samples in took.values():
                    samples.append([])
                for _ in range(count):
                    for name, ask in (
                        ("statx", lambda: stat_asking(path)),
                        ("stat", lambda: os.stat(path)),
                        ("ls", lambda: os.listdir(os.path.dirname(path))),
                    ):
                        start = time.perf_counter()
                        ask()
                        took[name][-1].append((time.perf_counter() - start) * 1000)
                    time.sleep(0.01)
                assert crowd.process.poll() is None, "the readers did not wait: the disk was not slow"
            finally:
                for rule in slow:
                    rule.end()
                crowd.kill()
            run.cli("unstage", path)
            asked = next(op for op in run.cli("trace", "--json").json["ops"] if op["op"] == "getattr")
            total = next(segment for segment in asked["segments"] if segment["segment"] == "total")
            assert total["count"] >= count * (number + 1), "the kernel answered by itself"
            print(
                f"  round {number + 1}, p99 of {count}: "
                + ", ".join(f"{name} {shown(percentile(samples[-1], 0.99))} ms" for name, samples in took.items()),
                flush=True,
            )
    names = {"statx": "`stat` that asks the mount", "stat": "`stat` as programs do", "ls": "`ls` of its folder"}
    return [
        Row(
            f"p99 of {names[name]}, disk {SLOW_MS // 1000} s a write",
            "ms",
            [percentile(samples, 0.99) for samples in rounds],
            target=at_most(50) if name == "statx" else None,
        )
        for name, rounds in took.items()
    ]
