"""Every fault of an origin, in both fetch modes, in every order of reading, through a real mount: right bytes by
hash where it may recover, a clean EIO with the named cause where it may not, and never a wrong or a short read."""

import errno
import hashlib
import time

import pytest
from instance import Instance, MiB, wait_until
from reading_process import ORDERS, Reading, read
from readers import Background, sha256_file

MODES = ["temp-file", "range-lru"]
SIZE = 5 * MiB + 777


@pytest.fixture(scope="module")
def instances(_sim):
    """A running instance for a mode and a stall_timeout, shared by the tests of this file: items are their own."""
    made = {}

    def get(mode, stall_timeout="5s"):
        key = (mode, stall_timeout)
        if key not in made:
            made[key] = Instance(_sim, FSMVP_FETCH_MODE=mode)
            made[key].configure(f'idle_timeout = "2s"\nstall_timeout = "{stall_timeout}"\n').start()
        return made[key]

    yield get
    for instance in made.values():
        instance.destroy()


@pytest.fixture(params=MODES)
def mode(request):
    return request.param


RECOVERED = {
    "latency": {"kind": "delay", "ms": 150, "count": 20},
    "slow connections": {"kind": "slow", "rate": "3MiB", "count": 3},
    "cut": {"kind": "cut", "after": 30_000, "count": 4},
    "cut at once": {"kind": "cut", "after": 0, "count": 3},
    "reset": {"kind": "reset", "after": 50_000, "count": 4},
    "reset before the head": {"kind": "reset", "after": 0, "count": 3},
    "stall": {"kind": "stall", "after": 20_000, "count": 1},
    "short body": {"kind": "short", "bytes": 7_000, "count": 3},
    "500": {"kind": "status", "status": 500, "count": 2},
    "503": {"kind": "status", "status": 503, "count": 3},
    "429 with Retry-After": {"kind": "status", "status": 429, "retry_after": 1, "count": 2},
    "408": {"kind": "status", "status": 408, "count": 1},
    "403, link expired in the middle": {"kind": "status", "status": 403, "count": 2, "skip": 1},
    "401": {"kind": "status", "status": 401, "count": 1},
    "410": {"kind": "status", "status": 410, "count": 1},
    "404 of a signed link": {"kind": "status", "status": 404, "count": 1},
    "whole body for a range": {"kind": "whole_body", "count": 2},
    "wrong start": {"kind": "wrong_start", "count": 2},
    "html with 200": {"kind": "html_page", "count": 2},
    "html with 206": {"kind": "html_range", "count": 1},
    "gzip": {"kind": "gzip", "count": 1},
}


@pytest.mark.parametrize("order", ORDERS)
def test_right_bytes_after_every_fault_that_may_be_recovered_from(sim, instances, mode, order):
    """All of them at once, each on a file of its own: most of the time is spent in back-offs. A busy machine must
    not end one."""
    run = instances(mode, stall_timeout="120s")
    readings = []
    for name, fault in RECOVERED.items():
        file = sim.add(SIZE, "clip.mp4")
        path = run.stage(file, order)
        sim.post("fault", {"file": file} | fault)
        readings.append((name, file, path, Reading(path, order)))
    for name, file, path, reading in readings:
        got = reading.result(240)
        assert got["errno"] is None and got["short"] is None, (name, got, run.item(path).get("failure"))
        assert got["sha256"] == hashlib.sha256(sim.bytes(file, order)).hexdigest(), name
        run.cli("unstage", path)


FINAL = {
    "wrong total": ({"kind": "wrong_total"}, "were announced"),
    "html": ({"kind": "html_page"}, "web page"),
    "html with 206": ({"kind": "html_range"}, "web page"),
    "gone": ({"kind": "status", "status": 404}, "status 404"),
    "refused": ({"kind": "status", "status": 403}, "status 403"),
    "bad request": ({"kind": "status", "status": 400}, "status 400"),
    "416": ({"kind": "status", "status": 416}, "416"),
    "gzip": ({"kind": "gzip"}, "compressed"),
    "wrong start": ({"kind": "wrong_start"}, "asked for bytes from"),
    "silence": ({"kind": "stall", "after": 0}, "no data from the origin"),
}


@pytest.mark.parametrize("order", ORDERS)
def test_a_clean_error_with_its_cause_after_every_fault_that_may_not(sim, instances, mode, order):
    run = instances(mode)
    staged = []
    for name, (fault, cause) in FINAL.items():
        file = sim.add(SIZE, "clip.mp4")
        path = run.stage(file, order)
        # From somewhere in the middle on; what came before it is right.
        sim.post("fault", {"file": file, "count": 0, "from": 2 * MiB} | fault)
        staged.append((name, cause, file, path, Reading(path, order)))
    for name, cause, file, path, reading in staged:
        got = reading.result(120)
        right = sim.bytes(file, order)
        assert got["errno"] == errno.EIO and got["short"] is None, (name, got["errno"], got["short"])
        for offset, length, digest in got["parts"]:
            assert digest == hashlib.sha256(right[offset : offset + length]).hexdigest(), (name, offset)
        if name == "wrong total":
            # No reader has it open any more, so the length that the origin insists on counts from here on.
            wait_until(lambda: run.item(path)["size"] != SIZE, what="the length that the origin says")
            assert run.says(cause), name
            continue
        item = run.item(path)
        assert item.get("failure") and cause in item["failure"], (name, item)
        assert item["state"] == "failed", name
        assert run.says(cause), name
        assert cause in run.cli("staged").out, name
    sim.post("reset")
    # An error is repeated for a second, then forgotten once the origin is right again: the next reader gets the file.
    for name, _, file, path, _ in staged:
        got = wait_until(lambda: (got := read(path, order))["errno"] is None and got, what=name)
        assert got["sha256"] == hashlib.sha256(sim.bytes(file, order)).hexdigest(), name
        run.cli("unstage", path)


