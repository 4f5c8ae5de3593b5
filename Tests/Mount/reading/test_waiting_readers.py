"""Readers that wait hold up no other process."""

import os
import signal
import subprocess
import threading
import time

import pytest
from instance import PATIENCE, MiB, wait_until
from readers import Background, Crowd, Direct, sha256, sha256_file


def others_go_on(sim, run, blocked, other, right, also=lambda: None):
    """stat and ls are answered, and another file is opened, read whole and released, while readers are stuck.

    The readers stay stuck until the caller lets them go on, so an answer that waits for them never comes.
    """
    for _ in range(20):
        os.stat(blocked)
        os.listdir(f"{run.mount}/Staged")
        os.stat(os.path.dirname(other))
        also()
    assert Background(sha256_file, other, 131072).result() == right


def prepare(sim, run, size):
    file = sim.add(size, "blocked.mp4")
    other = sim.add(4 * MiB, "other.mp4")
    path_other = run.stage(other, "tag")
    sim.gate(file=file)
    path = run.stage(file, "tag")
    return file, path, path_other, sha256(sim.content(other, "tag"))


def test_64_blocked_buffered_readers(sim, run, tmp_path):
    file, path, other, right = prepare(sim, run, 64 * MiB)
    want = tmp_path / "want"
    want.write_bytes(sim.bytes(file, "tag"))
    crowd = Crowd(path, 64, step=MiB, length=4096, want=str(want))
    try:
        time.sleep(0.5)
        others_go_on(sim, run, path, other, right)
        sim.release()
        crowd.finish()
    finally:
        crowd.kill()


def test_2000_blocked_o_direct_readers(sim, run, tmp_path):
    file, path, other, right = prepare(sim, run, 2000 * 4096)
    want = tmp_path / "want"
    want.write_bytes(sim.bytes(file, "tag"))
    crowd = Crowd(path, 2000, direct=True, step=4096, length=4096, want=str(want))
    try:
        wait_until(lambda: run.cli("status", "--json").json["requestsForwarded"] >= 2000, 30, what="2,000 readers wait")
        others_go_on(sim, run, path, other, right)
        sim.release()
        crowd.finish()
    finally:
        crowd.kill()
    assert run.cli("status", "--json").json["slotsFull"] == 0


@pytest.mark.parametrize("mode", ["temp-file", "range-lru"])
def test_while_the_disk_hangs(sim, make, calls, mode):
    run = make(FSMVP_FETCH_MODE=mode, **calls.environment).start()
    other = sim.add(4 * MiB, "other.mp4")
    path_other = run.stage(other, "tag")
    right = sha256(sim.content(other, "tag"))
    assert sha256_file(path_other) == right
    with open(path_other, "rb") as stream:  # its store stands, its disk is quick
        since = calls.now()
        disk = [calls.hold(call, path=".bytes", since=since) for call in ("pwrite", "preadv2")]
        file = sim.add(64 * MiB, "slow.mp4")
        path = run.stage(file, "tag")
        first = sim.bytes(file, "tag", 0, 4096)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
        readers = [Background(lambda: Direct(path).read(0, 4096)) for _ in range(16)]
        try:
            asked = lambda: [row["file"] for row in sim.stats()["ranges"]]
            wait_until(lambda: file in asked(), what="a range of it is asked for")
            fast = Direct(path_other)
            assert len(fast.read(0, MiB)) == MiB
            fast.close()
            others_go_on(sim, run, path, path_other, right)
            assert stream.read(10)
            if mode == "temp-file":
                assert all(reader.is_running for reader in readers), "the disk does not hang"
        finally:
            for rule in disk:
                rule.end()
            os.close(fd)
            for reader in readers:
                assert reader.result() == first


