"""A terminal that closes, and a second `fsmvp run` beside one that lives, is stopped, or is none."""

import os
import signal
import time

from house import MiB, mounts
from readers import Direct


def test_a_closing_terminal_ends_it_in_order(sim, run):
    with open(run.stage(sim.add(MiB), "tag"), "rb") as stream:
        stream.read()
    # From the shell and from the kernel: the second one is no order to hurry.
    run.process.send_signal(signal.SIGHUP)
    time.sleep(0.002)
    run.process.send_signal(signal.SIGHUP)
    assert run.process.wait(8) == 0
    assert str(run.mount) not in mounts()
    assert [name for name in os.listdir(run.runtime) if name.endswith(".sock")] == []


def test_nohup_keeps_it_when_the_terminal_closes(sim, make):
    run = make()
    run.wrapper = ["nohup"]
    run.start()
    run.process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert run.cli("status", "--json").json["pid"] == run.process.pid
    assert run.stop() == 0


def test_a_second_run_says_what_to_do_about_a_first_that_does_not_answer(sim, run):
    reader = Direct(run.stage(sim.add(MiB), "tag"))
    assert len(reader.read(0, MiB)) == MiB
    pid = run.process.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        start = time.monotonic()
        second = run.cli("run", timeout=20)
        assert time.monotonic() - start < 6
        assert second.code == 1 and second.out == "" and second.err.count("\n") == 1, second
        assert "does not answer" in second.err and f"kill -CONT {pid}" in second.err and f"kill -9 {pid}" in second.err
        assert len(reader.read(0, MiB)) == MiB
    finally:
        os.kill(pid, signal.SIGCONT)
        reader.close()
    second = run.cli("run", timeout=20)
    assert second.code == 1 and "fsmvp stop" in second.err and "does not answer" not in second.err, second
