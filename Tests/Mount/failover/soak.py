#!/usr/bin/env python3
"""The long form of the tests of failover: hundreds of kills, overlapping, under checkers that compare every byte.
`make soak` runs it.

Prints a report and exits 0 only where not one error, hang or row in use was left.
"""

import argparse
import concurrent.futures
import os
import pathlib
import random
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))

import checkers  # noqa: E402
from api_connection import ApiConnection  # noqa: E402
from browser import Chromium, Receiver  # noqa: E402
from stand import ALL, Stand, kill_at_random, read_and_upload  # noqa: E402
from instance import MiB, Instance, Sim, wait_until  # noqa: E402
from readers import Background  # noqa: E402


def figures(values):
    ordered = sorted(values)
    return (
        f"{statistics.median(ordered):.2f} / {ordered[int(len(ordered) * 0.99)]:.2f} / {ordered[-1]:.2f} ms (median / p99 / max of {len(ordered)})"
        if ordered
        else "none measured"
    )


def shim_kills(stand, count, modes, draw):
    """Kills of the active shim alone, one after the other; the outage as a warm 4 KiB O_DIRECT reader sees it."""
    outages = []
    with stand.checkers(*modes) as some:
        for _ in range(count):
            time.sleep(draw.uniform(0.01, 0.06))
            at = stand.kill_active()
            stand.ready()
            time.sleep(0.02)
            outage = some["probe"].outage(at)
            if outage is not None:
                outages.append(outage * 1000)
            some.check()
        return outages, some.finish()


def control_kills(stand, count):
    """From the new process's exec to the first completion of an OPEN sent after the kill."""

    def open_and_tell():
        os.close(os.open(stand.path, os.O_RDONLY))
        return checkers.monotonic()

    outages = []
    for _ in range(count):
        stand.run.kill()
        opening = Background(open_and_tell)
        time.sleep(0.02)
        start = checkers.monotonic()
        # From this thread: the control plane ends with the thread that started it.
        stand.run.start()
        outages.append((opening.result(30) - start) * 1000)
        stand.ready()
    return outages


def uploads(make, sim, folder, seed):
    """The issue's figure: a 1 GiB O_DIRECT read and a browser's upload, 50 kills of the shim, 20 of the control
    plane."""
    browser, receiver, run = Chromium(), Receiver(), make()
    try:
        outages, running = read_and_upload(
            run.start(),
            sim,
            folder,
            browser,
            receiver,
            1024 * MiB,
            40 * MiB,
            shim_kills=50,
            control_kills=20,
            seed=seed,
        )
        print(
            f"1 GiB read and upload at once:  50 shim and 20 control plane kills, both hashes right (running at the last kill: {running});"
        )
        print(f"                                outage {figures(outages)}")
    finally:
        browser.close()
        receiver.close()
        run.destroy()


def many_files(sim, count, mode):
    """So many files, each staged, opened, read whole, compared and closed in turn, under 1,024 descriptors, hard
    limit included."""
    size, started = 4096, time.monotonic()
    file = sim.add(size)
    run = Instance(sim, wrapper=["bash", "-c", 'ulimit -n 1024; exec "$0" "$@"'], FSMVP_FETCH_MODE=mode).start()

    def descriptors():
        return len(os.listdir(f"/proc/{run.process.pid}/fd"))

    try:
        most, paths = descriptors(), []

        def part(first):
            api, found = ApiConnection(run), []
            for number in range(first, min(first + 2500, count)):
                path = api.stage(file, f"recipient {number:06}")["path"]
                with open(path, "rb", buffering=0) as stream:
                    assert stream.read() == sim.bytes(file, f"recipient {number:06}"), path
                found.append(path)
            return found

        # Each waits for the network most of the time, so some side by side; every file is opened and closed once.
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for done, found in enumerate(pool.map(part, range(0, count, 2500)), 1):
                paths += found
                most = max(most, descriptors())
                if done % 4 == 0:
                    print(
                        f"  {len(paths):,} files, {descriptors()} descriptors, {private(run.process.pid) / 1e6:.0f} MB, {time.monotonic() - started:.0f} s",
                        flush=True,
                    )
        assert len(set(paths)) == count and run.cli("status").code == 0
        before = run.shim_pid()
        os.kill(before, 9)
        wait_until(lambda: run.shim_pid() != before, what="another shim has taken over")
        # Opened again after all the others, they have the bytes that they had.
        draw = random.Random(count)
        for number in draw.sample(range(count), min(count, 500)):
            with open(paths[number], "rb", buffering=0) as stream:
                assert stream.read() == sim.bytes(file, f"recipient {number:06}"), paths[number]
        run.kill()
        again = time.monotonic()
        run.start()
        print(
            f"{count:,} files opened and closed in turn under ulimit -n 1024 ({mode}): every byte right; at most {most} descriptors seen;"
        )
        print(
            f"  {private(run.process.pid) / 1e6:.0f} MB after the control plane was killed and started again in {time.monotonic() - again:.1f} s",
            flush=True,
        )
        with open(paths[0], "rb", buffering=0) as stream:
            assert stream.read() == sim.bytes(file, "recipient 000000")
    except BaseException:
        print(run.log.read_text()[-6000:])
        raise
    finally:
        run.destroy()


