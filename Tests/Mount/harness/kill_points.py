"""Kill points (fsmvp_points.h): their names, one of them armed in the programs of the debug build, and traffic that
reaches each."""

import contextlib
import os
import pathlib
import re
import struct
import subprocess
import time

from stand import Stand
from instance import PATIENCE, MiB, ROOT, is_alive
from readers import Background

PROGRAMS = ROOT / "build" / "test" / "bin"


def names(pattern, *folders):
    found = set()
    for folder in folders:
        for path in sorted(pathlib.Path(ROOT / folder).rglob("*")):
            if path.suffix in (".c", ".swift"):
                found |= set(re.findall(pattern, path.read_text()))
    return sorted(found)


SHIM = names(r'KILL_POINT\("([a-z._]+)"\)', "shim")
CONTROL = names(r'fsmvp_kill_point\("([a-z._]+)"\)', "Sources")


class Armed:
    """struct fsmvp_kill, shared with every process of the instance."""

    def __init__(self, path):
        path.write_bytes(bytes(96))
        self.file = open(path, "r+b", buffering=0)

    def _word(self, at):
        self.file.seek(at)
        return struct.unpack("<Q", self.file.read(8))[0]

    def _put(self, at, number):
        self.file.seek(at)
        self.file.write(struct.pack("<Q", number))

    def arm(self, name, countdown=1, holds=False, again=0):
        """The process that reaches the point dies, and so many more that reach it afterwards; with `holds` the
        thread waits there until `go_on`."""
        self.file.seek(0)
        self.file.write(name.encode().ljust(56, b"\0"))
        self._put(80, holds)
        self._put(88, again)
        self._put(56, countdown)

    def disarm(self):
        self._put(88, 0)
        self._put(56, 0)

    def go_on(self):
        self.disarm()
        self._put(80, 0)

    @property
    def fired(self):
        return self._word(64)

    @property
    def victim(self):
        """The pid of the last one. It counts first and dies then: for a moment it still looks alive."""
        return self._word(72)


def start_stand(make, sim, tmp_path, **environment):
    """A stand whose `armed` arms the kill points of its processes. Its programs are the debug build (the caller sees
    to that)."""
    armed = Armed(tmp_path / "kill")
    run = make(FSMVP_KILL_FILE=str(tmp_path / "kill"), **environment).start()
    stand = Stand(run, sim, tmp_path, size=4 * MiB)
    stand.armed = armed
    # No request of the stand's own, as the RELEASE of its file, is the first to reach a point that is armed.
    stand.rows_are_free()
    return stand


class Traffic:
    """Traffic that reaches every point: misses, opens, unstaging, cancelled readers, restarts."""

    def __init__(self, stand):
        self.stand = stand
        self.number = 0

    def step(self, kind):
        """One piece of traffic of a kind; failures of the CLI are those of a control plane that was killed, and
        expected."""
        run, sim = self.stand.run, self.stand.sim
        self.number += 1
        if kind == "stage":
            file = sim.add(3 * 65536, f"traffic {self.number}.bin")
            done = run.cli("stage", file, "--recipient", "traffic")
            if done.code:
                return
            path = done.out.rstrip("\n")
            want = sim.bytes(file, "traffic")
            assert self.until_answered(lambda: open(path, "rb").read()) == want, "a freshly staged file"
            run.cli("unstage", path)
        elif kind == "list":
            done = run.cli("stage", sim.add(4096), "--recipient", "traffic")
            if done.code == 0:
                item = done.out.rstrip("\n").split("/")[-2]
                assert item in self.until_answered(lambda: os.listdir(f"{run.mount}/Staged")), "a fresh listing"
                run.cli("unstage", item)
        elif kind == "cancel":
            file = sim.add(MiB, f"gated {self.number}.bin")
            gate = sim.gate(file=file)
            done = run.cli("stage", file, "--recipient", "traffic")
            if done.code == 0:
                path = done.out.rstrip("\n")
                reader = subprocess.Popen(
                    ["dd", f"if={path}", "of=/dev/null", "bs=4096", "iflag=direct"], stderr=subprocess.DEVNULL
                )
                time.sleep(0.15)
                reader.kill()
                reader.wait(PATIENCE)
                run.cli("unstage", path)
            sim.release(gate)
        elif kind == "takeover":
            # The one before may be dead and gone, and its successor not have claimed yet.
            with contextlib.suppress(ProcessLookupError):
                self.stand.kill_active(wait=False)
            time.sleep(0.05)
        elif kind == "restart":
            run.cli("shim", "restart")
        elif kind == "adopt":
            # So that a lease was revoked, too.
            self.step("stage")
            run.process.kill()
            run.process.wait()
            run.start(expect_ready=False)
            # Its end is seen a moment after that of its output.
            time.sleep(0.05)

    def until_answered(self, call):
        """The result of a call on the mount. A process that dies of it leaves the caller waiting for the next one."""
        run, waiting = self.stand.run, Background(call)
        while waiting.is_running:
            if not is_alive(run.process.pid):
                run.process.wait()
                run.start(expect_ready=False)
            time.sleep(0.002)
        return waiting.result()

    KINDS = {
        "cancel": "cancel",
        "takeover": "takeover",
        "standby": "takeover",
        "drain": "restart",
        "link": "takeover",
        "lease": "stage",
        "invalidate": "stage",
        "reply.refused": "stage",
        "control.adopt": "adopt",
        "control.cancel": "cancel",
        "control.payload": "list",
    }

    def kind(self, name):
        for prefix, kind in self.KINDS.items():
            if name.startswith(prefix):
                return kind
        return "stage"
