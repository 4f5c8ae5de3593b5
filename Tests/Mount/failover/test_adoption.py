"""The control plane dies, and the next one goes on where it was."""

import fcntl
import os
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest
from stand import Stand
from instance import FSMVP, PATIENCE, MiB, is_alive, mounts, wait_until
from readers import Background, Direct


@pytest.fixture
def stand(run, sim, tmp_path):
    return Stand(run, sim, tmp_path)


def test_kills_of_the_control_plane_are_not_noticed(stand):
    shims = sorted(stand.run.shims())
    with stand.checkers() as some:
        for _ in range(6):
            stand.kill_control()
            time.sleep(0.1)
        some.finish()
    assert sorted(stand.run.shims()) == shims and stand.region.epoch == 1, "the shims are the same ones"
    stand.settled()
    stand.ends_clean()


def test_fetching_goes_on_where_it_was(run, sim, tmp_path):
    """Nothing that was fetched is fetched again, but for what was on its way."""
    stand = Stand(run, sim, tmp_path, size=32 * MiB, fetched=False)
    sim.set(rate=16 * MiB)
    with stand.checkers("once") as some:
        for _ in range(3):
            time.sleep(0.4)
            stand.kill_control()
        some.all[0].process.wait(60)
        some.check()
        assert some.all[0].operations == 32
    sent = sim.stats()["bytes_sent"][stand.file]
    assert sent < 48 * MiB, f"{sent} bytes for a file of 32 MiB"
    stand.settled()


def test_what_waited_is_completed(run, sim, tmp_path):
    stand = Stand(run, sim, tmp_path, fetched=False)
    gate = sim.gate(file=stand.file)
    reader = Direct(stand.path)
    reading = Background(reader.read, MiB, 65536)
    wait_until(lambda: "TAKEN" in stand.region.slots().values(), what="a waiting read")
    stand.run.kill()
    opening = Background(os.open, stand.path, os.O_RDONLY)  # no control plane answers
    time.sleep(0.2)
    assert reading.is_running and opening.is_running
    stand.run.start()
    os.close(opening.result(10))
    sim.release(gate)
    with open(stand.want, "rb") as want:
        want.seek(MiB)
        assert reading.result(20) == want.read(65536)
    reader.close()
    stand.settled()


def test_an_item_unstaged_while_open_is_read_to_its_end(run, sim, tmp_path):
    stand = Stand(run, sim, tmp_path, size=16 * MiB, fetched=False)
    sim.set(rate=8 * MiB)
    with stand.checkers("once") as some:
        assert run.cli("unstage", stand.path).code == 0
        stand.kill_control()
        assert not os.path.exists(stand.path)
        some.all[0].process.wait(60)
        some.check()
        assert some.all[0].operations == 16
    wait_until(lambda: run.cli("staged", "--json").json == [], what="the item is gone")
    wait_until(lambda: not stand.region.handles(), what="free handle rows")


def test_kills_during_stage_and_unstage(stand):
    """An answer holds, at whatever moment the control plane dies."""
    with stand.checkers("direct") as some:
        for number in range(8):
            file = stand.sim.add(1000 + number)
            staging = Background(stand.run.cli, "stage", file, "--recipient", "tag")
            time.sleep(0.004 * number)
            stand.kill_control()
            done = staging.result(30)
            if done.code == 0:
                assert os.stat(done.out.rstrip("\n")).st_size == 1000 + number
            path = stand.run.stage(file, "tag")
            assert done.code != 0 or path == done.out.rstrip("\n")
            unstaging = Background(stand.run.cli, "unstage", path)
            time.sleep(0.004 * number)
            stand.kill_control()
            if unstaging.result(30).code == 0:
                assert not os.path.exists(path)
            stand.run.cli("unstage", path)
            assert not os.path.exists(path)
        some.finish()
    stand.settled()


def test_both_die_one_after_the_other(stand):
    with stand.checkers() as some:
        for _ in range(4):
            stand.run.kill()
            stand.kill_active()  # the standby serves alone
            time.sleep(0.1)
            stand.run.start()
            stand.ready()
        some.finish()
    stand.settled()


def test_a_living_control_plane_that_hangs_is_named(stand):
    stand.run.process.send_signal(signal.SIGSTOP)
    try:
        second = stand.run.cli("run", timeout=20)
        assert second.code == 1 and second.err.count("\n") == 1, second
        assert str(stand.run.process.pid) in second.err and "answer" in second.err and "kill" in second.err
    finally:
        stand.run.process.send_signal(signal.SIGCONT)
    assert stand.run.cli("status").code == 0


