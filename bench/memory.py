"""Memory: long after the last close, and at the peak of many streams."""

import os
import subprocess
import time

from instance import GiB, MiB, die_with_parent
from results import Row, at_most, shown
from rivals import rclone
from stage import dd, instance, settle, signed_link, simulator

BUDGET = 64 * MiB


def rollup(pid):
    """Sums over all mappings, in bytes: {"Pss": ..., "Pss_Shmem": ..., "Rss": ...}."""
    with open(f"/proc/{pid}/smaps_rollup") as lines:
        next(lines)
        return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}


def memfds(pids):
    """Bytes of the memfds that processes hold, each once, whether mapped or not."""
    sizes = {}
    for pid in pids:
        for number in os.listdir(f"/proc/{pid}/fd"):
            name = f"/proc/{pid}/fd/{number}"
            try:
                if os.readlink(name).startswith("/memfd:"):
                    file = os.stat(name)
                    sizes[file.st_dev, file.st_ino] = file.st_blocks * 512
            except OSError:
                continue
    return sum(sizes.values())


def footprint(pids):
    """Bytes that would be free without these processes: private and file pages by share, shared memory once."""
    sums = [rollup(pid) for pid in pids]
    shared = sum(one["Pss_Shmem"] for one in sums)
    return sum(one["Pss"] for one in sums) - shared + max(shared, memfds(pids))


def peak_while_read(paths, look):
    """The largest of what `look` returns while all the files are read at once."""
    command = ["dd", "of=/dev/null", "bs=1M", "status=none"]
    readers = [subprocess.Popen([*command, f"if={path}"], preexec_fn=die_with_parent) for path in paths]
    peak = 0
    try:
        while any(reader.poll() is None for reader in readers):
            peak = max(peak, look())
            time.sleep(0.1)
    finally:
        for reader in readers:
            reader.kill()
            reader.wait()
    assert not any(reader.returncode for reader in readers), "a reader failed"
    return peak


def streams(bench):
    """Many files streaming at once."""
    count, size = (8, 16 * MiB) if bench.quick else (32, 64 * MiB)
    peaks = {}
    # Slow enough that all of them stream together for some seconds.
    with simulator(rate="200MiB", first_byte_delay_ms=20) as sim:
        files = [sim.add(size, f"{number}.mp4") for number in range(count)]

        def by_rclone(cache_mode):
            def read(tag):
                links = {f"{number}.mp4": signed_link(sim, file, tag) for number, file in enumerate(files)}
                with rclone(links, cache_mode) as mount:
                    return peak_while_read([mount.path(name) for name in links], lambda: rollup(mount.pid)["Rss"])

            return read

        def by_us(mode):
            def read(tag):
                with instance(sim, mode) as run:
                    paths = [run.stage(file, tag) for file in files]
                    return peak_while_read(paths, lambda: footprint([run.process.pid, *run.shims()]))

            return read

        modes, rows = bench.modes()
        contestants = {mode: by_us(mode) for mode in modes} | {
            "rclone mount, no cache": by_rclone("off"),
            "rclone mount, full cache": by_rclone("full"),
        }
        for number in range(bench.rounds(3)):
            for name, read in bench.turns(contestants.items(), number):
                settle()
                peaks.setdefault(name, []).append(read(f"{name} {number}") / MiB)
            print(
                f"  round {number + 1}: "
                + ", ".join(f"{name} {shown(values[-1])} MiB" for name, values in peaks.items()),
                flush=True,
            )
    for mode in modes:
        for rival in ("rclone mount, no cache", "rclone mount, full cache"):
            rows.append(
                Row(
                    f"peak memory of {count} streams, {mode}",
                    "MiB",
                    peaks[mode],
                    f"{rival} (RSS)",
                    peaks[rival],
                    target=at_most((BUDGET + 64 * MiB) / MiB) if mode == "range-lru" else None,
                )
            )
    return rows


def idle(bench):
    """Some time after the last close of a file that was read whole."""
    seconds, size = (5, GiB // 8) if bench.quick else (60, GiB)

    def look(run):
        return rollup(run.process.pid)["Pss"] / 1e6, sum(rollup(pid)["Pss"] for pid in run.shims()) / 1e6

    with simulator() as sim, instance(sim) as run:
        dd(run.stage(sim.add(size), "x"))
        control, shims = look(run)
        print(f"  at the last close: control plane {shown(control)} MB, shims {shown(shims)} MB", flush=True)
        time.sleep(seconds)
        control, shims = look(run)
    print(f"  {seconds} s later: control plane {shown(control)} MB, shims {shown(shims)} MB", flush=True)
    what = f"memory (PSS) {seconds} s after the last close"
    return [
        Row(f"{what}, control plane", "MB", [control], target=at_most(30)),
        Row(f"{what}, both shims", "MB", [shims], target=at_most(8)),
    ]
