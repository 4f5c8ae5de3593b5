"""The bytes on disk: how many there may be, which go when there is no room, which are kept or fetched ahead."""

import contextlib
import errno
import os
import subprocess
import time

import pytest
from instance import MiB, wait_until
from reading_process import Reading
from readers import Background, Direct, sha256, sha256_file
from small_disk import SmallDisk, needs_root


def bytes_files(run):
    return [
        os.path.join(folder, name)
        for folder, _, files in os.walk(run.cache)
        for name in files
        if name.endswith(".bytes")
    ]


def on_disk(run):
    total = 0
    for path in bytes_files(run):
        # It may be removed during the look.
        with contextlib.suppress(FileNotFoundError):
            total += os.stat(path).st_blocks * 512
    return total


def right(sim, file, tag="somebody"):
    with sim.content(file, tag) as stream:
        return sha256(stream)


def sent(sim, file):
    return sim.stats()["bytes_sent"].get(file, 0)


def read(path):
    assert os.path.exists(path)
    return sha256_file(path)


def fetched(run, path):
    return run.item(path)["bytesFetched"]


def closed(run, *paths):
    """Waits until nothing has them open: the kernel tells of a close a moment later."""
    wait_until(lambda: all(run.item(path)["openRef"] == 0 for path in paths), what="closed files")


#: A closed item may go at once, and no space is kept free.
NO_GRACE = 'min_free = 0\nmax_cache = "1GiB"\nclose_grace = 0\n'


@pytest.fixture
def small(make):
    """Makes instances whose cache is a disk of its own, and starts them."""
    made = []

    def small(size, settings=NO_GRACE):
        run = make().configure(settings)
        disk = SmallDisk(run, size)
        made.append((run, disk))
        return run.start(), disk

    yield small
    for run, disk in made:
        run.destroy()
        disk.close()
        run.destroy()


# Clear


def test_clear_takes_what_is_idle_and_leaves_what_is_open(sim, make):
    run = make().start()
    idle, busy = sim.add(6 * MiB), sim.add(5 * MiB)
    idle_path, busy_path = run.stage(idle), run.stage(busy)
    want_idle, want_busy = right(sim, idle), right(sim, busy)
    assert read(idle_path) == want_idle
    closed(run, idle_path)
    with open(busy_path, "rb", buffering=0) as stream:
        head = stream.read(MiB)
        wait_until(lambda: fetched(run, busy_path) == 5 * MiB)
        shown = run.cli("cache", "--json").json
        assert shown["bytes"] == 11 * MiB and shown["folder"].startswith(str(run.cache))
        assert {item["open"] for item in shown["items"]} == {True, False}
        before = sent(sim, idle), sent(sim, busy)

        cleared = run.cli("cache", "clear", "--json").json
        assert cleared == {"items": 1, "bytes": 6 * MiB}
        assert len(bytes_files(run)) == 1 and on_disk(run) < 6 * MiB, "free when it returns"
        assert len(run.cli("staged", "--json").json) == 2, "both stay staged"
        assert sha256_file(busy_path) == want_busy
        assert head + stream.read() == sim.bytes(busy, "somebody")

    assert read(idle_path) == want_idle
    assert sent(sim, idle) >= before[0] + 6 * MiB, "the kernel had forgotten the pages, and all was fetched again"
    assert sent(sim, busy) == before[1]
    closed(run, idle_path, busy_path)
    assert "freed" in run.cli("cache", "clear").out
    assert run.cli("cache", "clear").out == "Nothing was to be dropped.\n"
    assert not bytes_files(run)


# Pin and warm


