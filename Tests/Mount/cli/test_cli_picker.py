"""`fsmvp jobs` and `fsmvp stage` as a person at a terminal has them."""

import os
import re
import signal

import pytest
import terminal
from instance import FSMVP, MiB, Sim
from terminal import CTRL_C, CTRL_U, CTRL_Z, DOWN, END, ENTER, ESCAPE, HOME, PAGE_DOWN, UP


@pytest.fixture
def sim():
    """One whose catalog is this test's alone."""
    sim = Sim()
    yield sim
    sim.close()


def chosen(screen):
    """The line with the mark."""
    return next((line for line in screen.lines if line.startswith("> ")), "")


def test_from_the_list_to_a_path(sim, run, opened):
    file = sim.add(3 * MiB, "holiday film.mp4")
    sim.add(1000, "work.mov")
    # A screen comes in pieces: each claim is waited for, none is taken from a screen that is half drawn.
    screen = opened("jobs").wait("holiday film.mp4")
    screen.wait(
        lambda: screen.lines[0].startswith("Search:") and "work.mov" in chosen(screen), what="the newest job is chosen"
    )
    screen.type(DOWN)
    screen.wait(
        lambda: "holiday film.mp4" in chosen(screen) and "3 MiB" in chosen(screen), what="the second job is chosen"
    )
    screen.type(ENTER)
    screen.wait("For whom is holiday film.mp4 (3 MiB)?")
    screen.type("Jane at the agency" + ENTER)
    assert screen.end() == 0 and screen.is_restored
    item = run.cli("staged", "--json").json[0]
    assert (item["fileId"], item["recipient"]) == (file, "Jane at the agency")
    assert screen.rest == item["path"] + "\n"


def test_typing_searches_at_the_service(sim, run, opened):
    for n in range(130):
        sim.add(1000, f"clip {n}.mp4")
    sim.add(1000, "zebra.mp4")
    for n in range(130):
        sim.add(1000, f"take {n}.mp4")
    screen = opened("jobs").wait("take 129.mp4")
    # Too far down to be here before it is asked for.
    screen.type("zeb")
    screen.wait(lambda: "zebra.mp4" in chosen(screen))
    screen.wait("1-1 of 1")
    screen.type(CTRL_U + "no such thing")
    screen.wait("No finished job has “no such thing” in its name.")
    screen.type(ENTER)
    screen.type(CTRL_U)
    screen.wait("take 129.mp4")
    screen.type("CLIP 7.")
    screen.wait(lambda: "1-1 of 1" in screen.text and "clip 7.mp4" in chosen(screen))
    screen.type(ESCAPE)
    assert screen.end() == 0 and screen.is_restored
    assert run.cli("staged", "--json").json == []


def test_ten_thousand_jobs_are_a_few_keys_long(opened, make):
    numbers = [number for n in range(10_000) for number in ("--file", f"{n + 1:024x}:1000:many {n}.mp4")]
    sim = Sim(*numbers)
    try:
        run = make(sim=sim).start()
        screen = opened("jobs", run=run).wait("of 10000")
        first = chosen(screen)
        screen.type(END)
        screen.wait(lambda: "9980-10000 of 10000" in screen.text and "many" in chosen(screen))
        screen.wait(lambda: all("many" in line for line in screen.lines[1:22]), what="a full page")
        screen.type(UP * 30)
        screen.wait("9970-9990 of 10000")
        screen.type(HOME)
        screen.wait(lambda: chosen(screen) == first)
        screen.type(PAGE_DOWN * 6)
        screen.wait(lambda: "107-127 of 10000" in screen.text and "many" in chosen(screen))
        screen.type("many 777.")
        screen.wait(lambda: "1-1 of 1" in screen.text and "many 777.mp4" in chosen(screen))
        screen.type(CTRL_C)
        assert screen.end() == -signal.SIGINT and screen.is_restored
    finally:
        sim.close()


def test_outputs_are_asked_for_where_there_are_several(make, opened):
    # The demo's catalog has a job with several.
    sim = Sim("--demo")
    try:
        run = make(sim=sim).start()
        jobs = run.cli("jobs", "--limit", "1000", "--json").json["jobs"]
        job = next(job for job in jobs if len(job["outputs"]) > 1)
        screen = opened("jobs", "--search", job["name"], run=run)
        screen.wait(lambda: f"{len(job['outputs'])} outputs" in chosen(screen))
        screen.type(ENTER)
        screen.wait(f"Outputs of {job['name']}")
        screen.wait(lambda: job["outputs"][0]["name"] in chosen(screen))
        screen.type(DOWN)
        screen.wait(lambda: job["outputs"][1]["name"] in chosen(screen))
        screen.type(ENTER)
        screen.wait("For whom is " + job["outputs"][1]["name"])
        screen.type(ESCAPE)
        screen.wait("Outputs of")
        screen.type(ESCAPE)
        screen.wait("Search: " + job["name"])
        screen.type(ENTER)
        screen.wait("Outputs of")
        screen.type(ENTER + "x" + ENTER)
        # The screen remembers where it was.
        assert screen.end() == 0
        assert run.cli("staged", "--json").json[0]["fileId"] in [output["fileId"] for output in job["outputs"]]
    finally:
        sim.close()


