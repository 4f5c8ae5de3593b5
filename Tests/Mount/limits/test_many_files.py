"""More files than descriptors: what nothing has open holds none, and past every limit one open fails and nothing
else."""

import os

from api_connection import ApiConnection
from instance import MiB, wait_until

# Both limits, so that nothing can be raised.
LIMITED = ["bash", "-c", 'ulimit -n 1024; exec "$0" "$@"']


def descriptors(run):
    return len(os.listdir(f"/proc/{run.process.pid}/fd"))


def test_1500_files_opened_and_closed_once_each_under_1024_descriptors(sim, make):
    run = make(wrapper=LIMITED).start()
    file = sim.add(4096)
    api = ApiConnection(run)
    paths = [api.stage(file, f"tag {number}")["path"] for number in range(1500)]
    for number, path in enumerate(paths):
        with open(path, "rb") as opened:
            assert opened.read() == sim.bytes(file, f"tag {number}"), path
    assert run.cli("status").code == 0
    before = run.shim_pid()
    os.kill(before, 9)
    wait_until(lambda: run.shim_pid() != before, what="another shim has taken over")
    # Opened again, each has the bytes it had.
    asked = sim.stats()
    for path in paths[:50]:
        with open(path, "rb") as opened:
            assert len(opened.read()) == 4096
    # At its first open the origin is asked for one byte, whether it still has the same file (docs/adr/0023).
    fetched = [entry for entry in sim.stats()["ranges"][len(asked["ranges"]) :] if entry["end"] - entry["start"] > 1]
    assert fetched == [], "a parked file is not fetched again"


def test_files_that_are_not_open_hold_no_descriptor(sim, make):
    run = make().configure("close_grace = 0\n").start()
    file = sim.add(MiB)
    api = ApiConnection(run)
    paths = [api.stage(file, f"tag {number}")["path"] for number in range(40)]
    with open(paths[0], "rb") as opened:
        opened.read()
    wait_until(lambda: run.item(paths[0])["openRef"] == 0)
    before = descriptors(run)
    for path in paths:
        with open(path, "rb") as opened:
            opened.read()
    wait_until(lambda: descriptors(run) <= before + 4, what="the stores of closed files give back their descriptors")
