"""Ordinary calls of the shim that fail: none is taken for a death, and each has its planned outcome."""

import errno
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import termios
import time

import pytest
from preloaded_calls import SHIM
from stand import Stand
from instance import MiB, PATIENCE, is_alive, mounts, wait_until
from readers import Background, Direct


@pytest.fixture
def begin(make, sim, calls, tmp_path):
    def begin(**environment):
        return Stand(make(**calls.environment, **environment).start(), sim, tmp_path, size=MiB)

    return begin


def processor_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return sum(int(field) for field in stat.read().rsplit(")", 1)[1].split()[11:13]) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize(
    "error", [errno.EPERM, errno.ENOSYS, errno.EMFILE, errno.ENOMEM, errno.EINVAL], ids=errno.errorcode.get
)
def test_a_pidfd_that_cannot_be_had_is_no_death(begin, calls, error):
    """No living shim is deposed, and takeovers work without one, also while the dead shim's parent does not reap it."""
    calls.fail("pidfd_open", error, program=SHIM)
    stand = begin(FSMVP_SHIM_TIMEOUT="2s")
    shims = {stand.region.active, stand.region.standby}
    with stand.checkers("direct", "probe", "names") as some:
        time.sleep(5)
        assert stand.region.epoch == 1 and {stand.region.active, stand.region.standby} == shims, (
            "a living shim was deposed"
        )
        for _ in range(3):
            stand.kill_active()
            stand.ready()
        # Its end is told by /proc alone: it stays a zombie.
        stand.run.process.send_signal(signal.SIGSTOP)
        stand.kill_active()
        stand.run.process.send_signal(signal.SIGCONT)
        stand.ready()
        # A hung one is killed without a pidfd.
        calls.fail("pidfd_send_signal", errno.ENOSYS, program=SHIM)
        stand.run.process.send_signal(signal.SIGSTOP)
        os.kill(stand.region.active, signal.SIGSTOP)
        wait_until(lambda: stand.region.epoch == 6, 15, what="a takeover from the hung shim")
        stand.run.process.send_signal(signal.SIGCONT)
        stand.ready()
        some.finish()
    stand.run.two_shims()
    stand.settled()


def test_a_number_that_cannot_be_looked_at_is_not_killed(begin, calls):
    """A hung shim is killed once it is sure that its number is still its own: without /proc and a pidfd it may be
    anybody's."""
    calls.fail("pidfd_open", errno.EMFILE, program=SHIM)
    stand = begin(FSMVP_SHIM_TIMEOUT="2s")
    hung = stand.region.active
    blind = calls.fail("open", errno.EMFILE, path=f"/proc/{hung}/stat", program=SHIM)
    stand.run.process.send_signal(signal.SIGSTOP)
    os.kill(hung, signal.SIGSTOP)
    failure = "it is killed, which failed: Resource temporarily unavailable"
    wait_until(lambda: failure in stand.run.log.read_text() or not is_alive(hung), what="the standby finds it hung")
    assert is_alive(hung) and stand.region.epoch == 1
    blind.end()
    wait_until(lambda: stand.region.epoch == 2, what="a takeover from the hung shim")
    stand.run.process.send_signal(signal.SIGCONT)
    stand.ready()
    stand.settled()


def test_an_active_shim_that_the_region_does_not_name_ends_itself(stand_of_two):
    """Two shims never serve one mount, even if the region's field was overwritten."""
    stand = stand_of_two
    deposed = stand.region.active
    gone = subprocess.Popen(["true"])
    gone.wait()
    struct.pack_into("<Q", stand.region.memory, 40, gone.pid | 1 << 32)
    wait_until(lambda: not is_alive(deposed), 10, what="the deposed shim ends")
    wait_until(lambda: stand.region.epoch == 2, 10, what="the standby's claim")
    with open(stand.path, "rb") as stream, open(stand.want, "rb") as want:
        assert stream.read() == want.read()
    stand.ready()
    stand.settled()


@pytest.fixture
def stand_of_two(run, sim, tmp_path):
    return Stand(run, sim, tmp_path, size=MiB)


@pytest.mark.parametrize(
    "call, error", [("pthread_create", errno.EAGAIN), ("eventfd", errno.EMFILE), ("eventfd", errno.ENOMEM)]
)
def test_a_shim_that_lacks_a_thread_or_a_bell_never_offers_itself(begin, calls, call, error):
    """It ends with 75, a shortage of the machine, before it registers; so what takes over can serve."""
    stand = begin()
    shortage = calls.fail(call, error, program=SHIM)
    standby = stand.region.standby
    os.kill(standby, signal.SIGKILL)
    wait_until(
        lambda: "cannot become a successor" in stand.run.log.read_text(), 20, what="a shim that says what it lacks"
    )
    wait_until(
        lambda: re.search(r"shim.ended.*\b75\b", stand.run.log.read_text()), 20, what="a shim that ended with 75"
    )
    assert stand.region.standby in (0, standby), "a shim that lacks something has registered"
    with stand.checkers("direct", "names") as some:
        # There is none to take over: readers wait for the shortage to pass.
        os.kill(stand.region.active, signal.SIGKILL)
        reading = Background(lambda: os.stat(stand.path).st_size)
        time.sleep(0.5)
        assert stand.region.epoch == 1
        shortage.end()
        assert reading.result(30) == MiB
        some.finish()
    stand.ready()
    stand.settled()