def test_a_pin_fills_without_an_open_and_survives_every_way_of_dropping_and_a_restart(sim, make):
    run = make().configure('after_upload = "drop-bytes"\nclose_grace = "100ms"\n').start()
    file = sim.add(8 * MiB)
    path = run.stage(file)
    assert run.cli("pin", path).out == f"pinned {path}\n"
    assert run.item(path)["pinned"] and run.item(path)["openRef"] == 0
    wait_until(lambda: fetched(run, path) == 8 * MiB, what="a pinned item is fetched though nobody has it open")
    once = sent(sim, file)
    assert read(path) == right(sim, file)
    assert run.cli("cache", "clear", "--json").json["items"] == 0
    wait_until(lambda: run.item(path)["openRef"] == 0)
    assert read(path) == right(sim, file) and sent(sim, file) <= once + 4

    # Everything dies: its bytes are proven and taken up again without an open.
    for pid in run.shims():
        os.kill(pid, 9)
    run.kill()
    run.start()
    wait_until(lambda: run.item(path)["pinned"] and fetched(run, path) == 8 * MiB, limit=20)
    # Pinned bytes survive a stop: the next start has them, and all that is fetched is what proves their version.
    assert run.stop() == 0
    before = sent(sim, file)
    run.start()
    wait_until(lambda: fetched(run, path) == 8 * MiB, limit=20)
    assert read(path) == right(sim, file) and sent(sim, file) < before + MiB
    wait_until(lambda: run.item(path)["openRef"] == 0)
    assert run.cli("unpin", os.path.basename(os.path.dirname(path)), "--json").json["pinned"] is False
    # Its reader had all of it, so `after_upload` may drop its bytes before the order comes.
    cleared = run.cli("cache", "clear", "--json").json
    assert cleared in ({"items": 1, "bytes": 8 * MiB}, {"items": 0, "bytes": 0})
    assert run.cli("cache", "--json").json["items"] == []


def test_warm_brings_both_ends_before_any_open_and_then_the_rest(sim, run):
    file = sim.add(16 * MiB)
    middle = sim.gate(file=file, **{"from": 8 * MiB})
    done = run.cli("stage", file, "--recipient", "somebody", "--warm")
    assert done.code == 0, done
    path = done.out.rstrip("\n")
    wait_until(lambda: fetched(run, path) >= 2 * MiB, what="the ends come while the middle is held up")
    assert run.item(path)["openRef"] == 0
    ranges = [(r["start"], r["end"]) for r in sim.stats()["ranges"] if r["file"] == file]
    # They come on new connections, whose order is not fixed.
    assert any(start == 0 for start, _ in ranges[:4]) and any(end == 16 * MiB for _, end in ranges[:4]), ranges
    sim.release(middle)
    wait_until(lambda: fetched(run, path) == 16 * MiB)
    once = sent(sim, file)
    assert read(path) == right(sim, file) and sent(sim, file) <= once + 1, (
        "nothing but a question was asked at the open"
    )


# Room


@needs_root
def test_an_open_without_room_drops_what_was_closed_longest_ago(sim, small):
    run, disk = small("24m")
    files = [sim.add(7 * MiB) for _ in range(4)]
    paths = [run.stage(file) for file in files]
    want = [right(sim, file) for file in files]
    for index in range(3):
        assert read(paths[index]) == want[index]
    wait_until(lambda: all(run.item(path)["openRef"] == 0 for path in paths))
    assert read(paths[0]) == want[0], "used again: it is not the oldest any more"
    wait_until(lambda: run.item(paths[0])["openRef"] == 0)

    assert read(paths[3]) == want[3]
    assert [fetched(run, path) > 0 for path in paths] == [True, False, True, True]
    wait_until(lambda: len(bytes_files(run)) == 3, what="the dropped bytes are off the disk")
    for path, sum in zip(paths, want):
        assert read(path) == sum


@needs_root
def test_an_open_without_room_and_nothing_to_drop_streams_through_memory(sim, small):
    run, disk = small("16m")
    first, second = sim.add(9 * MiB), sim.add(9 * MiB)
    path, other = run.stage(first), run.stage(second)
    with open(path, "rb", buffering=0) as stream:
        stream.read(4096)
        pinned = run.cli("pin", other)
        assert pinned.code == 1 and "no room" in pinned.err and "not pinned" in pinned.err
        assert not run.item(other)["pinned"], "what is to be kept needs a place to be kept in"
        with open(other, "rb", buffering=0) as upload:
            assert upload.read(4096) == sim.bytes(second, "somebody", 0, 4096)
            item = run.item(other)
            assert item["windowed"] is True and item.get("failure") is None, item
            assert run.says("no room") and run.says("9 MiB needed")
            assert sha256_file(other) == right(sim, second)
        assert run.item(path).get("windowed", False) is False
        assert len(bytes_files(run)) == 1
    # After the last close, the next open of the second finds room.
    wait_until(lambda: run.item(path)["openRef"] == 0 and not run.item(other)["windowed"], what="the end of both")
    assert read(other) == right(sim, second)
    item = run.item(other)
    assert not item["windowed"] and item.get("failure") is None and item["bytesFetched"] == 9 * MiB, item


