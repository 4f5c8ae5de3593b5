"""Versions, events, repeated requests, exports and health of the bucket API; the command line."""

import base64
import json
import threading
import uuid

from buckets import Bucket, api_socket, ask, own_socket, refused, sha
from instance import wait_until


def test_versions(bucket):
    for text in (b"one", b"two", b"three"):
        bucket.upload("/f", text)
    bucket.post("mv", source_path="/f", dest_path="/g")
    history = bucket.post("history").json["entries"]
    assert [entry["height"] for entry in history] == [4, 3, 2, 1, 0]
    assert set(history[0]) == {"link_hash", "height", "published", "created_at"}
    assert [e["height"] for e in bucket.post("history", page=1, page_size=2).json["entries"]] == [2, 1]
    link = history[2]["link_hash"]
    for at in (2, "2", link, {"codec": 113, "hash": link}):
        assert base64.b64decode(bucket.post("cat", path="/f", at=at).json["content"]) == b"two"
        assert bucket.names(at=at) == ["/f"]
    assert bucket.cat("/f", at=link).body == b"two" and bucket.cat("/f", at=1).body == b"one"
    assert bucket.names(at=0) == [] and bucket.names() == ["/g"]
    refused(bucket.post("ls", at="nonsense"), 400)
    refused(bucket.post("ls", at=99), 404)
    refused(bucket.cat("/f", at="zz"), 400)
    told = bucket.post("stat").json
    assert told["height"] == 4 and told["link"]["hash"] == history[0]["link_hash"] and told["peers"][0]["is_self"]


def test_events(bucket):
    assert bucket.ask("GET", f"/api/v0/bucket/events?bucket_id={bucket.id}").json == {
        "seq": 0, "height": 0, "events": [], "reset": False,
    }  # fmt: skip
    client = {"X-Client-Id": "me"}
    etag = bucket.upload("/d/f", b"x", client).json["etag"]
    bucket.post("mkdir", path="/e")
    bucket.post("mv", client, source_path="/d", dest_path="/e/d")
    bucket.post("delete", path="/e/d/f")
    told = bucket.events(0)
    assert [(e["seq"], e["kind"], e["path"], e.get("from"), e["origin"]) for e in told["events"]] == [
        (1, "mkdir", "/d", None, "me"),
        (2, "add", "/d/f", None, "me"),
        (3, "mkdir", "/e", None, ""),
        (4, "mv", "/e/d", "/d", "me"),
        (5, "remove", "/e/d/f", None, ""),
    ]
    assert told["events"][1]["etag"] == etag and told["seq"] == 5 and told["height"] == 4
    assert bucket.events(3)["events"] == told["events"][3:]
    assert bucket.events(5) == {"seq": 5, "height": 4, "events": [], "reset": False}
    assert bucket.events(6)["reset"], "of no past of this bucket"
    # A client that waits gets what happens, at once, and nothing of other buckets.
    got = []
    waiting = threading.Thread(target=lambda: got.append(bucket.events(5, timeout=60)))
    waiting.start()
    other = Bucket(bucket.connect, "other")
    other.upload("/x", b"")
    bucket.upload("/late", b"")
    waiting.join(60)
    assert [event["path"] for event in got[0]["events"]] == ["/late"]
    assert bucket.events(6, timeout=1)["events"] == []
    refused(bucket.ask("GET", f"/api/v0/bucket/events?bucket_id={bucket.id}&since=x"), 400)
    refused(bucket.upload("/x", b"", {"X-Client-Id": "x" * 200}), 400)


def test_a_repeated_request_is_done_once(bucket):
    key = {"Idempotency-Key": "k1"}
    first = bucket.upload("/f", b"x", key)
    again = bucket.upload("/f", b"x", key)
    assert again.json == first.json and again.headers["ETag"] == first.headers["ETag"] and bucket.height == 1
    refused(bucket.upload("/f", b"y", key), 422)
    key = {"Idempotency-Key": "k2"}
    assert bucket.post("mv", key, source_path="/f", dest_path="/g").status == 200
    assert bucket.post("mv", key, source_path="/f", dest_path="/g").status == 200
    refused(bucket.post("mv", source_path="/f", dest_path="/g"), 404)
    refused(bucket.upload("/f", b"", {"Idempotency-Key": "k" * 256}), 400)


def test_an_export_is_a_tree_on_the_disk(server, bucket, tmp_path):
    for path in ("/a/b.txt", "/c"):
        bucket.upload(path, path.encode())
    target = tmp_path / "out"
    answer = bucket.post("export", target_dir=str(target))
    assert answer.status == 200, answer
    assert answer.json["files_exported"] == 2 and answer.json["height"] == 2 and answer.json["bucket_name"] == "b"
    assert answer.json["hash_map"] == {"/a/b.txt": sha(b"/a/b.txt"), "/c": sha(b"/c")}
    assert (target / "a/b.txt").read_bytes() == b"/a/b.txt" and (target / "c").read_bytes() == b"/c"
    refused(bucket.post("export", target_dir=str(target)), 409)
    refused(bucket.post("export", target_dir=str(tmp_path / "none" / "x")), 400)
    refused(bucket.post("export", target_dir="relative"), 400)
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_what_one_machine_does_not_have_is_not_implemented(bucket):
    for name in ("publish", "latest-published", "share", "shares", "unshare", "ping"):
        refused(bucket.post(name), 501)


def test_health(server):
    for connect in (own_socket(server), api_socket(server)):
        assert ask(connect, "GET", "/_status/livez").json == {"status": "ok"}
        assert ask(connect, "GET", "/_status/readyz").json == {"status": "ok"}
        assert "fuse" in ask(connect, "GET", "/_status/version").json["features"]
        assert ask(connect, "GET", "/_status/identity").json["node_id"]


def test_a_file_is_listed_within_a_moment_of_its_upload(bucket):
    bucket.upload("/now", b"x")
    assert bucket.names() == ["/now"]
    wait_until(lambda: bucket.events(0)["events"], what="its event")


def test_the_command_line(server):
    made = server.cli("bucket", "create", "from the shell")
    assert made.code == 0 and str(uuid.UUID(made.out.strip())) == made.out.strip()
    listed = server.cli("bucket", "list", "--json").json
    assert [b["name"] for b in listed if b["bucket_id"] == made.out.strip()] == ["from the shell"]
    assert made.out.strip() in server.cli("bucket", "list").out
    assert json.loads(server.cli("bucket", "create", "j", "--json").out)["name"] == "j"
    for words in (["create"], ["create", ""], ["list", "x"], ["nonsense"], ["create", "a", "b"], []):
        assert server.cli("bucket", *words).code == 2, words
    failed = server.cli("bucket", "create", "x" * 300)
    assert failed.code == 2 and "Invalid name" in failed.err