def test_the_last_recipients_are_offered(sim, run, opened):
    for tag in ("Ann", "Bob", "Jürgen 日本"):
        run.stage(sim.add(1000), tag)
    file = sim.add(1000, "new.mp4")
    screen = opened("stage", file).wait("Jürgen 日本")
    screen.wait("Ann")
    # An empty recipient is refused.
    screen.type(ENTER)
    screen.wait("Type who the file is for, or choose with ↓.")
    screen.type("jü")
    screen.wait(lambda: "Ann" not in screen.text)
    screen.type(DOWN)
    screen.wait(lambda: "Jürgen 日本" in chosen(screen))
    screen.type(ENTER)
    assert screen.end() == 0 and screen.is_restored
    assert run.cli("staged", "--json").json[-1]["recipient"] == "Jürgen 日本"


def test_nobody_is_asked_where_nobody_sits(sim, run):
    file = sim.add(1000)
    done = run.cli("stage", file)
    assert done.code == 2 and "--recipient TAG" in done.err and done.out == ""


def test_a_prompt_that_is_left_stages_nothing(sim, run, opened):
    screen = opened("stage", sim.add(1000)).wait("For whom is")
    screen.type("half a na" + ESCAPE)
    assert screen.end() == 1 and screen.is_restored and "nothing was staged" in screen.rest
    assert run.cli("staged", "--json").json == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_gives_the_terminal_back(sim, opened, number):
    sim.add(1000, "clip.mp4")
    screen = opened("jobs").wait("clip.mp4")
    screen.process.send_signal(number)
    assert screen.end() == -number and screen.is_restored


def test_stopped_and_back_again(sim, run):
    """Under a real shell, which stops and continues jobs."""
    sim.add(1000, "clip.mp4")
    shell = terminal.Terminal(["bash", "--norc", "--noprofile", "-i"], run.environment | {"PS1": "$ ", "FSMVP": FSMVP})
    try:
        shell.wait("$")
        shell.modes = terminal.termios.tcgetattr(shell.slave)
        shell.type('"$FSMVP" jobs\n')
        shell.wait("clip.mp4")
        for _ in range(2):
            seen = len(shell.bytes)
            shell.type(CTRL_Z)
            shell.wait(lambda: b"$ " in shell.bytes[seen:].partition(b"Stopped")[2], what="stopped")
            shell.type("stty -a | tr ';' '\\n' | grep -w icanon; fg\n")
            seen = len(shell.bytes)
            shell.wait(lambda: terminal.ENTERED in shell.bytes[seen:], what="back on the screen")
            shell.wait(lambda: b"clip.mp4" in shell.bytes[seen:].rpartition(terminal.ENTERED)[2], what="drawn again")
        # From outside, with the one that cannot be taken.
        child = int(os.popen(f"pgrep -P {shell.process.pid} -f jobs").read().split()[0])
        seen = len(shell.bytes)
        os.kill(child, signal.SIGSTOP)
        shell.wait(lambda: b"$ " in shell.bytes[seen:].partition(b"Stopped")[2], what="stopped")
        shell.type("fg\n")
        shell.wait(lambda: terminal.ENTERED in shell.bytes[seen:], what="back on the screen")
        shell.type(ESCAPE)
        shell.wait(lambda: b"$ " in shell.bytes.rsplit(terminal.LEFT_SCREEN, 1)[-1], what="the end")
        shell.type("echo code $?\n")
        shell.wait(lambda: b"code 0" in shell.bytes[seen:], what="the end")
        assert b"-icanon" not in shell.bytes and shell.bytes.count(b"icanon") > 2
        shell.type("exit\n")
        shell.end()
    finally:
        shell.close()


