"""Large bodies in little memory, limits of bodies, full disks, and lists that are damaged or newer."""

import contextlib
import hashlib
import os
import sqlite3
import subprocess

import pytest

from buckets import Bucket, ask, form, own_socket
from instance import MiB, wait_until


def memory(run):
    """The most that the process held in memory so far, in bytes."""
    with open(f"/proc/{run.process.pid}/status") as status:
        return int(next(line.split()[1] for line in status if line.startswith("VmHWM"))) * 1024


BLOCK = bytes(range(256)) * 4096


def blocks(count):
    for index in range(count):
        yield bytes([index % 251]) + BLOCK[1:]


def test_a_large_body_streams_in_and_out_in_little_memory(run):
    bucket = Bucket(own_socket(run))
    bucket.upload("/warm", BLOCK)
    before = memory(run)
    count = 384
    right = hashlib.sha256()
    for block in blocks(count):
        right.update(block)
    answer = bucket.upload("/large", blocks(count))
    assert answer.status == 200 and answer.json["etag"] == right.hexdigest() and answer.json["size"] == count * MiB
    connection = bucket.connect()
    connection.request("GET", f"/api/v0/bucket/cat?bucket_id={bucket.id}&path=/large")
    got = hashlib.sha256()
    response = connection.getresponse()
    while piece := response.read(MiB):
        got.update(piece)
    connection.close()
    assert got.hexdigest() == right.hexdigest()
    connection = bucket.connect()
    connection.request(
        "POST", "/api/v0/bucket/cat", b'{"bucket_id":"%s","path":"/large"}' % bucket.id.encode(),
        {"Content-Type": "application/json"},
    )  # fmt: skip
    length = 0
    response = connection.getresponse()
    while piece := response.read(MiB):
        length += len(piece)
    connection.close()
    assert length > count * MiB * 4 / 3
    assert bucket.patch("/large", 5, b"12345").json["size"] == count * MiB
    assert bucket.cat("/large", {"Range": "bytes=3-11"}).body == BLOCK[3:5] + b"12345" + BLOCK[10:12]
    assert memory(run) < before + 24 * MiB


def test_a_body_over_the_limit_is_refused(make):
    run = make().configure('bucket_max_body = "1MiB"\n').start()
    bucket = Bucket(own_socket(run))
    assert bucket.upload("/f", BLOCK).status == 200
    for body in (BLOCK + b"x", iter([BLOCK, b"x"])):
        answer = bucket.upload("/g", body)
        assert answer.status == 413 and "bucket_max_body" in answer.body.decode(), answer
    body, headers = form([("bucket_id", bucket.id), ("mount_path", "/")], [("file", "h", BLOCK)])
    assert bucket.ask("POST", "/api/v0/bucket/add", body, headers).status == 413
    assert bucket.tree() == {"/f": BLOCK}


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")
def test_a_full_disk_is_507_and_nothing_is_half_done(make):
    run = make()
    folder = run.state / "buckets"
    folder.mkdir(parents=True, mode=0o700)
    os.chmod(run.state, 0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=700", "small", str(folder)], check=True)
    try:
        run.start()
        bucket = Bucket(own_socket(run))
        assert bucket.upload("/kept", BLOCK).status == 200
        answer = bucket.upload("/announced", BLOCK * 20)
        assert answer.status == 507 and "full" in answer.body.decode(), answer
        answer = bucket.upload("/chunked", blocks(20))
        assert answer.status == 507, answer
        body, headers = form([("bucket_id", bucket.id), ("mount_path", "/")], [("file", "x", BLOCK), ("file", "y", b"y" + BLOCK * 11)])
        assert bucket.ask("POST", "/api/v0/bucket/add", iter([body]), headers).status == 507
        assert bucket.tree() == {"/kept": BLOCK} and bucket.height == 1
        assert list((folder / "blobs" / "new").iterdir()) == []
        # Not a byte is left: names cannot be changed, and are as they were once there is room.
        ballast = folder / "ballast"
        with open(ballast, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"\0" * 4096):
                pass
        statuses = {bucket.post("mkdir", path=f"/{index:0200}").status for index in range(300)}
        assert statuses <= {200, 507} and 507 in statuses, statuses
        ballast.unlink()
        assert bucket.cat("/kept").body == BLOCK
        assert bucket.post("mkdir", path="/again").status == 200
        assert bucket.height == len(bucket.names()), "a version for each that was answered, and none besides"
        assert run.stop() == 0
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_damaged_list_is_put_aside_and_the_mount_goes_on(run):
    bucket = Bucket(own_socket(run))
    bucket.upload("/f", b"bytes")
    run.stop()
    path = run.state / "buckets" / "buckets.sqlite"
    content = path.read_bytes()
    path.write_bytes(b"\7" * 4096 + content[4096:])
    run.start()
    assert run.says("buckets.damaged")
    assert run.cli("bucket", "list", "--json").json == []
    assert len(list(path.parent.glob("buckets.sqlite.damaged-*[0-9]"))) == 1
    assert len(list((path.parent / "blobs").glob("??/*"))) == 1, "the bytes stay"


def test_a_list_of_a_newer_version_is_not_touched(run):
    Bucket(own_socket(run))
    run.stop()
    path = run.state / "buckets" / "buckets.sqlite"
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    run.start()
    failed = run.cli("bucket", "list")
    assert failed.code == 1 and "newer version" in failed.err and "schema 99" in failed.err
    assert run.cli("status").code == 0
    assert ask(own_socket(run), "GET", "/_status/readyz").status == 503


def test_old_versions_are_given_up(make):
    run = make().configure("bucket_versions = 10\n").start()
    bucket = Bucket(own_socket(run))
    for index in range(128):
        assert bucket.upload("/f", f"version {index}".encode()).status == 200
    folder = run.state / "buckets" / "blobs"
    wait_until(lambda: len(list(folder.glob("??/*"))) == 10, what="ten versions' bytes are left")
    assert bucket.cat("/f").body == b"version 127" and bucket.cat("/f", at=119).body == b"version 118"
    answer = bucket.cat("/f", at=118)
    assert answer.status == 404 and "119" in answer.body.decode()


def test_the_demo_has_a_bucket(make):
    run = make(sim=None).start("--demo")
    (listed,) = run.cli("bucket", "list", "--json").json
    assert listed["name"] == "demo" and listed["height"] > 2
    answer = ask(own_socket(run), "POST", "/api/v0/bucket/ls", {"bucket_id": listed["bucket_id"], "deep": True})
    assert len(answer.json["items"]) > 3
    run.stop()
    run.start("--demo")
    assert len(run.cli("bucket", "list", "--json").json) == 1, "once"
