"""The runtime folder is not taken for granted: cleaners of temporary files take from it what they like."""

import os
import resource
import shutil
import socket

from instance import MiB, wait_until


def remove(run):
    """The runtime folder at once: what is removed one by one is back before the last of it has gone."""
    os.rename(run.runtime, run.folder / "gone")
    shutil.rmtree(run.folder / "gone")


def test_a_socket_that_was_removed_is_bound_again(sim, run):
    for _ in range(3):
        (run.runtime / "api.sock").unlink()
        done = run.cli("status", "--json")
        assert done.code == 0 and done.json["pid"] == run.process.pid, done
    assert not [line for line in run.log.read_text().splitlines() if "not_restored" in line]


def test_everything_in_the_folder_is_put_back_and_a_second_start_names_the_pid(sim, run, make):
    assert run.cli("ui", "--print").code == 0
    names = sorted(os.listdir(run.runtime))
    assert {"api.sock", "api.token", "lock", "shim.sock", "web.port"} <= set(names)
    before = {name: (run.runtime / name).read_text() for name in ("api.token", "lock", "web.port")}
    for name in names:
        (run.runtime / name).unlink()
    # At the instant of the removal, too: the folder itself is held.
    second = run.cli("run", FSMVP_STATE_DIR=str(run.folder / "state2"), FSMVP_MOUNTPOINT=str(run.folder / "mnt2"))
    assert second.code == 1 and f"(pid {run.process.pid})" in second.err, second
    wait_until(lambda: set(names) <= set(os.listdir(run.runtime)), what="all names")
    # A name is there before what it names is written.
    wait_until(lambda: {name: (run.runtime / name).read_text() for name in before} == before, what="what was in them")
    assert run.cli("status").code == 0


def test_a_folder_that_was_removed_is_made_again(sim, run):
    for _ in range(2):
        remove(run)
        wait_until(lambda: run.cli("status").code == 0, what="an answer")
        assert os.stat(run.runtime).st_mode & 0o777 == 0o700
        wait_until(lambda: (run.runtime / "shim.sock").exists(), what="the shims' socket")
        second = run.cli("run", FSMVP_STATE_DIR=str(run.folder / "state2"), FSMVP_MOUNTPOINT=str(run.folder / "mnt2"))
        assert second.code == 1 and f"(pid {run.process.pid})" in second.err, second


def test_an_open_file_is_read_on_after_the_folder_was_removed(sim, run):
    file = sim.add(MiB)
    with open(run.stage(file), "rb") as stream:
        remove(run)
        assert stream.read() == sim.bytes(file, "somebody")
        wait_until(lambda: run.cli("status").code == 0, what="an answer")
    assert run.stop() == 0


def test_an_upload_survives_the_folder_and_then_the_control_plane(sim, run):
    size = 8 * MiB
    file = sim.add(size, "film.mp4")
    path = run.stage(file)
    stream = open(path, "rb", buffering=0)
    head = stream.read(MiB)
    before = set(run.two_shims())
    remove(run)
    wait_until(lambda: run.cli("status").code == 0, what="an answer")
    # They inherit the new socket, so both are others by then.
    wait_until(lambda: len(run.shims()) == 2 and not before & set(run.shims()), what="two new shims")
    run.kill()
    run.start()
    run.serves()
    rest = b""
    while piece := stream.read(MiB):
        rest += piece
    stream.close()
    assert head + rest == sim.bytes(file, "somebody")


def test_a_control_plane_that_hangs_is_named_by_its_pid(sim, run):
    run.process.send_signal(19)
    try:
        (run.runtime / "api.sock").unlink()
        done = run.cli("status")
        assert done.code == 1 and f"(pid {run.process.pid})" in done.err and "no control plane" not in done.err, done
    finally:
        run.process.send_signal(18)
    assert run.cli("status").code == 0


def test_the_api_answers_though_no_descriptor_is_left(sim, run):
    """All that the process may have are in use, by clients that hold connections, among them one that follows the
    events."""
    pid = run.process.pid
    held = []

    def connect(text=b""):
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(run.runtime / "api.sock"))
        client.sendall(text)
        held.append(client)
        return client

    follower = connect(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
    assert follower.recv(4096).startswith(b"HTTP/1.1 200")
    numbers = lambda: {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    # No number is free below the highest one.
    while len(numbers()) <= max(numbers()):
        client = connect(b"GET /api/v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 200"
    hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (max(numbers()) + 1, hard))
    for _ in range(5):
        done = run.cli("status", "--json")
        assert done.code == 0, done
    # More than there are in reserve: they wait, and the next one is served once they have gone.
    crowd = [connect() for _ in range(40)]
    for client in crowd:
        client.close()
    assert run.cli("status").code == 0
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
    for client in held:
        client.close()
    path = run.stage(sim.add(1000))
    with open(path, "rb") as file:
        assert len(file.read()) == 1000