def test_a_lock_that_outlives_its_control_plane_for_a_moment_is_waited_for(stand):
    """A control plane that dies while it starts a program leaves it to that, until that runs."""
    stand.run.kill()
    lock = open(stand.run.runtime / "lock")
    fcntl.flock(lock, fcntl.LOCK_EX)
    letting_go = threading.Timer(0.5, lock.close)
    letting_go.start()
    stand.run.start()
    letting_go.join()
    stand.ready()
    assert os.stat(stand.path).st_size == 8 * MiB


def test_a_shim_that_nobody_adopts(sim, make, tmp_path):
    stand = Stand(make(FSMVP_ORPHAN_TIMEOUT="2s").start(), sim, tmp_path, fetched=False)
    sim.gate(file=stand.file)
    reader = Direct(stand.path)
    reading = Background(reader.read, 0, 4096)
    wait_until(lambda: "TAKEN" in stand.region.slots().values(), what="a waiting read")
    shims = stand.run.shims()
    start = time.monotonic()
    stand.run.kill()
    with pytest.raises(OSError) as error:
        reading.result(60)
    assert error.value.errno == 5 and time.monotonic() - start > 1.5
    assert len(stand.run.shims()) == 2 and str(stand.run.mount) in mounts(), "a file is open"
    busy = [
        sum(float(part) for part in open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[11:13]) for pid in shims
    ]
    time.sleep(1)
    again = [
        sum(float(part) for part in open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[11:13]) for pid in shims
    ]
    assert sum(again) - sum(busy) < 10, "it spins"
    reader.close()
    wait_until(lambda: not any(is_alive(pid) for pid in shims), 5, what="the shims have ended")
    assert str(stand.run.mount) not in mounts()
    stand.run.start()
    assert os.stat(stand.path).st_size == 8 * MiB


def test_an_adopted_orphan_serves_again(sim, make, tmp_path):
    stand = Stand(make(FSMVP_ORPHAN_TIMEOUT="1s").start(), sim, tmp_path, fetched=False)
    gate = sim.gate(file=stand.file)
    reader = Direct(stand.path)
    stand.run.kill()
    time.sleep(2.5)
    with pytest.raises(OSError):
        Background(reader.read, MiB, 4096).result(10)
    sim.release(gate)
    stand.run.start()
    with open(stand.want, "rb") as want:
        want.seek(MiB)
        assert reader.read(MiB, 4096) == want.read(4096)
    reader.close()
    stand.settled()


def say_hello(run):
    """A control plane's first message on the shims' socket, and the answer of the one that serves."""
    # Before it connects: who is connected is not waited for long.
    abi = int(run.cli("version", "--abi").out)
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(PATIENCE)
    client.connect(str(run.runtime / "shim.sock"))
    client.sendall(struct.pack("<QIiQQQQ464s", 0x6D61657274736673, abi, 0, 0, 0, 0, 0, b""))
    answer, descriptors, _, _ = socket.recv_fds(client, 512, 8)
    for descriptor in descriptors:
        os.close(descriptor)
    assert len(answer) == 512 and struct.unpack_from("<i", answer, 12)[0] == 0 and len(descriptors) >= 6
    return client


def test_orphans_answer_no_error_from_the_instant_a_control_plane_says_hello(sim, make, tmp_path):
    stand = Stand(make(FSMVP_ORPHAN_TIMEOUT="1s").start(), sim, tmp_path, fetched=False)
    sim.gate(file=stand.file)
    reader = Direct(stand.path)
    stand.run.kill()
    with pytest.raises(OSError):
        Background(reader.read, 0, 4096).result(10)
    for number in range(1, 5):
        # In this test's hands it completes nothing, so a read that asks now waits for as long as the link stands.
        with say_hello(stand.run):
            reading = Background(reader.read, number * MiB, 4096)
            time.sleep(0.8)
            assert reading.is_running, "a read that came after the hello has ended"
        with pytest.raises(OSError):
            reading.result(10)
    sim.release()
    stand.run.start()
    with open(stand.want, "rb") as want:
        assert reader.read(0, 4096) == want.read(4096)
    reader.close()
    stand.settled()


def test_another_mountpoint_is_not_adopted(stand):
    """The setting was changed meanwhile: the old mount is ended in order, and said so."""
    stand.run.kill()
    old = str(stand.run.mount)
    stand.run.mount = stand.run.folder / "elsewhere"
    stand.run.environment["FSMVP_MOUNTPOINT"] = str(stand.run.mount)
    stand.run.start()
    assert old not in mounts() and str(stand.run.mount) in mounts()
    assert os.stat(stand.path.replace(old, str(stand.run.mount))).st_size == 8 * MiB


