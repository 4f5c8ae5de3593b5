"""The upgrade in place, and orders about the shim, on real mounts."""

import os
import pathlib
import resource
import shutil
import signal
import subprocess
import threading
import time

import instance
import pytest
from instance import MiB, environment_of, wait_until


def processes(run):
    """All of an instance: control plane, shims, whatever they started."""
    runtime = os.fsencode(run.runtime)
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and environment_of(entry).get(b"FSMVP_RUNTIME_DIR") == runtime:
                found.append(int(entry))
        except OSError:
            continue
    # The environment of shims does not name the instance.
    return found + [pid for pid in run.shims() if pid not in found]


class Upload(threading.Thread):
    """Reads a file from its first to its last byte, a piece at a time, as a browser does."""

    def __init__(self, path, pause=0.01):
        super().__init__()
        self.path, self.pause, self.data, self.error = path, threading.Event(), bytearray(), None
        self.step = pause
        self.start()

    def run(self):
        try:
            with open(self.path, "rb", buffering=0) as stream:
                while piece := stream.read(256 << 10):
                    self.data += piece
                    self.pause.wait(self.step)
        except OSError as error:
            self.error = error

    def finish(self, expected):
        self.pause.set()
        self.join(60)
        assert not self.is_alive() and self.error is None, self.error
        assert bytes(self.data) == expected


@pytest.fixture
def programs(make, monkeypatch, tmp_path):
    """A folder with copies of both programs, which a test may replace, and an instance that runs them."""
    for name in ("fsmvp", "fsmvp-shim"):
        shutil.copy2(instance.BIN / name, tmp_path / name)
    monkeypatch.setattr(instance, "FSMVP", str(tmp_path / "fsmvp"))
    return tmp_path


def replace(path, text=None):
    """Replaces a file like an upgrade: a new file takes the name."""
    fresh = path.with_suffix(".new")
    if text is None:
        shutil.copy2(path, fresh)
    else:
        fresh.write_text(text)
        fresh.chmod(0o755)
    fresh.rename(path)


def test_a_reload_runs_the_new_programs_while_an_upload_goes_on(sim, make, programs):
    run = make().start()
    file = sim.add(24 * MiB, "clip.mp4")
    path = run.stage(file, "tag")
    before = run.cli("status", "--json").json
    upload = Upload(path)
    replace(programs / "fsmvp")
    replace(programs / "fsmvp-shim")
    assert os.readlink(f"/proc/{run.process.pid}/exe").endswith(" (deleted)")
    for count in (1, 2):
        done = run.cli("reload")
        assert done.code == 0 and done.out.startswith("reloaded: ") and done.out.count("\n") == 1, done
        status = run.cli("status", "--json").json
        assert status["pid"] == before["pid"] == run.process.pid
        assert status["reload"] == {"count": count, "state": "done"}
        assert status["shim"]["state"] == "serving" and status["shim"]["pid"] != before["shim"]["pid"]
        assert os.readlink(f"/proc/{run.process.pid}/exe") == str(programs / "fsmvp")
        assert os.readlink(f"/proc/{status['shim']['pid']}/exe") == str(programs / "fsmvp-shim")
    upload.finish(sim.bytes(file, "tag"))
    # The lock went along, and the credentials.
    second = run.cli("run", timeout=20)
    assert second.code == 1 and "runs already" in second.err, second
    other = sim.add(MiB)
    with open(run.stage(other, "someone else"), "rb") as stream:
        assert stream.read() == sim.bytes(other, "someone else")
    for pid in processes(run):
        if pid != run.process.pid:
            assert not {b"FSMVP_CLIENT_SECRET", b"FSMVP_RELOAD"} & set(environment_of(pid))
    with open(f"/proc/{run.process.pid}/status") as lines:
        blocked = next(line.split()[1] for line in lines if line.startswith("SigBlk:"))
    assert int(blocked, 16) == 0
    assert run.stop() == 0
    # Nothing but the one line that says it is ready.
    assert run.process.stdout.read() == ""