def test_another_size_is_another_picture(sim, opened):
    for n in range(50):
        sim.add(1000, f"a rather long name of a film, number {n}.mp4")
    screen = opened("jobs").wait("of 50")
    screen.resize(40, 10)
    screen.wait(lambda: "1-7 of 50" in screen.text and "…" in chosen(screen) and screen.lines[9].startswith("↑ ↓"))
    assert all(len(line) <= 40 for line in screen.lines)
    screen.resize(100, 30)
    screen.wait("1-27 of")
    screen.resize(3, 2)
    screen.resize(80, 24)
    screen.wait("1-21 of")
    screen.type(ESCAPE)
    assert screen.end() == 0


HOSTILE = "\x1b]0;gotcha\x07\x1b[2J\x9b31m\u202eevil\u2066.mp4"


def test_names_cannot_steer_the_terminal(sim, run, opened):
    file = sim.add(1000, "harmless.mp4")
    run.stage(file, "A\u202eB")
    # The service gives names out as they are; a paste brings anything.
    sim.post("file", {"id": f"{0xBAD:024x}", "size": 1000, "name": HOSTILE})
    screen = opened("jobs").wait("harmless.mp4").wait("evil")
    screen.type("\x1b[200~a\rb\x1b]0;gotcha\x07\x1b[201~")
    screen.wait("Search: a b")
    screen.type(CTRL_U)
    screen.wait(lambda: "evil" in chosen(screen))
    screen.type(ENTER)
    screen.wait("For whom is")
    screen.type(ESCAPE)
    screen.wait("Search:")
    screen.type(ESCAPE)
    assert screen.end() == 0
    sent = screen.bytes
    assert (
        b"\x1b]" not in sent and b"\x07" not in sent and "\u202e".encode() not in sent and "\x9b".encode() not in sent
    )
    ours = rb"\x1b\[(\?(1049|2004|25|7)[hl]|[0-9;]*[HmJK])"
    assert b"\x1b" not in re.sub(ours, b"", sent)
    # The screen is cleared once, at the beginning, and not again.
    assert sent.count(b"\x1b[2J") == 1


def test_colours_are_modest_and_can_be_without(sim, opened):
    sim.add(1000, "clip.mp4")
    colour = rb"\x1b\[[0-9;]*\b3[0-7]m"
    for environment, has in (({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)):
        screen = opened("jobs", **environment).wait("clip.mp4")
        screen.type(ESCAPE)
        assert screen.end() == 0
        assert bool(re.search(colour, screen.bytes)) == has, environment
        # The chosen line stands out without colours, too.
        assert re.search(rb"\x1b\[7", screen.bytes)


def test_the_table_where_no_one_chooses(sim, run, opened):
    sim.add(1000, "clip.mp4")
    for arguments, environment in (
        (["jobs", "--table"], {}),
        (["jobs", "--limit", "5"], {}),
        (["jobs", "--start", "0"], {}),
        (["jobs", "--json"], {}),
        (["jobs"], {"TERM": "dumb"}),
        (["jobs"], {"TERM": ""}),
    ):
        screen = opened(*arguments, **environment)
        assert screen.end() == 0, arguments
        assert "clip.mp4" in screen.text and terminal.ENTERED not in screen.bytes, arguments
    piped = run.cli("jobs")
    assert piped.code == 0 and piped.out.startswith("JOB ")


def test_a_slow_service_is_waited_for_with_what_is_here(sim, opened):
    for n in range(300):
        sim.add(1000, f"clip {n}.mp4")
    screen = opened("jobs").wait("clip 299.mp4")
    sim.gate(route="jobs")
    screen.type("clip 21")
    # From what is here, the newest hundred, while the service holds its answer back.
    screen.wait("1-10 of 10 here")
    screen.wait("asking MediaHub…")
    # Keys are taken meanwhile.
    screen.type("1")
    screen.wait("Search: clip 211")
    sim.release()
    screen.wait(lambda: "clip 211.mp4" in chosen(screen) and "here" not in screen.text)
    screen.type(ESCAPE)
    assert screen.end() == 0


def test_a_service_that_fails_is_told_on_the_screen(sim, run, opened):
    sim.add(1000, "clip.mp4")
    screen = opened("jobs").wait("clip.mp4")
    run.kill()
    screen.type("clop")
    screen.wait("no control plane is running")
    run.start()
    screen.type(CTRL_U)
    screen.wait("clip.mp4")
    screen.type(ESCAPE)
    assert screen.end() == 0


def test_without_a_control_plane_it_says_so_before_any_screen(make, opened):
    screen = opened("jobs", run=make())
    assert screen.end() == 3 and terminal.ENTERED not in screen.bytes and "fsmvp run" in screen.text
    screen = opened("stage", "f" * 24, run=make())
    assert screen.end() == 3 and terminal.ENTERED not in screen.bytes
