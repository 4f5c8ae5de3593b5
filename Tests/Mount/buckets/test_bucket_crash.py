"""A kill at each store of an upload, a move and a deletion: whole or not there at all, and nothing left over."""

import hashlib
import http.client
import sqlite3

import pytest

import kill_points
from buckets import Bucket, own_socket
from instance import is_alive, wait_until
from kill_points import CONTROL, Armed

POINTS = [name for name in CONTROL if name.startswith("bucket.")]

#: A change, which points it reaches, and the tree after it.
BEFORE = {"/a": None, "/a/f": b"old", "/g": b"g"}
CHANGES = {
    "upload": (
        lambda bucket: bucket.upload("/a/new", b"new bytes"),
        POINTS,
        BEFORE | {"/a/new": b"new bytes"},
    ),
    "replace": (lambda bucket: bucket.upload("/a/f", b"newer"), POINTS, BEFORE | {"/a/f": b"newer"}),
    "mv": (
        lambda bucket: bucket.post("mv", source_path="/a", dest_path="/n/b"),
        [name for name in POINTS if "transaction" in name],
        {"/g": b"g", "/n": None, "/n/b": None, "/n/b/f": b"old"},
    ),
    "delete": (
        lambda bucket: bucket.post("delete", path="/a"),
        [name for name in POINTS if "transaction" in name],
        {"/g": b"g"},
    ),
}


def test_there_is_a_point_between_any_two_stores():
    assert POINTS == sorted(
        f"bucket.{name}"
        for name in (
            "blob.written", "blob.renamed", "folder.synced", "transaction.begun", "transaction.written",
            "transaction.committed",
        )
    )  # fmt: skip


def blobs(run):
    folder = run.state / "buckets" / "blobs"
    return {path.parent.name + path.name for path in folder.glob("??/*")}, list((folder / "new").iterdir())


def referred(run):
    database = sqlite3.connect(f"file:{run.state}/buckets/buckets.sqlite?mode=ro", uri=True)
    try:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return {row[0] for row in database.execute("SELECT blob FROM entries WHERE blob IS NOT NULL")}
    finally:
        database.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("change", CHANGES)
def test_a_kill_at_each_store(make, tmp_path, monkeypatch, change):
    monkeypatch.setattr("instance.FSMVP", str(kill_points.PROGRAMS / "fsmvp"))
    act, points, after = CHANGES[change]
    armed = Armed(tmp_path / "kill")
    run = make(FSMVP_KILL_FILE=str(tmp_path / "kill")).start()
    for point in points:
        bucket = Bucket(own_socket(run), point)
        for path, content in BEFORE.items():
            if content is not None:
                assert bucket.upload(path, content).status == 200
        height = bucket.height
        fired = armed.fired
        armed.arm(point)
        answer = None
        try:
            answer = act(bucket)
        except (OSError, http.client.HTTPException):
            pass
        assert answer is None, f"{change} at {point} was answered: {answer}"
        assert armed.fired == fired + 1
        wait_until(lambda: not is_alive(run.process.pid), what=f"the end at {point}")
        run.process.wait()
        run.start()
        tree = bucket.tree()
        is_done = point == "bucket.transaction.committed"
        assert tree == (after if is_done else BEFORE), f"{change} at {point}"
        assert bucket.height == height + is_done
        for path, content in tree.items():
            if content is not None:
                assert bucket.cat(path).headers["ETag"] == f'"{hashlib.sha256(content).hexdigest()}"'
        wait_until(lambda: blobs(run) == (referred(run), []), what="no blob is left over or missing")
        # The same request again ends where it should have, at once.
        assert act(bucket).status in ((200,) if not is_done else (200, 404))
        assert bucket.tree() == after
    assert run.stop() == 0
    assert blobs(run) == (referred(run), [])


@pytest.mark.timeout(300)
def test_kills_under_load_lose_nothing_that_was_acknowledged(run):
    """Each file that was answered is there with its bytes, whatever the moment of the kill."""
    import threading

    bucket = Bucket(own_socket(run))
    acknowledged = {}

    def work(number):
        for index in range(1000):
            path, content = f"/{number}/{index}", f"{number} {index}".encode() * 100
            try:
                if bucket.upload(path, content).status != 200:
                    return
            except (OSError, http.client.HTTPException):
                return
            acknowledged[path] = content

    for _ in range(3):
        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        before = len(acknowledged)
        for thread in threads:
            thread.start()
        wait_until(lambda before=before: len(acknowledged) > before + 30 or not any(t.is_alive() for t in threads))
        run.kill()
        for thread in threads:
            thread.join()
        run.start()
        tree = bucket.tree()
        for path, content in acknowledged.items():
            assert tree[path] == content, path
        wait_until(lambda: blobs(run) == (referred(run), []), what="no blob is left over or missing")
