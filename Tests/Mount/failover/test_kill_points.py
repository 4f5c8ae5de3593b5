"""A kill at every store of the protocol: the debug build's kill points (fsmvp_points.h), one after the other."""

import errno
import os
import pathlib
import signal
import struct
import subprocess
import sys
import time

import pytest
from instance import PATIENCE, MiB, is_alive, wait_until
from kill_points import CONTROL, SHIM, Traffic
from readers import Background, Direct


@pytest.fixture
def stand(stand_with_kill_points):
    return stand_with_kill_points


def bring_back(stand, name):
    """Makes the instance whole again after a death of any of its processes."""
    run = stand.run
    wait_until(lambda: not is_alive(stand.armed.victim), what=f"the end of who reached {name}")
    if not is_alive(run.process.pid):
        run.process.wait()
        run.start()
    try:
        stand.ready()
    except AssertionError as error:
        raise AssertionError(f"after {name}: {error}\n{run.log.read_text()[-3000:]}") from None


#: Points that traffic cannot be made to reach by reading: a cache whose bytes cannot be read back is another test's,
#: a full table of slots is test_shim_limits.py's, and memory is given back where there is no traffic.
UNREACHED = {"bad.submitted", "cancel.at_disk", "listing.trimmed"} | {name for name in SHIM if name.startswith("wait.")}
# The bucket server is test_bucket_crash.py's.
UNREACHED |= {name for name in CONTROL if name.startswith("bucket.")}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("side", ["shim", "control"])
def test_a_kill_at_every_point(stand, side):
    traffic = Traffic(stand)
    points = [name for name in (SHIM if side == "shim" else CONTROL) if name not in UNREACHED]
    assert len(points) > 20 if side == "shim" else len(points) > 8
    with stand.checkers("direct", "names", "open") as some:
        for name in points:
            before = stand.armed.fired
            stand.armed.arm(name)
            kind = traffic.kind(name)
            deadline = time.monotonic() + PATIENCE
            while stand.armed.fired == before:
                assert time.monotonic() < deadline, f"{name} was never reached"
                if not is_alive(stand.run.process.pid):
                    stand.run.process.wait()
                    stand.run.start(expect_ready=False)
                    continue
                traffic.step(kind)
            stand.armed.disarm()
            bring_back(stand, name)
            for checker in some.all:
                assert checker.errors == 0, f"{name}: {checker.mode}: {checker.first_error}"
        some.finish()
    stand.run.cli("unstage", "--all")
    wait_until(lambda: not stand.region.slots(), 10, what="free slots")
    wait_until(lambda: not stand.region.handles(), 10, what="free handle rows")


def test_a_request_that_kills_every_shim_is_answered_eio(stand):
    """At the third death; the mount lives."""
    with stand.checkers("direct", "probe") as some:
        with pytest.raises(OSError) as error:
            os.stat(f"{stand.run.mount}/Staged/fsmvp-poison")
        assert error.value.errno == 5
        assert stand.region.epoch == 4
        stand.ready()
        some.finish()
    assert is_alive(stand.run.process.pid)
    stand.run.serves()
    stand.settled()


def test_a_request_that_three_shims_died_with_before_they_began_it_is_answered(stand):
    """Three quick kills made an innocent reader's request the poison: EIO."""
    others = [stand.run.process.pid, stand.region.standby]
    for pid in others:
        os.kill(pid, signal.SIGSTOP)
    stand.armed.arm("worker.read")
    reader = subprocess.Popen(
        ["dd", f"if={stand.path}", "of=/dev/null", "bs=4096", "count=1", "iflag=direct"], stderr=subprocess.DEVNULL
    )
    wait_until(lambda: stand.armed.fired == 1, step=0.001, what="a shim died with a request in hand")
    # The next three, however fast one follows the other.
    stand.armed.arm("takeover.ready", again=2)
    for pid in reversed(others):
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: stand.armed.fired == 4, what="three more deaths")
    assert reader.wait(PATIENCE) == 0
    stand.ready()


def test_a_shim_dies_while_it_gives_the_memory_of_a_listing_back(stand):
    """The row is as a request's that was not filled in: free, and the next listing is whole."""
    for number in range(60):
        stand.run.stage(stand.file, f"tag {number}")
    stand.armed.arm("listing.trimmed")
    folder = f"{stand.run.mount}/Staged"
    assert len(os.listdir(folder)) == 61
    wait_until(lambda: stand.armed.fired == 1, what="the death of a shim that rests")
    bring_back(stand, "listing.trimmed")
    stand.run.stage(stand.file, "one more")
    assert len(os.listdir(folder)) == 62
    stand.settled()


def freeze_active(stand):
    """The active shim, which has stopped by the return."""
    stat = pathlib.Path(f"/proc/{stand.region.active}/stat")
    os.kill(stand.region.active, signal.SIGSTOP)
    wait_until(lambda: stat.read_text().rsplit(")", 1)[1].split()[0] == "T", step=0.002, what="a stopped shim")


def read_that_waits(stand):
    """A read of bytes that the origin has not given yet: its reader, what does the reading, and the right bytes."""
    file = stand.sim.add(MiB, "gated.bin")
    stand.sim.gate(file=file)
    reader = Direct(stand.run.stage(file, "tag"))
    wait_until(lambda: not stand.region.slots(), what="the OPEN is done")
    reading = Background(reader.read, 0, 65536)
    wait_until(lambda: list(stand.region.slots().values()) == ["TAKEN"], step=0.002, what="control fetches")
    return reader, reading, stand.sim.bytes(file, "tag", 0, 65536)