@needs_root
def test_an_open_without_room_and_without_a_window_is_a_named_error(sim, small):
    """A file so long that no window's map holds it."""
    run, disk = small("16m")
    path = run.stage(sim.add(3 << 40))
    with pytest.raises(OSError) as error:
        open(path, "rb").read(4096)
    assert error.value.errno == errno.ENOSPC
    failure = run.item(path)["failure"]
    assert "no room" in failure and "3 TiB needed" in failure and str(run.cache) in failure, failure


def attempt(path):
    try:
        return sha256_file(path)
    except OSError:
        return None


@needs_root
def test_a_disk_that_another_fills_under_an_upload_costs_idle_bytes_and_not_the_upload(sim, small):
    run, disk = small("32m")
    idle, file = sim.add(8 * MiB), sim.add(16 * MiB)
    idle_path, path = run.stage(idle), run.stage(file)
    want = right(sim, file)
    assert read(idle_path) == right(sim, idle)
    wait_until(lambda: run.item(idle_path)["openRef"] == 0)
    gate = sim.gate(file=file, **{"from": 4 * MiB})
    upload = Background(sha256_file, path)
    wait_until(lambda: fetched(run, path) >= 2 * MiB)
    disk.fill(leaving=7 * MiB)
    sim.release(gate)
    assert upload.result() == want
    assert fetched(run, idle_path) == 0 and run.item(path).get("failure") is None


@needs_root
@pytest.mark.parametrize(
    "orders", [["sequential"], ["random"], ["sequential", "random"], ["tail-first", "sequential"]], ids="+".join
)
def test_a_disk_that_another_fills_under_an_upload_with_nothing_to_drop_costs_no_reader_a_byte(sim, small, orders):
    run, disk = small("32m")
    file = sim.add(20 * MiB)
    path = run.stage(file)
    want = right(sim, file)
    gate = sim.gate(file=file, **{"from": 4 * MiB})
    readings = [Reading(path, order, seed=number) for number, order in enumerate(orders)]
    # A reader that jumps about fetches no more than it reads, and its first read may be behind the gate.
    wait_until(lambda: run.item(path)["openRef"] == len(orders))
    disk.fill(leaving=MiB)
    sim.release(gate)
    with open(path, "rb"):
        for reading in readings:
            got = reading.result()
            assert got["errno"] is None and got["short"] is None and got["sha256"] == want, got
        item = run.item(path)
        assert item["windowed"] is True and item.get("failure") is None, item


@needs_root
def test_a_file_that_went_on_through_memory_is_kept_again_once_there_is_room(sim, small):
    run, disk = small("32m")
    file = sim.add(16 * MiB)
    path = run.stage(file)
    gate = sim.gate(file=file, **{"from": 4 * MiB})
    upload = Background(sha256_file, path)
    wait_until(lambda: fetched(run, path) >= 2 * MiB)
    disk.fill(leaving=MiB)
    with open(path, "rb"):
        sim.release(gate)
        assert upload.result() == right(sim, file)
        assert run.item(path)["windowed"] is True
    os.unlink(disk.ballast)
    wait_until(lambda: not run.item(path)["windowed"], what="the end of its window")
    before = sent(sim, file)
    # A reader without the kernel's cache, which would not ask for pages that it has.
    reader = Direct(path)
    assert b"".join(reader.read(offset, MiB) for offset in range(0, 16 * MiB, MiB)) == sim.bytes(file, "somebody")
    wait_until(lambda: fetched(run, path) == 16 * MiB, what="all of it on the disk")
    reader.close()
    assert run.item(path)["windowed"] is False and run.item(path).get("failure") is None
    assert sent(sim, file) < before + 15 * MiB, "what the disk had is not fetched again"


