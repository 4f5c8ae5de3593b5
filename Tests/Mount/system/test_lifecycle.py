"""Start, stop, and everything that has to be gone afterwards."""

import os
import signal
import subprocess
import time

import pytest
from instance import FSMVP, PATIENCE, MiB, is_alive, mounts, wait_until
from readers import Crowd, Direct


def leftovers(run):
    """Remains that a stop must not leave: a mount, a shim, a file of bytes or of sums, a socket."""
    files = [
        os.path.join(folder, name)
        for folder, _, names in os.walk(run.cache)
        for name in names
        if name.endswith((".bytes", ".sums"))
    ]
    sockets = [name for name in os.listdir(run.runtime) if name.endswith(".sock")]
    return files + sockets + [mount for mount in mounts() if mount == str(run.mount)]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(sim, run, how):
    path = run.stage(sim.add(MiB), "tag")
    with open(path, "rb") as stream:
        stream.read()
    shim = run.shim_pid()
    run.process.send_signal(how)
    assert run.process.wait(PATIENCE) == 0
    assert leftovers(run) == [] and not is_alive(shim)


def test_stop_by_the_command(sim, run):
    run.stage(sim.add(MiB), "tag")
    shim = run.shim_pid()
    assert run.cli("stop").code == 0
    assert run.process.wait(PATIENCE) == 0
    assert leftovers(run) == [] and not is_alive(shim)
    assert run.cli("status").code == 3


@pytest.mark.parametrize("direct", [False, True])
def test_32_blocked_readers_do_not_hold_up_the_end(sim, run, direct):
    file = sim.add(64 * MiB)
    path = run.stage(file, "tag")
    sim.gate(file=file)
    shim = run.shim_pid()
    crowd = Crowd(path, 32, direct=direct, step=MiB)
    try:
        time.sleep(0.5)
        run.process.send_signal(signal.SIGTERM)
        assert run.process.wait(PATIENCE) == 0
        crowd.process.wait(PATIENCE)  # each got an error and none is stuck
        assert crowd.process.returncode == 1
    finally:
        crowd.kill()
    assert leftovers(run) == [] and not is_alive(shim)


def test_a_working_directory_on_the_mount_does_not_hold_up_the_end(sim, run):
    run.stage(sim.add(MiB), "tag")
    sleeper = subprocess.Popen(["sleep", "60"], cwd=f"{run.mount}/Staged")
    try:
        assert run.stop() == 0
        assert leftovers(run) == []
    finally:
        sleeper.kill()
        sleeper.wait()


def test_the_second_signal_ends_it_at_once(sim, run):
    file = sim.add(64 * MiB)
    path = run.stage(file, "tag")
    sim.gate(file=file)
    shim = run.shim_pid()
    crowd = Crowd(path, 8, step=MiB)
    try:
        time.sleep(0.3)
        run.process.send_signal(signal.SIGTERM)
        run.process.send_signal(signal.SIGINT)
        run.process.wait(PATIENCE)
        wait_until(lambda: not is_alive(shim), what="the shim has ended")
        wait_until(lambda: str(run.mount) not in mounts(), what="the mount is gone")
    finally:
        crowd.kill()


def test_the_list_of_staged_items_comes_back(sim, run):
    file = sim.add(3 * MiB, "clip.mp4")
    path = run.stage(file, "tag & more")
    before = os.stat(path)
    run.stage(sim.add(1000), "other")
    assert run.stop() == 0
    run.start()
    after = os.stat(path)
    assert (before.st_ino, before.st_size, before.st_mtime_ns) == (after.st_ino, after.st_size, after.st_mtime_ns)
    with open(path, "rb") as stream:
        assert stream.read() == sim.bytes(file, "tag & more")
    assert run.cli("stop", "--forget").code == 0
    run.process.wait(PATIENCE)
    run.start()
    assert run.cli("staged", "--json").json == []


def test_a_second_run_on_the_same_folder_is_refused(sim, run):
    path = run.stage(sim.add(MiB), "tag")
    second = run.cli("run")
    assert second.code == 1
    assert str(run.process.pid) in second.err and second.err.count("\n") == 1, second
    assert run.cli("status").code == 0
    with open(path, "rb") as stream:
        assert len(stream.read()) == MiB


