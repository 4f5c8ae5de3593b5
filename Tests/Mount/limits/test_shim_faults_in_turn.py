"""Every call of the shim that can fail fails in turn, and the mount answers after each (`make faults`; a few of them
in `make test`).

The calls are found in the source by the names that faults.h wraps, so a new call is tried without a word here.
"""

import os
import re
import struct
import subprocess

import errno as errors
import instance
import pytest
from stand import Stand
from instance import MiB, PATIENCE, ROOT, is_alive, mounts
from kill_points import Traffic
from readers import Background, Direct

PROGRAMS = ROOT / "build" / "faults" / "bin"
#: All calls with all their errors, not a choice.
ALL = "FSMVP_TEST_ALL_FAULTS" in os.environ

#: How each call fails in practice; the first error is the one that the choice takes.
ERRORS = {
    "accept4": ["EMFILE", "ECONNABORTED"],
    "calloc": ["ENOMEM"],
    "eventfd": ["EMFILE"],
    "fcntl": ["EMFILE"],
    "fopen": ["EMFILE"],
    "fork": ["EAGAIN"],
    "fstat": ["ENOMEM"],
    "ftruncate": ["ENOSPC"],
    "fuse_session_new": ["ENOMEM"],
    "getrlimit": ["EPERM"],
    "madvise": ["ENOMEM"],
    "malloc": ["ENOMEM"],
    "memfd_create": ["EMFILE", "ENOSYS"],
    "mlock": ["EPERM"],
    "mlock2": ["ENOMEM"],
    "mmap": ["ENOMEM"],
    "open": ["EMFILE", "EACCES"],
    "openat": ["EMFILE", "ENOMEM"],
    "pipe2": ["ENFILE"],
    "poll": ["EINTR", "ENOMEM"],
    "pread": ["ENOMEM"],
    "preadv2": ["ENOMEM", "EINTR"],
    "pthread_create": ["EAGAIN"],
    "realloc": ["ENOMEM"],
    "recvmsg": ["ENOBUFS"],
    "sendmsg": ["ENOBUFS"],
    "setpriority": ["EPERM"],
    "setrlimit": ["EPERM"],
    "syscall": ["EPERM", "ENOSYS", "EMFILE", "ENOMEM"],
    "timerfd_create": ["EMFILE"],
    "timerfd_settime": ["EINVAL"],
    "uv_async_init": ["EMFILE"],
    "uv_loop_init": ["EMFILE"],
    "uv_pipe_open": ["EMFILE"],
    "uv_poll_init": ["ENOMEM"],
    "uv_poll_start": ["ENOMEM"],
    "uv_read_start": ["ENOMEM"],
    "uv_write": ["ENOBUFS"],
    "write": ["EAGAIN", "EPIPE"],
}
#: Code of the tests alone.
SKIPPED_FILES = {"points.c"}
#: Calls that cannot fail: a write to an eventfd fails only while it is full, and then it has been rung.
IMPOSSIBLE = {("shim/src/request/bell.c", "write")}


def calls():
    """`shim/src/folder/file.c:line call` for every call that faults.h wraps."""
    wrapped = re.findall(
        r"^#define (\w+)\(.*FSMVP_FAULT\(\1\)", (ROOT / "Tests/Mount/harness/faults.h").read_text(), re.M
    )
    assert set(wrapped) == set(ERRORS), set(wrapped) ^ set(ERRORS)
    # Neither a member of a structure nor the end of a longer name.
    pattern = re.compile(rf"(?<![\w.>])({'|'.join(wrapped)})\(")
    found = []
    for path in sorted(
        [*(ROOT / "shim/src").rglob("*.c"), *(ROOT / "shim/wire").glob("*.c")], key=lambda path: path.name
    ):
        if path.name in SKIPPED_FILES:
            continue
        text = re.sub(
            r"/\*.*?\*/", lambda comment: re.sub(r"[^\n]", " ", comment.group()), path.read_text(), flags=re.S
        )
        text = re.sub(r'"(\\.|[^"\\\n])*"', lambda quoted: '"' + " " * (len(quoted.group()) - 2) + '"', text)
        for number, line in enumerate(text.split("\n"), 1):
            for name in sorted(set(pattern.findall(line))):
                if (str(path.relative_to(ROOT)), name) not in IMPOSSIBLE:
                    found.append(f"{path.relative_to(ROOT)}:{number} {name}")
    return found


def cases():
    for site in calls():
        for error in ERRORS[site.split()[1]]:
            yield site, error


class Armed:
    """struct fsmvp_fault, shared with every shim of the instance."""

    def __init__(self, path):
        path.write_bytes(bytes(136))
        self.file = open(path, "r+b", buffering=0)

    def _put(self, at, data):
        self.file.seek(at)
        self.file.write(data)

    def arm(self, site, error, times):
        self.disarm()
        self._put(0, site.encode().ljust(112, b"\0"))
        self._put(128, struct.pack("<q", getattr(errors, error)))
        self._put(112, struct.pack("<Q", times))

    def disarm(self):
        self._put(112, bytes(8))

    @property
    def fired(self):
        self.file.seek(120)
        return struct.unpack("<Q", self.file.read(8))[0]