def private(pid):
    """Bytes that no other process shares."""
    with open(f"/proc/{pid}/smaps_rollup") as lines:
        next(lines)
        return sum(
            int(line.split()[1]) * 1024 for line in lines if line.startswith(("Private_Clean:", "Private_Dirty:"))
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shim-kills", type=int, default=1000)
    parser.add_argument("--control-kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--mode", choices=["temp-file", "range-lru"], default="temp-file")
    parser.add_argument("--cache-size", default="64MiB", help="of the window; with range-lru")
    parser.add_argument(
        "--files", type=int, default=0, help="instead: so many files opened and closed in turn under ulimit -n 1024"
    )
    options = parser.parse_args()
    if options.files:
        sim = Sim()
        try:
            return many_files(sim, options.files, options.mode)
        finally:
            sim.close()
    print(
        f"seed {options.seed}, {options.mode}" + (f" with {options.cache_size}" if options.mode == "range-lru" else "")
    )
    draw = random.Random(options.seed)
    sim = Sim()

    def make():
        return Instance(sim, FSMVP_FETCH_MODE=options.mode).configure(f'cache_size = "{options.cache_size}"\n')

    with tempfile.TemporaryDirectory(prefix="fsmvp-soak-") as folder:
        run = make()
        try:
            uploads(make, sim, pathlib.Path(folder), options.seed)
            stand = Stand(run.start(), sim, pathlib.Path(folder), size=64 * MiB)
            alone = max(1, options.shim_kills // 5)
            outages, work = shim_kills(stand, alone, ["probe"], draw)
            print(
                f"shim kills, probe reader alone: {alone}; outage {figures(outages)}; {sum(work.values())} operations, 0 errors"
            )
            outages, work = shim_kills(stand, alone, [*ALL, "direct", "mapped"], draw)
            print(
                f"shim kills, full load:          {alone}; outage {figures(outages)}; {sum(work.values())} operations, 0 errors"
            )
            quiet = max(1, options.control_kills // 5)
            print(f"control plane kills:            {quiet}; outage {figures(control_kills(stand, quiet))}")
            total = {"active": 0, "standby": 0, "control": 0}
            with stand.checkers() as some:
                while (
                    total["active"] + 2 * alone < options.shim_kills or total["control"] + quiet < options.control_kills
                ):
                    for name, count in kill_at_random(stand, 5, draw.random()).items():
                        total[name] += count
                    some.check()
                stand.ready()
                work = some.finish()
            print(f"overlapping kills:              {total}; {sum(work.values())} operations, 0 errors")
            stand.settled()
            stand.ends_clean()
            print("afterwards: every slot and handle row free, no process, mount or file left")
        except BaseException:
            print(run.log.read_text()[-6000:])
            raise
        finally:
            run.destroy()
            sim.close()


if __name__ == "__main__":
    main()
