"""Ordinary calls of an instance's processes that fail or wait while a test says so (preloaded_calls.c)."""

import mmap
import os
import pathlib
import struct
import subprocess

ROW = struct.Struct("<QQqQQQ32s16s16s96s")
RULES = 64
ALWAYS = (1 << 64) - 1
SHIM = "fsmvp-shim"


def compiled(folder):
    """The library, compiled into that folder."""
    built = pathlib.Path(folder) / "preloaded_calls.so"
    source = pathlib.Path(__file__).with_name("preloaded_calls.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", built, source, "-ldl"], check=True)
    return str(built)


class Rule:
    """Counts for calls until `end`."""

    def __init__(self, memory, at):
        self._memory, self._at = memory, at

    def _put(self, word, value):
        struct.pack_into("<Q", self._memory, self._at + 8 * word, value)

    @property
    def fired(self):
        return struct.unpack_from("<Q", self._memory, self._at + 8)[0]

    def go_on(self):
        """Calls that wait go on, and the rule counts."""
        self._put(3, 0)

    def end(self):
        """Calls that wait go on."""
        self._put(0, 0)
        self._put(3, 0)


class Calls:
    """The rules of one instance. Each has a row of its own, which is not used again."""

    def __init__(self, library, folder):
        self.file = pathlib.Path(folder) / "calls"
        self.file.write_bytes(bytes(8 + RULES * ROW.size))
        with open(self.file, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 0)
        self.environment = {"LD_PRELOAD": library, "FSMVP_TEST_CALLS": str(self.file)}
        self.rules = []

    def _add(self, call, path, times, program, thread, error=0, holds=0, us=0, since=0):
        at = 8 + len(self.rules) * ROW.size
        assert len(self.rules) < RULES, "too many rules for one test"
        names = [name.encode() for name in (call, program, thread, path)]
        ROW.pack_into(self.memory, at, 0, 0, error, holds, us, since, *names)
        self.rules.append(Rule(self.memory, at))
        self.rules[-1]._put(0, times)
        struct.pack_into("<Q", self.memory, 0, len(self.rules))
        return self.rules[-1]

    def fail(self, call, error, path="", times=ALWAYS, program="", thread=""):
        """The next calls (on files with `path` in their path) fail with that errno."""
        return self._add(call, path, times, program, thread, error=error)

    def hold(self, call, path="", times=ALWAYS, program="", thread="", since=0, error=0):
        """The next calls wait until the rule's end, or until it goes on: then they fail, if there is an error.
        `since` limits it to files that changed after `now`."""
        return self._add(call, path, times, program, thread, error=error, holds=1, since=since)

    def slow(self, call, seconds, path="", since=0):
        """Each call takes so much longer."""
        return self._add(call, path, ALWAYS, "", "", us=int(seconds * 1e6), since=since)

    def now(self):
        """A time as file systems write it beside their files, later than that of every change so far. It is the time of
        the last tick: changes within one tick have the same."""
        os.utime(self.file)
        before = self.file.stat().st_mtime_ns
        while self.file.stat().st_mtime_ns == before:
            os.utime(self.file)
        return self.file.stat().st_mtime_ns

    def end(self):
        for rule in self.rules:
            rule.end()
