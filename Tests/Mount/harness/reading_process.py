"""A file read in some order by a process of its own: what it got, or where and how it failed."""

import json
import subprocess
import sys

from instance import PATIENCE

ORDERS = ["sequential", "tail-first", "random"]

PROGRAM = r"""
import hashlib, json, os, random, sys
path, order, step, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
fd = os.open(path, os.O_RDONLY)
size = os.fstat(fd).st_size
content = bytearray(size)
offsets = list(range(0, size, step))
if order == "tail-first":
    offsets = offsets[-1:] + offsets[:-1]
elif order == "random":
    random.Random(seed).shuffle(offsets)
result = {"bytes": 0, "short": None, "errno": None}
done = []
for offset in offsets:
    end = min(offset + step, size)
    # The kernel gives what it has before an error; the next read then brings the error. Nothing at all is the end of
    # the file.
    try:
        while offset < end:
            data = os.pread(fd, end - offset, offset)
            if not data:
                result["short"] = offset
                break
            content[offset:offset + len(data)] = data
            done.append((offset, len(data)))
            result["bytes"] += len(data)
            offset += len(data)
    except OSError as error:
        result["errno"] = error.errno
    if result["errno"] or result["short"] is not None:
        break
result["sha256"] = hashlib.sha256(content).hexdigest()
# The parts that a failed reading got, each with its hash, so that none of them can be wrong unnoticed.
if result["errno"]:
    result["parts"] = [[offset, length, hashlib.sha256(content[offset:offset + length]).hexdigest()] for offset, length in done]
print(json.dumps(result))
"""


class Reading:
    def __init__(self, path, order, step=100_000, seed=1):
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, path, order, str(step), str(seed)], stdout=subprocess.PIPE, text=True
        )

    def result(self, timeout=2 * PATIENCE):
        """A shorter `timeout` than PATIENCE is raised to it."""
        try:
            out, _ = self.process.communicate(timeout=max(timeout, PATIENCE))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise AssertionError("a reading hangs") from None
        assert self.process.returncode == 0
        return json.loads(out)


def read(path, order, **more):
    return Reading(path, order, **more).result()
