"""Programs that the command line starts beside itself: `stage --open`, `stage --tile`. They write down how they were
called."""

import os
import pathlib
import shutil
import signal

import pytest
from desktop import Desktop
from instance import FSMVP, is_alive, wait_until

#: What the command starts ends in the second that the command waits for it, however busy the machine is.
HURRIED = ("nice", "-n", "-15")

SAYS = """#!/bin/sh
# Writes down its arguments, and its session and input; then ends as the test says.
{{ printf '%s\\n' "$@"; echo "session $(ps -o sid= -p $$ | tr -d ' ')"; echo "input $(readlink /proc/$$/fd/0)"; }} >{target}.new
mv {target}.new {target}
{then}
"""


def script(path, target, then="exit 0"):
    path.write_text(SAYS.format(target=target, then=then))
    path.chmod(0o755)
    return path


@pytest.fixture
def desk(run, tmp_path):
    """A PATH with an xdg-open of ours, and a copy of the program with a tile of ours beside it."""

    class Desk:
        folder = tmp_path / "bin"
        called = tmp_path / "called"
        environment = {"DISPLAY": ":99", "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}

        def opener(self, then="exit 0"):
            script(self.folder / "xdg-open", self.called, then)

        def tile(self, then="exit 0"):
            script(self.folder / "fsmvp-tile", self.called, then)

        def cli(self, *arguments, **environment):
            return run.cli(*arguments, **(self.environment | environment))

        def calls(self):
            wait_until(self.called.exists, what="called")
            return self.called.read_text().splitlines()

    Desk.folder.mkdir()
    return Desk()


@pytest.fixture
def beside(desk, run, monkeypatch):
    """The program is called from a folder of its own."""
    import instance

    copy = desk.folder / "fsmvp"
    shutil.copy(FSMVP, copy)
    monkeypatch.setattr(instance, "FSMVP", str(copy))
    return copy


def test_open_hands_the_path_to_the_desktop(sim, run, desk):
    desk.opener()
    done = desk.cli("stage", sim.add(1000, "a film & more.mp4"), "--recipient", "x", "--open")
    assert done.code == 0 and done.err == ""
    path, session, source = desk.calls()
    assert path == done.out.rstrip("\n") and path.endswith("/a film & more.mp4")
    # Nothing of this terminal's job: Ctrl-C and its end are none of the program's business.
    assert session != f"session {os.getsid(0)}" and source == "input /dev/null"


def test_open_waits_for_no_program_that_stays(sim, run, desk):
    # It stays until the test is over.
    over = desk.folder / "over"
    desk.opener(then=f"until test -e {over} || ! test -d {desk.folder}; do sleep 0.1; done")
    try:
        done = desk.cli("stage", sim.add(1000), "--recipient", "x", "--open")
        assert done.code == 0 and len(desk.calls()) == 3
    finally:
        over.touch()


def test_open_says_what_is_missing_before_it_stages(sim, run, desk):
    file = sim.add(1000)
    for environment, words in (({"PATH": str(desk.folder)}, "xdg-utils"), ({"DISPLAY": ""}, "display")):
        done = desk.cli("stage", file, "--recipient", "x", "--open", **environment)
        assert done.code == 1 and words in done.err and done.out == "", done
    assert run.cli("staged", "--json").json == []


def test_open_tells_of_a_program_that_fails(sim, run, desk):
    opener = desk.folder / "xdg-open"
    opener.write_text("#!/bin/sh\nexit 3\n")
    opener.chmod(0o755)
    done = desk.cli("stage", sim.add(1000), "--recipient", "x", "--open", wrapper=HURRIED)
    assert done.code == 1 and done.out.startswith(str(run.mount)) and "`xdg-open` ended with code 3" in done.err


def test_tile_starts_the_program_beside_this_one(sim, run, desk, beside):
    desk.tile()
    done = desk.cli("stage", sim.add(1000), "--recipient", "x", "--tile", "--json")
    assert done.code == 0, done
    assert desk.calls()[0] == done.json["id"] and len(desk.calls()) == 3


def test_tile_gets_the_configuration_along(sim, run, desk, beside, tmp_path):
    desk.tile()
    config = tmp_path / "other.toml"
    config.write_text("")
    done = desk.cli("--config", str(config), "stage", sim.add(1000), "--recipient", "x", "--tile")
    assert done.code == 0, done
    assert desk.calls()[:2] == ["--config", str(config)]


def test_tile_opens_the_real_window(sim, run):
    desktop = Desktop()
    try:
        done = run.cli(
            "stage", sim.add(1000, "film.mp4"), "--recipient", "x", "--tile", "--json", **desktop.environment
        )
        assert done.code == 0, done
        window = desktop.window("^FuseStream$")
        pid = int(desktop.run("xdotool", "getwindowpid", window))
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        assert words[0].endswith("/fsmvp-tile") and words[1] == done.json["id"]
        assert os.getsid(pid) == pid
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not is_alive(pid), what="its end")
    finally:
        desktop.close()


def test_a_tile_that_cannot_be_shown(sim, run):
    done = run.cli(
        "stage", sim.add(1000), "--recipient", "x", "--tile", wrapper=HURRIED, DISPLAY=":4321", WAYLAND_DISPLAY=""
    )
    assert done.code == 1 and done.out.startswith(str(run.mount)) and "`fsmvp-tile` ended with code 1" in done.err


def test_a_tile_that_is_not_installed(sim, run, desk, beside):
    done = desk.cli("stage", sim.add(1000), "--recipient", "x", "--tile")
    assert done.code == 1 and f"there is no {desk.folder}/fsmvp-tile; nothing was staged" in done.err and done.out == ""
    assert run.cli("staged", "--json").json == []
