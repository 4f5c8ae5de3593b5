"""A shim dies, and no reader notices."""

import contextlib
import os
import resource
import signal
import subprocess
import threading
import time

import pytest
from stand import ALL, Stand, kill_at_random
from instance import PATIENCE, MiB, is_alive, mounts, wait_until
from readers import Background, Crowd, Direct


@pytest.fixture
def stand(run, sim, tmp_path):
    return Stand(run, sim, tmp_path)


def test_kills_of_the_active_shim_are_not_noticed(stand):
    with stand.checkers(*ALL, "mapped") as some:
        for _ in range(15):
            stand.kill_active()
            stand.ready()
        some.finish()
    assert stand.region.epoch == 16
    stand.settled()
    stand.run.serves()
    status = stand.run.cli("status", "--json").json["shim"]
    assert (status["epoch"], status["restarts"], status["pid"]) == (16, 15, stand.region.active)
    stand.ends_clean()


def test_random_kills_of_all_three_never_all_at_once(stand):
    with stand.checkers() as some:
        counts = kill_at_random(stand, 8, seed=os.getpid())
        some.check()
        stand.ready()
        some.finish()
    assert all(counts.values()), counts
    stand.settled()
    stand.ends_clean()


def test_a_file_that_is_being_fetched(run, sim, tmp_path):
    stand = Stand(run, sim, tmp_path, size=24 * MiB, fetched=False)
    sim.set(rate=8 * MiB)
    with stand.checkers("once") as some:
        while some.all[0].process.poll() is None:
            stand.kill_active()
            time.sleep(0.15)
        some.check()
        assert some.all[0].operations == 24
    stand.settled()


def test_without_a_standby_the_control_plane_starts_the_next_one(sim, make, tmp_path):
    run = make(FSMVP_STANDBY="false").start()
    stand = Stand.__new__(Stand)
    stand.ready = lambda: None
    Stand.__init__(stand, run, sim, tmp_path)
    with stand.checkers() as some:
        for _ in range(5):
            stand.kill_active()
            time.sleep(0.05)
        some.finish()
    assert stand.region.standby == 0 and len(run.shims()) == 1
    stand.settled()


def test_a_hung_shim_is_killed_and_replaced(sim, make, tmp_path):
    stand = Stand(make(FSMVP_SHIM_TIMEOUT="2s").start(), sim, tmp_path)
    hung = stand.region.active
    with stand.checkers() as some:
        os.kill(hung, signal.SIGSTOP)
        wait_until(lambda: stand.region.epoch == 2, 8, what="a takeover from the hung shim")
        assert not is_alive(hung)
        some.finish()
    stand.settled()


def test_a_hung_shim_is_replaced_by_the_standby_when_the_control_plane_is_stopped(sim, make, tmp_path):
    stand = Stand(make(FSMVP_SHIM_TIMEOUT="2s").start(), sim, tmp_path)
    with stand.checkers("direct", "probe") as some:
        stand.run.process.send_signal(signal.SIGSTOP)
        os.kill(stand.region.active, signal.SIGSTOP)
        wait_until(lambda: stand.region.epoch == 2, 8, what="a takeover from the hung shim")
        stand.run.process.send_signal(signal.SIGCONT)
        some.finish()
    stand.ready()
    stand.settled()


def test_shims_that_may_write_to_no_file_serve_on(stand):
    """A log that may not grow loses its lines, and no shim ends of it."""
    for pid in stand.run.two_shims():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    standby = stand.region.standby
    stand.kill_active()
    stand.ready()
    assert stand.region.active == standby and stand.region.epoch == 2
    stand.settled()


def test_a_suspended_machine_kills_nobody(sim, make, tmp_path):
    # Less than the suspend, and far more than passes between two that wake, on a busy machine too.
    stand = Stand(make(FSMVP_SHIM_TIMEOUT="5s").start(), sim, tmp_path)
    before = (stand.region.active, stand.region.standby, stand.region.epoch)
    everybody = [stand.region.active, stand.run.process.pid, stand.region.standby]
    with stand.checkers("direct", "probe") as some:
        for pid in everybody:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(8)
        for pid in reversed(everybody):  # the standby wakes first
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.3)
        time.sleep(1.5)
        assert (stand.region.active, stand.region.standby, stand.region.epoch) == before
        some.finish()


