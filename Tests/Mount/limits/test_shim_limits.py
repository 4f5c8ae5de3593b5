"""The shim at its bounds: full tables, descriptors that are refused, disks that hang, callers that cannot be seen."""

import errno
import os
import pathlib
import signal
import subprocess
import sys
import time

import instance
import pytest
from preloaded_calls import SHIM
from instance import MiB, wait_until
from kill_points import PROGRAMS, names, start_stand
from readers import Background, Crowd, Direct, sha256, sha256_file
from region import Region

WAITING = names(r'KILL_POINT\("(wait\.[a-z._]+)"\)', "shim")


def status(run):
    return run.cli("status", "--json").json


# Slots


@pytest.mark.timeout(600)
def test_more_readers_than_slots_wait_and_none_gets_an_error(sim, make, tmp_path):
    """3,968 reads took all slots, and every further one was answered EIO. A shim dies while they wait."""
    run = make().configure('stall_timeout = "900s"\n').start()
    count = 4500
    file = sim.add(count * 4096, "blocked.mp4")
    other = sim.add(4 * MiB, "other.mp4")
    path_other = run.stage(other, "tag")
    right = sha256(sim.content(other, "tag"))
    assert sha256_file(path_other) == right
    fast = Direct(path_other)
    sim.gate(file=file)
    path = run.stage(file, "tag")
    want = tmp_path / "want"
    want.write_bytes(sim.bytes(file, "tag"))
    region = Region(run.shim_pid())
    crowd = Crowd(path, count, direct=True, step=4096, length=4096, want=str(want))
    try:
        waiting = lambda: sum(state == "WAITING" for state in region.waiting().values())  # noqa: E731
        wait_until(lambda: waiting() >= 400, 120, what="readers wait for a slot")
        # Reads that need no slot are served, and names have slots of their own.
        assert fast.read(0, 4096) == sim.bytes(other, "tag", 0, 4096)
        assert os.stat(path).st_size == count * 4096 and os.listdir(f"{run.mount}/Staged")
        epoch = region.epoch
        os.kill(region.active, signal.SIGKILL)
        wait_until(lambda: region.epoch > epoch, 30, what="a takeover")
        assert fast.read(4096, 4096) == sim.bytes(other, "tag", 4096, 4096)
        sim.release()
        crowd.finish(300)
    finally:
        crowd.kill()
        fast.close()
    assert status(run)["slotsFull"] >= 400
    wait_until(lambda: not region.waiting() and not region.slots(), what="all rows are free")
    region.close()


@pytest.fixture
def narrow(sim, make, tmp_path, monkeypatch):
    """An instance of the debug build, whose shims have room for four reads."""
    monkeypatch.setattr(instance, "FSMVP", str(PROGRAMS / "fsmvp"))
    return start_stand(make, sim, tmp_path, FSMVP_TEST_SLOTS="132")


@pytest.mark.timeout(600)
def test_a_kill_at_every_point_of_waiting_for_a_slot(narrow, tmp_path):
    sim, run, region = narrow.sim, narrow.run, narrow.region
    assert len(WAITING) >= 7
    for point in WAITING:
        file = sim.add(40 * 4096, f"{point}.bin")
        gate = sim.gate(file=file)
        path = run.stage(file, "tag")
        want = tmp_path / "crowd"
        want.write_bytes(sim.bytes(file, "tag"))
        before = narrow.armed.fired
        narrow.armed.arm(point)
        crowd = Crowd(path, 40, direct=True, step=4096, length=4096, want=str(want))
        doomed = None
        try:
            if point == "wait.refused":
                wait_until(lambda: len(region.waiting()) >= 30, 20, what="readers wait for a slot")
                doomed = Crowd(path, 3, direct=True)
                wait_until(lambda: len(region.waiting()) >= 39, 20, what="the doomed wait")
                doomed.process.kill()
            # Without a wait for a slot no point of it is reached.
            wait_until(
                lambda: narrow.armed.fired > before or len(region.waiting()) >= 30, what="readers wait for a slot"
            )
            sim.release(gate)
            wait_until(lambda: narrow.armed.fired > before, 30, what=f"{point} is reached")
            narrow.armed.disarm()
            crowd.finish(60)
            if doomed:
                doomed.process.wait(instance.PATIENCE)
        finally:
            crowd.kill()
            if doomed:
                doomed.kill()
        narrow.ready()
        wait_until(lambda: not region.waiting() and not region.slots(), 20, what=f"free rows after {point}")
        run.cli("unstage", path)
    narrow.settled()


def test_a_reader_that_waits_for_a_slot_can_be_killed(narrow):
    sim, run, region = narrow.sim, narrow.run, narrow.region
    file = sim.add(40 * 4096, "blocked.bin")
    sim.gate(file=file)
    path = run.stage(file, "tag")
    crowd = Crowd(path, 20, direct=True)
    try:
        wait_until(lambda: len(region.waiting()) >= 10, what="readers wait for a slot")
    finally:
        crowd.process.kill()
    crowd.process.wait(instance.PATIENCE)
    sim.release()
    narrow.settled()
    wait_until(lambda: not region.waiting(), what="no row of a waiting reader")