@needs_root
@pytest.mark.parametrize("when", ["at the open", "in the middle"])
def test_deaths_while_a_file_streams_because_its_disk_is_full_cost_no_reader_a_byte(sim, small, when):
    run, disk = small("32m")
    file = sim.add(24 * MiB)
    path = run.stage(file)
    if when == "at the open":
        disk.fill(leaving=MiB)
    # They last for longer than all the deaths, and are let go afterwards.
    sim.set(rate=MiB)
    readings = [Reading(path, order) for order in ("sequential", "random")]
    wait_until(lambda: fetched(run, path) >= 2 * MiB)
    if when == "in the middle":
        disk.fill(leaving=MiB)
    wait_until(lambda: run.item(path)["windowed"], what="it streams")
    for death in (run.kill, lambda: os.kill(run.shim_pid(), 9), lambda: run.cli("reload"), run.kill):
        death()
        if run.process.poll() is not None:
            run.start()
        assert any(reading.process.poll() is None for reading in readings), "too late"
        time.sleep(0.3)
    sim.set(rate=0)
    for reading in readings:
        got = reading.result()
        assert got["errno"] is None and got["short"] is None and got["sha256"] == right(sim, file), got
    wait_until(lambda: run.item(path)["openRef"] == 0)
    assert run.item(path).get("failure") is None


@needs_root
def test_the_limit_is_of_all_items_together_and_min_free_is_left_alone(sim, small):
    run, disk = small("64m", 'max_cache = "20MiB"\nmin_free = "30MiB"\nclose_grace = 0\n')
    files = [sim.add(9 * MiB) for _ in range(3)]
    paths = [run.stage(file) for file in files]
    for file, path in zip(files, paths):
        assert read(path) == right(sim, file)
        wait_until(lambda: run.item(path)["openRef"] == 0)
        assert on_disk(run) <= 20 * MiB
    shown = run.cli("cache", "--json").json
    assert (shown["limit"], shown["minFree"]) == (20 * MiB, 30 * MiB)
    assert shown["bytes"] == 18 * MiB and shown["free"] >= 30 * MiB
    disk.fill(leaving=38 * MiB)
    assert read(paths[0]) == right(sim, files[0]), "one more gives its bytes for what stays free"
    disk.fill(leaving=35 * MiB)
    file = sim.add(21 * MiB)
    huge = run.stage(file)
    with open(huge, "rb", buffering=0) as stream:
        assert sha256(stream) == right(sim, file)
        assert run.item(huge)["windowed"] is True and run.says("max_cache")
    assert on_disk(run) <= 20 * MiB and disk.free() >= 30 * MiB


# Hostile


@needs_root
def test_a_cache_that_became_read_only_is_a_sentence(sim, small):
    run, disk = small("32m")
    path = run.stage(sim.add(MiB))
    subprocess.run(["mount", "-o", "remount,ro", disk.path], check=True)
    with pytest.raises(OSError):
        open(path, "rb").read()
    failure = run.item(path)["failure"]
    assert "Read-only file system" in failure and str(run.cache) in failure, failure
    assert run.cli("cache").code == 0
    subprocess.run(["mount", "-o", "remount,rw", disk.path], check=True)
    wait_until(lambda: attempt(path) is not None)


def test_a_cache_folder_that_was_removed_is_a_sentence(sim, run):
    path = run.stage(sim.add(MiB))
    (folder,) = run.cache.iterdir()
    folder.rmdir()
    with pytest.raises(OSError):
        open(path, "rb").read()
    failure = run.item(path)["failure"]
    assert str(folder) in failure and "cache_dir" in failure, failure
    assert run.cli("cache").code in (0, 1)
    assert run.cli("cache", "clear").code == 0
    assert run.cli("pin", path).code == 1