def test_two_standbys_at_once(stand):
    """The claim decides; the other one goes on watching."""
    standby = stand.region.standby
    words = open(f"/proc/{standby}/cmdline").read().split("\0")[:-1]
    numbers = sorted({int(word) for word in words if word.isdigit() and os.path.exists(f"/proc/{standby}/fd/{word}")})
    given = [
        os.open(f"/proc/{standby}/fd/{number}", os.O_RDWR)
        if "memfd" in os.readlink(f"/proc/{standby}/fd/{number}")
        else None
        for number in numbers
    ]
    for fd in given:
        if fd is not None:
            os.close(fd)
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(standby)
    taken = {number: libc.syscall(438, pidfd, number, 0) for number in numbers if number > 2}  # pidfd_getfd
    os.close(pidfd)
    for option in ("--listen", "--root", "--fuse", "--region", "--shim-bell", "--control-bell"):
        at = words.index(option) + 1
        words[at] = str(taken[int(words[at])])
    third = subprocess.Popen(words, pass_fds=[fd for fd in taken.values() if fd >= 0], start_new_session=True)
    for fd in taken.values():
        if fd >= 0:
            os.close(fd)
    try:
        time.sleep(0.2)
        with stand.checkers() as some:
            for _ in range(4):
                stand.kill_active()
                stand.ready()
            some.finish()
        stand.settled()
    finally:
        third.kill()
        third.wait()
    stand.ready()
    stand.ends_clean()


def test_2000_blocked_readers_across_takeovers_and_a_control_plane_kill(sim, run, tmp_path):
    file = sim.add(2000 * 4096, "blocked.mp4")
    want = tmp_path / "crowd"
    want.write_bytes(sim.bytes(file, "tag"))
    stand = Stand(run, sim, tmp_path, size=MiB)
    sim.gate(file=file)
    path = run.stage(file, "tag")
    crowd = Crowd(path, 2000, direct=True, want=str(want))
    try:
        wait_until(lambda: list(stand.region.slots().values()).count("TAKEN") >= 2000, 30, what="2,000 readers wait")
        for _ in range(5):  # more than a poison request lives
            stand.kill_active()
            stand.ready()
        stand.kill_control()
        stand.kill_active()
        sim.release()
        crowd.finish()
    finally:
        crowd.kill()
    stand.settled()


def test_a_kill_while_every_slot_is_in_use(sim, run, tmp_path):
    file = sim.add(3968 * 4096, "blocked.mp4")
    want = tmp_path / "crowd"
    want.write_bytes(sim.bytes(file, "tag"))
    stand = Stand(run, sim, tmp_path, size=MiB)
    sim.gate(file=file)
    path = run.stage(file, "tag")
    crowds = [Crowd(path, 1984, direct=True, want=str(want)), Crowd(path, 1984, direct=True, want=str(want))]
    try:
        wait_until(lambda: len(stand.region.slots()) >= 3968, 60, what="every READ slot in use")
        stand.kill_active()
        stand.ready()
        os.stat(stand.path)
        assert os.path.exists(f"{run.mount}/Staged") and not os.path.exists(f"{run.mount}/nobody")
        sim.release()
        for crowd in crowds:
            crowd.finish()
    finally:
        for crowd in crowds:
            crowd.kill()
    stand.settled()


def test_signals_every_3_ms_to_a_reader_during_kills(stand):
    with stand.checkers("direct", "probe", "buffered") as some:
        end = time.monotonic() + 3
        next_kill = 0
        while time.monotonic() < end:
            for checker in some.all:
                checker.process.send_signal(signal.SIGUSR1)
            time.sleep(0.003)
            if time.monotonic() > next_kill:
                next_kill = time.monotonic() + 0.2
                stand.kill_active()
        some.finish()
    stand.settled()


def test_generations_wrap_under_kills(stand):
    """Every row of ring and handle table is about to wrap."""
    import struct

    memory = stand.region.memory
    for section, rows in ((1, 4096), (4, 65536)):
        offset, _, stride = struct.unpack_from("<QII", memory, 224 + 16 * section)
        for index in range(min(rows, 4096)):
            if struct.unpack_from("<I", memory, offset + index * stride)[0] == 0:
                struct.pack_into("<I", memory, offset + index * stride + 4, 0xFFFFFFFE)
    with stand.checkers() as some:
        for _ in range(6):
            stand.kill_active()
            stand.ready()
        stand.kill_control()
        some.finish()
    offset, _, stride = struct.unpack_from("<QII", memory, 224 + 16)
    assert any(struct.unpack_from("<I", memory, offset + index * 8 + 4)[0] < 100 for index in range(4096)), (
        "nothing wrapped"
    )
    stand.settled()