# The disk


@pytest.fixture
def troubled(make, calls):
    """An instance whose calls may be made to go wrong."""
    return make(**calls.environment).start()


def cached(sim, run, size=MiB):
    """A file that is whole in the cache: path, right bytes, and the name of its file there."""
    before = {path.name for path in run.cache.rglob("*.bytes")}
    file = sim.add(size)
    path = run.stage(file, "tag")
    right = sim.bytes(file, "tag")
    stream = open(path, "rb", buffering=0)
    assert stream.read(size) == right and stream.seek(0) == 0
    (name,) = {path.name for path in run.cache.rglob("*.bytes")} - before
    return file, path, right, name, stream


def served(sim, file):
    return len([entry for entry in sim.stats()["ranges"] if entry["file"] == file])


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_a_shortage_when_a_cached_file_is_opened_takes_no_block_for_rotten(sim, troubled, calls, error):
    """EMFILE was told as rotten bytes: good blocks were dropped and fetched again, and the second time was EIO."""
    run = troubled
    file, path, right, _, keep = cached(sim, run)
    asked = served(sim, file)
    assert run.cli("shim", "restart").code == 0  # a shim that has nothing open
    shortage = calls.fail("open", error, path=".bytes", program=SHIM)
    reader = Background(lambda: Direct(path).read(0, 65536))
    wait_until(lambda: shortage.fired, what="the file cannot be opened")
    time.sleep(0.5)
    assert reader.is_running
    shortage.end()
    assert reader.result(20) == right[:65536]
    assert served(sim, file) == asked, "fetched again"
    keep.close()


def test_a_shortage_that_does_not_pass_is_that_reads_error_and_no_others(sim, troubled, calls):
    run = troubled
    file, path, right, name, keep = cached(sim, run)
    _, path_other, right_other, _, keep_other = cached(sim, run)
    asked = served(sim, file)
    assert run.cli("shim", "restart").code == 0
    shortage = calls.fail("open", errno.EMFILE, path=name, program=SHIM)
    reader = Background(lambda: Direct(path).read(0, 65536))
    assert Direct(path_other).read(0, 65536) == right_other[:65536]
    with pytest.raises(OSError) as caught:
        reader.result(60)
    assert caught.value.errno == errno.EMFILE
    shortage.end()
    assert Direct(path).read(0, 65536) == right[:65536]
    assert served(sim, file) == asked, "fetched again"
    keep.close()
    keep_other.close()


READ = "import os,sys,mmap; fd=os.open(sys.argv[1],os.O_RDONLY|os.O_DIRECT); print('begun',flush=True); os.preadv(fd,[mmap.mmap(-1,4096)],int(sys.argv[2]))"


