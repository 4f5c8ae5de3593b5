"""How long the steps of the control plane's dispatch loop take with 100,000 staged items: no step is to take 2 ms.

    python3 bench/steps.py [--items N] [--open N]

Each phase is one order or event; the table has the longest step in it, by the clock and by the processor, and how
many steps took 2 ms or more. The processor's time says what the step costs; on a busy machine the clock's also says
how long the thread was kept from the processor.
"""

import argparse
import http.client
import json
import os
import pathlib
import socket
import sqlite3
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "Tests" / "Mount" / "harness"))

from instance import Instance, Sim, file_id, wait_until  # noqa: E402

LIMIT = 2000
#: Files that the simulator knows are the first ones; the other items are rows of the list and nothing more.
KNOWN = 6000
SIZE = 100_000
#: Items that are unstaged by an order each, those that are open among them.
SINGLY = 3000


class Phases:
    def __init__(self, run):
        self.run = run
        self.rows = []
        self.seen = 0

    def fresh(self):
        """A new process counts from the beginning."""
        self.seen = 0

    def steps(self):
        trace = json.loads(self.run.cli("trace", "--json").out)
        return next(loop for loop in trace["loops"] if loop["loop"] == "dispatch")

    def note(self, what, seconds=None):
        loop = self.steps()
        slow = [step for step in loop["recent"] if step["number"] > self.seen]
        more = loop["slow"] - self.seen
        self.seen = loop["slow"]
        worst = sorted(slow, key=lambda step: -step["processorus"])[:3]
        self.rows.append(what)
        clock, processor = (max((step[key] for step in slow), default=0) / 1000 for key in ("us", "processorus"))
        print(
            f"{what:46} {more:5} slow, longest {clock:8.1f} ms, of the processor {processor:8.1f} ms"
            + (f", {seconds:.1f} s" if seconds else "")
        )
        for step in worst:
            if step["processorus"] >= LIMIT:
                print(f"    {step['processorus'] / 1000:8.1f} ms {step['source']}")
        sys.stdout.flush()

    def phase(self, what, body):
        began = time.monotonic()
        result = body()
        self.note(what, time.monotonic() - began)
        return result


def write_list(run, count):
    """The list of staged items as a control plane would have written it."""
    (path,) = run.state.glob("service-*/staged.sqlite")
    journal = sqlite3.connect(path)
    made = time.time_ns()
    with journal:
        journal.executemany(
            "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0)",
            (
                (
                    n,
                    f"{0xABC0000000000000 + n:016x}",
                    file_id(0x100000 + n),
                    "somebody",
                    f"Episode {n:06}.mp4",
                    SIZE,
                    made,
                    n + 1,
                )
                for n in range(count)
            ),
        )
        journal.execute("UPDATE origins SET seq = ?", (count,))
    journal.close()


def items(run, count):
    """Paths of the first ones."""
    return [run.mount / "Staged" / f"{0xABC0000000000000 + n:016x}" / f"Episode {n:06}.mp4" for n in range(count)]


def follow(run):
    """A listener of the events, as the page is one; its socket, from which nothing has been read."""
    listener = socket.socket(socket.AF_UNIX)
    listener.connect(str(run.runtime / "api.sock"))
    listener.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
    return listener


def read_until(listener, mark):
    """A mark that no chunk of the answer parts: a word of one value."""
    kept = b""
    while mark not in kept:
        piece = listener.recv(1 << 20)
        assert piece, "the events ended"
        kept = kept[-len(mark) :] + piece


