"""A service of systemd: its notifications, and the units. systemd itself does not run here; a socket of the test's
own listens in its place."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest
from instance import BIN, MiB, ROOT, environment_of, wait_until

UNITS = [ROOT / "packaging/systemd/user/fsmvp.service", ROOT / "packaging/systemd/system/fsmvp@.service"]


class Listener:
    """The service manager's end of NOTIFY_SOCKET."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)
        self.told = []

    def listen(self):
        """Everything told so far, a line each."""
        while True:
            try:
                self.told += self.socket.recv(65536).decode().split("\n")
            except BlockingIOError:
                return self.told

    def hears(self, line):
        wait_until(lambda: line in self.listen(), what=line)

    def beats_well(self):
        """Waits for four signs of life within 1.5 s: a busy machine may have to be given more than one try."""
        wait_until(lambda: self.beats(1.5) >= 4, what="four signs of life within 1.5 s")

    def beats(self, seconds):
        """Signs of life within so long, from now."""
        self.listen()
        self.told.clear()
        time.sleep(seconds)
        return self.listen().count("WATCHDOG=1")


@pytest.fixture
def service(make):
    """An instance as a service, not started, and the listener for its notifications."""
    run = make()
    listener = Listener(run.folder / "notify")
    run.environment |= {"NOTIFY_SOCKET": str(run.folder / "notify"), "WATCHDOG_USEC": "200000"}
    yield run, listener
    listener.socket.close()


def test_the_service_manager_is_told_how_it_goes(sim, service):
    run, listener = service
    run.start()
    listener.hears("READY=1")
    listener.hears("STATUS=0 staged, 0 open")
    path = run.stage(sim.add(MiB), "tag")
    listener.hears("STATUS=1 staged, 0 open")
    with open(path, "rb") as stream:
        stream.read()
        listener.hears("STATUS=1 staged, 1 open")
    assert run.stop() == 0
    told = listener.listen()
    assert "STOPPING=1" in told and told.index("READY=1") < told.index("STOPPING=1")


def test_signs_of_life_stop_with_the_loop(sim, service):
    run, listener = service
    run.start()
    listener.hears("WATCHDOG=1")
    listener.beats_well()
    os.kill(run.process.pid, signal.SIGSTOP)
    try:
        listener.beats(0.3)
        assert listener.beats(1) == 0
    finally:
        os.kill(run.process.pid, signal.SIGCONT)
    listener.beats_well()


def test_no_child_can_speak_to_the_service_manager(sim, service):
    run, listener = service
    run.start()
    run.stage(sim.add(MiB), "tag")
    for pid in run.two_shims():
        assert not {b"NOTIFY_SOCKET", b"WATCHDOG_USEC", b"WATCHDOG_PID"} & set(environment_of(pid)), pid


def test_a_reload_goes_on_telling(sim, service):
    run, listener = service
    run.start()
    listener.hears("READY=1")
    listener.told.clear()
    done = run.cli("reload")
    assert done.code == 0, done
    listener.hears("READY=1")
    told = listener.listen()
    assert told.index("RELOADING=1") < told.index("READY=1")
    assert any(line.startswith("MONOTONIC_USEC=") for line in told)
    listener.beats_well()
    for pid in run.two_shims():
        assert b"NOTIFY_SOCKET" not in environment_of(pid)


def test_without_a_service_manager_nobody_is_told(run):
    assert run.cli("status").code == 0 and run.stop() == 0


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_units_are_understood(unit, tmp_path):
    assert shutil.which("systemd-analyze"), "the package systemd has it"
    # It wants the programs to be there.
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/usr/local/bin/", f"{BIN}/"))
    scope = ["--user"] if "user" in unit.parts else []
    done = subprocess.run(
        ["systemd-analyze", *scope, "verify", str(copy)],
        capture_output=True,
        text=True,
        env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)},
    )
    complaints = [line for line in done.stderr.splitlines() if unit.name in line]
    assert done.returncode == 0 and complaints == [], done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_no_unit_hides_the_mount_or_kills_the_shims(unit):
    settings = dict(re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.MULTILINE))
    namespaced = re.compile(
        r"Private\w+|Protect\w+|Read(Write|Only)Paths|(Ina|A)ccessiblePaths|ExecPaths|NoExecPaths|Bind(ReadOnly)?Paths|TemporaryFileSystem"
        r"|DynamicUser|Root\w+|Mount\w+|(Extension|Mount)Images|ExtensionDirectories|NoNewPrivileges|Restrict\w+|SystemCall\w+|Lock\w+"
        r"|MemoryDenyWriteExecute|CapabilityBoundingSet|NetworkNamespacePath|IPCNamespacePath"
    )
    assert [name for name in settings if namespaced.fullmatch(name)] == []
    assert settings["Type"] == "notify" and settings["KillMode"] == "process" and settings["Restart"] == "on-failure"
    assert settings["RestartPreventExitStatus"].split() == ["1", "2"]
    assert settings["ExecReload"].endswith("/fsmvp reload") and settings["ExecStop"].endswith("/fsmvp stop")
    # Or the next control plane could not find the shims of one that died.
    assert settings.get("RuntimeDirectoryPreserve", "yes") == "yes"


def test_the_units_are_installed_with_the_programs(tmp_path):
    done = subprocess.run(
        ["make", "-s", "install", f"DESTDIR={tmp_path}", "PREFIX=/opt/fsmvp"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for folder, name in (("user", "fsmvp.service"), ("system", "fsmvp@.service")):
        text = (tmp_path / "opt/fsmvp/lib/systemd" / folder / name).read_text()
        assert "ExecStart=/opt/fsmvp/bin/fsmvp run" in text and "/usr/local" not in text
    assert os.access(pathlib.Path(tmp_path) / "opt/fsmvp/bin/fsmvp", os.X_OK)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.parent.name)
def test_a_unit_lets_a_thousandth_file_be_opened_and_a_standby_start(unit):
    lines = unit.read_text().splitlines()
    files = next(int(line.split("=")[1]) for line in lines if line.startswith("LimitNOFILE="))
    tasks = next(int(line.split("=")[1]) for line in lines if line.startswith("TasksMax="))
    # A descriptor for each open file (65,536 handles) and some; beyond 524288 a user's manager may not give.
    assert 2 * 65536 <= files <= 524288 and tasks >= 512