@pytest.mark.parametrize("how", ["unmount", "abort"])
def test_an_end_from_outside_while_all_run(stand, how, tmp_path):
    """Everybody ends quietly: no restart, no takeover."""
    epoch, shims = stand.region.epoch, stand.run.shims()
    some = stand.checkers("direct", "names")
    try:
        if how == "unmount":
            subprocess.run(["umount", "-l", stand.run.mount], check=True)
            for checker in some.all:
                checker.kill()
        else:
            minor = os.minor(os.stat(stand.run.mount).st_dev)
            subprocess.run(["mount", "-t", "fusectl", "none", tmp_path], check=True)
            try:
                (tmp_path / str(minor) / "abort").write_text("1")
            finally:
                subprocess.run(["umount", tmp_path], check=True)
        assert stand.run.process.wait(PATIENCE) == 1
        wait_until(lambda: not any(is_alive(pid) for pid in shims), 5, what="the shims have ended")
    finally:
        for checker in some.all:
            checker.kill()
    assert stand.region.epoch == epoch and stand.run.shims() == []
    assert str(stand.run.mount) not in mounts()
    assert stand.run.says("unmounted")


def test_a_graceful_restart_of_the_shim(stand):
    with stand.checkers() as some:
        for _ in range(5):
            done = stand.run.cli("shim", "restart")
            assert done.code == 0, done
            stand.ready()
        some.finish()
    assert stand.region.epoch == 6
    stand.settled()


def test_a_rude_restart_of_the_shim(stand):
    with stand.checkers() as some:
        before = stand.region.active
        began = time.monotonic()
        done = stand.run.cli("shim", "kill")
        assert done.code == 0 and not is_alive(before), done
        stand.ready()
        some.finish()
    status = stand.run.cli("status", "--json").json["shim"]
    assert status["epoch"] == 2 and status["restarts"] == 1
    # A part of the time that all this took; how long it is, `make soak` measures.
    assert 0 < stand.region.outage_ms < (time.monotonic() - began) * 1000
    stand.settled()


def test_a_kill_during_a_graceful_restart(stand):
    with stand.checkers() as some:
        for delay in (0, 0.001, 0.003, 0.01):
            restart = Background(stand.run.cli, "shim", "restart")
            time.sleep(0.02 + delay)
            # It may just have ended by the order; the restart returns once a successor serves.
            with contextlib.suppress(ProcessLookupError):
                stand.kill_active()
            restart.result()
            stand.ready()
        some.finish()
    stand.settled()


def test_names_change_while_shims_die(stand):
    """Stage and unstage, a look-up in between, and the shim that lives tells the kernel."""
    with stand.checkers("direct", "names") as some:
        over = threading.Event()
        killing = Background(kill_until, over, stand)
        number, begin = 0, stand.region.epoch
        try:
            while killing.is_running and (number < 6 or stand.region.epoch < begin + 20):
                number += 1
                file = stand.sim.add(4096 * number, "other.bin")
                path = stand.run.stage(file, "tag")
                assert os.stat(path).st_size == 4096 * number
                assert stand.run.cli("unstage", path).code == 0
                with pytest.raises(FileNotFoundError):
                    os.stat(path)
        finally:
            over.set()
        killing.result()
        some.finish()
    stand.settled()


def kill_until(over, stand):
    while not over.wait(0.07):
        stand.kill_active()


def test_present_bytes_go_on_while_the_control_plane_is_stopped(stand):
    """With kills of the shim too: the standby needs no control plane."""
    os.listdir(os.path.dirname(stand.path))
    os.listdir(f"{stand.run.mount}/Staged")
    with stand.checkers("direct", "probe", "buffered") as some:
        stand.run.process.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        before = some["probe"].operations
        wait_until(lambda: some["probe"].operations > before + 1000, what="reads of present bytes go on")
        for _ in range(20):
            os.stat(stand.path)
            os.listdir(os.path.dirname(stand.path))
        stand.kill_active()
        before = some["probe"].operations
        wait_until(
            lambda: some["probe"].operations > before + 500, what="reads of present bytes go on after a takeover"
        )
        some.check()
        stand.run.process.send_signal(signal.SIGCONT)
        some.finish()
    stand.ready()
    stand.settled()


def test_a_reader_across_a_takeover_keeps_its_place(stand):
    """One descriptor, its inode, size and mtime, through ten shims."""
    before = os.stat(stand.path)
    reader = Direct(stand.path)
    with open(stand.want, "rb") as want:
        right = want.read()
    for number in range(10):
        stand.kill_active()
        assert reader.read(number * 65536, 65536) == right[number * 65536 : (number + 1) * 65536]
    after = os.fstat(reader.fd)
    assert (before.st_ino, before.st_size, before.st_mtime_ns) == (after.st_ino, after.st_size, after.st_mtime_ns)
    reader.close()
    stand.ready()
    stand.settled()
