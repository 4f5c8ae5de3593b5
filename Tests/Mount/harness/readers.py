"""Readers that compare every byte, and readers that are meant to be stuck."""

import contextlib
import hashlib
import mmap
import os
import subprocess
import sys
import threading

from instance import PATIENCE, wait_until


def sha256(stream, block=1 << 20):
    digest = hashlib.sha256()
    while True:
        data = stream.read(block)
        if not data:
            return digest.hexdigest()
        digest.update(data)


def sha256_file(path, block=1 << 20):
    with open(path, "rb", buffering=0) as stream:
        return sha256(stream, block)


def once_forgotten(reading):
    """An error that was told is repeated for a second; then a read tries again."""

    def tried():
        with contextlib.suppress(OSError):
            return reading()

    return wait_until(tried, what="a read after an error")


class Direct:
    """A file read by O_DIRECT, which hides no error behind the page cache."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECT)

    def read(self, offset, length):
        with mmap.mmap(-1, max(length, 4096)) as buffer:
            view = memoryview(buffer)[:length]
            try:
                count = os.preadv(self.fd, [view], offset)
                return bytes(view[:count])
            finally:
                view.release()

    def close(self):
        os.close(self.fd)


class Crowd:
    """Many readers of one file, each in a thread of a process of its own, that can be killed with their process.

    The process prints a line when all have begun, and exits 0 when each got the bytes it was told to expect.
    """

    PROGRAM = r"""
import mmap, os, sys, threading, time
path, count, direct, step, length, want = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "direct", int(sys.argv[4]), int(sys.argv[5]), sys.argv[6]
threading.stack_size(256 << 10)
expected = open(want, "rb").read() if want != "-" else None
fd = os.open(path, os.O_RDONLY | (os.O_DIRECT if direct else 0))
bad, begun, lock = [], [0], threading.Lock()
def read(offset):
    buffer = mmap.mmap(-1, length)
    with lock: begun[0] += 1
    try:
        got = os.preadv(fd, [buffer], offset)
        if expected is not None and buffer[:got] != expected[offset:offset + length]:
            bad.append((offset, "bytes differ", got))
    except OSError as error:
        bad.append((offset, str(error)))
threads = [threading.Thread(target=read, args=(i * step,)) for i in range(count)]
for thread in threads: thread.start()
while begun[0] < count: time.sleep(0.001)
print("begun", flush=True)
for thread in threads: thread.join()
print(bad[:3], flush=True)
sys.exit(1 if bad else 0)
"""

    def __init__(self, path, count, direct=False, step=4096, length=4096, want="-"):
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                self.PROGRAM,
                path,
                str(count),
                "direct" if direct else "buffered",
                str(step),
                str(length),
                want,
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout.readline() == "begun\n"

    def finish(self, timeout=2 * PATIENCE):
        """A shorter `timeout` than PATIENCE is raised to it."""
        try:
            out, _ = self.process.communicate(timeout=max(timeout, PATIENCE))
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        assert self.process.returncode == 0, out

    def kill(self):
        self.process.kill()
        self.process.wait()


class Background:
    """A function in a thread; `result` waits for it and raises what it raised."""

    def __init__(self, function, *arguments):
        self._value = self._error = None

        def work():
            try:
                self._value = function(*arguments)
            except BaseException as error:  # handed to the thread that asks for the result
                self._error = error

        self.thread = threading.Thread(target=work, daemon=True)
        self.thread.start()

    @property
    def is_running(self):
        return self.thread.is_alive()

    def result(self, timeout=2 * PATIENCE):
        """A shorter `timeout` than PATIENCE is raised to it."""
        self.thread.join(max(timeout, PATIENCE))
        assert not self.thread.is_alive(), "still running"
        if self._error:
            raise self._error
        return self._value
