"""The two real programs under test, and the MediaHub they talk to, each in processes of their own.

Every process is started with PDEATHSIG, so that a test runner that is killed takes them along in order;
`Instance.stop` and `Instance.destroy` leave neither mount nor process nor file behind, and `leftovers` tells if they
did.
"""

import ctypes
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[3]
BIN = pathlib.Path(os.environ.get("FSMVP_TEST_BIN", ROOT / "build" / "bin"))
FSMVP = str(BIN / "fsmvp")
SIM = str(BIN / "mediahub-sim")
MiB = 1 << 20
GiB = 1 << 30

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    """SIGTERM to the child when the runner dies (PR_SET_PDEATHSIG is 1)."""
    _libc.prctl(1, signal.SIGTERM)


#: Seconds before a wait for an event gives up. It only ends a test whose event never comes: no promise is measured by
#: it, so it is far longer than anything takes on a busy machine.
PATIENCE = 60


def wait_until(claim, limit=PATIENCE, step=0.02, what="it"):
    """Waits for an event. A shorter `limit` than PATIENCE is raised to it."""
    limit = max(limit, PATIENCE)
    end = time.monotonic() + limit
    while time.monotonic() < end:
        value = claim()
        if value:
            return value
        time.sleep(step)
    raise AssertionError(f"{what} did not come true within {limit} s")


