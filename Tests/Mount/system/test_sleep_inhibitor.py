"""While files are open the machine does not go to sleep by itself: an inhibitor of logind, on a real message bus."""

import os
import signal
import subprocess
import time

import pytest
from instance import PATIENCE, MiB, wait_until
from logind import Bus, Logind

# `SleepPlan.linger`, in seconds.
LINGER = 2


@pytest.fixture
def bus():
    bus = Bus()
    yield bus
    bus.close()


@pytest.fixture
def logind(bus):
    logind = Logind(bus)
    yield logind
    logind.close()


@pytest.fixture
def awake(make, bus):
    """A running instance whose system bus is the test's."""
    return make(DBUS_SYSTEM_BUS_ADDRESS=bus.address).start()


def inhibited(run):
    return run.cli("status", "--json").json["sleepInhibited"]


def is_inhibited(run):
    """Waits, because logind has given the inhibitor out before its answer is heard."""
    return wait_until(lambda: inhibited(run), what="the machine is kept awake")


def held(logind, count=1):
    wait_until(lambda: len(logind.held) == count, what=f"{count} inhibitors held")


def test_an_open_file_keeps_the_machine_awake_until_a_moment_after_its_close(sim, logind, awake):
    path = awake.stage(sim.add(MiB, "clip.mp4"))
    assert not inhibited(awake) and logind.questions == 0
    with open(path, "rb") as stream:
        held(logind)
        lock = logind.inhibitors[0]
        assert (lock.what, lock.who, lock.why, lock.mode) == (
            "sleep:idle",
            "FuseStream",
            "a file is being uploaded",
            "block",
        )
        is_inhibited(awake)
        assert "sleep" in awake.cli("status").out
        stream.read()
        time.sleep(LINGER + 0.5)
        assert lock.is_held
        closing = time.monotonic()
    wait_until(lambda: not lock.is_held, step=0.01, what="released")
    assert lock.back - closing > LINGER - 0.5
    assert not inhibited(awake)
    assert logind.questions == 1


def test_two_that_overlap_are_one_and_a_quick_reopen_does_not_flap(sim, logind, awake):
    first, second = (awake.stage(sim.add(MiB)) for _ in range(2))
    one = os.open(first, os.O_RDONLY)
    held(logind)
    two = os.open(second, os.O_RDONLY)
    os.close(one)
    time.sleep(LINGER + 0.5)
    held(logind)
    for _ in range(5):
        os.close(two)
        time.sleep(0.05)
        two = os.open(second, os.O_RDONLY)
    held(logind)
    os.close(two)
    held(logind, 0)
    assert logind.questions == 1
    with open(first, "rb"):
        held(logind)
    held(logind, 0)
    assert logind.questions == 2


def test_a_look_at_a_file_never_leaves_it_held(sim, logind, awake):
    path = awake.stage(sim.add(MiB))
    for _ in range(30):
        os.close(os.open(path, os.O_RDONLY))
    held(logind, 0)
    # By then the last open has been heard of, however late it was; its inhibitor goes, too.
    time.sleep(LINGER + 0.5)
    wait_until(lambda: not logind.held and not inhibited(awake), what="nothing held for a look")


def test_killed_it_lets_go_and_the_next_one_takes_it_again(sim, logind, awake):
    path = awake.stage(sim.add(MiB))
    with open(path, "rb"):
        held(logind)
        awake.kill()
        held(logind, 0)
        awake.start()
        # The file was open all the time.
        held(logind)
    held(logind, 0)


def test_a_reload_takes_it_along(sim, logind, awake):
    path = awake.stage(sim.add(MiB))
    with open(path, "rb"):
        held(logind)
        assert awake.cli("reload").code == 0
        wait_until(lambda: len(logind.inhibitors) == 2, what="asked again")
        held(logind)
        assert logind.inhibitors[1].is_held and is_inhibited(awake)
    held(logind, 0)


def test_a_stop_lets_go(sim, logind, awake):
    path = awake.stage(sim.add(MiB))
    with open(path, "rb"):
        held(logind)
    assert awake.stop() == 0
    assert not logind.held


def reads_well(run, sim, file, tag="somebody"):
    path = run.stage(file, tag)
    done = subprocess.run(["cat", path], capture_output=True, timeout=PATIENCE, check=True)
    assert done.stdout == sim.bytes(file, tag)
    assert run.cli("status").code == 0


def test_a_logind_that_says_nothing_blocks_nothing(sim, bus, awake):
    logind = Logind(bus, answers=False)
    try:
        reads_well(awake, sim, sim.add(4 * MiB))
        wait_until(lambda: logind.questions == 1, what="asked")
        assert not inhibited(awake)
        assert awake.stop() == 0
    finally:
        logind.close()


def test_a_bus_that_hangs_blocks_nothing(sim, bus, awake):
    bus.process.send_signal(signal.SIGSTOP)
    reads_well(awake, sim, sim.add(4 * MiB))
    assert not inhibited(awake)
    assert awake.stop() == 0


def test_a_refusal_is_said_once_and_asked_again_rarely(sim, bus, awake):
    logind = Logind(bus, refuses=True)
    try:
        for _ in range(5):
            reads_well(awake, sim, sim.add(MiB))
            time.sleep(0.1)
        assert awake.says("sleep.not_held_off")
        assert logind.questions == 1 and not inhibited(awake)
        log = awake.log.read_text()
        assert log.count("sleep.not_held_off") == 1 and " info sleep.not_held_off" in log and "Permission denied" in log
    finally:
        logind.close()


def test_without_a_bus_all_else_goes_on(sim, make):
    run = make(DBUS_SYSTEM_BUS_ADDRESS="unix:path=/nonexistent/bus").start()
    reads_well(run, sim, sim.add(MiB))
    reads_well(run, sim, sim.add(MiB))
    assert not inhibited(run)
    assert run.says("sleep.not_held_off")
    assert run.log.read_text().count("sleep.not_held_off") == 1


def test_switched_off_nobody_is_asked(sim, make, bus, logind):
    run = make(DBUS_SYSTEM_BUS_ADDRESS=bus.address).configure("inhibit_sleep = false\n").start()
    reads_well(run, sim, sim.add(MiB))
    assert not inhibited(run) and logind.questions == 0
    assert "sleep" not in run.log.read_text()
