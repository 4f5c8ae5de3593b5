"""Names come, go and come back, and the kernel's caches never tell an old story."""

import os
import threading

import pytest
from api_connection import ApiConnection
from instance import MiB, wait_until


def names(run):
    return sorted(os.listdir(f"{run.mount}/Staged"))


def test_ls_is_right_at_once_after_staging_and_unstaging(sim, run):
    assert names(run) == []
    for _ in range(10):
        path = run.stage(sim.add(4096), "tag")
        assert os.path.basename(os.path.dirname(path)) in names(run)
    before = names(run)
    assert len(before) == 10
    assert run.cli("unstage", path).code == 0
    assert names(run) == [name for name in before if name not in path]
    assert run.cli("unstage", "--all").code == 0
    assert names(run) == []


def test_a_name_staged_unstaged_and_staged_again(sim, run):
    file = sim.add(3 * MiB, "clip.mp4")
    right = sim.bytes(file, "tag")
    inodes = set()
    descriptors = []
    for round in range(5):
        path = run.stage(file, "tag")
        folder = os.path.dirname(path)
        assert os.listdir(folder) == ["clip.mp4"]
        status = os.stat(path)
        assert status.st_ino not in inodes and status.st_size == 3 * MiB
        inodes.add(status.st_ino)
        fd = os.open(path, os.O_RDONLY)
        descriptors.append(fd)
        assert os.pread(fd, 1000, 5) == right[5:1005]
        assert run.cli("unstage", path).code == 0
        with pytest.raises(FileNotFoundError):
            os.stat(path)
        with pytest.raises(FileNotFoundError):
            open(path, "rb")
        with pytest.raises(FileNotFoundError):
            os.listdir(folder)
    for fd in descriptors:  # opened before the name went: reads on
        assert os.fstat(fd).st_size == 3 * MiB
        assert os.pread(fd, 3 * MiB, 0) == right
        os.close(fd)
    wait_until(lambda: not bytes_files(run), what="the bytes of unstaged, closed files are dropped")


def bytes_files(run):
    return [name for _, _, files in os.walk(run.cache) for name in files if name.endswith(".bytes")]


def test_same_file_and_recipient_is_the_standing_item(sim, run):
    file = sim.add(MiB)
    first = run.cli("stage", file, "--recipient", "tag", "--json").json
    before = os.stat(first["path"])
    second = run.cli("stage", file, "--recipient", "tag", "--json").json
    assert (second["id"], second["path"]) == (first["id"], first["path"])
    assert os.stat(first["path"]) == before
    assert len(run.cli("staged", "--json").json) == 1


def test_size_mtime_and_inode_stand_from_stage_to_release(sim, run):
    file = sim.add(8 * MiB)
    path = run.stage(file, "tag")
    seen = set()

    def look():
        status = os.stat(path)
        seen.add((status.st_size, status.st_mtime_ns, status.st_ino))

    look()
    with open(path, "rb") as stream:
        look()
        while stream.read(MiB):
            look()
            run.stage(sim.add(100), "other")
    look()
    assert len(seen) == 1


def test_one_tile_keeps_the_open_upload(sim, make):
    run = make()
    config = run.folder / "config.toml"
    config.write_text('max_tiles = 1\nclose_grace = "200ms"\n')
    run.environment["FSMVP_CONFIG"] = str(config)
    run.start()
    a, b = sim.add(2 * MiB, "a.mp4"), sim.add(2 * MiB, "b.mp4")
    path_a = run.stage(a, "tag")
    right = sim.bytes(a, "tag")
    with open(path_a, "rb", buffering=0) as stream:
        assert stream.read(1000) == right[:1000]
        path_b = run.stage(b, "tag")
        items = {item["path"]: (item["tileRef"], item["openRef"]) for item in run.cli("staged", "--json").json}
        assert items == {path_a: (0, 1), path_b: (1, 0)}
        assert stream.read() == right[1000:]
    wait_until(lambda: [item["path"] for item in run.cli("staged", "--json").json] == [path_b])
    with pytest.raises(FileNotFoundError):
        os.stat(path_a)
    assert os.stat(path_b).st_size == 2 * MiB


def test_a_failed_stage_leaves_the_idle_tile(sim, make):
    run = make()
    config = run.folder / "config.toml"
    config.write_text("max_tiles = 1\nclose_grace = 0\n")
    run.environment["FSMVP_CONFIG"] = str(config)
    run.start()
    path = run.stage(sim.add(1000), "tag")
    assert run.cli("stage", "f" * 24, "--recipient", "tag").code == 4
    assert os.stat(path).st_size == 1000


def test_a_listing_of_10000_while_items_come_and_go(sim, run):
    ids = [f"{0xA00000 + n:024x}" for n in range(10_000)]
    sim.post("file", [{"id": ident, "size": 1000, "name": "clip.mp4"} for ident in ids])
    standing = set()
    lock = threading.Lock()
    todo = list(ids)

    def stage():
        connection = ApiConnection(run)
        while True:
            with lock:
                if not todo:
                    return
                ident = todo.pop()
            path = connection.stage(ident)["path"]
            with lock:
                standing.add(os.path.basename(os.path.dirname(path)))

    threads = [threading.Thread(target=stage) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(standing) == 10_000
    assert set(os.listdir(f"{run.mount}/Staged")) == standing

    stop = threading.Event()
    others = [sim.add(1000) for _ in range(20)]

    def churn():
        connection = ApiConnection(run)
        while not stop.is_set():
            items = [connection.stage(ident) for ident in others]
            for item in items:
                connection.unstage(item["id"])

    churner = threading.Thread(target=churn)
    churner.start()
    try:
        for _ in range(8):
            listing = os.listdir(f"{run.mount}/Staged")
            assert len(listing) == len(set(listing)), "an entry came twice"
            assert standing <= set(listing), f"{len(standing - set(listing))} standing entries are missing"
    finally:
        stop.set()
        churner.join()
