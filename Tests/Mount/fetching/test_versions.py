"""A file that changes at its origin, and origins that say little or odd things of versions: the bytes of one
version, or an error; never two."""

import errno
import os

import pytest
from instance import MiB, wait_until
from readers import Background, Direct, sha256, sha256_file
from small_disk import SmallDisk, needs_root

SIZE = 24 * MiB + 777
MODES = ["temp-file", "range-lru"]

#: The validators that an origin sends, by manner.
MANNERS = {
    "strong": {},
    "weak": {"etag": "weak"},
    "a date alone": {"etag": "none"},
    "a date that stands still": {"etag": "weak", "date_changes": False},
    "nothing": {"etag": "none", "last_modified": False},
}


@pytest.fixture(autouse=True)
def plain(sim):
    yield
    sim.post("reset")


def pieces(reader, offsets, length=MiB):
    """The bytes read at each offset, or None for an error."""
    got = []
    for offset in offsets:
        try:
            got.append((offset, reader.read(offset, length)))
        except OSError as error:
            assert error.errno == errno.EIO, error
            got.append((offset, None))
    return got


def of_one_version(got, *versions):
    """Whether all bytes are of one of these versions, and of which."""
    fits = [
        number
        for number, right in enumerate(versions)
        if all(data is None or data == right[offset : offset + len(data)] for offset, data in got)
    ]
    assert fits, [(offset, data and data[:8]) for offset, data in got]
    return fits[0]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("manner", MANNERS)
def test_a_file_that_changes_while_the_control_plane_is_dead_is_never_mixed(sim, make, mode, manner):
    run = make(FSMVP_FETCH_MODE=mode).start()
    sim.set(**MANNERS[manner])
    file = sim.add(SIZE)
    gate = sim.gate(file=file, **{"from": 10 * MiB})
    reader = Direct(run.stage(file, "tag"))
    old = sim.bytes(file, "tag")
    got = pieces(reader, [0, MiB, 4 * MiB])
    assert all(data for _, data in got)
    run.kill()
    sim.post("change", {"file": file})
    sim.release(gate)
    new = sim.bytes(file, "tag")
    run.start()
    got += pieces(reader, [MiB, 12 * MiB, 20 * MiB, 8 * MiB])
    assert of_one_version(got, old, new) == 0
    assert got[4][1] is None, "only the new version is to be had"
    reader.close()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("manner", MANNERS)
def test_a_file_that_stays_the_same_is_read_on_after_a_death_of_the_control_plane(sim, make, mode, manner):
    run = make(FSMVP_FETCH_MODE=mode).start()
    sim.set(**MANNERS[manner])
    file = sim.add(SIZE)
    reader = Direct(run.stage(file, "tag"))
    right = sim.bytes(file, "tag")
    got = pieces(reader, [0, 4 * MiB])
    run.kill()
    run.start()
    got += pieces(reader, [MiB, 12 * MiB, 0])
    assert all(data == right[offset : offset + MiB] for offset, data in got)
    reader.close()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("moment", ["between two ranges", "in the middle of a range", "between two links"])
def test_a_file_that_changes_while_it_is_read_is_never_mixed(sim, make, mode, manner, moment):
    run = make(FSMVP_FETCH_MODE=mode).start()
    sim.set(**MANNERS[manner])
    file = sim.add(SIZE)
    path = run.stage(file, "tag")
    old = sim.bytes(file, "tag")
    gate = sim.gate(file=file, **{"from": 3 * MiB})
    reader = Direct(path)
    got = pieces(reader, [0, MiB])
    if moment == "in the middle of a range":
        waiting = Background(pieces, reader, [3 * MiB, 16 * MiB])
        wait_until(lambda: sim.stats()["held"] > 0, what="a request that is held")
    sim.post("change", {"file": file})
    if moment == "between two links":
        sim.post("revoke", {"file": file})
    sim.release(gate)
    if moment == "in the middle of a range":
        got += waiting.result()
    got += pieces(reader, [5 * MiB, 20 * MiB, 12 * MiB])
    assert of_one_version(got, old, sim.bytes(file, "tag")) == 0
    assert any(data is None for _, data in got)
    assert "fsmvp unstage" in run.item(path)["failure"]
    reader.close()