def read_by_a_disk_thread(stand):
    """A reader of a file that the active shim has not opened yet, and the right bytes."""
    reader = Direct(stand.path)
    assert stand.run.cli("shim", "restart").code == 0
    stand.ready()
    wait_until(lambda: not stand.region.slots(), what="the OPEN is done")
    with open(stand.want, "rb") as want:
        return reader, want.read(65536)


@pytest.mark.parametrize("point", ["takeover.adopted", "takeover.ready"])
def test_a_read_is_answered_that_four_shims_died_with_before_they_began_its_answer(stand, point):
    """DONE, and each successor died before it let its threads go: EIO, though nothing had worked on it."""
    reader, reading, right = read_that_waits(stand)
    freeze_active(stand)
    stand.sim.release()
    wait_until(lambda: list(stand.region.slots().values()) == ["DONE"], step=0.002, what="control has answered")
    stand.armed.arm(point, again=3)
    stand.kill_active(wait=False)
    wait_until(lambda: stand.armed.fired == 4, step=0.002, what="four deaths of successors")
    assert reading.result() == right
    reader.close()
    stand.ready()
    stand.settled()


def test_a_read_is_answered_that_four_shims_died_with_before_a_disk_thread_began_it(stand):
    """LOCAL, likewise."""
    reader, right = read_by_a_disk_thread(stand)
    stand.armed.arm("push.local", holds=True)
    reading = Background(reader.read, 0, 65536)
    wait_until(lambda: stand.armed.fired == 1, step=0.002, what="a worker hands a read on")
    freeze_active(stand)
    assert list(stand.region.slots().values()) == ["LOCAL"]
    stand.armed.arm("takeover.adopted", again=3)
    stand.kill_active(wait=False)
    wait_until(lambda: stand.armed.fired == 5, step=0.002, what="four deaths of successors")
    assert reading.result() == right
    reader.close()
    stand.ready()
    stand.settled()


@pytest.mark.parametrize("deaths", [2, 3])
def test_an_answer_that_kills_every_shim_is_eio(stand, deaths):
    """At the third death and not before: what the thread had that worked on it before is not counted."""
    stand.armed.arm("reply.begun", again=deaths - 1)
    with pytest.raises(OSError) as error:
        os.stat(f"{stand.run.mount}/Staged/nothing")
    assert error.value.errno == (errno.EIO if deaths == 3 else errno.ENOENT)
    assert stand.armed.fired == deaths
    stand.ready()
    stand.settled()


@pytest.mark.parametrize("deaths", [2, 3])
def test_a_read_that_kills_every_disk_thread_is_eio(stand, deaths):
    reader, right = read_by_a_disk_thread(stand)
    stand.armed.arm("disk.begun", again=deaths - 1)
    if deaths == 3:
        with pytest.raises(OSError) as error:
            reader.read(0, 65536)
        assert error.value.errno == errno.EIO
    else:
        assert reader.read(0, 65536) == right
    assert stand.armed.fired == deaths
    reader.close()
    stand.ready()
    stand.settled()


@pytest.mark.parametrize("deaths", [2, 3])
def test_a_request_that_kills_every_shim_that_adopts_it_is_eio(stand, deaths):
    """Even if it only waits for control."""
    reader, reading, right = read_that_waits(stand)
    stand.armed.arm("takeover.counted", again=deaths - 1)
    stand.kill_active(wait=False)
    wait_until(lambda: stand.armed.fired == deaths, step=0.002, what="deaths of successors")
    stand.ready()
    stand.sim.release()
    if deaths == 3:
        with pytest.raises(OSError) as error:
            reading.result()
        assert error.value.errno == errno.EIO
    else:
        assert reading.result() == right
    reader.close()
    stand.settled()


def test_a_read_in_hand_whose_handle_was_released_does_not_keep_its_slot(stand):
    """LOCAL at the death, and no lease to read by at the takeover: it stayed LOCAL for ever."""
    file = stand.sim.add(MiB, "gated.bin")
    stand.sim.gate(file=file)
    path = stand.run.stage(file, "tag")
    program = (
        "import os,sys; fd=os.open(sys.argv[1],os.O_RDONLY|os.O_DIRECT); print('open',flush=True); sys.stdin.read(1)\n"
    )
    program += "import mmap\ntry: os.preadv(fd,[mmap.mmap(-1,4096)],0)\nexcept OSError as e: print(e.errno,flush=True)"
    reader = subprocess.Popen(
        [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert reader.stdout.readline() == "open\n"
        wait_until(lambda: not stand.region.slots(), what="the OPEN is done")
        others = [stand.run.process.pid, stand.region.standby]
        for pid in others:
            os.kill(pid, signal.SIGSTOP)
        stand.armed.arm("push.local")
        reader.stdin.write("x")
        reader.stdin.flush()
        wait_until(lambda: not is_alive(stand.region.active), what="the shim died")
        assert list(stand.region.slots().values()) == ["LOCAL"]
        (index,) = [index for index, state in stand.region.handles().items() if state == "OPEN"]
        offset, _, stride = struct.unpack_from("<QII", stand.region.memory, 224 + 16 * 4)
        struct.pack_into("<I", stand.region.memory, offset + index * stride, 4)  # RELEASED
        for pid in reversed(others):
            os.kill(pid, signal.SIGCONT)
        stand.sim.release()
        wait_until(lambda: not stand.region.slots(), what="the slot is free")
        assert reader.stdout.readline().strip() in ("5", "9"), "an error, for there is no handle any more"
    finally:
        reader.kill()
        reader.wait()
    stand.ready()
