"""Odd, passing and legal answers of an origin and of the service, through a real mount: right bytes by hash, or the
error that is due."""

import errno
import os
import time

import pytest
from instance import PATIENCE, MiB, wait_until
from reading_process import Reading
from readers import Background, Direct, sha256, sha256_file

MODES = ["temp-file", "range-lru"]
KiB = 1 << 10
SIZE = 3 * MiB + 777


@pytest.fixture(params=MODES)
def mode(request):
    return request.param


@pytest.fixture
def running(make, mode):
    """Starts an instance in the mode, with such a configuration."""
    return lambda settings="": make(FSMVP_FETCH_MODE=mode).configure(settings).start()


def right(sim, file):
    return sha256(sim.content(file, "tag"))


def asked(sim, file):
    """The requests for bytes of the file."""
    return [entry for entry in sim.stats()["ranges"] if entry["file"] == file]


# Links that end


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_a_link_that_ends_in_the_middle_of_an_upload_breaks_nothing_whatever_it_is_answered(sim, running, status):
    run = running()
    file = sim.add(64 * MiB)
    path = run.stage(file, "tag")
    gate = sim.gate(file=file, **{"from": 8 * MiB})
    reading = Background(sha256_file, path)
    wait_until(lambda: run.item(path)["bytesFetched"] >= 2 * MiB)
    links = sim.stats()["links_by_file"][file]
    sim.post("revoke", {"file": file, "status": status})
    sim.release(gate)
    assert reading.result() == right(sim, file)
    stats = sim.stats()
    assert stats["revoked_links"], "the old link was not used again"
    assert stats["links_by_file"][file] - links <= 2
    assert run.item(path).get("failure") is None


def test_an_expired_link_that_s3_answers_with_400_is_replaced(sim, running):
    run = running()
    sim.set(link_seconds=1, expired_status=400)
    file = sim.add(24 * MiB)
    reader = Direct(run.stage(file, "tag"))
    # A first read, so that it has its link by now.
    assert reader.read(0, 64 * KiB) == sim.bytes(file, "tag", 0, 64 * KiB)
    sim.set(link_seconds=3600)
    offsets = iter(range(MiB, 24 * MiB, MiB))

    def has_met_the_end():
        offset = next(offsets)
        assert reader.read(offset, 64 * KiB) == sim.bytes(file, "tag", offset, 64 * KiB)
        time.sleep(0.3)
        return sim.stats()["expired_links"]

    wait_until(has_met_the_end, what="a request with a link that has ended")
    # The one is counted with the request, the other with its answer.
    wait_until(
        lambda: (stats := sim.stats())["statuses"].get("400") == stats["expired_links"],
        what="each of them is answered with 400",
    )
    reader.close()


# Answers that pass

#: Each lasts for seconds.
PASSING = {
    **{
        str(status): {"kind": "status", "status": status}
        for status in (204, 304, 400, 401, 403, 404, 409, 425, 500, 502, 503)
    },
    "206 of another place": {"kind": "wrong_start", "by": 512},
    "the whole file": {"kind": "whole_body"},
    "other ETag": {"kind": "other_etag"},
    "reset": {"kind": "reset", "after": 0},
    "no bytes": {"kind": "short", "bytes": 0},
}


def test_answers_that_pass_after_eight_seconds_end_no_reader_of_a_file_that_was_read_before(sim, running):
    run = running()
    readings = []
    for name, fault in PASSING.items():
        file = sim.add(SIZE, "clip.mp4")
        path = run.stage(file, "tag")
        gate = sim.gate(file=file, **{"from": MiB})
        reader = Direct(path)
        assert reader.read(0, 64 * KiB) == sim.bytes(file, "tag", 0, 64 * KiB)
        reader.close()
        sim.post("fault", {"file": file, "for_ms": 8000} | fault)
        sim.release(gate)
        readings.append((name, file, path, Reading(path, "tail-first")))
    for name, file, path, reading in readings:
        got = reading.result(3 * PATIENCE)
        assert got["errno"] is None and got["short"] is None, (name, run.item(path).get("failure"))
        assert got["sha256"] == right(sim, file), name
        assert run.item(path).get("failure") is None, name
    assert set(sim.stats()["faults"]) == {fault["kind"] for fault in PASSING.values()}


