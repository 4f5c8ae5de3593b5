"""Unusual input from shells, terminals and persons: it is understood, or named in a sentence."""

import fcntl
import os
import subprocess
import urllib.parse

import pytest
from instance import PATIENCE, FSMVP, MiB, die_with_parent, wait_until
from terminal import ENTER


@pytest.mark.parametrize("columns", [80, 100, 120])
def test_the_last_column_of_a_full_line_is_seen(sim, run, opened, columns):
    """In each of the screens: the list of jobs, its question for the recipient, the watch."""
    # Lines that are as wide as the terminal and end in a letter.
    name = "x" * (columns + 40) + ".mp4"
    run.stage(sim.add(1000, name), "y" * 30)
    watch = opened("status", "--watch", columns=columns).wait("ready")
    watch.wait(
        lambda: next((line for line in watch.screen.display if "xxx" in line), " ")[-1] != " ", what="a full line"
    )
    watch.type("q")
    assert watch.end() == 0
    screen = opened("jobs", columns=columns).wait("xxx")
    screen.wait(
        lambda: "xxx" in screen.screen.display[1] and screen.screen.display[1].endswith("B"), what="a full line"
    )
    screen.type(ENTER)
    screen.wait("For whom is")
    screen.wait(lambda: screen.screen.display[0][-1] == "…", what="a full line")
    screen.type("\x03")
    screen.end()


def test_unstage_finds_an_item_by_any_path_that_leads_to_it(sim, make):
    """The mount point given through a link, and paths through it or not."""
    run = make()
    (run.folder / "real").mkdir()
    (run.folder / "link").symlink_to(run.folder / "real")
    (run.folder / "other").symlink_to("real")
    run.environment["FSMVP_MOUNTPOINT"] = str(run.folder / "link" / "mnt")
    run.mount = run.folder / "real" / "mnt"
    run.start()
    for prefix in ("link", "real", "other", "link/../real/./"):
        run.stage(sim.add(1000, "a film.mp4"))
        item = run.cli("staged", "--json").json[0]
        path = f"{run.folder}/{prefix}/mnt/Staged/{item['id']}/a film.mp4"
        assert os.path.exists(path)
        done = run.cli("pin", path, "--json")
        assert done.code == 0 and done.json["id"] == item["id"], done
        done = run.cli("unstage", path)
        assert done.code == 0 and not run.cli("staged", "--json").json, done


def test_unstage_takes_a_file_url(sim, run):
    path = run.stage(sim.add(1000, "a film 100% ü.mp4"))
    url = "file://" + urllib.parse.quote(path)
    assert run.cli("pin", url).code == 0
    assert run.cli("unpin", url).code == 0
    assert run.cli("unstage", url).code == 0
    assert not run.cli("staged", "--json").json
    done = run.cli("unstage", "file://server/x")
    assert done.code == 2 and "names no file of this machine" in done.err