def test_all_links_refused_in_the_middle_cost_one_new_link(sim, instances, mode):
    run = instances(mode, stall_timeout="120s")
    file = sim.add(24 * MiB, "clip.mp4")
    path = run.stage(file, "tag")
    sim.gate(file=file, **{"from": 8 * MiB})
    reading = Background(sha256_file, path)
    wait_until(lambda: run.item(path)["bytesFetched"] >= 2 * MiB)
    before = sim.stats()["requests"]["downloads"]
    sim.post("revoke", {"file": file})
    sim.release()
    assert reading.result() == hashlib.sha256(sim.bytes(file, "tag")).hexdigest()
    assert sim.stats()["requests"]["downloads"] - before <= 2


def test_a_slow_but_moving_download_is_never_an_error(sim, instances, mode):
    run = instances(mode)
    file = sim.add(MiB, "clip.mp4")
    path = run.stage(file, "tag")
    # Longer than every time-out of the configuration.
    sim.set(rate="100KiB")
    try:
        got = Reading(path, "sequential").result(120)
    finally:
        sim.set(rate=0)
    assert got["errno"] is None and got["sha256"] == hashlib.sha256(sim.bytes(file, "tag")).hexdigest()


def test_near_readers_are_not_starved_by_far_ones(sim, make, mode):
    run = make(FSMVP_FETCH_MODE=mode).start()
    file = sim.add(256 * MiB, "clip.mp4")
    path = run.stage(file, "tag")
    sim.gate(file=file, **{"from": 16 * MiB})

    def at(offset):
        with open(path, "rb") as stream:
            stream.seek(offset)
            return stream.read(65536)

    far = [Background(at, 32 * MiB + number * 4 * MiB) for number in range(40)]
    for offset in (0, 3 * MiB, 9 * MiB):
        assert Background(at, offset).result(20) == sim.bytes(file, "tag", offset, 65536)
    assert all(reader.is_running for reader in far)
    sim.release()
    for number, reader in enumerate(far):
        assert reader.result() == sim.bytes(file, "tag", 32 * MiB + number * 4 * MiB, 65536)


def test_two_readers_at_different_places_of_4_gib(sim, instances, mode):
    run = instances(mode, stall_timeout="120s")
    file = sim.add(4096 * MiB, "film.mp4")
    path = run.stage(file, "tag")

    def read(offset):
        digest = hashlib.sha256()
        with open(path, "rb", buffering=0) as stream:
            stream.seek(offset)
            for _ in range(48):
                digest.update(stream.read(MiB))
        return digest.hexdigest()

    readers = [(offset, Background(read, offset)) for offset in (100 * MiB + 5, 3000 * MiB)]
    for offset, reader in readers:
        assert reader.result() == hashlib.sha256(sim.bytes(file, "tag", offset, 48 * MiB)).hexdigest()
    run.cli("unstage", path)


def test_a_hundred_cold_readers_of_one_block_are_one_request(sim, make, mode):
    # No connection is given up while the hundred come.
    run = make(FSMVP_FETCH_MODE=mode).configure('idle_timeout = "30m"\nstall_timeout = "1h"\n').start()
    file = sim.add(64 * MiB, "clip.mp4")
    path = run.stage(file, "tag")
    sim.gate(file=file)
    began = time.monotonic()

    def at(number):
        with open(path, "rb", buffering=0) as stream:
            stream.seek(32 * MiB + number % 16 * 4096)
            return stream.read(4096)

    readers = [Background(at, number) for number in range(100)]
    wait_until(lambda: run.cli("status", "--json").json["openHandles"] >= 100)
    wait_until(lambda: sim.stats()["held"] >= 1)
    sim.release()
    # While nothing comes at all, it is asked for once more every three seconds (`Silence.Limits`).
    more = int((time.monotonic() - began) / 3)
    for number, reader in enumerate(readers):
        assert reader.result() == sim.bytes(file, "tag", 32 * MiB + number % 16 * 4096, 4096)
    asked = [entry for entry in sim.stats()["ranges"] if entry["file"] == file]
    covering = [entry for entry in asked if entry["start"] <= 32 * MiB < entry["end"]]
    assert 1 <= len(covering) <= 1 + more, asked