def test_all_dead(stand):
    """The next start takes the stale mount away, and every item is back as it was, with the bytes that are provably
    good."""
    before = os.stat(stand.path)
    shims = stand.run.shims()
    for pid in [*shims, stand.run.process.pid]:
        os.kill(pid, signal.SIGSTOP)
    for pid in [*shims, stand.run.process.pid]:
        os.kill(pid, signal.SIGKILL)
    stand.run.process.wait()
    wait_until(lambda: not stand.run.shims(), what="all are dead")
    with pytest.raises(OSError):
        os.statvfs(stand.path)
    fetched = stand.sim.stats()
    stand.run.start()
    after = os.stat(stand.path)
    assert (before.st_ino, before.st_size, before.st_mtime_ns) == (after.st_ino, after.st_size, after.st_mtime_ns)
    with open(stand.path, "rb") as stream, open(stand.want, "rb") as want:
        assert stream.read() == want.read()
    again = stand.sim.stats()
    assert again["bytes_total"] - fetched["bytes_total"] < MiB
    assert mounts().count(str(stand.run.mount)) == 1


def test_a_foreign_dead_mount_is_left_alone(sim, make):
    """A mount of our type, but of another instance: it is named, and not touched."""
    run = make()
    run.mount.mkdir()
    import ctypes

    device = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    assert libc.mount(b"fsmvp-someone", str(run.mount).encode(), b"fuse.fsmvp", 1 | 2 | 4, options) == 0
    os.close(device)
    try:
        done = run.cli("run", timeout=20)
        assert done.code != 0 and "fsmvp-someone" in done.err and "\nfsmvp: " in done.err, done
        assert str(run.mount) in mounts()
    finally:
        subprocess.run(["umount", "-l", run.mount], check=True)


def test_reload_under_load(stand):
    pid = stand.run.process.pid
    with stand.checkers() as some:
        for _ in range(2):
            before = (stand.region.active, stand.region.standby)
            done = stand.run.cli("reload", timeout=60)
            assert done.code == 0, done
            stand.ready()
            assert is_alive(pid) and stand.run.process.poll() is None and stand.region.control == pid
            assert not {stand.region.active, stand.region.standby} & set(before), "both shims are new"
        some.finish()
    assert stand.run.cli("status", "--json").json["pid"] == pid
    stand.settled()
    stand.ends_clean()


def test_a_kill_during_a_reload(stand):
    with stand.checkers() as some:
        for delay in (0.05, 0.15, 0.3):
            reloading = subprocess.Popen(
                [FSMVP, "reload"], env=stand.run.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            time.sleep(delay)
            stand.kill_control()
            reloading.wait(60)
            stand.ready()
        some.finish()
    stand.settled()


def test_a_start_that_fails_leaves_the_mount_that_it_found(stand):
    """Its shims serve on, and the next start adopts them."""
    run = stand.run
    with open(stand.path, "rb", buffering=0) as stream:
        head = stream.read(MiB)
        shims = sorted(run.shims())
        run.kill()
        (run.runtime / "api.sock").unlink()
        (run.runtime / "api.sock").touch()
        run.start(expect_ready=False)
        assert run.process.wait(PATIENCE) == 1
        assert sorted(run.shims()) == shims and mounts().count(str(run.mount)) == 1
        assert os.pread(stream.fileno(), MiB, 0) == head
        (run.runtime / "api.sock").unlink()
        run.start()
        assert sorted(run.shims()) == shims
        with open(stand.want, "rb") as want:
            assert head + stream.read() == want.read()
    stand.ends_clean()


def test_outages_are_shown(stand):
    stand.kill_active()
    stand.ready()

    def are_shown():
        text = stand.run.cli("status").out
        return "epoch 2" in text and "standby" in text and "ms" in text

    wait_until(are_shown, what="the epoch, the standby and the outage")


def test_the_users_of_a_file_do_not_see_the_difference(stand):
    """Sizes, inode numbers, modification times, listings: across a kill of each."""

    def look():
        folder = os.path.dirname(stand.path)
        status = os.stat(stand.path)
        return (
            status.st_ino,
            status.st_size,
            status.st_mtime_ns,
            os.stat(folder).st_mtime_ns,
            os.listdir(folder),
            os.statvfs(stand.path).f_blocks,
        )

    before = look()
    stand.kill_control()
    assert look() == before
    stand.kill_active()
    assert look() == before
    stand.ready()


def test_an_open_that_waits_through_a_control_plane_kill_is_answered(stand):
    """The length of the outage is measured by `make soak`."""
    stand.run.kill()
    opening = Background(os.open, stand.path, os.O_RDONLY)
    stand.run.start()
    os.close(opening.result())