@needs_root
@pytest.mark.parametrize("manner", MANNERS)
def test_a_window_beside_a_full_disk_is_of_the_version_that_the_file_is_of(sim, make, manner):
    run = make().configure('min_free = 0\nmax_cache = "1GiB"\nclose_grace = 0\n')
    disk = SmallDisk(run, "32m")
    try:
        run.start()
        sim.set(**MANNERS[manner])
        file = sim.add(16 * MiB)
        path = run.stage(file, "tag")
        gate = sim.gate(file=file, **{"from": 4 * MiB})
        reader = Direct(path)
        old = sim.bytes(file, "tag")
        got = pieces(reader, [0, MiB])
        wait_until(lambda: run.item(path)["bytesFetched"] >= 2 * MiB)
        disk.fill(leaving=MiB // 2)
        sim.post("change", {"file": file})
        sim.release(gate)
        got += pieces(reader, [8 * MiB, 12 * MiB, 14 * MiB])
        assert of_one_version(got, old, sim.bytes(file, "tag")) == 0
        reader.close()
    finally:
        run.destroy()
        disk.close()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fault", [{"kind": "wrong_total", "by": 5}, {"kind": "other_etag"}])
def test_one_stray_answer_does_not_make_a_file_unreadable(sim, make, mode, fault):
    run = make(FSMVP_FETCH_MODE=mode).start()
    file = sim.add(SIZE)
    path = run.stage(file, "tag")
    right = sim.bytes(file, "tag")
    with open(path, "rb", buffering=0) as stream:
        assert stream.read(MiB) == right[:MiB]
        sim.post("fault", {"file": file, "count": 1} | fault)
        assert stream.read() == right[MiB:]
    assert run.item(path).get("failure") is None


@pytest.mark.parametrize("mode", MODES)
def test_an_origin_that_is_right_again_is_read_again_without_a_close(sim, make, mode):
    run = make(FSMVP_FETCH_MODE=mode).start()
    file = sim.add(SIZE)
    path = run.stage(file, "tag")
    right = sim.bytes(file, "tag")
    gate = sim.gate(file=file, **{"from": 8 * MiB})
    reader = Direct(path)
    assert reader.read(0, MiB) == right[:MiB]
    sim.post("fault", {"kind": "wrong_total", "file": file, "count": 0})
    sim.post("revoke", {"file": file})
    sim.release(gate)
    with pytest.raises(OSError):
        reader.read(20 * MiB, MiB)
    assert "fsmvp unstage" in run.item(path)["failure"]
    sim.post("reset")
    wait_until(lambda: pieces(reader, [20 * MiB])[0][1] is not None, what="the right bytes")
    assert reader.read(20 * MiB, MiB) == right[20 * MiB : 21 * MiB]
    assert run.item(path).get("failure") is None
    reader.close()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tags", ["edges", "erratic"])
def test_edges_that_call_the_same_bytes_by_different_etags_are_one_file(sim, make, mode, tags):
    run = make(FSMVP_FETCH_MODE=mode).start()
    sim.set(etag=tags)
    file = sim.add(SIZE)
    path = run.stage(file, "tag")
    assert sha256_file(path) == sha256(sim.content(file, "tag"))
    assert run.item(path).get("failure") is None


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("manner", MANNERS)
def test_a_file_that_was_replaced_is_read_in_its_new_version_after_the_last_close(sim, make, mode, manner):
    run = make(FSMVP_FETCH_MODE=mode).start()
    sim.set(**MANNERS[manner])
    file = sim.add(SIZE)
    path = run.stage(file, "tag")
    gate = sim.gate(file=file, **{"from": 8 * MiB})
    with open(path, "rb", buffering=0) as stream:
        assert stream.read(MiB) == sim.bytes(file, "tag", 0, MiB)
        sim.post("change", {"file": file})
        sim.release(gate)
        with pytest.raises(OSError):
            os.pread(stream.fileno(), MiB, 16 * MiB)
    wait_until(lambda: run.item(path)["openRef"] == 0)
    assert sha256_file(path) == sha256(sim.content(file, "tag"))
    assert run.item(path).get("failure") is None


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("manner", ["strong", "weak", "a date alone"])
def test_a_replaced_file_that_begins_as_the_old_one_is_read_in_its_new_version(sim, make, mode, manner):
    run = make(FSMVP_FETCH_MODE=mode).start()
    sim.set(**MANNERS[manner])
    file = sim.add(8 * MiB)
    path = run.stage(file, "tag")
    assert sha256_file(path) == sha256(sim.content(file, "tag"))
    wait_until(lambda: run.item(path)["openRef"] == 0)
    sim.post("change", {"file": file, "from": 100_000})
    right = sha256(sim.content(file, "tag"))

    def is_right():
        try:
            return sha256_file(path) == right
        except OSError:
            return False

    wait_until(is_right, what="the new version")


def test_bytes_that_changed_away_from_every_overlap_are_not_mixed(sim, make):
    """All validators are new, so all bytes that are here are compared."""
    run = make().start()
    file = sim.add(SIZE)
    with open(run.stage(file, "tag"), "rb", buffering=0) as stream:
        old = sim.bytes(file, "tag")
        gate = sim.gate(file=file, **{"from": 4 * MiB})
        assert stream.read(MiB) == old[:MiB]
        wait_until(lambda: sim.stats()["held"] > 0, what="nothing more comes")
        sim.post("change", {"file": file, "from": 300_000})
        assert sim.bytes(file, "tag", 0, MiB) != old[:MiB]
        sim.release(gate)
        try:
            got = os.pread(stream.fileno(), MiB, 12 * MiB)
        except OSError as error:
            assert error.errno == errno.EIO
        else:
            assert got == old[12 * MiB : 13 * MiB]


def test_a_file_that_was_empty_for_a_while_is_read_again_and_none_is_cut_short(sim, make):
    run = make().configure('close_grace = "1s"\n').start()
    file = sim.add(4 * MiB, "film.mp4")
    path = run.stage(file, "tag")
    sizes = set()
    for size in (0, 4 * MiB):
        sim.post("change", {"file": file, "size": size})
        right = sim.bytes(file, "tag") if size else b""

        def is_right():
            try:
                with open(path, "rb", buffering=0) as stream:
                    length = os.fstat(stream.fileno()).st_size
                    data = stream.read()
            except OSError:
                return False
            sizes.add((length, len(data or b"")))
            return data == right

        wait_until(is_right, what=f"the file of {size} bytes")
    assert {length for length, _ in sizes} <= {0, 4 * MiB}, sizes


def test_range_lru_and_an_origin_that_ignores_ranges(sim, make):
    run = make(FSMVP_FETCH_MODE="range-lru").start()
    file = sim.add(SIZE)
    path = run.stage(file, "tag")
    sim.post("fault", {"kind": "whole_body", "file": file, "count": 0})
    right = sim.bytes(file, "tag")
    reader = Direct(path)
    assert reader.read(16 * MiB, MiB) == right[16 * MiB : 17 * MiB]
    assert reader.read(0, MiB) == right[:MiB]
    reader.close()
    assert sha256_file(path) == sha256(sim.content(file, "tag"))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("how", ["replaced", "the same"])
def test_a_file_that_is_open_nowhere_is_read_as_the_origin_has_it_from_the_next_open_on(sim, make, mode, manner, how):
    run = make(FSMVP_FETCH_MODE=mode).start()
    sim.set(**MANNERS[manner])
    file = sim.add(4 * MiB)
    path = run.stage(file, "tag")
    assert sha256_file(path) == sha256(sim.content(file, "tag"))
    wait_until(lambda: run.item(path)["openRef"] == 0)
    before = sim.stats()["bytes_sent"][file]
    old = sha256(sim.content(file, "tag"))
    if how == "replaced":
        sim.post("change", {"file": file})
    right = sha256(sim.content(file, "tag"))

    def is_right():
        # An origin that takes longer than the question at an open may has the file replaced at its close.
        try:
            got = sha256_file(path)
        except OSError:
            assert how == "replaced"
            return False
        assert got in (old, right)
        return got == right

    wait_until(is_right, what="the file as the origin has it")
    if how == "the same" and mode == "temp-file":
        assert sim.stats()["bytes_sent"][file] < before + MiB


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("size", [3 * MiB + 7, 9 * MiB, 4 * MiB, 0])
def test_a_file_that_was_replaced_has_size_time_and_bytes_of_the_new_one_from_the_next_first_open_on(
    sim, make, mode, manner, size
):
    run = make(FSMVP_FETCH_MODE=mode).start()
    sim.set(**MANNERS[manner])
    file = sim.add(4 * MiB)
    path = run.stage(file, "tag")
    assert sha256_file(path) == sha256(sim.content(file, "tag"))
    wait_until(lambda: run.item(path)["openRef"] == 0)
    before = os.stat(path)
    sim.post("change", {"file": file, "size": size})

    def new():
        # An origin that takes longer than the question at an open may has the file replaced at its close.
        with open(path, "rb") as stream:
            try:
                return stream.read() == sim.bytes(file, "tag")
            except OSError:
                return False

    wait_until(new, what="the new version")
    after = os.stat(path)
    assert after.st_size == size and after.st_mtime_ns > before.st_mtime_ns and after.st_ino == before.st_ino
    item = run.item(path)
    assert item["size"] == size and item.get("failure") is None
    run.stop()
    run.start()
    assert os.stat(path).st_size == size and os.stat(path).st_mtime_ns == after.st_mtime_ns
    assert sha256_file(path) == sha256(sim.content(file, "tag"))


@pytest.mark.parametrize("mode", MODES)
def test_another_length_that_is_found_while_a_file_is_open_counts_from_its_last_close_on(sim, make, mode):
    run = make(FSMVP_FETCH_MODE=mode).start()
    file = sim.add(SIZE)
    path = run.stage(file, "tag")
    gate = sim.gate(file=file, **{"from": 8 * MiB})
    with open(path, "rb", buffering=0) as stream:
        assert stream.read(MiB) == sim.bytes(file, "tag", 0, MiB)
        sim.post("change", {"file": file, "size": 5 * MiB})
        sim.post("revoke", {"file": file})
        sim.release(gate)
        with pytest.raises(OSError):
            os.pread(stream.fileno(), MiB, 16 * MiB)
        assert os.fstat(stream.fileno()).st_size == SIZE
    wait_until(lambda: os.stat(path).st_size == 5 * MiB, what="the new length, by stat alone")
    assert sha256_file(path) == sha256(sim.content(file, "tag"))
    assert run.item(path).get("failure") is None


def test_a_pin_of_a_file_that_its_origin_refuses_says_so_and_goes_on_when_the_origin_is_right(sim, run):
    file = sim.add(SIZE)
    path = run.stage(file, "tag")
    sim.post("fault", {"kind": "wrong_total", "file": file, "count": 0})
    done = run.cli("pin", path)
    assert done.code != 0 and done.out == "" and "fsmvp unstage" in done.err and "right again" in done.err, done
    assert run.item(path)["pinned"]
    sim.post("reset")
    wait_until(
        lambda: run.item(path)["bytesFetched"] == run.item(path)["size"] == SIZE,
        what="the pinned file is fetched by itself",
    )
    assert sha256_file(path) == sha256(sim.content(file, "tag"))
    assert run.item(path).get("failure") is None


def test_an_origin_that_is_gone_does_not_keep_a_file_that_is_here_from_being_read(sim, make):
    run = make().start()
    file = sim.add(4 * MiB)
    path = run.stage(file, "tag")
    assert sha256_file(path) == sha256(sim.content(file, "tag"))
    wait_until(lambda: run.item(path)["openRef"] == 0)
    sim.post("refuse", {"on": True})
    assert sha256_file(path) == sha256(sim.content(file, "tag"))
    sim.post("refuse", {"on": False})