class Trial:
    """One instance after the other, for one failing call after the other."""

    def __init__(self, sim, make, tmp_path, mode):
        self.sim, self.make, self.tmp, self.mode = sim, make, tmp_path, mode
        self.armed = Armed(tmp_path / "fault")
        self.stand = None

    def instance(self):
        return self.make(FSMVP_FAULT_FILE=str(self.tmp / "fault"), FSMVP_FETCH_MODE=self.mode)

    def answers(self, name):
        """The mount serves bytes that are here and bytes that are not, a standby stands, and nothing is left in a
        row."""
        if self.stand is None:
            self.stand = Stand(self.instance().start(), self.sim, self.tmp, size=MiB)
        stand = self.stand
        try:
            if not is_alive(stand.run.process.pid):
                stand.run.process.wait()
                stand.run.start()
            stand.ready()
            with open(stand.want, "rb") as want, open(stand.path, "rb") as got:
                assert want.read() == got.read(), "bytes that are here"
            fresh = self.sim.add(3 * 65536)
            path = stand.run.stage(fresh, "after")
            with open(path, "rb") as got:
                assert got.read() == self.sim.bytes(fresh, "after"), "bytes that are not here"
            assert stand.run.cli("unstage", path).code == 0
            assert stand.run.cli("status", "--json").json["shim"]["state"] == "serving"
            stand.rows_are_free()
        except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
            raise AssertionError(f"after {name}: {error!r}\n{stand.run.log.read_text()[-3000:]}") from None

    def running(self, name, site, error):
        """Whether the call is reached, and fails, while the mount is in use."""
        before = self.armed.fired
        self.armed.arm(site, error, 2)
        traffic = Traffic(self.stand)
        # No kill point is armed here: processes end by the fault alone.
        self.stand.armed = self.armed
        # After a restart the shim has no cached file open, and opens it for the next read.
        for kind in ("stage", "leased", "cancel", "restart", "leased", "takeover", "adopt"):
            if not is_alive(self.stand.run.process.pid):
                break
            try:
                self.leased() if kind == "leased" else traffic.step(kind)
            except (OSError, AssertionError) as trouble:
                # One request may fail by an error of its own; a mount that is lost is found by `answers`.
                print(f"{name}: {kind}: {trouble!r}")
            if self.armed.fired > before:
                break
        fired = self.armed.fired > before
        self.armed.disarm()
        self.sim.release()
        return fired

    def leased(self):
        """Bytes that are here, by the shim alone."""
        reader = Direct(self.stand.path)
        try:
            Background(reader.read, 0, 65536).result()
        finally:
            reader.close()

    def starting(self, name, site, error):
        """Whether the call is reached at the start of an instance, which says why it ends, or lives."""
        before = self.armed.fired
        self.armed.arm(site, error, 1)
        run = self.instance()
        run.start(expect_ready=False)
        fired = self.armed.fired > before
        if not run.ready.startswith("ready "):
            assert run.process.wait(PATIENCE) in (1, 2), f"{name}: {run.log.read_text()[-3000:]}"
            assert str(run.mount) not in mounts(), name
            assert run.log.read_text().strip(), f"{name}: the start failed without a word"
        self.armed.disarm()
        run.destroy()
        return fired


@pytest.fixture
def trial(sim, make, tmp_path, monkeypatch):
    """Makes a trial of a mode of fetching."""
    monkeypatch.setattr(instance, "FSMVP", str(PROGRAMS / "fsmvp"))
    return lambda mode: Trial(sim, make, tmp_path, mode)


#: What only files that stream through memory reach.
WINDOW = "shim/src/bytes/window.c"
#: One call of each kind, for `make test`.
CHOICE = [
    "syscall",
    "uv_write",
    "pthread_create",
    "openat",
    "mmap",
    "eventfd",
    "write",
    "calloc",
    "malloc",
    "timerfd_create",
]


@pytest.mark.timeout(3600)
def test_the_mount_answers_after_every_call_that_fails(trial):
    trial = trial("temp-file")
    some = [(site, error) for site, error in cases() if not site.startswith(WINDOW)]
    assert len(some) > 60, "the calls of the shim are not found in its source"
    if not ALL:
        first = {}
        for site, error in some:
            first.setdefault(site.split()[1], (site, error))
        some = [first[name] for name in CHOICE if name in first]
    trial.answers("the start")
    unreached = []
    for site, error in some:
        name = f"{site} ({error})"
        print(name, flush=True)
        fired = trial.running(name, site, error)
        if fired:
            trial.answers(name)
        elif not trial.starting(name, site, error):
            unreached.append(name)
    print(f"{len(some) - len(unreached)} of {len(some)} calls failed in turn; not reached: {unreached}")
    assert len(unreached) < len(some) / 3, unreached
    trial.answers("all")


def test_a_window_that_cannot_be_read_costs_no_wrong_byte(trial):
    trial = trial("range-lru")
    trial.answers("the start")
    some = [(site, error) for site, error in cases() if site.startswith(WINDOW)]
    assert some, "the calls of window.c are not found"
    for site, error in some:
        assert trial.running(f"{site} ({error})", site, error), f"{site} was not reached"
        trial.answers(f"{site} ({error})")