@pytest.mark.parametrize(
    "name, text, words",
    [
        ("fsmvp", "#!/bin/sh\necho 99\n", "protocol 99"),
        ("fsmvp-shim", "#!/bin/sh\necho 99\n", "protocol 99"),
        ("fsmvp-shim", "#!/bin/sh\nexit 3\n", "does not run"),
        ("fsmvp", "this is no program", "does not run"),
        ("fsmvp", "#!/bin/sh\nexec sleep 600\n", "does not end"),
        ("fsmvp", "#!/bin/sh\necho two\n", "does not say"),
    ],
)
def test_programs_that_cannot_take_over_are_refused_and_harm_nothing(sim, make, programs, name, text, words):
    run = make().start()
    file = sim.add(8 * MiB, "clip.mp4")
    upload = Upload(run.stage(file, "tag"))
    before = run.cli("status", "--json").json
    saved = programs / "saved"
    os.link(programs / name, saved)
    replace(programs / name, text)
    # The command line is the program that is replaced: ask the API itself.
    done = subprocess.run(
        ["curl", "-sS", "--unix-socket", run.runtime / "api.sock", "-X", "POST", "http://x/api/v1/reload"],
        capture_output=True,
        text=True,
    )
    assert '"code":"failed"' in done.stdout and words in done.stdout and "uploads go on" in done.stdout, done
    if "protocol" in words:
        assert "fsmvp stop" in done.stdout
    saved.rename(programs / name)
    after = run.cli("status", "--json").json
    assert "reload" not in after and (after["pid"], after["shim"]["pid"]) == (before["pid"], before["shim"]["pid"])
    upload.finish(sim.bytes(file, "tag"))


@pytest.mark.parametrize(
    ("text", "word"),
    [("max_tils = 3\n", "max_tils"), ('ca_file = "none.pem"\n', "ca_file"), ('link_auth = "hmac"\n', "link_auth")],
    ids=["a key", "a file", "a secret"],
)
def test_a_reload_is_refused_while_the_configuration_is_broken(sim, make, text, word):
    run = make()
    config = run.folder / "config.toml"
    config.write_text("max_tiles = 3\n")
    run.start("--config", str(config))
    config.write_text(text)
    done = run.cli("reload")
    assert done.code == 1 and word in done.err and "nothing was replaced" in done.err, done
    assert run.cli("status").code == 0


def limit_files(pid):
    """A few more than it has open now: enough to answer, and too few to start with."""
    number = max(map(int, os.listdir(f"/proc/{pid}/fd"))) + 10
    assert number < 128
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (number, number))


#: What was done to the folders or limits of a control plane, and how it is undone.
UNFIT = {
    "runtime folder open to others": (
        lambda run: os.chmod(run.runtime, 0o777), lambda run: os.chmod(run.runtime, 0o700), "chmod 700"
    ),
    "list replaced by a folder": (
        lambda run: [path.unlink() or path.mkdir() for path in run.state.glob("*/staged.sqlite")],
        lambda run: [path.rmdir() for path in run.state.glob("*/staged.sqlite")],
        "staged.sqlite",
    ),
    "cache folder replaced by a file": (
        lambda run: [path.rename(run.folder / "kept") and path.touch() for path in run.cache.iterdir()],
        lambda run: [path.unlink() or (run.folder / "kept").rename(path) for path in run.cache.iterdir()],
        "cache_dir",
    ),
    "few files": (lambda run: limit_files(run.process.pid), lambda run: None, "ulimit -n"),
    "short files": (
        lambda run: resource.prlimit(run.process.pid, resource.RLIMIT_FSIZE, (MiB, MiB)), lambda run: None, "ulimit -f"
    ),
}


@pytest.mark.parametrize("what", UNFIT)
def test_a_reload_that_could_not_start_again_is_refused_and_harms_nothing(sim, make, what):
    do, undo, word = UNFIT[what]
    run = make().start()
    run.two_shims()
    path = run.stage(sim.add(2 * MiB), "tag")
    with open(path, "rb", buffering=0) as stream:
        head = stream.read(4096)
        do(run)
        done = run.cli("reload")
        assert done.code == 1 and word in done.err and "nothing was replaced" in done.err, done
        assert run.process.poll() is None and os.pread(stream.fileno(), 4096, 0) == head
        undo(run)
    assert run.cli("status").code == 0


