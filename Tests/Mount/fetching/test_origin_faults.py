"""An origin that misbehaves: right bytes, or an error; never a short or a wrong read."""

import pytest
from instance import MiB, wait_until
from readers import Background, once_forgotten, sha256, sha256_file

SIZE = 24 * MiB + 777


@pytest.fixture
def staged(sim, run):
    file = sim.add(SIZE, "clip.mp4")
    return file, run.stage(file, "tag"), run


RECOVERED = {
    "cut": {"after": 300_000, "count": 5},
    "reset": {"after": 100_000, "count": 5},
    "reset before the head": {"kind": "reset", "after": 0, "count": 3},
    "short": {"bytes": 70_000, "count": 4},
    "503": {"kind": "status", "status": 503, "count": 3},
    "429 with Retry-After": {"kind": "status", "status": 429, "retry_after": 1, "count": 2},
    "403, link expired": {"kind": "status", "status": 403, "count": 1, "from": 2 * MiB},
    "410, link expired": {"kind": "status", "status": 410, "count": 1},
    "401, link expired": {"kind": "status", "status": 401, "count": 1},
    "whole body for a range": {"kind": "whole_body", "count": 2},
    "wrong start": {"kind": "wrong_start", "count": 2},
    "wrong total once": {"kind": "gzip", "count": 1},
    "html with 200": {"kind": "html_page", "count": 1},
    "html with 206": {"kind": "html_range", "count": 1},
}


@pytest.mark.parametrize("name", RECOVERED)
def test_recovers_from(sim, staged, name):
    file, path, run = staged
    fault = {"kind": name, "file": file} | RECOVERED[name]
    sim.post("fault", fault)
    with sim.content(file, "tag") as right:
        assert sha256_file(path) == sha256(right), name


def test_all_links_revoked_in_the_middle(sim, staged):
    file, path, run = staged
    sim.gate(file=file, **{"from": 8 * MiB})
    reading = Background(sha256_file, path)
    wait_until(lambda: run.item(path)["bytesFetched"] >= 4 * MiB)
    sim.post("revoke", {"file": file})
    sim.release()
    assert reading.result() == sha256(sim.content(file, "tag"))


FINAL = {
    "wrong total for ever": {"kind": "wrong_total", "count": 0},
    "html for ever": {"kind": "html_page", "count": 0},
    "html ranges for ever": {"kind": "html_range", "count": 0},
    "gone": {"kind": "status", "status": 404, "count": 0},
    "refused": {"kind": "status", "status": 403, "count": 0},
    "gzip for ever": {"kind": "gzip", "count": 0},
}


@pytest.mark.parametrize("name", FINAL)
def test_gives_an_error_never_wrong_bytes(sim, make, name):
    run = make().configure('stall_timeout = "5s"\n').start()
    file = sim.add(SIZE, "clip.mp4")
    path = run.stage(file, "tag")
    sim.post("fault", {"file": file} | FINAL[name])
    with open(path, "rb", buffering=0) as stream:
        with pytest.raises(OSError):
            stream.read(4096)
        # While it is open: after the last close a length that the origin insists on is the file's.
        item = run.item(path)
        assert item["bytesFetched"] == 0 and item["failure"]
    if name != "wrong total for ever":  # errors are forgotten after a second: the next read tries again
        sim.post("reset")
        assert once_forgotten(lambda: sha256_file(path)) == sha256(sim.content(file, "tag"))


def test_a_source_that_changes_is_never_mixed(sim, staged):
    file, path, run = staged
    sim.gate(file=file, **{"from": 12 * MiB})
    old = sim.bytes(file, "tag")
    with open(path, "rb", buffering=0) as stream:
        assert stream.read(MiB) == old[:MiB]
        sim.post("change", {"file": file})
        sim.release()
        got = bytearray(old[:MiB])
        with pytest.raises(OSError):
            while data := stream.read(MiB):
                got += data
    assert got == old[: len(got)]


def test_a_stalled_connection_is_replaced(sim, make):
    run = make()
    config = run.folder / "config.toml"
    config.write_text('idle_timeout = "2s"\n')
    run.environment["FSMVP_CONFIG"] = str(config)
    run.start()
    file = sim.add(SIZE)
    path = run.stage(file, "tag")
    sim.fault("stall", file, after=100_000, count=2)
    assert sha256_file(path) == sha256(sim.content(file, "tag"))


def test_a_slow_origin_is_no_error(sim, staged):
    file, path, run = staged
    sim.set(rate="6MiB")
    try:
        assert sha256_file(path) == sha256(sim.content(file, "tag"))
    finally:
        sim.set(rate=0)


def test_tokens_are_renewed(sim, run):
    assert run.cli("jobs").code == 0
    sim.post("revoke", {"tokens": True})
    assert run.cli("jobs").code == 0


def test_storage_never_sees_the_token(sim, staged):
    file, path, run = staged
    sha256_file(path)
    stats = sim.stats()
    assert "authorization" not in str(stats.get("forbidden", "")).lower(), stats


def test_head_middle_and_tail_at_once(sim, staged):
    file, path, run = staged
    # The whole of it takes far longer than the three readers.
    sim.set(rate="1MiB")
    right = sim.bytes(file, "tag")
    places = [0, SIZE // 2, SIZE - 4096]

    def read(offset):
        with open(path, "rb", buffering=0) as stream:
            stream.seek(offset)
            return stream.read(4096)

    readers = [Background(read, offset) for offset in places]
    for offset, reader in zip(places, readers):
        assert reader.result(20) == right[offset : offset + 4096]
    assert run.item(path)["bytesFetched"] < SIZE  # the tail did not wait for the middle
    sim.set(rate=0)