class Open:
    """A program that has a file open."""

    def __init__(self, path):
        self.process = subprocess.Popen(["tail", "-f", path], stdout=subprocess.DEVNULL, preexec_fn=die_with_parent)

    def close(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def open_file(sim, run):
    path = run.stage(sim.add(MiB, "film.mp4"))
    reader = Open(path)
    wait_until(lambda: run.cli("status", "--json").json["openHandles"] == 1, what="an open file")
    yield reader
    reader.close()


def test_stop_on_a_terminal_says_who_reads_and_asks(run, opened, open_file):
    screen = opened("stop").wait("Stop all the same? [y/N]")
    assert f"film.mp4 by tail ({open_file.process.pid})" in screen.text and "A file is being read" in screen.text
    screen.type("n" + ENTER)
    assert screen.end() == 1 and "nothing was stopped" in screen.text
    assert run.process.poll() is None
    screen = opened("stop").wait("Stop all the same? [y/N]")
    screen.type("y" + ENTER)
    assert screen.end() == 0 and run.process.wait(PATIENCE) == 0


def test_stop_asks_nobody_if_nothing_is_open_or_it_is_told_so(run, opened, open_file):
    screen = opened("stop", "--yes")
    assert screen.end() == 0 and "y/N" not in screen.text
    assert run.process.wait(PATIENCE) == 0
    run.start()
    screen = opened("stop")
    assert screen.end() == 0 and "y/N" not in screen.text
    assert run.process.wait(PATIENCE) == 0


def test_stop_in_a_script_does_not_ask(run, open_file):
    done = run.cli("stop")
    assert done.code == 0 and run.process.wait(PATIENCE) == 0


def full_pipe():
    """A pipe that takes no more bytes; both ends."""
    ends = os.pipe()
    os.set_blocking(ends[1], False)
    try:
        while True:
            os.write(ends[1], b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(ends[1], True)
    return ends


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_run_with_an_output_that_takes_nothing_serves_all_the_same(sim, make, stream):
    run = make()
    ends = full_pipe()
    try:
        other = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | {stream: ends[1]}
        run.process = subprocess.Popen([FSMVP, "run"], env=run.environment, preexec_fn=die_with_parent, **other)
        wait_until(lambda: run.cli("status").code == 0, what="an answer")
        path = run.stage(sim.add(1000))
        with open(path, "rb") as file:
            assert len(file.read()) == 1000
        assert run.cli("log").code == 2
        assert run.stop() == 0
    finally:
        for end in ends:
            os.close(end)


def test_a_start_that_fails_ends_though_standard_error_takes_nothing(make):
    run = make(FSMVP_API_BASE="nonsense")
    ends = full_pipe()
    try:
        done = subprocess.run(
            [FSMVP, "run"], env=run.environment, stdout=subprocess.DEVNULL, stderr=ends[1], timeout=PATIENCE
        )
        assert done.returncode == 2
    finally:
        for end in ends:
            os.close(end)


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_run_with_closed_standard_streams_puts_nothing_into_files_of_its_own(sim, make, closed):
    run = make()
    run.process = subprocess.Popen(
        ["bash", "-c", f'exec "$0" run {closed}', FSMVP],
        env=run.environment,
        preexec_fn=die_with_parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: run.cli("status").code == 0, what="an answer")
    for pid in [run.process.pid, run.shim_pid()]:
        assert {os.readlink(f"/proc/{pid}/fd/{stream}") for stream in range(3)} <= {
            "/dev/null",
            *(["/dev/null"] if closed else []),
        }
    path = run.stage(sim.add(MiB))
    with open(path, "rb") as file:
        assert len(file.read()) == MiB
    assert run.stop() == 0


def test_a_verb_whose_output_is_closed_says_so(run):
    done = subprocess.run(
        ["bash", "-c", '"$0" status >&-', FSMVP], env=run.environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 1 and "the output cannot be written" in done.stderr


@pytest.mark.parametrize("mask", [0o000, 0o077, 0o777])
def test_any_umask_will_do(sim, make, mask):
    run = make()
    before = os.umask(mask)
    try:
        run.start()
    finally:
        os.umask(before)
    path = run.stage(sim.add(1000, "film.mp4"))
    with open(path, "rb") as file:
        assert len(file.read()) == 1000
    assert os.stat(run.runtime).st_mode & 0o777 == 0o700
    # A folder that not even its owner may enter would be one for root alone.
    for folder, folders, files in os.walk(run.state):
        assert os.stat(folder).st_mode & 0o700 == 0o700
        assert all(os.stat(os.path.join(folder, name)).st_mode & 0o677 == 0o600 for name in files), files


def test_a_non_blocking_output_gets_all_of_it(sim, run):
    for n in range(300):
        sim.add(1000, f"film {n} {'x' * 300}.mp4")
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    process = subprocess.Popen([FSMVP, "jobs", "--limit", "300", "--json"], env=run.environment, stdout=writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read()
    assert process.wait(PATIENCE) == 0 and text.endswith(b"}\n") and text.count(b"xxx.mp4") >= 300