def test_a_reload_is_refused_where_it_would_serve_something_else(sim, make):
    run = make()
    config = run.folder / "config.toml"
    config.write_text("")
    run.start("--config", str(config))
    config.write_text(f'temp_dir = "{run.folder}/elsewhere"\n')
    done = run.cli("reload")
    assert done.code == 1 and "temp_dir" in done.err and "fsmvp stop" in done.err, done
    assert run.cli("status").code == 0


def test_a_reload_of_the_demo_finds_its_videos_again(make):
    run = make(sim=None)
    run.start("--demo")
    outputs = [o for job in run.cli("jobs", "--json", "--limit", "100").json["jobs"] for o in job["outputs"]]
    small, other = sorted(outputs, key=lambda output: output["size"])[:2]
    path = run.stage(small["fileId"], "me")
    with open(path, "rb") as stream:
        stream.read(65536)
        done = run.cli("reload")
        assert done.code == 0, done
        # The demo's MediaHub came up again, with another port: links are minted anew.
        assert len(stream.read()) == small["size"] - 65536
    with open(run.stage(other["fileId"], "me"), "rb") as stream:
        assert len(stream.read()) == other["size"]
    assert run.stop() == 0


@pytest.mark.parametrize("order", ["restart", "kill"])
@pytest.mark.parametrize("standby", ["true", "false"])
def test_an_order_replaces_the_shim_while_an_upload_goes_on(sim, make, order, standby):
    run = make(FSMVP_STANDBY=standby).start()
    file = sim.add(16 * MiB, "clip.mp4")
    upload = Upload(run.stage(file, "tag"))
    before = run.shim_pid()
    began = time.monotonic()
    for epoch in (2, 3):
        done = run.cli("shim", order)
        assert done.code == 0 and done.out.startswith(f"epoch {epoch}, pid ") and done.out.endswith(" ms\n"), done
        shim = run.cli("status", "--json").json["shim"]
        assert shim["state"] == "serving" and (shim["epoch"], shim["restarts"]) == (epoch, epoch - 1)
        assert shim["pid"] not in (0, before) and f"pid {shim['pid']}," in done.out
        # A part of the time that all this took; how long it is, `make soak` measures.
        assert 0 <= shim["lastOutageMilliseconds"] < (time.monotonic() - began) * 1000
        before = shim["pid"]
    if standby == "true":
        spare = wait_until(lambda: run.cli("status", "--json").json["shim"].get("standbyPid"), what="a standby")
        assert spare != before and pathlib.Path(f"/proc/{spare}").exists()
    else:
        assert "standbyPid" not in run.cli("status", "--json").json["shim"]
    upload.finish(sim.bytes(file, "tag"))
    assert "last outage" in run.cli("status").out


def test_orphans_are_cleared_and_the_living_kept(sim, make):
    cache = make().folder / "shared"
    living, dead, idle = (make(FSMVP_CACHE_DIR=str(cache)) for _ in range(3))
    for run in (living, dead):
        run.start()
        with open(run.stage(sim.add(2 * MiB), "tag"), "rb") as stream:
            stream.read()
    # A standby that is only being started would be overlooked.
    dead.two_shims()
    for pid in processes(dead):
        os.kill(pid, signal.SIGKILL)
    dead.process.wait()
    # The environment of one that has ended is empty.
    wait_until(lambda: not processes(dead), what="the end of all of them")
    instance = {run: (run.state / "instance").read_text() for run in (living, dead)}
    done = idle.cli("cache", "clear", "--orphans", "--json")
    assert done.code == 0, done
    report = done.json
    assert [folder["path"] for folder in report["folders"]] == [str(cache / instance[dead])]
    assert report["bytes"] >= 2 * MiB and report["folders"][0]["files"] >= 1 and report["folders"][0]["isRemoved"]
    assert os.listdir(cache) == [instance[living]]
    assert idle.cli("cache", "clear", "--orphans").out == "No orphan's bytes were found.\n"
    assert living.stop() == 0
