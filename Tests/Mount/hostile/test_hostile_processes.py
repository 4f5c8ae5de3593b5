"""Sockets that strangers and broken programs talk to, shims that cannot live, terminals that close."""

import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import time

import instance
import pytest
from stand import Stand
from instance import PATIENCE, BIN, MiB, ROOT, is_alive, mounts, wait_until


@pytest.fixture
def stand(run, sim, tmp_path):
    return Stand(run, sim, tmp_path, size=MiB)


def connect(path):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(PATIENCE)
    client.connect(str(path))
    client.settimeout(1)
    return client


def test_a_torn_hello_and_garbage_on_the_shims_socket(stand):
    """Refused or dropped; serving and the link of the real control plane go on."""
    with stand.checkers("direct", "names") as some:
        for message in (
            b"",
            b"x",
            b"sfstream",
            b"sfstream" + bytes(8),
            os.urandom(512),
            b"sfstream" + bytes(504),
            b"sfstream\4\0\0\0" + bytes(500),
        ):
            client = connect(stand.run.runtime / "shim.sock")
            try:
                client.sendall(message)
                client.recv(4096)
            except OSError:
                pass
            client.close()
        idle = [connect(stand.run.runtime / "shim.sock") for _ in range(5)]
        time.sleep(3)
        stand.kill_active()
        stand.ready()
        for client in idle:
            client.close()
        some.finish()
    assert stand.run.cli("shim", "restart").code == 0
    stand.settled()


def test_garbage_on_the_control_planes_socket(stand):
    for message in (
        b"",
        b"\0" * 4096,
        b"GET",
        b"POST /api/v1/nothing HTTP/1.1\r\n\r\n",
        os.urandom(2000),
        b"A" * 100_000,
    ):
        client = connect(stand.run.ready.split("socket=")[1])
        try:
            client.sendall(message)
            client.recv(4096)
        except OSError:
            pass
        client.close()
    assert stand.run.cli("status").code == 0
    stand.settled()


def test_another_users_process_gets_nothing(stand):
    """Even if the folders were opened to all users."""
    for folder in (stand.run.folder, stand.run.runtime):
        os.chmod(folder, 0o755)
    for path in stand.run.runtime.glob("*.sock"):
        os.chmod(path, 0o777)
        program = (
            "import os,socket,sys; os.setgid(65534); os.setuid(65534); s=socket.socket(socket.AF_UNIX); s.settimeout(3); s.connect(sys.argv[1])\n"
            "try:\n  s.sendall(b'GET /api/v1/status HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' if 'shim' not in sys.argv[1] else b'sfstream\\4\\0\\0\\0'+bytes(500))\n"
            "  got=s.recv(4096)\nexcept OSError: got=b''\nsys.stdout.write(str(b'\"pid\"' in got or len(got)==512))"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.stdout == "False" or done.returncode != 0, (path, done.stdout, done.stderr)
    assert stand.run.cli("status").code == 0


def test_shims_that_die_one_after_another(sim, make, tmp_path, monkeypatch):
    """Backoff, then `failed` with the reason; no reader hangs, the control plane says what is wrong."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("fsmvp", "fsmvp-shim"):
        shutil.copy(BIN / name, programs / name)
    monkeypatch.setattr(instance, "FSMVP", str(programs / "fsmvp"))
    stand = Stand(make().start(), sim, tmp_path, size=MiB)
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    os.replace(broken, programs / "fsmvp-shim")
    reader = os.open(stand.path, os.O_RDONLY | os.O_DIRECT)
    for pid in stand.run.shims():
        os.kill(pid, signal.SIGKILL)
    status = wait_until(
        lambda: (lambda shim: shim if shim.get("state") == "failed" else None)(
            stand.run.cli("status", "--json").json["shim"]
        ),
        60,
        0.2,
        what="the state failed",
    )
    assert "3" in status["reason"], status
    with pytest.raises(OSError):
        os.pread(reader, 4096, 0)
    os.close(reader)
    assert "failed" in stand.run.cli("status").out
    assert stand.run.stop() == 0
    assert str(stand.run.mount) not in mounts()


def test_ctrl_c_and_a_closing_terminal_under_make_run(sim, make):
    """The terminal's signals reach the control plane only, which ends in order."""
    for how in ("ctrl-c", "close"):
        run = make(sim=None)
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(ROOT)
            os.environ.update(run.environment)
            for number in (signal.SIGHUP, signal.SIGINT):  # as a login shell leaves them
                signal.signal(number, signal.SIG_DFL)
            os.execvp("make", ["make", "-s", "run"])
        text = b""
        while b"ready mount=" not in text:
            text += os.read(terminal, 65536)
        shims = wait_until(lambda: (lambda found: found if len(found) == 2 else None)(run.shims()), what="two shims")
        control = int((run.runtime / "lock").read_text())
        if how == "ctrl-c":
            os.write(terminal, b"\3")
        else:
            os.close(terminal)
        wait_until(lambda: not is_alive(control), 10, what=f"{how}: the control plane has ended")
        wait_until(lambda: not any(is_alive(shim) for shim in shims), 5, what="the shims have ended")
        if how == "ctrl-c":
            while True:
                try:
                    if not os.read(terminal, 65536):
                        break
                except OSError:
                    break
            os.close(terminal)
        os.waitpid(pid, 0)
        assert str(run.mount) not in mounts()


@pytest.mark.parametrize("stopped", ["active", "standby", "both"])
def test_the_end_with_stopped_shims_and_32_blocked_readers(stand, stopped):
    """Five seconds in all, even without any answer; no process is left in D."""
    from readers import Crowd

    file = stand.sim.add(64 * MiB)
    path = stand.run.stage(file, "tag")
    stand.sim.gate(file=file)
    crowd = Crowd(path, 32, direct=True, step=MiB)
    try:
        wait_until(lambda: list(stand.region.slots().values()).count("TAKEN") >= 32, what="32 readers wait")
        shims = stand.run.shims()
        victims = {"active": [stand.region.active], "standby": [stand.region.standby], "both": shims}[stopped]
        for pid in victims:
            os.kill(pid, signal.SIGSTOP)
        stand.run.process.send_signal(signal.SIGTERM)
        assert stand.run.process.wait(PATIENCE) == 0
        crowd.process.wait(PATIENCE)
        wait_until(lambda: not any(is_alive(pid) for pid in shims), what="the shims have ended")
        assert str(stand.run.mount) not in mounts()
    finally:
        crowd.kill()


def test_nothing_is_left_of_descriptors(stand):
    """After many deaths a control plane has no more descriptors open than before."""

    def count():
        return len(os.listdir(f"/proc/{stand.run.process.pid}/fd"))

    def deaths(number):
        for _ in range(number):
            stand.kill_active()
            stand.ready()
        # The order returns once there is a link to the shim that serves; another one stands behind it.
        assert stand.run.cli("shim", "kill").code == 0
        stand.run.two_shims()
        time.sleep(0.5)

    deaths(3)
    before = count()
    deaths(10)
    wait_until(lambda: count() <= before, what=f"no more than {before} descriptors")