def test_a_second_run_says_what_to_do_about_a_first_that_does_not_answer(sim, run):
    reader = Direct(run.stage(sim.add(MiB), "tag"))
    assert len(reader.read(0, MiB)) == MiB
    pid = run.process.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        second = run.cli("run")
        assert second.code == 1 and second.out == "" and second.err.count("\n") == 1, second
        assert "does not answer" in second.err and f"kill -CONT {pid}" in second.err and f"kill -9 {pid}" in second.err
        assert len(reader.read(0, MiB)) == MiB
    finally:
        os.kill(pid, signal.SIGCONT)
        reader.close()
    assert run.cli("status").code == 0
    second = run.cli("run")
    assert second.code == 1 and "fsmvp stop" in second.err and "does not answer" not in second.err, second


def test_two_instances_side_by_side(sim, make):
    one, two = make().start(), make().start()
    file = sim.add(MiB)
    paths = [one.stage(file, "tag"), two.stage(file, "tag")]
    assert paths[0] != paths[1]
    for path in paths:
        with open(path, "rb") as stream:
            assert stream.read() == sim.bytes(file, "tag")
    assert one.stop() == 0
    assert os.stat(paths[1]).st_size == MiB


def crash(run):
    """All its processes at once, as by a power failure that spared the machine."""
    # A standby that is only being started would be overlooked, and take over.
    pids = [run.process.pid, *run.two_shims()]
    for number in (signal.SIGSTOP, signal.SIGKILL):  # stopped first, so that none takes over from another
        for pid in pids:
            os.kill(pid, number)
    run.process.wait()
    wait_until(lambda: not any(is_alive(pid) for pid in pids))


def sums_of(run, blocks):
    """The file of sums with so many of them, once it has them."""

    def find():
        for folder, _, names in os.walk(run.cache):
            for name in names:
                if name.endswith(".sums"):
                    with open(os.path.join(folder, name), "rb") as stream:
                        sums = stream.read()[4096:]
                    if sum(any(sums[at : at + 8]) for at in range(0, len(sums), 8)) == blocks:
                        return os.path.join(folder, name)
        return None

    return wait_until(find, what=f"{blocks} sums")


def test_bytes_of_a_crashed_run_are_used_again(sim, run):
    file = sim.add(2 * MiB)
    path = run.stage(file, "tag")
    with open(path, "rb") as stream:
        stream.read()
    sums_of(run, 32)
    crash(run)
    sent = sim.stats()["bytes_sent"][file]
    run.start()  # over the dead mount of the crashed one
    assert os.stat(path).st_size == 2 * MiB
    with open(path, "rb") as stream:
        assert stream.read() == sim.bytes(file, "tag")
    assert sim.stats()["bytes_sent"][file] == sent + 1, "one byte, for its validator"
    assert run.item(path)["bytesFetched"] == 2 * MiB
    assert run.stop() == 0
    assert leftovers(run) == []


def test_bytes_of_a_crashed_run_that_are_not_what_they_were_are_fetched_again(sim, run):
    file = sim.add(2 * MiB)
    path = run.stage(file, "tag")
    with open(path, "rb") as stream:
        stream.read()
    sums = sums_of(run, 32)
    crash(run)
    with open(sums.removesuffix("sums") + "bytes", "r+b") as stream:
        stream.seek(5 * 65536 + 17)
        stream.write(b"not what it was")
    sent = sim.stats()["bytes_sent"][file]
    run.start()
    with open(path, "rb") as stream:
        assert stream.read() == sim.bytes(file, "tag")
    assert 65536 <= sim.stats()["bytes_sent"][file] - sent <= 2 * 65536
    assert run.stop() == 0


def test_bytes_of_a_crashed_run_of_another_version_are_dropped(sim, run):
    file = sim.add(2 * MiB)
    path = run.stage(file, "tag")
    with open(path, "rb") as stream:
        stream.read()
    sums_of(run, 32)
    crash(run)
    old = sim.bytes(file, "tag")
    sim.post("change", {"file": file})
    right = sim.bytes(file, "tag")
    run.start()

    def is_right():
        # An origin that takes longer than the question at an open may has the file replaced at its close.
        try:
            with open(path, "rb") as stream:
                got = stream.read()
        except OSError:
            return False
        assert got in (old, right)
        return got == right

    wait_until(is_right, what="the other version")
    assert run.stop() == 0
    assert leftovers(run) == []


