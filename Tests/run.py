#!/usr/bin/env python3
"""Runs a test command, keeps its whole output in a log file, and prints a line for each suite, the failures and the
closing line.

    run.py LOG COMMAND...

It understands `swift test` (Swift Testing) and `pytest -v`. The exit status is the command's. A signal that ends
this program goes to the command first, so that the tests clean up after themselves.
"""

import pathlib
import re
import signal
import subprocess
import sys
import time

#: Lines of one failure that are printed; the log has them all.
LINES_OF_A_FAILURE = 60


class SwiftTesting:
    """Prints the line of each suite that ends and every issue that a test records."""

    SUITE = re.compile(r"^[^\w\s] Suite .* (passed|failed) after ")
    CLOSING = re.compile(r"^[^\w\s] Test run with .* (passed|failed) after ")
    ISSUE = re.compile(
        r"^\S+ Test .* recorded an issue|^\S+ Test .* failed after |: error: |^error: |Fatal error|Crash|\*\*\* "
    )

    def __init__(self):
        self.left = 0

    def shown(self, line):
        if self.SUITE.search(line) or self.CLOSING.search(line):
            self.left = 0
            return True
        if self.ISSUE.search(line):
            self.left = LINES_OF_A_FAILURE
            return True
        # Lines of an issue's text are indented or begin with an arrow.
        if self.left and (line.startswith(("↳", " ", "\t")) or line[:2].strip() == "↳"):
            self.left -= 1
            return True
        self.left = 0
        return False

    def closing(self):
        return []


class Pytest:
    """Counts the outcomes of each file of tests; from the first traceback on it prints what pytest says."""

    OUTCOME = re.compile(r"^(\S+\.py)::(.*?) (PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)\b")
    HEADING = re.compile(
        r"^=+ (FAILURES|ERRORS|short test summary info|.* in [\d.]+s.*) =+$|^\d+ (passed|failed)|^_{3,} .* _{3,}$"
    )

    def __init__(self):
        self.file, self.began = None, time.monotonic()
        self.counts = {}
        self.is_tail, self.left = False, 0

    def suite(self):
        if not self.file:
            return []
        mark = "✘" if set(self.counts) & {"FAILED", "ERROR"} else "✔"
        counts = ", ".join(f"{count} {outcome.lower()}" for outcome, count in self.counts.items())
        return [f"{mark} {self.file}: {counts} after {time.monotonic() - self.began:.0f} seconds."]

    def shown(self, line):
        found = self.OUTCOME.search(line)
        if found and not self.is_tail:
            file, name, outcome = found.groups()
            if file != self.file:
                for text in self.suite():
                    print(text, flush=True)
                self.file, self.counts, self.began = file, {}, time.monotonic()
            self.counts[outcome] = self.counts.get(outcome, 0) + 1
            return outcome in ("FAILED", "ERROR")
        if self.HEADING.search(line):
            if not self.is_tail:
                for text in self.suite():
                    print(text, flush=True)
                self.file = None
            self.is_tail, self.left = True, LINES_OF_A_FAILURE
            return True
        self.left -= 1
        return self.is_tail and self.left > 0

    def closing(self):
        return self.suite()


def main():
    log, command = pathlib.Path(sys.argv[1]), sys.argv[2:]
    log.parent.mkdir(parents=True, exist_ok=True)
    reader = Pytest() if any("pytest" in word for word in command) else SwiftTesting()
    print(f"{' '.join(command[:3])} …: the whole output is in {log}", flush=True)
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, errors="replace"
    )
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: child.send_signal(number))
    printed = False
    with open(log, "w", errors="replace") as file:
        for line in child.stdout:
            file.write(line)
            file.flush()
            if reader.shown(line.rstrip("\n")):
                print(line, end="", flush=True)
                printed = True
    status = child.wait()
    for text in reader.closing():
        print(text, flush=True)
    if status and not printed:
        print("".join(open(log, errors="replace").readlines()[-40:]), end="")
    if status:
        print(f"it failed with exit status {status}; see {log}", flush=True)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