def reading(path, offset=0, prefix=()):
    reader = subprocess.Popen(
        [*prefix, sys.executable, "-c", READ, path, str(offset)], stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout.readline() == "begun\n"
    return reader


def test_a_reader_that_is_killed_during_a_shortage_gives_its_slot_back(sim, troubled, calls):
    """The shim went on trying to open the file for no reader, some seven seconds with a slot in use."""
    _, path, _, name, keep = cached(sim, troubled)
    region = Region(troubled.shim_pid())
    assert troubled.cli("shim", "restart").code == 0
    # Killed while the shim opens the file, which fails afterwards, again and again.
    shortage = calls.hold("open", path=name, program=SHIM, error=errno.EMFILE)
    reader = reading(path)
    wait_until(lambda: shortage.fired, what="the file is opened")
    reader.kill()
    reader.wait(instance.PATIENCE)
    shortage.go_on()
    wait_until(lambda: not region.slots(), what="free slots")
    assert shortage.fired == 1, "it was tried for nobody"
    shortage.end()
    keep.close()
    region.close()


@pytest.mark.parametrize("vouched", [False, True], ids=["leased", "answered"])
def test_readers_of_a_disk_that_hangs_can_be_killed_and_stop_no_other_file(sim, troubled, calls, vouched):
    """Requests in the hands of disk threads were never cancelled; four of them stopped the cold reads of every file."""
    run = troubled
    region = Region(run.shim_pid())
    hung = [cached(sim, run, MiB) for _ in range(6)]
    _, path_other, right_other, _, keep_other = cached(sim, run)
    if vouched:  # the last block comes only now, so that the answer is control's
        hung = []
        for number in range(6):
            file = sim.add(MiB, f"later {number}.bin")
            sim.gate(file=file, **{"from": 512 << 10})
            before = {path.name for path in run.cache.rglob("*.bytes")}
            path = run.stage(file, "tag")
            stream = open(path, "rb", buffering=0)
            stream.read(4096)
            (name,) = {path.name for path in run.cache.rglob("*.bytes")} - before
            hung.append((file, path, sim.bytes(file, "tag"), name, stream))
    disk = calls.hold("preadv2", path=hung[0][3], program=SHIM)
    readers = [reading(hung[0][1], offset * 4096 + (512 << 10)) for offset in range(8)]
    try:
        if vouched:
            sim.release()
        time.sleep(0.6)
        assert all(reader.poll() is None for reader in readers)
        # Other files' cold reads go on: a shim that has nothing open needs its disk threads for each.
        other = Direct(path_other)
        assert other.read(0, 65536) == right_other[:65536]
        other.close()
        for _, path, right, _, _ in hung[1:]:
            with open(path, "rb") as whole:
                assert whole.read() == right
        for reader in readers:
            reader.kill()
        for reader in readers:
            reader.wait(instance.PATIENCE)
    finally:
        disk.end()
        for reader in readers:
            reader.kill()
            reader.wait()
    assert Direct(hung[0][1]).read(0, 4096) == hung[0][2][:4096]
    for *_, stream in [*hung, (keep_other,)]:
        stream.close()
    wait_until(lambda: not region.slots(), 20, what="free slots")
    region.close()


# Callers


def test_a_reader_in_many_groups_can_be_killed(sim, run):
    """/proc/TID/status was read into 4 KiB, and the line of groups alone is longer: its signals were never seen."""
    file = sim.add(MiB)
    path = run.stage(file, "tag")
    sim.gate(file=file)
    groups = "import os,sys; os.setgroups(range(100000, 102000)); os.execv(sys.argv[1], sys.argv[1:])"
    reader = reading(path, prefix=(sys.executable, "-c", groups))
    try:
        time.sleep(0.3)
        reader.terminate()
        assert reader.wait(instance.PATIENCE) == -signal.SIGTERM
    finally:
        reader.kill()
        reader.wait()
        sim.release()


@pytest.fixture
def contained(make, sim):
    """An instance in a pid namespace of its own, with the /proc of that."""
    run = make()
    run.wrapper = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    run.start()
    (inner,) = pathlib.Path(f"/proc/{run.process.pid}/task/{run.process.pid}/children").read_text().split()
    run.inner = int(inner)
    yield run
    os.kill(run.inner, signal.SIGTERM)
    run.process.wait(instance.PATIENCE)


def test_a_reader_of_another_pid_namespace_can_be_killed(sim, contained):
    """Its pid in the request is 0, so it was left waiting for the bytes, in state D."""
    run = contained
    file = sim.add(MiB)
    path = run.stage(file, "tag")
    sim.gate(file=file)
    reader = reading(path, prefix=("nsenter", "-t", str(run.inner), "-m"))
    try:
        time.sleep(0.3)
        reader.kill()
        assert reader.wait(instance.PATIENCE) == -signal.SIGKILL
    finally:
        reader.kill()
        reader.wait()
    sim.release()
    done = subprocess.run(
        ["nsenter", "-t", str(run.inner), "-m", "sha256sum", path], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split()[0] == sha256(sim.content(file, "tag"))


def test_a_handled_signal_costs_a_reader_of_another_pid_namespace_no_bytes(sim, contained):
    """It is told EINTR half a second after the signal, and reads again, as most programs do."""
    run = contained
    file = sim.add(MiB)
    path = run.stage(file, "tag")
    sim.gate(file=file)
    program = "import signal; signal.signal(signal.SIGUSR1, lambda *_: None)\n" + READ + "; print('read', flush=True)"
    reader = subprocess.Popen(
        ["nsenter", "-t", str(run.inner), "-m", sys.executable, "-c", program, path, "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert reader.stdout.readline() == "begun\n"
        for _ in range(8):
            time.sleep(0.25)
            reader.send_signal(signal.SIGUSR1)
        assert reader.poll() is None
        sim.release()
        assert reader.stdout.readline() == "read\n"
    finally:
        reader.kill()
        reader.wait()


def test_a_reader_in_a_child_pid_namespace_can_be_killed(sim, run):
    file = sim.add(MiB)
    path = run.stage(file, "tag")
    sim.gate(file=file)
    region = Region(run.shim_pid())
    reader = reading(path, prefix=("unshare", "--pid", "--fork", "--kill-child"))
    try:
        wait_until(region.slots, what="the reader waits")
        reader.kill()
        reader.wait(instance.PATIENCE)
        wait_until(lambda: not region.slots() and not region.handles(), what="nothing waits")
    finally:
        reader.kill()
        reader.wait()
        region.close()
        sim.release()


# The mount


def test_the_largest_read_is_said_at_the_mount(run):
    with open("/proc/self/mountinfo") as lines:
        (line,) = [line for line in lines if line.split()[4] == str(run.mount)]
    assert "max_read=1048576" in line.split(" - ")[1].split()[2].split(",")