def test_bytes_of_a_crashed_run_that_nobody_opens_again_are_not_left(sim, run):
    paths = [run.stage(sim.add(MiB), "tag") for _ in range(2)]
    for path in paths:
        with open(path, "rb") as stream:
            stream.read()
    sums_of(run, 16)
    crash(run)
    run.start()
    assert run.cli("unstage", paths[0]).code == 0
    assert run.stop() == 0
    assert leftovers(run) == []


def test_an_unmount_from_outside_ends_it(sim, run):
    run.stage(sim.add(MiB), "tag")
    shim = run.shim_pid()
    subprocess.run(["umount", run.mount], check=True)
    assert run.process.wait(PATIENCE) == 1
    wait_until(lambda: not is_alive(shim))
    assert run.says("unmounted")
    assert leftovers(run) == []


def test_a_closing_terminal_ends_it_in_order(sim, run):
    with open(run.stage(sim.add(MiB), "tag"), "rb") as stream:
        stream.read()
    # From the shell and from the kernel: the second one is no order to hurry.
    run.process.send_signal(signal.SIGHUP)
    time.sleep(0.002)
    run.process.send_signal(signal.SIGHUP)
    assert run.process.wait(PATIENCE) == 0
    assert str(run.mount) not in mounts()
    assert [name for name in os.listdir(run.runtime) if name.endswith(".sock")] == []


def test_nohup_keeps_it_when_the_terminal_closes(sim, make):
    run = make()
    run.wrapper = ["nohup"]
    run.start()
    run.process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert run.cli("status", "--json").json["pid"] == run.process.pid
    assert run.stop() == 0


def test_ctrl_c_reaches_the_control_plane_only(sim, make):
    run = make()
    run.wrapper = ["setsid", "--wait"]
    run.start()
    pid = int(run.cli("status", "--json").json["pid"])
    shim = run.shim_pid()
    assert os.getpgid(shim) != os.getpgid(pid)
    os.killpg(os.getpgid(pid), signal.SIGINT)
    assert run.process.wait(PATIENCE) == 0
    assert leftovers(run) == [] and not is_alive(shim)


def test_the_demo(make):
    run = make(sim=None)
    run.start("--demo")
    jobs = run.cli("jobs", "--json", "--limit", "100").json
    assert jobs["total"] >= 20 and jobs["total"] == len(jobs["jobs"])
    smallest = min((o for job in jobs["jobs"] for o in job["outputs"]), key=lambda output: output["size"])
    path = run.stage(smallest["fileId"], "me")
    with open(path, "rb") as stream:
        assert stream.read(12)[4:8] == b"ftyp"
        stream.seek(0)
        assert len(stream.read()) == smallest["size"]
    for hint in ("fsmvp jobs", "fsmvp stage", str(run.mount)):
        run.says(hint)
    assert run.stop() == 0


def test_no_secret_on_disk_in_arguments_or_logs(sim, run):
    run.environment["FSMVP_LOG_LEVEL"] = "debug"
    run.stop()
    run.start()
    path = run.stage(sim.add(MiB), "tag")
    with open(path, "rb") as stream:
        stream.read()
    shim = run.shim_pid()
    for pid in (run.process.pid, shim):
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            assert b"demo-secret" not in stream.read()
    with open(f"/proc/{shim}/environ", "rb") as stream:
        assert b"demo-secret" not in stream.read()
    assert run.stop() == 0
    done = subprocess.run(
        ["grep", "-rlaE", "demo-secret|/storage/|signature=|Bearer ", run.folder], capture_output=True, text=True
    )
    assert done.stdout == ""


def test_help_and_version_need_no_control_plane(make):
    run = make()
    assert run.cli("--help").code == 0 and "stage" in run.cli("--help").out
    assert run.cli("--version").code == 0
    assert os.access(FSMVP, os.X_OK)
