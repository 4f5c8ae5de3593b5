#!/usr/bin/env python3
"""Builds the shim with sanitizers and runs the mount tests of reading and takeover on it (`make sanitize`).

One build has AddressSanitizer and UndefinedBehaviorSanitizer, the other ThreadSanitizer. Each report of a shim goes
to a file; the fixtures `sanitizer_reports` and `make` fail the test during which it came. Before the tests each
build is given a fault, to see that its sanitizer is on.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
FILES = [
    "reading/test_read.py",
    "reading/test_killed_readers.py",
    "reading/test_memory_window.py",
    "failover/test_takeover.py",
    "failover/test_adoption.py",
    "hostile/test_hostile_region.py",
]
#: A few of them for CI: misses, leased reads, windows, a takeover and an adoption.
SHORT = (
    "test_sequential or test_tail_first or test_o_direct or test_mmap or test_eight_readers_at_once"
    " or test_a_graceful_restart_of_the_shim or test_a_rude_restart_of_the_shim or test_a_reload_under_users_of_a_window"
    " or test_a_file_that_is_being_fetched"
)
#: They measure memory, of which a sanitizer takes several times as much.
LEFT_OUT = "not within_their_memory"
SANITIZERS = {
    "address": (
        "-fsanitize=address,undefined",
        "#include <stdlib.h>\nint main(int n, char **v) { int u = 1 << (31 + (v ? n : 0)); char *a = malloc(1); return a[n] | u; }",
    ),
    "thread": (
        # gcc's ThreadSanitizer does not know fences; Tests/tsan.supp names what else it does not see.
        "-fsanitize=thread -Wno-tsan",
        "#include <pthread.h>\nint x; void *f(void *a) { x++; return a; }\n"
        "int main(void) { pthread_t t; pthread_create(&t, 0, f, 0); x++; pthread_join(t, 0); return 0; }",
    ),
}


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def build(name, flags):
    """A folder of programs whose shim is the sanitized one."""
    folder = BUILD / "sanitize" / name / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    sources = [*sorted((ROOT / "shim/src").rglob("*.c")), *sorted((ROOT / "shim/wire").glob("*.c"))]
    subprocess.run(
        ["cc", *"-std=c17 -D_GNU_SOURCE -DFUSE_USE_VERSION=314 -O1 -g -fno-omit-frame-pointer".split(), *flags.split()]
        + [
            f"-I{ROOT}/shim/wire/include",
            f"-I{ROOT}/shim/src",
            *output("pkg-config", "--cflags", "fuse3").split(),
            *map(str, sources),
        ]
        + ["-o", str(folder / "fsmvp-shim"), "-lfuse3", "-luv", "-lpthread"],
        check=True,
    )
    programs = pathlib.Path(os.environ.get("FSMVP_TEST_BIN", BUILD / "bin"))
    for program in ("fsmvp", "fsmvp-tile", "mediahub-sim"):
        shutil.copy2(programs / program, folder / program)
    return folder


def is_on(folder, flags, fault, environment):
    """Whether a fault that is compiled with the same flags is reported the way the tests look for it."""
    reports = pathlib.Path(environment["FSMVP_SANITIZER_REPORTS"])
    (folder / "fault.c").write_text(fault)
    subprocess.run(["cc", "-O0", "-g", *flags.split(), "-o", folder / "fault", folder / "fault.c"], check=True)
    done = subprocess.run([folder / "fault"], env=environment, capture_output=True, text=True)
    found = list(reports.glob("report.*"))
    for report in found:
        report.unlink()
    # libubsan knows no log file beside libasan: it writes to standard error.
    return bool(found) and ("undefined" not in flags or "runtime error:" in done.stderr)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true", help="a few tests, for CI")
    parser.add_argument("--only", choices=SANITIZERS, help="one of the two builds")
    arguments, more = parser.parse_known_args()
    failed = []
    for name, (flags, fault) in SANITIZERS.items():
        if arguments.only not in (None, name):
            continue
        folder = build(name, flags)
        with tempfile.TemporaryDirectory(prefix="fsmvp-sanitize-") as reports:
            log = f"log_path={reports}/report"
            environment = os.environ | {
                "FSMVP_TEST_BIN": str(folder),
                "FSMVP_SANITIZER_REPORTS": reports,
                # A shim is killed often, so leaks at its end say nothing; its memory is bounded by tests of its own.
                "ASAN_OPTIONS": f"{log}:detect_leaks=0",
                "UBSAN_OPTIONS": f"{log}:print_stacktrace=1",
                "TSAN_OPTIONS": f"{log}:suppressions={ROOT}/Tests/tsan.supp:history_size=4",
            }
            if not is_on(folder, flags, fault, environment):
                sys.exit(f"sanitize: the {name} sanitizer does not report a fault that it was given")
            choice = ["-k", SHORT if arguments.short else LEFT_OUT]
            command = [
                sys.executable,
                ROOT / "Tests/run.py",
                BUILD / "logs" / f"sanitize-{name}.log",
                BUILD / "venv/bin/python",
                "-m",
                "pytest",
                "-v",
            ]
            command += [ROOT / "Tests/Mount" / file for file in FILES] + choice + more
            if subprocess.run([str(word) for word in command], env=environment, cwd=ROOT).returncode:
                failed.append(name)
    if failed:
        sys.exit(f"sanitize: {', '.join(failed)} failed")
    print("sanitize: clean")


if __name__ == "__main__":
    main()