def test_a_shim_whose_workers_are_all_stuck_is_replaced(begin, calls):
    """Its heartbeat is the progress of its workers: one that is stuck is borne, an idle shim is well."""
    stand = begin(FSMVP_SHIM_TIMEOUT="2s")
    time.sleep(4.5)
    assert stand.region.epoch == 1, "an idle shim was killed"
    one = calls.hold("writev", program=SHIM, thread="worker", times=1)
    first = Background(os.statvfs, stand.run.mount)
    wait_until(lambda: one.fired, what="a worker is stuck")
    time.sleep(4.5)
    assert stand.region.epoch == 1 and first.is_running
    os.listdir(f"{stand.run.mount}/Staged")
    calls.hold("writev", program=SHIM, thread="worker", times=1)
    second = Background(os.statvfs, stand.run.mount)
    assert first.result(20).f_bsize == 4096 and second.result(20).f_bsize == 4096
    assert stand.region.epoch == 2
    stand.ready()
    stand.settled()


def test_a_reply_that_the_kernel_cannot_take_yet_is_not_lost(begin, calls):
    stand = begin()
    shortage = calls.fail("writev", errno.ENOMEM, program=SHIM)
    looks = [
        Background(os.statvfs, stand.run.mount),
        Background(os.stat, stand.path),
        Background(os.listdir, stand.run.mount),
    ]
    time.sleep(0.3)
    shortage.end()
    for look in looks:
        look.result(20)
    stand.settled()


def test_a_shim_whose_replies_the_kernel_does_not_take_gives_way_and_says_so(begin, calls):
    """It ended without a word."""
    stand = begin()
    shortage = calls.fail("writev", errno.ENOMEM, program=SHIM, thread="worker")
    look = Background(os.statvfs, stand.run.mount)
    wait_until(lambda: stand.region.epoch >= 2, what="a takeover")
    shortage.end()
    assert look.result().f_bsize == 4096
    assert stand.run.says("the kernel takes no reply (Cannot allocate memory)")
    stand.ready()
    stand.settled()


def test_a_shim_that_cannot_read_requests_gives_way(begin, calls):
    stand = begin()
    shortage = calls.fail("read", errno.ENOMEM, program=SHIM, thread="worker")
    # Its workers were waiting already: each reads one more.
    looks = [Background(os.statvfs, stand.run.mount) for _ in range(4)]
    wait_until(lambda: stand.region.epoch >= 2, 30, what="a takeover")
    shortage.end()
    for look in looks:
        assert look.result(30).f_bsize == 4096
    stand.ready()
    stand.settled()


def test_an_orphan_that_cannot_unmount_tries_again(begin, calls):
    stand = begin(FSMVP_ORPHAN_TIMEOUT="1s")
    shortage = calls.fail("umount2", errno.ENOMEM, program=SHIM)
    calls.fail("fork", errno.EAGAIN, program=SHIM)
    shims = stand.run.shims()
    stand.run.kill()
    time.sleep(4)
    assert str(stand.run.mount) in mounts() and all(is_alive(pid) for pid in shims)
    shortage.end()
    # A mount namespace that was made meanwhile may keep its shims; this one's mount is gone.
    wait_until(lambda: str(stand.run.mount) not in mounts(), 20, what="the mount is gone")


def test_a_shim_without_descriptors_for_a_connection_does_not_spin(begin, calls):
    stand = begin()
    shortage = calls.fail("accept4", errno.EMFILE, program=SHIM)
    stand.run.kill()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(stand.run.runtime / "shim.sock"))
        before = processor_seconds(stand.region.active)
        time.sleep(2)
        assert processor_seconds(stand.region.active) - before < 0.5, "it spins"
        shortage.end()
    stand.run.start()
    stand.ready()
    stand.settled()


def test_an_answer_of_a_dead_control_plane_reads_no_block_that_the_next_one_has_begun(make, sim, calls, tmp_path):
    """It vouched for bytes in a use of a frame that has ended. The block's next use had none of them yet, and zeros
    were answered."""
    stand = Stand(
        make(FSMVP_FETCH_MODE="range-lru", **calls.environment).start(), sim, tmp_path, size=MiB, fetched=False
    )
    with open(stand.want, "rb") as want:
        right = want.read()
    early, late = Direct(stand.path), Direct(stand.path)
    # Answers are not sent: the thread that sends them does not hear its bell.
    bell = calls.hold("read", program=SHIM, thread="completion")

    def states():
        return sorted(stand.region.slots().values())

    begun = Background(early.read, 128 << 10, 64 << 10)
    wait_until(lambda: states() == ["DONE"], what="the first control plane's answer")
    stand.run.kill()
    gate = sim.gate(file=stand.file, **{"from": 128 << 10})
    stand.run.start()
    other = Background(late.read, 0, 64 << 10)
    wait_until(lambda: states() == ["DONE", "DONE"], what="an answer from the same block by the second one")
    bell.end()
    assert other.result() == right[: 64 << 10]
    wait_until(lambda: states() == ["TAKEN"] or not begun.is_running, what="the old request is asked for again")
    assert begun.is_running, "answered by bytes that are not here"
    sim.release(gate)
    assert begun.result() == right[128 << 10 : 192 << 10]
    early.close()
    late.close()
    stand.ready()
    stand.settled()


