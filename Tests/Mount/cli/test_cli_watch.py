"""`fsmvp status --watch` and `fsmvp pin --wait`: what goes on, live."""

import os
import re
import signal
import subprocess

import pytest
from instance import PATIENCE, FSMVP, MiB, die_with_parent, wait_until
from terminal import CTRL_C, END, HOME


class Follower:
    """`fsmvp status --watch` without a terminal: its lines so far."""

    def __init__(self, run):
        self.process = subprocess.Popen(
            [FSMVP, "status", "--watch"], env=run.environment, stdout=subprocess.PIPE, preexec_fn=die_with_parent
        )
        os.set_blocking(self.process.stdout.fileno(), False)
        self.text = ""

    def lines(self):
        self.text += (self.process.stdout.read() or b"").decode()
        return self.text.splitlines()

    def wait(self, *parts, limit=10):
        holds = lambda: any(all(part in line for part in parts) for line in self.lines())
        try:
            wait_until(holds, limit)
        except AssertionError:
            raise AssertionError(f"no line has {parts}:\n{self.text}") from None

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def follower(run):
    follower = Follower(run)
    yield follower
    follower.close()


def percents(screen, label):
    """The percentage that the first item's bar shows."""
    line = next((line for line in screen.lines if line.strip().startswith(label)), "")
    found = re.search(r"(\d+) %", line)
    return int(found[1]) if found else None


def test_an_upload_is_followed_to_its_end(sim, run, opened):
    # It lasts for longer than the screen needs to show how it goes, and is let go then.
    sim.set(rate="2MiB")
    path = run.stage(sim.add(120 * MiB, "film.mp4"), "Jane")
    screen = opened("status", "--watch", columns=100).wait("serving").wait("film.mp4")
    assert "1 staged, 0 open" in screen.text and str(run.mount) in screen.text
    assert percents(screen, "Read") is None
    with subprocess.Popen(["cat", path], stdout=subprocess.DEVNULL) as reader:
        screen.wait(f"read by cat ({reader.pid})")
        seen = set()
        screen.wait(
            lambda: seen.add(percents(screen, "Fetched")) or len([n for n in seen if n and n < 100]) >= 3,
            what="a bar that moves",
        )
        screen.wait(
            lambda: all(part in screen.text for part in ("█", "░", "MiB/s", " left", "for Jane")), what="bars and speed"
        )

        def has_both():
            fetched, read = percents(screen, "Fetched"), percents(screen, "Read")
            return fetched is not None and read is not None and 0 <= read <= 100 and 0 < fetched <= 100

        screen.wait(has_both, what="both figures")
        sim.set(rate=0)
    screen.wait("read to its end").wait("1 staged, 0 open")
    screen.wait(lambda: percents(screen, "Read") is None, what="no bar")
    screen.type("q")
    assert screen.end() == 0 and screen.is_restored


def test_a_control_plane_that_dies_is_waited_for(sim, run, opened):
    run.stage(sim.add(1000, "film.mp4"))
    screen = opened("status", "--watch").wait("film.mp4")
    run.kill()
    screen.wait("the control plane has ended; waiting for the next one")
    run.start()
    screen.wait("serving").wait("film.mp4")
    screen.type(CTRL_C)
    assert screen.end() == -signal.SIGINT and screen.is_restored


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back(opened, number):
    screen = opened("status", "--watch").wait("Nothing is staged")
    screen.process.send_signal(number)
    assert screen.end() == -number and screen.is_restored


def test_more_items_than_lines(sim, run, opened):
    for n in range(30):
        run.stage(sim.add(1000, f"film {n}.mp4"))
    screen = opened("status", "--watch").wait("… and 12 more")
    # The newest first.
    assert screen.lines[4].startswith("film 29.mp4") and "film 11.mp4" not in screen.text
    screen.type(END)
    screen.wait(lambda: screen.lines[4].startswith("film 0.mp4"))
    screen.type(HOME)
    screen.wait("… and 12 more")
    screen.resize(60, 10)
    screen.wait("… and 26 more")
    screen.type("q")
    assert screen.end() == 0


def test_a_line_a_change_where_no_terminal_is(sim, run, follower):
    follower.wait("status: serving, 0 staged, 0 open")
    file = sim.add(4 * MiB, "film.mp4")
    path = run.stage(file, "Jane")
    follower.wait("film.mp4, for Jane", "ready; fetched 0 %, read 0 %")
    with open(path, "rb") as stream:
        follower.wait("film.mp4, for Jane", "read by python", "read 0 %")
        while stream.read(MiB):
            pass
        follower.wait("film.mp4, for Jane", "fetched 100 %, read 100 %")
        follower.wait("status: serving, 1 staged, 1 open")
    follower.wait("read to its end; fetched 100 %, read 100 %")
    run.cli("unstage", "--all")
    follower.wait("gone")
    assert "\x1b" not in follower.text
    lines = follower.lines()
    assert len(set(lines)) >= len(lines) - 3, "said twice"
    follower.process.send_signal(signal.SIGINT)
    assert follower.process.wait(PATIENCE) == -signal.SIGINT


def test_a_reader_that_goes_ends_it(run):
    done = subprocess.run(
        ["bash", "-c", '"$0" status --watch | head -1', FSMVP],
        env=run.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.stdout == "status: serving, 0 staged, 0 open\n"


def test_names_cannot_steer_lines_and_screens(sim, run, opened, follower):
    sim.post("file", {"id": f"{0xBAD1:024x}", "size": 1000, "name": "\x1b]0;gotcha\x07\u202eevil.mp4"})
    run.stage(f"{0xBAD1:024x}", "tag")
    screen = opened("status", "--watch").wait("evil")
    screen.type("q")
    assert screen.end() == 0
    follower.wait("evil")
    for text in (screen.bytes.decode(), follower.text):
        assert "\x1b]" not in text and "\x07" not in text and "\u202e" not in text


def test_watch_needs_a_control_plane(make):
    done = make().cli("status", "--watch")
    assert done.code == 3 and done.out == "" and "fsmvp run" in done.err


def test_pin_waits_until_all_is_here(sim, run, opened):
    sim.set(rate="2MiB")
    path = run.stage(sim.add(60 * MiB, "film.mp4"))
    screen = opened("pin", path, "--wait")
    screen.wait(lambda: "█" in screen.text and "░" in screen.text and "MiB/s" in screen.text, what="a bar")
    sim.set(rate=0)
    assert screen.end() == 0 and f"fetched and pinned {path}" in screen.text.replace("\n", "")
    item = run.item(path)
    assert item["pinned"] and item["bytesFetched"] == 60 * MiB
    # Here already; and for programs.
    done = run.cli("pin", path, "--wait", "--json")
    assert done.code == 0 and done.json["bytesFetched"] == 60 * MiB and done.err == ""


def test_pin_says_what_came_between(sim, run):
    sim.set(rate="1MiB")
    path = run.stage(sim.add(20 * MiB, "film.mp4"))
    waiting = subprocess.Popen(
        [FSMVP, "pin", path, "--wait"], env=run.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: run.item(path)["bytesFetched"] > 0, what="begun")
    run.cli("unstage", path)
    out, err = waiting.communicate(timeout=PATIENCE)
    assert waiting.returncode == 4 and out == "" and "unstaged before all of it was here" in err