def measure(sim, run, count, opened):
    run.start()
    run.stop()
    write_list(run, count)
    phases = Phases(run)
    phases.phase("start", run.start)
    paths = items(run, KNOWN)
    phases.phase(
        "ls of the mount", lambda: len(os.listdir(run.mount / "Staged")) == count or sys.exit("items are missing")
    )
    phases.phase("list by the API", lambda: run.cli("staged", "--json"))
    phases.phase("cache by the API", lambda: run.cli("cache", "--json"))
    phases.phase("status", lambda: run.cli("status", "--json"))
    listener = follow(run)
    phases.phase("snapshot of the page", lambda: read_until(listener, b'"uptimeSeconds"'))

    def stage():
        for n in range(20):
            run.stage(file_id(0x900000 + n))

    sim.post("file", [{"id": file_id(0x900000 + n), "size": SIZE, "name": f"New {n}.bin"} for n in range(20)])
    phases.phase("stage 20", stage)
    ids = [path.parent.name for path in paths]

    def pin():
        for ident in ids[:20]:
            assert run.cli("pin", ident).code == 0
        for ident in ids[:20]:
            assert run.cli("unpin", ident).code == 0

    phases.phase("pin and unpin 20", pin)

    streams = []

    def open_many():
        for path in paths[:opened]:
            streams.append(open(path, "rb", buffering=0))

    phases.phase(f"open {opened} files, somebody looks on", open_many)
    phases.phase("the feed's looks at them, 3 s", lambda: time.sleep(3))

    def read_many():
        for stream in streams[:500]:
            stream.read(SIZE)

    phases.phase("read 500 of them", read_many)
    phases.phase("list by the API while they are open", lambda: run.cli("staged", "--json"))
    phases.phase("cache by the API while they are open", lambda: run.cli("cache", "--json"))
    for stream in streams[opened // 2 :]:
        stream.close()
    phases.phase("half of them are closed, 8 s", lambda: time.sleep(8))
    phases.phase("cache clear", lambda: run.cli("cache", "clear", timeout=300))

    def kill():
        run.kill()
        run.start()

    listener.close()
    kill()
    phases.fresh()
    phases.note(f"adoption with {opened // 2} open files after kill -9")
    phases.phase("reload", lambda: (run.cli("reload", timeout=300), phases.fresh()))
    listener = follow(run)
    read_until(listener, b'"uptimeSeconds"')
    phases.note("snapshot after it")
    phases.phase(f"unstage {SINGLY} one by one, somebody looks on", lambda: unstage(run, SINGLY))
    phases.phase("looks after it, 3 s", lambda: time.sleep(3))
    listener.close()
    # Items that were unstaged while open are leaving when the next control plane begins.
    for stream in streams[opened // 2 :]:
        stream.close()
    kill()
    phases.fresh()
    phases.note("adoption with many leaving items")
    for stream in streams:
        stream.close()
    wait_until(lambda: run.cli("status", "--json").json["openHandles"] == 0)
    phases.note("all closed")
    phases.phase("unstage all", lambda: run.cli("unstage", "--all", timeout=300))
    stop_of(run, phases, paths, opened, count)


def unstage(run, count):
    """By the API, some at a time, as a script would."""
    client = http.client.HTTPConnection("x")
    client.sock = socket.socket(socket.AF_UNIX)
    client.sock.connect(str(run.runtime / "api.sock"))
    for path in items(run, count):
        client.request("DELETE", f"/api/v1/staged/{path.parent.name}")
        answer = client.getresponse()
        answer.read()
        assert answer.status in (200, 404), answer.status
    client.close()


def stop_of(run, phases, paths, opened, count):
    """The last steps of a process are in its log."""
    run.stop()
    write_list_again(run, count)
    run.start()
    phases.fresh()
    streams = [open(path, "rb", buffering=0) for path in paths[:opened]]
    phases.note(f"open {opened} files of a list that was written anew")
    began = time.monotonic()
    run.cli("stop", "--yes", timeout=300)
    run.process.wait(300)
    for stream in streams:
        stream.close()
    print(f"{'stop with them open':46} {time.monotonic() - began:.1f} s; its slow steps:")
    for line in run.log.read_text(errors="replace").splitlines():
        if "loop.slow" in line:
            print(f"    {line}")


def write_list_again(run, count):
    (path,) = run.state.glob("service-*/staged.sqlite")
    journal = sqlite3.connect(path)
    with journal:
        journal.execute("DELETE FROM items")
    journal.close()
    write_list(run, count)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--open", type=int, default=4000)
    options = parser.parse_args()
    tempfile.tempdir = os.environ.get("TMPDIR")
    sim = Sim()
    run = Instance(sim).configure('close_grace = "2s"\n')
    try:
        for start in range(0, KNOWN, 500):
            sim.post(
                "file",
                [
                    {"id": file_id(0x100000 + n), "size": SIZE, "name": f"Episode {n:06}.mp4"}
                    for n in range(start, start + 500)
                ],
            )
        measure(sim, run, options.items, options.open)
    finally:
        run.destroy()
        sim.close()


if __name__ == "__main__":
    main()
