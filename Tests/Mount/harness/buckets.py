"""The bucket API as its clients see it: on the bucket server's own socket, on the API's, or by TCP."""

import contextlib
import hashlib
import http.client
import json
import urllib.parse

from control_api import JSON, Answer, UnixConnection


class Bucket:
    """A bucket and requests about it. `connect` makes a connection; each request has one of its own."""

    def __init__(self, connect, name="b", headers=None):
        self.connect, self.headers = connect, headers or {}
        made = self.ask("POST", "/api/v0/bucket", {"name": name})
        assert made.status == 201, made
        self.id = made.json["bucket_id"]

    def ask(self, method, target, body=None, headers=None):
        return ask(self.connect, method, target, body, self.headers | (headers or {}))

    def post(self, name, headers=None, **body):
        """A request about this bucket to an endpoint that takes JSON."""
        return self.ask("POST", f"/api/v0/bucket/{name}", {"bucket_id": self.id} | body, headers)

    def fs(self, folder, name, **query):
        query = urllib.parse.urlencode({"mount_path": folder, "filename": name} | query, quote_via=urllib.parse.quote)
        return f"/api/v0/buckets/{self.id}/fs?{query}"

    def upload(self, path, content, headers=None, **query):
        folder, name = path.rsplit("/", 1)
        return self.ask("POST", self.fs(folder, name, **query), content, headers)

    def patch(self, path, offset, content, headers=None):
        folder, name = path.rsplit("/", 1)
        return self.ask("PATCH", self.fs(folder, name, offset=offset), content, headers)

    def cat(self, path, headers=None, method="GET", **query):
        query = urllib.parse.urlencode({"bucket_id": self.id, "path": path} | query, quote_via=urllib.parse.quote)
        return self.ask(method, f"/api/v0/bucket/cat?{query}", headers=headers)

    def events(self, since, timeout=0):
        answer = self.ask("GET", f"/api/v0/bucket/events?bucket_id={self.id}&since={since}&timeout={timeout}")
        assert answer.status == 200, answer
        return answer.json

    def names(self, path="/", **body):
        answer = self.post("ls", path=path, **body)
        assert answer.status == 200, answer
        return [item["path"] for item in answer.json["items"]]

    def tree(self):
        """Each path with its bytes; None for a folder."""
        answer = self.post("ls", deep=True)
        assert answer.status == 200, answer
        return {
            item["path"]: None if item["is_dir"] else self.cat(item["path"]).body for item in answer.json["items"]
        }

    @property
    def height(self):
        return self.post("stat").json["height"]


def ask(connect, method, target, body=None, headers=None):
    """An answer on a connection of its own. A body that is neither bytes nor None is sent as JSON."""
    connection = connect()
    headers = dict(headers or {})
    if body is not None and not isinstance(body, bytes) and not hasattr(body, "read") and not hasattr(body, "__next__"):
        body, headers = json.dumps(body).encode(), JSON | headers
    try:
        # A server that refuses a long body answers and closes before it has all of it.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request(method, target, body, headers)
        return Answer(connection.getresponse())
    finally:
        connection.close()


def own_socket(run):
    return lambda: UnixConnection(run.runtime / "buckets.sock")


def api_socket(run):
    return lambda: UnixConnection(run.runtime / "api.sock")


def listen(run):
    """The address of `bucket_listen`."""
    return run.cli("status", "--json").json["buckets"]["listen"]


def tcp(run):
    host, port = listen(run).split(":")
    return lambda: http.client.HTTPConnection(host, int(port), timeout=60)


def form(fields, files, boundary="XXfsmvpXX"):
    """A body of multipart/form-data: (name, text), and (name, file name or None, bytes)."""
    parts = [(f'name="{name}"', text.encode()) for name, text in fields]
    parts += [
        (f'name="{name}"' + (f'; filename="{file}"' if file is not None else ""), content)
        for name, file, content in files
    ]
    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n"
        for head, content in parts
    )
    return body + f"--{boundary}--\r\n".encode(), {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def refused(answer, status, text=""):
    """An error is one sentence of plain text."""
    assert answer.status == status, answer
    assert answer.headers["Content-Type"].startswith("text/plain"), answer
    sentence = answer.body.decode()
    assert text in sentence and "\n" not in sentence and 0 < len(sentence) < 600, sentence


def sha(content):
    return hashlib.sha256(content).hexdigest()
