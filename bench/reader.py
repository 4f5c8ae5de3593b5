#!/usr/bin/env python3
"""Readers in processes of their own: they can be killed, and no lock of the measuring one is in their way. Each
prints one line of JSON.

    reader.py timeline PATH SECONDS              reads on; [[seconds since the first read began, bytes so far], ...]
    reader.py trace PATH SIZE SEED RUNS KIND     seeks and reads, KIND direct or buffered; {"bytes", "seconds"}
    reader.py probe PATH SIZE                    jumps to the tail and back until SIGTERM; {"jumps"}
"""

import json
import math
import mmap
import os
import random
import signal
import sys
import time

KiB = 1 << 10
MiB = 1 << 20
PAGE = 4096


def timeline(path, seconds):
    fd, buffer, samples, total = os.open(path, os.O_RDONLY), mmap.mmap(-1, 128 * KiB), [[0.0, 0]], 0
    start = time.monotonic()
    while (now := time.monotonic() - start) < seconds:
        # Small reads: a sample is never far from the moment it is of.
        count = os.preadv(fd, [buffer], total)
        assert count > 0, f"the file ended after {now:.1f} s"
        total += count
        samples.append([time.monotonic() - start, total])
    return samples


def runs_of(size, seed, count):
    """Runs at random, apart from one another so that every byte counts once: (offset, length), whole pages, lengths
    log-uniform from 64 KiB to 4 MiB."""
    draw, taken = random.Random(seed), []
    while len(taken) < count:
        length = int(math.exp(draw.uniform(math.log(64 * KiB), math.log(4 * MiB)))) // PAGE * PAGE
        offset = draw.randrange(0, size - length, PAGE)
        if all(offset + length + 4 * MiB <= other or other + more + 4 * MiB <= offset for other, more in taken):
            taken.append((offset, length))
    return taken


def trace(path, size, seed, count, kind):
    fd = os.open(path, os.O_RDONLY | (os.O_DIRECT if kind == "direct" else 0))
    buffer, total, start = mmap.mmap(-1, 128 * KiB), 0, time.monotonic()
    for offset, length in runs_of(size, seed, count):
        end = offset + length
        while offset < end:
            got = os.preadv(fd, [memoryview(buffer)[: min(128 * KiB, end - offset)]], offset)
            assert got > 0, f"nothing at {offset}"
            offset += got
            total += got
    return {"bytes": total, "seconds": time.monotonic() - start}


def probe(path, size):
    """O_DIRECT, for otherwise the kernel answers the second jump."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    fd, buffer, jumps = os.open(path, os.O_RDONLY | os.O_DIRECT), mmap.mmap(-1, 128 * KiB), 0
    try:
        while True:
            step = jumps % 8 * 128 * KiB
            os.preadv(fd, [buffer], size - MiB + step)
            os.preadv(fd, [buffer], step)
            jumps += 1
            time.sleep(0.5)
    finally:
        print(json.dumps({"jumps": jumps}), flush=True)


def main():
    name, path, *rest = sys.argv[1:]
    if name == "timeline":
        print(json.dumps(timeline(path, float(rest[0]))))
    elif name == "trace":
        print(json.dumps(trace(path, *(int(word) for word in rest[:3]), rest[3])))
    else:
        probe(path, int(rest[0]))


if __name__ == "__main__":
    main()