def test_a_kernel_before_5_4_is_refused_with_a_sentence(make, calls):
    calls.fail("fuse_init", 27, program=SHIM)  # FUSE 7.27 is Linux 4.18's
    run = make(**calls.environment)
    run.start(expect_ready=False)
    assert run.ready == "" and run.process.wait(PATIENCE) == 1
    assert "this kernel speaks FUSE 7.27, and 7.31 is needed: use Linux 5.4 or later" in run.log.read_text()
    assert str(run.mount) not in mounts()
    wait_until(lambda: not run.shims(), what="no shim is left")


@pytest.mark.parametrize("word", ["another file's", "no row", "odd", "no such generation"])
def test_a_wrong_lease_word_costs_that_handle_and_not_the_mount(stand_of_two, word):
    stand = stand_of_two
    other = stand.sim.add(MiB, "other.bin")
    path = stand.run.stage(other, "tag")
    right = stand.sim.bytes(other, "tag")
    # The one handle of each file is then this test's.
    stand.rows_are_free()
    spoilt = Direct(stand.path)
    with open(path, "rb") as healthy:
        assert healthy.read(65536) == right[:65536]
        memory = stand.region.memory
        offset, _, stride = struct.unpack_from("<QII", memory, 224 + 16 * 4)
        rows = [offset + index * stride for index, state in stand.region.handles().items() if state == "OPEN"]
        node = os.stat(stand.path).st_ino
        (row,) = [row for row in rows if stand.region.word(row + 8) == node]
        (neighbour,) = [row for row in rows if stand.region.word(row + 8) == os.stat(path).st_ino]
        lease = stand.region.word(row + 24)
        wrong = {
            "another file's": stand.region.word(neighbour + 24),
            "no row": 1 << 20 | 2 << 32,
            "odd": lease | 1 << 32,
            "no such generation": lease + (2 << 32),
        }[word]
        struct.pack_into("<Q", memory, row + 24, wrong)
        for at in range(12):
            try:
                with open(stand.want, "rb") as want:
                    want.seek(at * 4096)
                    assert Background(spoilt.read, at * 4096, 4096).result(20) == want.read(4096)
            except OSError as error:
                assert error.errno == errno.EIO
        time.sleep(1.5)
        assert healthy.read() == right[65536:]
    spoilt.close()
    assert stand.region.epoch == 1, "a shim was replaced"
    with open(stand.path, "rb") as stream, open(stand.want, "rb") as want:
        assert stream.read() == want.read()
    stand.settled()


class FullPipe:
    """Standard error that takes nothing any more."""

    def __init__(self, run):
        os.mkfifo(run.log)
        self.fd = os.open(run.log, os.O_RDWR | os.O_NONBLOCK)
        for size in (4096, 1):
            try:
                while True:
                    os.write(self.fd, b"x" * size)
            except BlockingIOError:
                pass

    def close(self):
        os.close(self.fd)


class StoppedTerminal:
    def __init__(self, run):
        self.master, self.slave = pty.openpty()
        os.symlink(os.ttyname(self.slave), run.log)
        termios.tcflow(self.slave, termios.TCOOFF)

    def close(self):
        termios.tcflow(self.slave, termios.TCOON)
        os.close(self.slave)
        os.close(self.master)


class NoReader:
    """Each write fails with EPIPE."""

    def __init__(self, run):
        os.mkfifo(run.log)
        self.fd = os.open(run.log, os.O_RDWR | os.O_NONBLOCK)

    def started(self):
        os.close(self.fd)
        self.fd = -1

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)


@pytest.mark.parametrize("stderr", [FullPipe, StoppedTerminal, NoReader])
@pytest.mark.parametrize("control", ["alive", "stopped"])
def test_a_standard_error_that_takes_nothing_loses_no_mount(make, sim, tmp_path, stderr, control):
    """A shim that takes over says so before it has a link; it waits for no terminal."""
    run = make(FSMVP_SHIM_TIMEOUT="2s", FSMVP_LOG_LEVEL="debug")
    error = stderr(run)
    try:
        stand = Stand(run.start(), sim, tmp_path, size=MiB)
        if stderr is NoReader:
            error.started()
        with stand.checkers("direct", "probe") as some:
            for number in range(3):
                epoch = stand.region.epoch
                if control == "stopped":
                    run.process.send_signal(signal.SIGSTOP)
                stand.kill_active()
                time.sleep(3.5)
                assert stand.region.epoch == epoch + 1, "the successor was taken for a hung one"
                if control == "stopped":
                    run.process.send_signal(signal.SIGCONT)
                stand.ready()
            some.finish()
        stand.settled()
        assert run.stop() == 0
    finally:
        run.destroy()
        error.close()
