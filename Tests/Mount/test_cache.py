"""The bytes on disk: how many there may be, which go when there is no room, which are kept or fetched ahead."""

import os
import subprocess

import pytest
from house import MiB, wait_until
from readers import Background, sha256, sha256_file

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")


def bytes_files(run):
    return [os.path.join(folder, name) for folder, _, files in os.walk(run.cache) for name in files if name.endswith(".bytes")]


def on_disk(run):
    return sum(os.stat(path).st_blocks * 512 for path in bytes_files(run))


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


def configured(run, text):
    config = run.folder / "config.toml"
    config.write_text(text)
    run.environment["FSMVP_CONFIG"] = str(config)
    return run


class SmallDisk:
    """A tmpfs over an instance's cache folder, and a stranger who fills it."""

    def __init__(self, run, size):
        self.path = str(run.cache)
        os.makedirs(self.path, mode=0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "small", self.path], check=True)
        self.ballast = f"{self.path}/ballast"

    def free(self):
        about = os.statvfs(self.path)
        return about.f_bavail * about.f_frsize

    def fill(self, leaving):
        with open(self.ballast, "ab") as file:
            os.posix_fallocate(file.fileno(), 0, file.tell() + self.free() - leaving)

    def close(self):
        subprocess.run(["umount", "-l", self.path], check=True)


@pytest.fixture
def small(make):
    """Makes instances whose cache is a disk of its own, started with no space kept free."""
    made = []

    def small(size, settings='min_free = 0\nmax_cache = "1GiB"\nclose_grace = "100ms"\n'):
        run = configured(make(), settings)
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
    assert "freed" in run.cli("cache", "clear").out
    assert run.cli("cache", "clear").out == "Nothing was to be dropped.\n"
    assert not bytes_files(run)


# Pin and warm


def test_a_pin_fills_without_an_open_and_survives_every_way_of_dropping_and_a_restart(sim, make):
    run = configured(make(), 'after_upload = "drop-bytes"\nclose_grace = "100ms"\n').start()
    file = sim.add(8 * MiB)
    path = run.stage(file)
    assert run.cli("pin", path).out == f"pinned {path}\n"
    assert run.item(path)["pinned"] and run.item(path)["openRef"] == 0
    wait_until(lambda: fetched(run, path) == 8 * MiB, what="a pinned item is fetched though nobody has it open")
    once = sent(sim, file)
    assert read(path) == right(sim, file)
    assert run.cli("cache", "clear", "--json").json["items"] == 0
    wait_until(lambda: run.item(path)["openRef"] == 0)
    assert read(path) == right(sim, file) and sent(sim, file) == once

    # Everything dies: its bytes are proven and taken up again without an open.
    for pid in run.shims():
        os.kill(pid, 9)
    run.kill()
    run.start()
    wait_until(lambda: run.item(path)["pinned"] and fetched(run, path) == 8 * MiB, limit=20)
    # In order: its bytes go with the stop, and come again.
    assert run.stop() == 0
    before = sent(sim, file)
    run.start()
    wait_until(lambda: fetched(run, path) == 8 * MiB, limit=20)
    assert sent(sim, file) >= before + 8 * MiB
    assert run.cli("unpin", os.path.basename(os.path.dirname(path)), "--json").json["pinned"] is False
    assert run.cli("cache", "clear", "--json").json == {"items": 1, "bytes": 8 * MiB}


def test_warm_brings_both_ends_before_any_open_and_then_the_rest(sim, run):
    file = sim.add(16 * MiB)
    middle = sim.gate(file=file, **{"from": 8 * MiB})
    done = run.cli("stage", file, "--recipient", "somebody", "--warm")
    assert done.code == 0, done
    path = done.out.rstrip("\n")
    wait_until(lambda: fetched(run, path) >= 2 * MiB, what="the ends come while the middle is held up")
    assert run.item(path)["openRef"] == 0
    ranges = [(r["start"], r["end"]) for r in sim.stats()["ranges"] if r["file"] == file]
    assert any(start == 0 for start, _ in ranges[:2]) and any(end == 16 * MiB for _, end in ranges[:2]), ranges
    sim.release(middle)
    wait_until(lambda: fetched(run, path) == 16 * MiB)
    once = sent(sim, file)
    assert read(path) == right(sim, file) and sent(sim, file) == once, "nothing was fetched at the open"


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
    assert len(bytes_files(run)) == 3
    for path, sum in zip(paths, want):
        assert read(path) == sum


@needs_root
def test_no_room_and_nothing_to_drop_is_a_named_error_and_never_a_short_read(sim, small):
    run, disk = small("16m")
    first, second = sim.add(9 * MiB), sim.add(9 * MiB)
    path, other = run.stage(first), run.stage(second)
    with open(path, "rb", buffering=0) as stream:
        stream.read(4096)
        with pytest.raises(OSError):
            open(other, "rb").read()
        failure = run.item(other)["failure"]
        assert "no room" in failure and "9 MiB needed" in failure and str(run.cache) in failure, failure
        pinned = run.cli("pin", other)
        assert pinned.code == 1 and "no room" in pinned.err and "not pinned" in pinned.err
        assert not run.item(other)["pinned"]
    wait_until(lambda: run.item(path)["openRef"] == 0)
    wait_until(lambda: attempt(other) == right(sim, second), what="once the first is idle there is room")
    assert run.item(other).get("failure") is None


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
def test_a_full_disk_with_nothing_to_drop_is_told_by_name_and_the_next_read_goes_on_once_there_is_room(sim, small):
    run, disk = small("32m")
    file = sim.add(16 * MiB)
    path = run.stage(file)
    gate = sim.gate(file=file, **{"from": 4 * MiB})
    fd = os.open(path, os.O_RDONLY)
    try:
        os.pread(fd, MiB, 0)
        disk.fill(leaving=MiB)
        reading = Background(os.pread, fd, MiB, 12 * MiB)
        sim.release(gate)
        wait_until(lambda: run.item(path).get("failure"))
        failure = run.item(path)["failure"]
        assert "No space left" in failure and str(run.cache) in failure and "temp_dir" in failure, failure
        try:
            assert len(reading.result()) == MiB, "whole, or an error"
        except OSError:
            pass
        os.unlink(disk.ballast)
        wait_until(lambda: attempt(path) == right(sim, file))
        assert run.item(path).get("failure") is None
    finally:
        os.close(fd)


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
    huge = run.stage(sim.add(21 * MiB))
    with pytest.raises(OSError):
        open(huge, "rb").read()
    assert "max_cache" in run.item(huge)["failure"]


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
