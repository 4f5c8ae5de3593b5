"""A reader that is told to die dies while its request still waits, also if another process died just before or dies
just after."""

import os
import signal
import subprocess
import sys
import time

import pytest
from stand import Stand
from instance import PATIENCE, MiB, is_alive, wait_until

READERS = {
    "read": "import os,sys; fd=os.open(sys.argv[1],os.O_RDONLY); print('begun',flush=True); os.pread(fd,4096,0)",
    "direct": "import os,sys,mmap; fd=os.open(sys.argv[1],os.O_RDONLY|os.O_DIRECT); b=mmap.mmap(-1,4096); print('begun',flush=True); os.preadv(fd,[b],0)",
    "mmap": "import mmap,os,sys; fd=os.open(sys.argv[1],os.O_RDONLY); m=mmap.mmap(fd,4096,prot=mmap.PROT_READ); print('begun',flush=True); m[0]",
    "lookup": "import os,sys; print('begun',flush=True); os.stat(sys.argv[2])",
}
#: USR1 is caught; after it TERM is never promoted to KILL by the kernel, so only /proc tells that the reader dies.
CAUGHT = (
    "import signal; signal.signal(signal.SIGUSR1, lambda *a: None); signal.signal(signal.SIGTERM, signal.SIG_DFL); "
)
HOW = {
    "KILL": [signal.SIGKILL],
    "TERM": [signal.SIGTERM],
    "QUIT": [signal.SIGQUIT],
    "USR1-TERM": [signal.SIGUSR1, signal.SIGTERM],
}


def blocked(stand, kind, number):
    """A process whose request waits for a control plane that does not answer it."""
    process = subprocess.Popen(
        [sys.executable, "-c", CAUGHT + READERS[kind], stand.gated, f"{stand.run.mount}/Staged/nobody-{number}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: __import__("resource").setrlimit(4, (0, 0)),  # RLIMIT_CORE
    )
    assert process.stdout.readline() == b"begun\n"
    return process


def die(processes, how):
    for number in HOW[how]:
        for process in processes:
            process.send_signal(number)
        time.sleep(0.01)
    for process in processes:
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            state = open(f"/proc/{process.pid}/status").read().split("State:\t")[1][0]
            raise AssertionError(f"still there, state {state}") from None


@pytest.fixture
def stand(run, sim, tmp_path):
    stand = Stand(run, sim, tmp_path, size=MiB)
    file = sim.add(16 * MiB, "gated.mp4")
    stand.gated = run.stage(file, "tag")
    stand.gate = sim.gate(file=file)
    return stand


@pytest.mark.parametrize("when", ["alone", "after a takeover", "before a takeover", "control dead", "control stopped"])
@pytest.mark.parametrize("how", list(HOW))
def test_a_reader_dies_when_it_is_told_to(stand, how, when):
    kinds = ["read", "direct", "mmap"]
    processes = [blocked(stand, kind, 0) for kind in kinds]
    wait_until(lambda: "TAKEN" in stand.region.slots().values(), what="a waiting read")
    try:
        if when == "after a takeover":
            stand.kill_active()
        elif when == "before a takeover":
            os.kill(stand.region.active, signal.SIGKILL)
        elif when == "control dead":
            stand.run.kill()
            processes.append(blocked(stand, "lookup", 1))
        elif when == "control stopped":
            stand.run.process.send_signal(signal.SIGSTOP)
            processes.append(blocked(stand, "lookup", 1))
        if len(processes) == 4:
            time.sleep(0.1)
        die(processes, how)
    finally:
        for process in processes:
            process.kill()
            process.wait(PATIENCE)
            process.stdout.close()
    if when == "control dead":
        stand.run.start()
    if when == "control stopped":
        stand.run.process.send_signal(signal.SIGCONT)
    stand.sim.release(stand.gate)
    stand.ready()
    # No page lock is left behind: the next opener reads.
    with open(stand.gated, "rb") as stream:
        assert len(stream.read(65536)) == 65536
    wait_until(lambda: not stand.region.slots(), 10, what="free slots")
    assert is_alive(stand.run.process.pid)