def is_alive(pid):
    """False for a zombie, too: an orphan may have no parent that reaps it."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def descriptors_of(pid):
    """The number and the target of each open descriptor, but for those that are closed during the look."""
    found = {}
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(number)] = os.readlink(f"/proc/{pid}/fd/{number}")
        except FileNotFoundError:
            continue
    return found


def environment_of(pid):
    """The environment that the process was started with."""
    with open(f"/proc/{pid}/environ", "rb") as stream:
        return dict(entry.split(b"=", 1) for entry in stream.read().split(b"\0") if b"=" in entry)


def mounts():
    """Mount points of all file systems, unescaped."""
    with open("/proc/self/mountinfo") as lines:
        return [line.split()[4].replace("\\040", " ") for line in lines]


def file_id(number):
    return f"{number:024x}"


class Sim:
    """A mediahub-sim process and its admin routes."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [SIM, *arguments], stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent
        )
        line = self.process.stdout.readline()
        assert line.startswith("ready base="), line
        self.base = line.split("=", 1)[1].strip()
        self.root = self.base.rsplit("/v1", 1)[0]
        self._next = 0x100

    def close(self):
        self.process.terminate()
        self.process.wait(PATIENCE)

    def post(self, route, body=None):
        request = urllib.request.Request(
            f"{self.root}/_sim/{route}", data=json.dumps(body or {}).encode(), method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{route}: {error.code} {error.read().decode()}") from error

    def stats(self):
        with urllib.request.urlopen(f"{self.root}/_sim/stats", timeout=PATIENCE) as answer:
            return json.load(answer)

    def add(self, size, name=None, **more):
        """A new file in a job of its own; its id."""
        self._next += 1
        ident = file_id(self._next)
        self.post("file", {"id": ident, "size": size, "name": name or f"file {self._next}.bin", **more})
        return ident

    def set(self, **settings):
        self.post("set", settings)

    def fault(self, kind, file, **more):
        self.post("fault", {"kind": kind, "file": file, **more})

    def gate(self, **where):
        return self.post("gate", where)["gate"]

    def release(self, gate=None):
        self.post("release", {} if gate is None else {"gate": gate})

    def content(self, file, tag, offset=0, length=None):
        """The right bytes, asked for aside of everything that is under test."""
        query = {"file": file, "tag": tag, "offset": offset}
        if length is not None:
            query["length"] = length
        return urllib.request.urlopen(f"{self.root}/_sim/content?{urllib.parse.urlencode(query)}", timeout=60)

    def bytes(self, file, tag, offset=0, length=None):
        with self.content(file, tag, offset, length) as answer:
            return answer.read()


class Result:
    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"exit {self.code}\n{self.out}\n{self.err}"


class Instance:
    """One `fsmvp run` with folders of its own."""

    def __init__(self, sim=None, wrapper=(), **environment):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fsmvp-test-"))
        self.mount = self.folder / "mnt"
        self.runtime = self.folder / "run"
        self.cache = self.folder / "cache"
        self.state = self.folder / "state"
        self.wrapper = list(wrapper)
        self.process = None
        self.environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith("FSMVP_") and not key.startswith("MEDIAHUB_")
        }
        self.environment |= {
            "HOME": str(self.folder),
            "FSMVP_RUNTIME_DIR": str(self.runtime),
            "FSMVP_STATE_DIR": str(self.state),
            "FSMVP_CACHE_DIR": str(self.cache),
            "FSMVP_MOUNTPOINT": str(self.mount),
        }
        if sim is not None:
            self.environment |= {
                "FSMVP_API_BASE": sim.base,
                "FSMVP_CLIENT_ID": "demo-client",
                "FSMVP_CLIENT_SECRET": "demo-secret",
            }
        self.environment |= environment
        self.log = self.folder / "log"

    def configure(self, text):
        """The configuration of the next start."""
        config = self.folder / "config.toml"
        config.write_text(text)
        config.chmod(0o600)
        self.environment["FSMVP_CONFIG"] = str(config)
        return self

    # The control plane

    def start(self, *arguments, expect_ready=True):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*self.wrapper, FSMVP, "run", *arguments],
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                preexec_fn=die_with_parent,
            )
        line = self.process.stdout.readline()
        if expect_ready:
            assert line.startswith("ready "), f"{line!r}\n{self.log.read_text()}"
        self.ready = line.strip()
        return self

    def says(self, text):
        """Waits until the log has that text: its lines are written by a thread of their own."""
        return wait_until(lambda: text in self.log.read_text(), what=f"{text!r} in the log")

    def stop(self, limit=PATIENCE):
        """SIGTERM and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(limit)

    def kill(self):
        """The control plane, without a word to it."""
        self.process.kill()
        self.process.wait()

    def shim_pid(self):
        return self.cli("status", "--json").json["shim"]["pid"]

    def serves(self):
        """Waits until it says that its shim serves: it learns of a takeover a moment after that."""
        wait_until(lambda: self.cli("status", "--json").json["shim"]["state"] == "serving", what="a shim that serves")

    def two_shims(self):
        """Both of them, once there are two: the standby is started after the ready line."""
        return wait_until(lambda: len(found := self.shims()) == 2 and found, what="two shims")

    def destroy(self):
        """Removes the instance in any state; nothing of it stays."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        # A shim that takes over while another ends is seen the next time round.
        for _ in range(20):
            shims = self.shims()
            if not shims:
                break
            for pid in shims:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.05)
        while str(self.mount) in mounts():
            if subprocess.run(["umount", "-l", str(self.mount)], check=False).returncode:
                break
        shutil.rmtree(self.folder, ignore_errors=True)

    def shims(self):
        """Living shims of this instance, no matter which process started them."""
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit() and is_alive(entry):
                try:
                    words = pathlib.Path(f"/proc/{entry}/cmdline").read_text().split("\0")
                except (OSError, UnicodeDecodeError):
                    continue
                if words[0].endswith("fsmvp-shim") and str(self.mount) in words:
                    found.append(int(entry))
        return found

    # The command line

    def cli(self, *arguments, timeout=2 * PATIENCE, wrapper=(), **environment):
        """A shorter `timeout` than PATIENCE is raised to it."""
        return Result(
            subprocess.run(
                [*wrapper, FSMVP, *arguments],
                env=self.environment | environment,
                capture_output=True,
                text=True,
                timeout=max(timeout, PATIENCE),
            )
        )

    def stage(self, file, tag="somebody"):
        """The absolute path of a freshly staged file."""
        done = self.cli("stage", file, "--recipient", tag)
        assert done.code == 0, done
        return done.out.rstrip("\n")

    def item(self, path):
        return next(item for item in self.cli("staged", "--json").json if item["path"] == path)