def test_a_clearing_whose_deletions_hang_holds_up_neither_the_journal_nor_a_write(sim, make, calls):
    run = make(**calls.environment).configure("close_grace = 0\n").start()
    # More than libuv has worker threads.
    paths = [run.stage(sim.add(MiB), "tag") for _ in range(12)]
    for path in paths:
        assert len(open(path, "rb").read()) == MiB
    wait_until(lambda: all(run.item(path)["openRef"] == 0 for path in paths))
    deletions = calls.hold("unlink", ".bytes")
    clearing = Background(run.cli, "cache", "clear")
    wait_until(lambda: run.cli("cache", "--json").json["leaving"] >= 12 * MiB, what="the clearing is under way")
    fresh = sim.add(4 * MiB, "fresh.mp4")
    path = run.stage(fresh, "tag")  # the journal
    assert sha256_file(path) == sha256(sim.content(fresh, "tag"))  # writes
    assert sha256_file(paths[0]), "what was cleared is fetched again"
    assert run.cli("cache", "--json").json["leaving"] >= 11 * MiB, "nothing of it is deleted yet"
    deletions.end()
    clearing.result()
    wait_until(lambda: run.cli("cache", "--json").json["leaving"] == 0, what="its space is free")


def test_release_does_not_wait_for_bytes(sim, run):
    file, path, other, right = prepare(sim, run, 64 * MiB)
    for _ in range(20):
        os.close(os.open(path, os.O_RDONLY))
    # The gate still holds every byte back.
    assert run.item(path)["bytesFetched"] == 0


READER = r"""
import os, signal, sys
signal.signal(signal.SIGUSR1, lambda *_: None)
signal.siginterrupt(signal.SIGUSR1, False)
kind, path = sys.argv[1:3]
import mmap
flags = os.O_RDONLY | (os.O_DIRECT if kind == "direct" else 0)
fd = os.open(path, flags)
buffer = mmap.mmap(-1, 1 << 20)
print("begun", flush=True)
if kind == "mmap":
    map = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
    data = map[:4096]
    assert len(data) == 4096
else:
    offset = 0
    while True:
        got = os.preadv(fd, [buffer], offset)
        if got == 0: break
        offset += got
print("end", flush=True)
"""


@pytest.mark.parametrize("kind", ["buffered", "direct"])
def test_a_storm_of_signals_then_the_end(sim, run, kind):
    file = sim.add(24 * MiB)
    path = run.stage(file, "tag")
    sim.set(rate="12MiB")
    sim.gate(file=file, **{"from": 16 * MiB})
    reader = subprocess.Popen(
        ["python3", "-c", READER, kind, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert reader.stdout.readline() == "begun\n"
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            reader.send_signal(signal.SIGUSR1)
            time.sleep(0.003)
        assert reader.poll() is None, reader.stderr.read()  # no error, still waiting for the gate
        reader.terminate()
        reader.wait(PATIENCE)
        assert reader.returncode == -signal.SIGTERM and reader.stderr.read() == ""
    finally:
        reader.kill()
        reader.wait()
        sim.set(rate=0)


@pytest.mark.parametrize("kind", ["buffered", "direct", "mmap"])
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGQUIT])
def test_a_blocked_reader_dies_when_it_is_told_to(sim, run, kind, end):
    file = sim.add(4 * MiB)
    path = run.stage(file, "tag")
    sim.gate(file=file)
    reader = subprocess.Popen(["python3", "-c", READER, kind, path], stdout=subprocess.PIPE, text=True)
    try:
        assert reader.stdout.readline() == "begun\n"
        time.sleep(0.4)
        reader.send_signal(end)
        reader.wait(PATIENCE)
    finally:
        reader.kill()
        reader.wait()
    # The reader left nothing that holds up the next one.
    sim.release()
    assert sha256_file(path) == sha256(sim.content(file, "tag"))


def test_a_reader_gone_does_not_take_the_others_bytes(sim, run):
    file = sim.add(8 * MiB)
    path = run.stage(file, "tag")
    sim.gate(file=file)
    before = threading.active_count()
    victim = Crowd(path, 4, step=MiB, length=MiB)
    stays = [Background(sha256_file, path) for _ in range(4)]
    time.sleep(0.3)
    victim.kill()
    sim.release()
    want = sha256(sim.content(file, "tag"))
    assert [reader.result() for reader in stays] == [want] * 4
    wait_until(lambda: threading.active_count() <= before, what="the end of all readers")