def test_statuses_that_pass_after_eight_seconds_end_no_reader_of_a_new_file(sim, running):
    run = running()
    readings = []
    for name, fault in PASSING.items():
        if fault["kind"] in ("status", "reset"):
            file = sim.add(SIZE, "clip.mp4")
            path = run.stage(file, "tag")
            sim.post("fault", {"file": file, "for_ms": 8000} | fault)
            readings.append((name, file, path, Reading(path, "sequential")))
    for name, file, path, reading in readings:
        got = reading.result(3 * PATIENCE)
        assert got["errno"] is None and got["short"] is None, (name, run.item(path).get("failure"))
        assert got["sha256"] == right(sim, file), name


def test_a_link_that_is_not_known_everywhere_for_eight_seconds_ends_no_reader(sim, running):
    run = running()
    sim.set(link_ready_seconds=8)
    file = sim.add(SIZE)
    path = run.stage(file, "tag")
    assert Background(sha256_file, path).result(3 * PATIENCE) == right(sim, file)
    assert sim.stats()["statuses"]["404"] and sim.stats()["links_by_file"][file] <= 4


@pytest.mark.parametrize("fault", [{"status": 400}, {"status": 404}, {"status": 500}, {"status": 304}])
def test_a_service_that_refuses_links_for_a_while_ends_no_reader(sim, running, fault):
    run = running()
    file = sim.add(SIZE)
    path = run.stage(file, "tag")
    reader = Direct(path)
    gate = sim.gate(file=file, **{"from": MiB})
    assert reader.read(0, 64 * KiB) == sim.bytes(file, "tag", 0, 64 * KiB)
    sim.post("fault", {"kind": "status", "route": "downloads", "for_ms": 5000} | fault)
    sim.post("revoke", {"file": file})
    sim.release(gate)
    got = Reading(path, "sequential").result(3 * PATIENCE)
    assert got["errno"] is None and got["sha256"] == right(sim, file), run.item(path).get("failure")
    assert sim.stats()["faults"]["status"] and sim.stats()["revoked_links"]
    assert run.item(path).get("failure") is None
    reader.close()


# Legal answers


def header(name, value="", instead=False):
    return {"kind": "header", "name": name, "value": value, "as": "instead" if instead else "more"}


LEGAL = {
    "aws-chunked": header("Content-Encoding", "aws-chunked"),
    "identity": header("Content-Encoding", "identity"),
    "Content-Type twice": header("Content-Type", "application/octet-stream"),
    "no Content-Type": header("Content-Type", instead=True),
    "Content-Range twice": header("Content-Range", "bytes {first}-{last}/{total}"),
    "Content-Range without total": header("Content-Range", "bytes {first}-{last}/*", instead=True),
    "Content-Range with an equals sign": header("content-range", "BYTES={first}-{last}/{total}", instead=True),
    "Content-Range with blanks": header("CONTENT-RANGE", "Bytes  {first} - {last} / {total}", instead=True),
    "two ETags": header("ETag", '"another"'),
    "ETag without quotes": header("ETag", "abc", instead=True),
    "a date that is none": header("Last-Modified", "yesterday", instead=True),
    "Accept-Ranges none": header("Accept-Ranges", "none", instead=True),
    "Retry-After": header("Retry-After", "100"),
    "Location": header("Location", "http://127.0.0.1:1/elsewhere"),
    "Content-Location": header("Content-Location", "http://127.0.0.1:1/elsewhere"),
    "Content-Disposition": header("Content-Disposition", 'attachment; filename="index.html"'),
    "a digest of something else": header("Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA=="),
    "Alt-Svc": header("Alt-Svc", 'h3=":1"; ma=3600'),
    "Refresh": header("Refresh", "0; url=http://127.0.0.1:1/"),
    "a long header": header("X-Amz-Meta-Notes", "x" * 8000),
    "a part of the range": {"kind": "part", "bytes": 100_001},
    "more than the range": {"kind": "wide", "by": 4096},
    "chunked": {"kind": "long", "bytes": 0, "as": "chunked"},
    "to the end of the connection": {"kind": "long", "bytes": 0, "as": "close"},
}


