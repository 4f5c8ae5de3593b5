#!/usr/bin/env python3
"""Memory of staged items at rest: bytes of the control plane for each one beyond the first thousand.

Measured twice: as a start brings them back from the journal, which is filled directly, and as they are staged by the
API one after the other. Memory is what nobody shares (Private_Clean and Private_Dirty of smaps_rollup), taken when
it has stopped falling.

    bench/items.py [--items 100000] [--staged 20000]
"""

import argparse
import pathlib
import sqlite3
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "Tests" / "Mount" / "harness"))

from api_connection import ApiConnection  # noqa: E402
from instance import Instance, Sim, file_id, wait_until  # noqa: E402

FIRST = 1000
GOAL = 400


def stable_hash(*texts):
    """`StableHash` of the program, of which the usual name of an item is made."""
    value = 0xCBF29CE484222325
    for text in texts:
        for byte in [*text.encode(), 0xFF]:
            value = (value ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return f"{value:016x}"


def private(pid):
    with open(f"/proc/{pid}/smaps_rollup") as lines:
        next(lines)
        return sum(
            int(line.split()[1]) * 1024 for line in lines if line.startswith(("Private_Clean:", "Private_Dirty:"))
        )


def settled(pid):
    """The least of five looks in a row that show no less than the ones before."""
    least, same = private(pid), 0
    while same < 5:
        time.sleep(0.2)
        now = private(pid)
        same = 0 if now < least else same + 1
        least = min(least, now)
    return least


def fill(journal, count):
    rows = []
    for seq in range(count):
        file, tag = file_id(0x100 + seq % 500), f"recipient {seq:06}"
        rows.append(
            (
                seq,
                stable_hash(file, tag),
                file,
                tag,
                f"Trailer 30 s {seq % 500}.mp4",
                1 << 30,
                1_700_000_000_000_000_000 + seq,
                seq + 1,
            )
        )
    with sqlite3.connect(journal) as database:
        database.executemany("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0)", rows)
        database.execute("UPDATE origins SET seq = ?", (count,))
    database.close()


def restored(sim, count):
    """Private bytes after a start with so many items in the journal, and how long that start took."""
    run = Instance(sim)
    try:
        run.start()
        run.stop()
        fill(next(run.state.rglob("staged.sqlite")), count)
        begun = time.monotonic()
        run.start()
        took = time.monotonic() - begun
        assert run.cli("status", "--json").code == 0
        wait_until(lambda: len(list(pathlib.Path(run.mount, "Staged").iterdir())) == count, what="all items are listed")
        return settled(run.process.pid), took
    finally:
        run.destroy()


def staged(sim, count):
    """Private bytes after the first thousand stagings, and after all."""
    files = [sim.add(1 << 20) for _ in range(100)]
    run = Instance(sim).start()
    try:
        api = ApiConnection(run)
        for number in range(count):
            api.stage(files[number % len(files)], f"recipient {number:06}")
            if number + 1 == FIRST:
                before = settled(run.process.pid)
        return before, settled(run.process.pid)
    finally:
        run.destroy()


def say(what, less, more, count):
    each = (more - less) / (count - FIRST)
    verdict = "met" if each <= GOAL else "missed"
    print(
        f"{what}: {less / 1e6:.1f} MB with {FIRST:,}, {more / 1e6:.1f} MB with {count:,} items: {each:.0f} bytes each (goal {GOAL}: {verdict})",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000, help="brought back from the journal")
    parser.add_argument("--staged", type=int, default=20_000, help="staged by the API; 0: not measured")
    options = parser.parse_args()
    sim = Sim()
    try:
        less, _ = restored(sim, FIRST)
        more, took = restored(sim, options.items)
        say("brought back at a start", less, more, options.items)
        print(f"that start took {took:.1f} s")
        if options.staged > FIRST:
            say("staged by the API", *staged(sim, options.staged), options.staged)
    finally:
        sim.close()


if __name__ == "__main__":
    main()
