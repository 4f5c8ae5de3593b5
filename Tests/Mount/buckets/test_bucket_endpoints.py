"""Every endpoint of the bucket API with its answers and its errors: buckets, listings, files, folders, moves, forms."""

import base64
import re
import threading
import time
import uuid

from buckets import ask, form, own_socket, refused, sha
from control_api import JSON
from instance import MiB


def test_a_bucket_is_made_and_listed(server):
    connect = own_socket(server)
    made = ask(connect, "POST", "/api/v0/bucket", {"name": "listed one"})
    assert made.status == 201 and made.json["name"] == "listed one", made
    assert str(uuid.UUID(made.json["bucket_id"])) == made.json["bucket_id"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", made.json["created_at"])
    ask(connect, "POST", "/api/v0/bucket/", {"name": "listed two"})
    listed = ask(connect, "POST", "/api/v0/bucket/list", {"prefix": "listed"})
    assert [entry["name"] for entry in listed.json["buckets"]] == ["listed two", "listed one"], listed
    assert set(listed.json["buckets"][0]) >= {"bucket_id", "name", "link", "created_at"}
    assert len(ask(connect, "POST", "/api/v0/bucket/list", {"prefix": "listed", "limit": 1}).json["buckets"]) == 1
    # A prefix is a text, and no pattern.
    assert ask(connect, "POST", "/api/v0/bucket/list", {"prefix": "%"}).json == {"buckets": []}
    for name in ("", "  ", "a\nb", "x" * 256):
        refused(ask(connect, "POST", "/api/v0/bucket", {"name": name}), 400, "Invalid name")


def test_requests_that_are_not_understood(server, bucket):
    connect = own_socket(server)
    refused(ask(connect, "POST", "/api/v0/bucket", b"{", JSON), 400)
    refused(ask(connect, "POST", "/api/v0/bucket", b"\xff\xfe", JSON), 400)
    refused(ask(connect, "POST", "/api/v0/bucket", b'{"name":"x"}', {"Content-Type": "text/plain"}), 415)
    refused(ask(connect, "POST", "/api/v0/bucket", b'{"name":"x"}'), 415)
    refused(ask(connect, "POST", "/api/v0/bucket", {}), 422, "name")
    refused(ask(connect, "POST", "/api/v0/bucket", {"name": 5}), 422)
    refused(ask(connect, "POST", "/api/v0/bucket/ls", {"bucket_id": "nonsense"}), 422)
    refused(ask(connect, "POST", "/api/v0/bucket/ls", {"bucket_id": str(uuid.uuid4())}), 404, "Bucket not found")
    refused(ask(connect, "POST", "/api/v0/buckets/nonsense/fs?mount_path=&filename=x", b""), 400)
    refused(ask(connect, "POST", f"/api/v0/buckets/{uuid.uuid4()}/fs?mount_path=&filename=x", b""), 404)
    refused(ask(connect, "POST", f"/api/v0/buckets/{bucket.id}/fs?mount_path=/", b""), 400, "filename")
    refused(ask(connect, "POST", f"/api/v0/buckets/{bucket.id}/fs?filename=x", b""), 400, "mount_path")
    for query in ("mount_path=%ff&filename=x", "mount_path=%zz&filename=x", "mount_path=a&filename=x&filename=y"):
        refused(ask(connect, "POST", f"/api/v0/buckets/{bucket.id}/fs?{query}", b""), 400)
    refused(ask(connect, "GET", "/api/v0/bucket/cat?path=/x"), 400, "bucket_id")
    refused(ask(connect, "GET", "/api/v0/bucket/cat?bucket_id=x&path=/x"), 400)
    refused(ask(connect, "POST", "/api/v0/bucket", {"name": "x" * (2 * MiB)}), 413)
    assert ask(connect, "GET", "/api/v0/bucket/nothing").body == b"not found"
    answer = ask(connect, "GET", "/api/v0/bucket/nothing", headers={"Accept": "application/json"})
    assert answer.status == 404 and answer.json == {"msg": "not found"}
    answer = ask(connect, "GET", "/api/v0/bucket/ls")
    assert answer.status == 405 and answer.headers["Allow"] == "POST"
    answer = ask(connect, "DELETE", "/api/v0/bucket/cat")
    assert answer.status == 405 and answer.headers["Allow"] == "POST, GET"


def test_a_file_is_stored_under_its_folder_and_name(bucket):
    answer = bucket.upload("/test.md", b"hello")
    assert answer.status == 200, answer
    assert answer.json == {
        "path": "/test.md",
        "link": {"codec": 85, "hash": sha(b"hello")},
        "size": 5,
        "etag": sha(b"hello"),
        "height": 1,
        "mtime_ns": answer.json["mtime_ns"],
    }
    assert answer.headers["ETag"] == f'"{sha(b"hello")}"'
    assert bucket.tree() == {"/test.md": b"hello"}
    # An empty mount_path is the root, as `/` is; folders that are missing are made.
    assert bucket.ask("POST", bucket.fs("/", "root"), b"1").status == 200
    assert bucket.upload("/deep/er/file", b"2").status == 200
    assert bucket.tree() == {
        "/deep": None,
        "/deep/er": None,
        "/deep/er/file": b"2",
        "/root": b"1",
        "/test.md": b"hello",
    }
    # The whole file is replaced.
    assert bucket.upload("/test.md", b"").json["height"] == 4
    assert bucket.cat("/test.md").body == b""
    refused(bucket.upload("/deep", b"x"), 409, "Is a directory")
    refused(bucket.upload("/test.md/below", b"x"), 409, "Not a directory")
    refused(bucket.ask("POST", bucket.fs("relative", "x"), b""), 400, "absolute")
    refused(bucket.ask("POST", bucket.fs("/a/../b", "x"), b""), 400)
    for name in ("", ".", "..", "a/b", "n" * 256):
        refused(bucket.ask("POST", bucket.fs("/", name), b""), 400)
    assert bucket.height == 4


NAMES = [
    " spaces at the ends ", "#?&%", "a+b=c", "new\nline", "tab\t", "quote\"back\\slash", "ünïcödé", "e\u0301", "é",
    "😀", "-", "~", "*", "[x]", "n" * 255, "ü" * 127, "._hidden", "%41", "CON", "a:b", "\x7f", "\u202e", "\ufeff",
]  # fmt: skip


def test_names_are_bytes(bucket):
    for index, name in enumerate(NAMES):
        assert bucket.upload(f"/f/{name}", str(index).encode()).status == 200, name
    items = bucket.post("ls", path="/f").json["items"]
    assert [item["name"] for item in items] == sorted(NAMES, key=lambda name: name.encode())
    for index, name in enumerate(NAMES):
        path = f"/f/{name}"
        assert bucket.cat(path).body == str(index).encode(), name
        assert base64.b64decode(bucket.post("cat", path=path).json["content"]) == str(index).encode()
        assert bucket.post("stat-path", path=path).json["name"] == name
        assert bucket.post("mv", source_path=path, dest_path=f"/g/{name}").status == 200
        headers = bucket.cat(f"/g/{name}", download="true").headers
        assert headers["Content-Disposition"].startswith("attachment; filename=")
        assert bucket.post("delete", path=f"/g/{name}").status == 200
    assert bucket.names("/", deep=True) == ["/f", "/g"]
    # Bytes that are no text cannot be a name of JSON or of a URL.
    refused(bucket.ask("POST", f"/api/v0/buckets/{bucket.id}/fs?mount_path=/&filename=%ff%fe", b""), 400, "UTF-8")
    refused(bucket.post("mkdir", path="/nul\0"), 400)
    half = b'{"bucket_id":"%s","path":"/\\ud800"}' % bucket.id.encode()
    refused(bucket.ask("POST", "/api/v0/bucket/mkdir", half, JSON), 400)


def test_listings(bucket):
    for path in ("/b/x", "/a.txt", "/b/c/y.mp4"):
        bucket.upload(path, path.encode())
    answer = bucket.post("ls")
    assert answer.json["height"] == 3 and answer.json["seq"] == 5
    (file, folder) = answer.json["items"]
    assert (folder["path"], folder["is_dir"], folder["etag"]) == ("/b", True, None)
    assert folder["mime_type"] == "inode/directory"
    assert (file["path"], file["name"], file["is_dir"], file["size"]) == ("/a.txt", "a.txt", False, 6)
    assert file["mime_type"] == "text/plain" and file["etag"] == sha(b"/a.txt") and file["height"] == 2
    assert abs(file["mtime_ns"] / 1e9 - time.time()) < 3600
    assert bucket.names("/b") == ["/b/c", "/b/x"]
    assert bucket.names("/b", deep=True) == ["/b/c", "/b/c/y.mp4", "/b/x"], "absolute, below a folder too"
    assert bucket.names("/b/") == bucket.names("/b")
    refused(bucket.post("ls", path="/none"), 404)
    refused(bucket.post("ls", path="/a.txt"), 409, "Not a directory")
    refused(bucket.post("ls", path="b"), 400)
    one = bucket.post("stat-path", path="/b/x").json
    assert one["size"] == 4 and one["bucket_height"] == 3 and one["path"] == "/b/x"
    assert bucket.post("stat-path", path="/").json["is_dir"]
    refused(bucket.post("stat-path", path="/b/none"), 404, "Path not found: /b/none")
    refused(bucket.post("stat-path", path="/a.txt/x"), 404)


def test_a_listing_of_thousands_is_whole_and_in_order(bucket):
    fields = [("bucket_id", bucket.id), ("mount_path", "/many")]
    for part in range(3):
        body, headers = form(fields, [("files", f"{part}-{index:04}", b"x") for index in range(900)])
        answer = bucket.ask("POST", "/api/v0/bucket/add", body, headers)
        assert answer.status == 200 and answer.json["successful_files"] == 900
    assert bucket.names("/many") == [f"/many/{part}-{index:04}" for part in range(3) for index in range(900)]
    assert len(bucket.names("/", deep=True)) == 2701


def test_cat_with_ranges_and_validators(bucket):
    content = bytes(range(256)) * 40
    bucket.upload("/f.mp4", content)
    whole = bucket.cat("/f.mp4")
    assert whole.status == 200 and whole.body == content and whole.headers["Content-Type"] == "video/mp4"
    assert whole.headers["Accept-Ranges"] == "bytes" and whole.headers["Content-Length"] == str(len(content))
    etag = whole.headers["ETag"]
    head = bucket.cat("/f.mp4", method="HEAD")
    assert head.body == b"" and head.headers["Content-Length"] == str(len(content)) and head.headers["ETag"] == etag
    size = len(content)
    for spec, start, end in (("0-0", 0, 1), ("100-199", 100, 200), ("10000-", 10000, size), ("-7", size - 7, size)):
        answer = bucket.cat("/f.mp4", {"Range": f"bytes={spec}"})
        assert answer.status == 206 and answer.body == content[start:end], answer
        assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{size}"
    answer = bucket.cat("/f.mp4", {"Range": f"bytes={len(content)}-"})
    assert answer.status == 416 and answer.headers["Content-Range"] == f"bytes */{len(content)}"
    assert bucket.cat("/f.mp4", {"Range": "bytes=0-1,5-6"}).body == content
    answer = bucket.cat("/f.mp4", {"If-None-Match": etag})
    assert answer.status == 304 and answer.body == b"" and answer.headers["ETag"] == etag
    assert bucket.cat("/f.mp4", {"If-None-Match": '"other"'}).status == 200
    refused(bucket.cat("/f.mp4", {"If-Match": '"other"'}), 412)
    assert bucket.cat("/f.mp4", {"If-Range": etag, "Range": "bytes=0-1"}).status == 206
    assert bucket.cat("/f.mp4", {"If-Range": '"other"', "Range": "bytes=0-1"}).status == 200
    told = bucket.post("cat", path="/f.mp4").json
    assert base64.b64decode(told["content"]) == content and told["size"] == len(content)
    refused(bucket.cat("/"), 409)
    refused(bucket.cat("/none"), 404)
    refused(bucket.cat("none"), 400)
    refused(bucket.post("cat", path="/none"), 404)


def test_preconditions_and_conflicts(bucket):
    first = bucket.upload("/n.txt", b"one", {"If-None-Match": "*"})
    assert first.status == 200
    refused(bucket.upload("/n.txt", b"two", {"If-None-Match": "*"}), 412)
    second = bucket.upload("/n.txt", b"two", {"If-Match": first.headers["ETag"]})
    assert second.status == 200
    refused(bucket.upload("/n.txt", b"three", {"If-Match": first.headers["ETag"]}), 412)
    refused(bucket.upload("/none", b"three", {"If-Match": "*"}), 412)
    refused(bucket.upload("/n.txt", b"", {"If-Match": "*", "If-None-Match": "*"}), 400)
    refused(bucket.upload("/n.txt", b"", on_conflict="guess"), 400)
    beside = bucket.upload("/n.txt", b"three", {"If-Match": first.json["etag"]}, on_conflict="conflict_file")
    assert beside.status == 200 and beside.json["conflict_path"] == f"/n.txt@{sha(b'three')[:8]}"
    again = bucket.upload("/n.txt", b"three", {"If-Match": first.json["etag"]}, on_conflict="conflict_file")
    assert again.json["conflict_path"] == beside.json["conflict_path"] and again.json["height"] == beside.json["height"]
    assert bucket.tree() == {"/n.txt": b"two", f"/n.txt@{sha(b'three')[:8]}": b"three"}
    (conflict,) = bucket.ask("GET", f"/api/v0/bucket/conflicts?bucket_id={bucket.id}").json["conflicts"]
    assert conflict["path"] == "/n.txt" and conflict["conflict_path"] == beside.json["conflict_path"]
    won = bucket.upload("/n.txt", b"four", {"If-Match": first.json["etag"]}, on_conflict="last_write_wins")
    assert won.status == 200 and bucket.cat("/n.txt").body == b"four"
    refused(bucket.post("delete", {"If-Match": first.json["etag"]}, path="/n.txt"), 412)
    assert bucket.post("delete", {"If-Match": won.headers["ETag"]}, path="/n.txt").status == 200


def test_bytes_at_an_offset(bucket):
    bucket.upload("/f", b"hello world")
    assert bucket.patch("/f", 6, b"WORLD").status == 200
    assert bucket.cat("/f").body == b"hello WORLD"
    assert bucket.patch("/f", 9, b"123456").json["size"] == 15
    assert bucket.cat("/f").body == b"hello WOR123456"
    assert bucket.patch("/f", 20, b"x").status == 200
    assert bucket.cat("/f").body == b"hello WOR123456" + bytes(5) + b"x"
    assert bucket.patch("/f", 0, b"").status == 200
    refused(bucket.patch("/f", -1, b""), 400)
    refused(bucket.patch("/f", 1 << 60, b"x"), 507)
    refused(bucket.ask("PATCH", bucket.fs("/", "f"), b"x"), 400, "offset")
    refused(bucket.patch("/none", 0, b"x"), 404)
    refused(bucket.patch("/f", 0, b"x", {"If-Match": '"other"'}), 412)
    # Several at once: each changes its own bytes and undoes nobody else's.
    bucket.upload("/many", bytes(800))
    threads = [
        threading.Thread(target=bucket.patch, args=("/many", 100 * index, bytes([65 + index]) * 100))
        for index in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bucket.cat("/many").body == b"".join(bytes([65 + index]) * 100 for index in range(8))


def test_folders(bucket):
    answer = bucket.post("mkdir", path="/a/b/c")
    assert answer.status == 200 and answer.json["path"] == "/a/b/c" and answer.json["link"]["codec"] == 113
    assert bucket.names(deep=True) == ["/a", "/a/b", "/a/b/c"]
    refused(bucket.post("mkdir", path="/a/b"), 409, "Already exists")
    refused(bucket.post("mkdir", path="/"), 409)
    bucket.upload("/f", b"")
    refused(bucket.post("mkdir", path="/f"), 409)
    refused(bucket.post("mkdir", path="/f/g"), 409, "Not a directory")
    refused(bucket.post("mkdir", path="a"), 400)


def test_deletions(bucket):
    for path in ("/d/e/f", "/d/g", "/h"):
        bucket.upload(path, b"x")
    refused(bucket.post("delete", path="/d", recursive=False), 409, "not empty")
    assert bucket.names() == ["/d", "/h"]
    answer = bucket.post("delete", path="/d")
    assert answer.status == 200 and re.fullmatch("[0-9a-f]{64}", answer.json["new_bucket_link"])
    assert bucket.names(deep=True) == ["/h"]
    refused(bucket.post("delete", path="/d"), 404, "Path not found: /d")
    refused(bucket.post("delete", path="/"), 400)
    refused(bucket.post("delete", path="h"), 400)
    bucket.post("mkdir", path="/empty")
    assert bucket.post("delete", path="/empty", recursive=False).status == 200


def test_moves(bucket):
    for path in ("/a/b/f", "/g", "/full/x"):
        bucket.upload(path, path.encode())
    bucket.post("mkdir", path="/empty")
    answer = bucket.post("mv", source_path="/a", dest_path="/n/m/a")
    assert answer.status == 200 and (answer.json["source_path"], answer.json["dest_path"]) == ("/a", "/n/m/a")
    assert bucket.cat("/n/m/a/b/f").body == b"/a/b/f" and "/a" not in bucket.names()
    refused(bucket.post("mv", source_path="/none", dest_path="/x"), 404)
    refused(bucket.post("mv", source_path="/g", dest_path="/g"), 400, "into itself")
    refused(bucket.post("mv", source_path="/n", dest_path="/n/m/x"), 400, "into itself")
    refused(bucket.post("mv", source_path="/", dest_path="/x"), 400)
    refused(bucket.post("mv", source_path="g", dest_path="/x"), 400)
    refused(bucket.post("mv", source_path="/g", dest_path="/full/x"), 409, "Already exists")
    refused(bucket.post("mv", source_path="/g", dest_path="/full/x/y"), 409, "Not a directory")
    assert bucket.post("mv", source_path="/g", dest_path="/full/x", overwrite=True).status == 200
    assert bucket.cat("/full/x").body == b"/g"
    refused(bucket.post("mv", source_path="/full/x", dest_path="/empty", overwrite=True), 409)
    refused(bucket.post("mv", source_path="/empty", dest_path="/full/x", overwrite=True), 409)
    refused(bucket.post("mv", source_path="/empty", dest_path="/full", overwrite=True), 409, "not empty")
    refused(bucket.post("mv", source_path="/n/m/a/b", dest_path="/n", overwrite=True), 409, "not empty")
    assert bucket.post("mv", source_path="/n/m/a", dest_path="/empty", overwrite=True).status == 200
    # The prefix of a name is no folder of it.
    assert bucket.post("mv", source_path="/empty", dest_path="/emptyX").status == 200
    answer = bucket.post("rename", old_path="/full/x", new_path="/y")
    assert answer.status == 200 and answer.json["new_path"] == "/y"
    refused(bucket.post("rename", old_path="/full", new_path="/z"), 409)
    refused(bucket.post("rename", old_path="/none", new_path="/z"), 404)
    refused(bucket.post("rename", old_path="/y", new_path="/full"), 409)


def test_forms(bucket):
    fields = [("bucket_id", bucket.id), ("mount_path", "/in")]
    body, headers = form(
        fields + [("else", "ignored")],
        [("file", "a.txt", b"one"), ("files", "b", b""), ("other", "c", b"no"), ("file", None, b"two")],
    )
    answer = bucket.ask("POST", "/api/v0/bucket/add", body, headers)
    assert answer.status == 200, answer
    assert (answer.json["total_files"], answer.json["successful_files"], answer.json["failed_files"]) == (3, 3, 0)
    assert answer.json["files"][0] == {
        "mount_path": "/in/a.txt", "mime_type": "text/plain", "size": 3, "success": True, "error": None,
    }  # fmt: skip
    assert bucket.tree() == {"/in": None, "/in/a.txt": b"one", "/in/b": b"", "/in/unnamed": b"two"}
    assert bucket.height == 1, "one request is one version"
    body, headers = form([("mount_path", "/in")], [("file", "x", b""), ("file", "b/c", b"")])
    refused(bucket.ask("POST", "/api/v0/bucket/add", body, headers), 400, "bucket_id")
    bucket.post("mkdir", path="/in/dir")
    body, headers = form(fields, [("file", "dir", b"x"), ("file", "b/c", b"x"), ("file", "ok", b"x")])
    answer = bucket.ask("POST", "/api/v0/bucket/add", body, headers)
    assert answer.status == 200 and [file["success"] for file in answer.json["files"]] == [False, False, True]
    body, headers = form(fields, [("file", "dir", b"x")])
    refused(bucket.ask("POST", "/api/v0/bucket/add", body, headers), 400, "Bad request")
    refused(bucket.ask("POST", "/api/v0/bucket/add", form(fields, [])[0], headers), 400, "no file")
    refused(bucket.ask("POST", "/api/v0/bucket/add", {"bucket_id": bucket.id}), 415)
    refused(bucket.ask("POST", "/api/v0/bucket/add", body, {"Content-Type": "multipart/form-data"}), 400)
    refused(bucket.ask("POST", "/api/v0/bucket/add", body[:-20], headers), 400)
    body, headers = form([("bucket_id", str(uuid.uuid4())), ("mount_path", "/")], [("file", "x", b"")])
    refused(bucket.ask("POST", "/api/v0/bucket/add", body, headers), 404)
    body, headers = form([("bucket_id", bucket.id), ("mount_path", "/in/a.txt")], [("file", "ignored", b"new")])
    answer = bucket.ask("POST", "/api/v0/bucket/update", body, headers)
    assert answer.status == 200 and answer.json["mount_path"] == "/in/a.txt"
    assert answer.json["mime_type"] == "text/plain"
    assert bucket.cat("/in/a.txt").body == b"new"
    body, headers = form(fields, [("file", "x", b"")])
    refused(bucket.ask("POST", "/api/v0/bucket/update", body, headers), 409)