@pytest.mark.parametrize("order", ["sequential", "tail-first"])
def test_legal_answers_are_taken(sim, running, order):
    run = running()
    readings = []
    for name, fault in LEGAL.items():
        file = sim.add(SIZE, "clip.mp4")
        path = run.stage(file, "tag")
        sim.post("fault", {"file": file, "count": 0} | fault)
        readings.append((name, file, path, Reading(path, order)))
    for name, file, path, reading in readings:
        got = reading.result(3 * PATIENCE)
        assert got["errno"] is None and got["short"] is None, (name, run.item(path).get("failure"))
        assert got["sha256"] == right(sim, file), name
        assert run.item(path).get("failure") is None, name
        # Nothing was asked for twice, but to compare answers that show no strong ETag.
        links = sim.stats()["links_by_file"][file]
        assert links == 1, (name, links)


@pytest.mark.parametrize("name", ["page.html", "data.json", "feed.xml"])
def test_a_file_that_is_a_page_is_no_page_in_place_of_the_file(sim, running, name):
    run = running()
    kind = {"html": "text/html; charset=utf-8", "json": "application/json", "xml": "text/xml"}[name.rsplit(".", 1)[1]]
    file = sim.add(SIZE, name)
    sim.post("fault", {"file": file, "count": 0} | header("Content-Type", kind, instead=True))
    assert sha256_file(run.stage(file, "tag")) == right(sim, file)


# No ranges


@pytest.mark.parametrize("size", [1, 4095, 4097, SIZE, 20 * MiB])
def test_an_origin_without_ranges_is_read_whole(sim, running, size):
    run = running()
    sim.set(ranges=False)
    file = sim.add(size)
    path = run.stage(file, "tag")
    offset = size // 2 // 4096 * 4096
    reader = Direct(path)
    assert reader.read(offset, 4096) == sim.bytes(file, "tag", offset, min(4096, size - offset))
    assert sha256_file(path) == right(sim, file)
    assert run.item(path).get("failure") is None
    reader.close()


# Errors


def read_direct(path):
    reader = Direct(path)
    try:
        return reader.read(0, 64 * KiB)
    finally:
        reader.close()


def read_buffered(path):
    with open(path, "rb", buffering=0) as stream:
        return os.read(stream.fileno(), 64 * KiB)


@pytest.mark.parametrize("fault", [{"kind": "html_page"}, {"kind": "wrong_start"}, {"kind": "gzip"}])
def test_wrong_answers_cost_a_buffered_reader_no_more_requests_than_an_o_direct_one(sim, running, fault):
    run = running()
    counts = []
    for read in (read_direct, read_buffered):
        file = sim.add(64 * KiB, "clip.mp4")
        path = run.stage(file, "tag")
        sim.post("fault", {"file": file, "count": 0} | fault)
        with pytest.raises(OSError) as raised:
            Background(read, path).result(3 * PATIENCE)
        assert raised.value.errno == errno.EIO and run.item(path)["failure"]
        counts.append(len(asked(sim, file)))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("fault", [{"kind": "stall", "after": 0}, {"kind": "status", "status": 503}])
def test_a_buffered_reader_waits_stall_timeout_once(sim, running, fault):
    run = running('stall_timeout = "4s"\n')
    counts = []
    for read in (read_direct, read_buffered):
        file = sim.add(64 * KiB, "clip.mp4")
        path = run.stage(file, "tag")
        sim.post("fault", {"file": file, "count": 0} | fault)
        with pytest.raises(OSError) as raised:
            Background(read, path).result(3 * PATIENCE)
        assert raised.value.errno == errno.EIO and "stall_timeout" in run.item(path)["failure"]
        counts.append(len(asked(sim, file)))
    # A second wait would have made all of its requests again.
    assert counts[0] >= 2 and counts[1] <= counts[0] + 1, counts
