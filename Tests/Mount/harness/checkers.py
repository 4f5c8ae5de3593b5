"""Processes that read a mount, compare every byte and forgive no error (checker.c), and what each of them found."""

import mmap
import os
import pathlib
import struct
import subprocess
import tempfile
import time

from instance import PATIENCE

HERE = pathlib.Path(__file__).parent
SLOW = 16384
HEAD = 32 + 256
_program = None


def program():
    """checker.c, compiled once a session."""
    global _program
    if _program is None:
        folder = tempfile.TemporaryDirectory(prefix="fsmvp-checker-")
        path = f"{folder.name}/checker"
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", path, HERE / "checker.c"], check=True)
        _program = (path, folder)
    return _program[0]


class Checker:
    """One checker process. `finish` ends it and raises what it found wrong."""

    def __init__(self, mode, path, want, seed=1):
        self.mode = mode
        self.report = tempfile.NamedTemporaryFile(prefix="fsmvp-report-")
        self.report.truncate(HEAD + SLOW * 16)
        self.memory = mmap.mmap(self.report.fileno(), 0)
        self.process = subprocess.Popen(
            [program(), mode, path, want, self.report.name, str(seed)], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout.readline() == "begun\n", f"{mode} did not begin"

    def _word(self, index):
        return struct.unpack_from("<Q", self.memory, index * 8)[0]

    @property
    def operations(self):
        return self._word(1)

    @property
    def errors(self):
        return self._word(2)

    @property
    def first_error(self):
        return self.memory[32:HEAD].split(b"\0")[0].decode()

    def slow(self):
        """(began, ended) of the slow reads of a probe, CLOCK_MONOTONIC seconds."""
        count = self._word(3)
        times = [
            struct.unpack_from("<QQ", self.memory, HEAD + i % SLOW * 16) for i in range(max(0, count - SLOW), count)
        ]
        return [(began / 1e9, ended / 1e9) for began, ended in times]

    def outage(self, killed_at):
        """Seconds from the kill to the first reply after it: the read that was under way, or the next one."""
        spanning = [ended for began, ended in self.slow() if began <= killed_at + 0.001 and ended > killed_at]
        return max(spanning) - killed_at if spanning else None

    def check(self):
        assert self.errors == 0, f"{self.mode}: {self.errors} errors, the first: {self.first_error}"

    def finish(self, timeout=PATIENCE):
        """It must have done something, all of it right."""
        struct.pack_into("<Q", self.memory, 0, 1)
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.mode}: hangs after {self.operations} operations") from None
        self.check()
        assert code == 0, f"{self.mode}: exit {code}"
        assert self.operations > 0, f"{self.mode}: did nothing"
        return self.operations

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.memory.close()
        self.report.close()


class Checkers:
    """Several of them, ended together."""

    def __init__(self, path, want, modes):
        self.all = []
        try:
            for seed, mode in enumerate(modes):
                self.all.append(Checker(mode, path, want, seed + 1))
        except BaseException:
            self.__exit__(None, None, None)
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for checker in self.all:
            checker.kill()

    def __getitem__(self, mode):
        return next(checker for checker in self.all if checker.mode == mode)

    def check(self):
        for checker in self.all:
            checker.check()

    def finish(self):
        return {checker.mode: checker.finish() for checker in self.all}


def monotonic():
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def kill(pid, number=9):
    """When the signal was sent."""
    at = monotonic()
    os.kill(pid, number)
    return at
