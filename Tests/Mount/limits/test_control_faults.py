"""Calls of the control plane that fail: descriptors, memory, the journal, the cache folder. What fails costs one
request; afterwards all is well."""

import errno as errors
import os
import resource
import time

import pytest
from instance import MiB, PATIENCE, is_alive, wait_until
from readers import Background, sha256, sha256_file


def use(run, sim, tag):
    """Stages, reads and unstages one file: the exit code of the stage, and the reader's errno or None; bytes that
    come are right."""
    file = sim.add(MiB + 5)
    done = run.cli("stage", file, "--recipient", tag)
    if done.code:
        assert done.err.strip(), "an error without a word"
        return done.code, None
    path = done.out.rstrip("\n")
    try:
        got = Background(sha256_file, path).result()
        assert got == sha256(sim.content(file, tag))
        error = None
    except OSError as trouble:
        error = trouble.errno
    run.cli("unstage", path)
    return 0, error


def is_well(run, sim, what):
    assert is_alive(run.process.pid), f"{what}: the control plane ended\n{run.log.read_text()[-2000:]}"
    outcome = wait_until(
        lambda: (found := use(run, sim, "after")) == (0, None) and [found], what=f"a good read after {what}"
    )
    assert outcome == [(0, None)]
    run.serves()


FILES = [
    # call, a part of the path, errors
    ("pwrite", "staged.sqlite", ["ENOSPC", "EIO"]),
    ("fsync", "staged.sqlite", ["EIO"]),
    ("open", "staged.sqlite", ["EMFILE", "EROFS"]),
    ("pread", "staged.sqlite", ["EIO"]),
    ("open", ".bytes", ["EMFILE", "ENOMEM", "EACCES"]),
    ("pwrite", ".bytes", ["ENOSPC", "EIO", "EDQUOT"]),
    ("fallocate", ".bytes", ["ENOSPC", "EOPNOTSUPP"]),
    ("ftruncate", ".bytes", ["ENOSPC", "EFBIG"]),
    ("unlink", ".bytes", ["EPERM", "EROFS"]),
    ("open", ".sums", ["EMFILE", "ENOSPC"]),
    ("pwrite", ".sums", ["ENOSPC", "EIO"]),
    ("unlink", ".sums", ["EPERM"]),
]


def test_files_of_the_journal_and_of_the_cache_that_fail_cost_one_request(sim, make, calls):
    run = make(**calls.environment).start()
    kept = sim.add(2 * MiB)
    path = run.stage(kept, "kept")
    right = sha256(sim.content(kept, "kept"))
    unreached = []
    with open(path, "rb") as stream:
        assert len(stream.read()) == 2 * MiB
        for call, part, some in FILES:
            for error in some:
                what = f"{call} {part} {error}"
                rule = calls.fail(call, getattr(errors, error), path=part, times=3)
                use(run, sim, "during")
                # Sums are written and files removed by threads of their own.
                begun = time.monotonic()
                while rule.fired == 0 and time.monotonic() < begun + 2:
                    time.sleep(0.02)
                if rule.fired == 0:
                    unreached.append(what)
                rule.end()
                is_well(run, sim, what)
                # A reader that has its bytes never hears of it.
                stream.seek(0)
                assert len(stream.read(4096)) == 4096, what
    assert sha256_file(path) == right
    print(f"not reached: {unreached}")
    assert len(unreached) < 8, unreached


def test_a_control_plane_without_descriptors_answers_again_once_it_has_some(sim, run):
    kept = run.stage(sim.add(MiB), "kept")
    want = sha256_file(kept)
    pid = run.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    for spare in (12, 6, 3, 1, 0):
        used = max(int(name) for name in os.listdir(f"/proc/{pid}/fd")) + 1
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + spare, before[1]))
        try:
            assert sha256_file(kept) == want, f"bytes that are here, {spare} descriptors left"
            assert run.cli("status").code == 0, f"status with {spare} descriptors left"
            use(run, sim, f"spare {spare}")
            run.cli("shim", "kill")
        finally:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        is_well(run, sim, f"{spare} descriptors")
        assert sha256_file(kept) == want


def test_a_reader_whose_bytes_find_no_memory_has_an_error_that_names_it(sim, make):
    run = make().configure('stall_timeout = "3s"\n').start()
    file = sim.add(20 * MiB)
    path = run.stage(file, "hungry")
    pid = run.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_AS)
    size = int(next(line for line in open(f"/proc/{pid}/status") if line.startswith("VmSize")).split()[1]) << 10
    resource.prlimit(pid, resource.RLIMIT_AS, (size + 65536, before[1]))
    try:
        reading = Background(sha256_file, path)
        with pytest.raises(OSError) as error:
            reading.result()
        assert error.value.errno == errors.EIO
        wait_until(lambda: "there is no memory" in (run.item(path).get("failure") or ""), what="the reason")
    finally:
        resource.prlimit(pid, resource.RLIMIT_AS, before)

    def is_read():
        # An error is told again to a reader that asks within a second.
        try:
            return sha256_file(path) == sha256(sim.content(file, "hungry"))
        except OSError:
            return False

    wait_until(is_read, what="the file, once there is memory")


def test_a_control_plane_that_gets_no_memory_costs_no_open_file(sim, run):
    """If it dies of it, the next one adopts everything, as after any death."""
    kept = run.stage(sim.add(4 * MiB), "kept")
    with open(kept, "rb") as stream:
        want = stream.read(MiB)
        pid = run.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_AS)
        size = int(next(line for line in open(f"/proc/{pid}/status") if line.startswith("VmSize")).split()[1]) << 10
        resource.prlimit(pid, resource.RLIMIT_AS, (size, before[1]))
        for number in range(8):
            if not is_alive(pid):
                break
            run.cli("stage", sim.add(64 * MiB), "--recipient", f"hungry {number}", "--warm")
        if is_alive(pid):
            resource.prlimit(pid, resource.RLIMIT_AS, before)
        else:
            run.process.wait(PATIENCE)
            run.start()
        stream.seek(0)
        assert stream.read(MiB) == want
        assert len(stream.read()) == 3 * MiB
    is_well(run, sim, "a shortage of memory")
