"""A look at a file's head and tail, as thumbnailers and file managers take, costs what it reads."""

import os

import pytest
from instance import MiB, wait_until
from readers import Background, sha256, sha256_file

MODES = ["temp-file", "range-lru"]
KiB = 1 << 10


def peek(path):
    """64 KiB at the head and at the tail, as the kernel reads them for a buffered reader."""
    with open(path, "rb", buffering=0) as stream:
        size = os.fstat(stream.fileno()).st_size
        return os.pread(stream.fileno(), 64 * KiB, 0), os.pread(stream.fileno(), 64 * KiB, size - 64 * KiB)


def looks(sim, run, files):
    """Each is looked at; all that was to come has come when this returns."""
    for file in files:
        path = run.stage(file, "tag")
        size = os.stat(path).st_size
        head, tail = peek(path)
        assert head == sim.bytes(file, "tag", 0, 64 * KiB) and tail == sim.bytes(file, "tag", size - 64 * KiB)
        wait_until(lambda path=path: run.item(path)["openRef"] == 0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [3 * MiB, 12 * MiB + 5, 17 * MiB, 512 * MiB])
def test_a_peek_costs_what_it_reads_and_not_the_file(sim, make, mode, size):
    run = make(FSMVP_FETCH_MODE=mode).start()
    files = [sim.add(size, f"film {number}.mp4") for number in range(8)]
    looks(sim, run, files)
    wait_until(lambda: sim.stats()["active"] == 0, what="the end of all requests")
    # The kernel reads 128 KiB ahead, and the first range of a file is 256 KiB.
    sent = sim.stats()["bytes_sent"]
    assert all(sent[file] <= MiB for file in files), sent


@pytest.mark.parametrize("mode", MODES)
def test_eight_peeks_beside_an_upload_cost_it_nothing(sim, make, mode):
    run = make(FSMVP_FETCH_MODE=mode).start()
    film = sim.add(48 * MiB, "upload.mp4")
    files = [sim.add(512 * MiB, f"film {number}.mp4") for number in range(8)]
    gate = sim.gate(file=film, **{"from": 40 * MiB})
    upload = Background(sha256_file, run.stage(film, "tag"))
    wait_until(lambda: sim.stats()["held"] > 0, what="the upload is under way")
    looks(sim, run, files)
    sim.release(gate)
    assert upload.result(180) == sha256(sim.content(film, "tag"))
    sent = sim.stats()["bytes_sent"]
    assert all(sent[file] <= MiB for file in files), sent


@pytest.mark.parametrize("mode", MODES)
def test_looks_at_places_that_are_near_to_one_another_are_no_reading_on(sim, make, mode):
    run = make(FSMVP_FETCH_MODE=mode).start()
    file = sim.add(512 * MiB, "film.mp4")
    with open(run.stage(file, "tag"), "rb", buffering=0) as stream:
        for offset in (0, 11 * MiB, 4 * MiB, 14 * MiB, 23 * MiB):
            assert os.pread(stream.fileno(), 64 * KiB, offset) == sim.bytes(file, "tag", offset, 64 * KiB)
        wait_until(lambda: sim.stats()["active"] == 0, what="the end of all requests")
    assert sim.stats()["bytes_sent"][file] <= 2 * MiB


@pytest.mark.parametrize("mode", MODES)
def test_an_open_without_a_read_costs_nothing(sim, make, mode):
    run = make(FSMVP_FETCH_MODE=mode).start()
    file = sim.add(512 * MiB, "film.mp4")
    path = run.stage(file, "tag")
    for _ in range(8):
        os.close(os.open(path, os.O_RDONLY))
        wait_until(lambda: run.item(path)["openRef"] == 0)
    assert sim.stats()["bytes_sent"].get(file, 0) == 0
