"""Limits of a download by the settings and by the origin, in both fetch modes: they are never exceeded, and it ends
right all the same."""

import errno
import time

import pytest
from certificates import certificate
from instance import MiB, Sim, wait_until
from reading_process import Reading
from readers import Background, Direct, sha256, sha256_file

MODES = ["temp-file", "range-lru"]
SECRET = "c2VjcmV0IG9mIHRoZSBzaW11bGF0b3I="


@pytest.fixture(params=MODES)
def mode(request):
    return request.param


@pytest.fixture
def running(make, mode):
    """Starts an instance in the mode, with such a configuration."""
    return lambda settings="", **more: make(FSMVP_FETCH_MODE=mode, **more).configure(settings).start()


@pytest.fixture
def another():
    """Makes simulators with flags of their own."""
    made = []

    def another(*flags):
        made.append(Sim(*flags))
        return made[-1]

    yield another
    for sim in made:
        sim.close()


def right(sim, file, tag="somebody"):
    with sim.content(file, tag) as stream:
        return sha256(stream)


# The settings


def test_no_range_ahead_of_a_reader_is_longer_than_chunk_size(sim, make):
    run = make(FSMVP_FETCH_MODE="range-lru").configure('chunk_size = "512KiB"\n').start()
    file = sim.add(24 * MiB)
    sim.set(rate_per_connection="16MiB", first_byte_delay_ms=20)
    reader = Direct(run.stage(file))
    for offset in range(0, 24 * MiB, 128 << 10):
        assert len(reader.read(offset, 128 << 10)) == 128 << 10
    reader.close()
    lengths = [entry["end"] - entry["start"] for entry in sim.stats()["ranges"] if entry["file"] == file]
    assert max(lengths) <= 512 << 10, sorted(lengths)[-5:]
    assert len([length for length in lengths if length > 128 << 10]) > 20, "hardly anything was fetched ahead"


def test_no_more_ranges_of_a_file_are_in_flight_than_allowed(sim, running, mode):
    key = "max_concurrent_requests" if mode == "range-lru" else "max_ranges_per_file"
    run = running(f"{key} = 3\n")
    file = sim.add(32 * MiB)
    # Each connection is slow: more of them would be of use.
    sim.set(rate_per_connection="4MiB")
    assert sha256_file(run.stage(file)) == right(sim, file)
    assert sim.stats()["peak_active"] == 3


def test_no_more_comes_in_a_second_than_max_download_rate(sim, running):
    run = running('max_download_rate = "8MiB"\n')
    files = [sim.add(12 * MiB) for _ in range(2)]
    paths = [run.stage(file) for file in files]
    began = time.monotonic()
    readings = [Background(sha256_file, path) for path in paths]
    assert [reading.result() for reading in readings] == [right(sim, file) for file in files]
    # Three seconds' worth, but for what the bucket held and what readers' ranges get on credit.
    assert time.monotonic() - began > 1.7


# Links


def test_a_link_is_replaced_before_the_end_that_it_shows(sim, running):
    run = running()
    file = sim.add(24 * MiB)
    sim.set(link_expiry_shown=True, link_seconds=6, rate=3 * MiB)
    path = run.stage(file)
    began = time.monotonic()
    assert sha256_file(path) == right(sim, file)
    took = time.monotonic() - began
    stats = sim.stats()
    assert stats["expired_links"] == 0, stats["expired_links"]
    # Eight seconds of reading, more on a busy machine.
    assert 2 <= stats["links_by_file"][file] <= 2 + took / 3


def test_links_by_signature_are_accepted_and_the_token_is_not_asked_for_them(another, make, mode):
    sim = another("--client-secret", SECRET)
    run = make(sim=sim, FSMVP_FETCH_MODE=mode, FSMVP_CLIENT_SECRET=SECRET).configure('link_auth = "hmac"\n').start()
    for tag in ("plain", "Ünïcode & = ? +/% recipient"):
        file = sim.add(6 * MiB + 5)
        assert sha256_file(run.stage(file, tag)) == right(sim, file, tag)
    signed = sim.stats()["signed"]
    assert signed["accepted"] >= 2 and not signed.get("refused"), signed
    assert sim.stats()["unwanted"] in ({}, [], 0), sim.stats()["unwanted"]


# An origin that refuses


@pytest.mark.parametrize("status, after", [(429, 1), (429, 0), (503, 0)])
def test_an_origin_that_allows_few_connections_is_not_asked_for_more_and_more(sim, running, status, after):
    run = running()
    file = sim.add(48 * MiB)
    sim.set(max_connections=3, limit_status=status, limit_retry_after=after, rate_per_connection="8MiB")
    assert sha256_file(run.stage(file)) == right(sim, file)
    item = run.cli("staged", "--json").json[0]
    assert item.get("failure") is None
    stats = sim.stats()
    assert 0 < stats["limited"] < 30, stats["limited"]


def test_several_files_of_an_origin_that_allows_few_connections(sim, running):
    run = running()
    files = [sim.add(6 * MiB) for _ in range(6)]
    paths = [run.stage(file) for file in files]
    sim.set(max_connections=4, limit_status=429, limit_retry_after=1, rate_per_connection="8MiB")
    readings = [Reading(path, order) for path, order in zip(paths, ["sequential", "random", "tail-first"] * 2)]
    got = [reading.result(120) for reading in readings]
    assert [one["errno"] for one in got] == [None] * 6, got
    assert [one["sha256"] for one in got] == [right(sim, file) for file in files]


def test_an_origin_that_is_gone_for_three_seconds(another, make, mode):
    sim = another("--separate-storage")
    run = make(sim=sim, FSMVP_FETCH_MODE=mode).start()
    file = sim.add(24 * MiB)
    path = run.stage(file)
    # Slow at first, so that most of it is still to come when the origin goes.
    sim.set(rate=3 * MiB)
    readings = [Reading(path, order) for order in ("sequential", "random")]
    wait_until(lambda: run.item(path)["bytesFetched"] >= 4 * MiB)
    began = time.monotonic()
    sim.post("refuse", {"seconds": 3})
    sim.set(rate=12 * MiB)
    for reading in readings:
        got = reading.result()
        assert got["errno"] is None and got["short"] is None and got["sha256"] == right(sim, file), got["errno"]
    assert time.monotonic() - began > 2.5
    assert run.item(path).get("failure") is None


def test_a_storage_whose_certificate_is_not_to_be_trusted_is_an_error_with_that_name(another, make, mode, tmp_path):
    pem, key = certificate(tmp_path, "storage")
    sim = another("--separate-storage", "--storage-tls-cert", pem, "--storage-tls-key", key)
    run = make(sim=sim, FSMVP_FETCH_MODE=mode).configure('stall_timeout = "4s"\n').start()
    file = sim.add(4 * MiB)
    path = run.stage(file)
    got = Reading(path, "sequential").result(30)
    assert got["errno"] == errno.EIO and got["bytes"] == 0, got
    failure = run.item(path)["failure"]
    assert "certificate" in failure and "ca_file" in failure, failure
    assert run.stop() == 0
    run.configure(f'ca_file = "{pem}"\n').start()
    assert sha256_file(path) == right(sim, file)
