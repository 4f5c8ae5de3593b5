"""The control API as programs and browsers see it: the Unix socket, the listener on 127.0.0.1, and what
docs/openapi.json says of the answers."""

import copy
import http.client
import json
import re
import socket

import jsonschema_rs

from instance import ROOT, wait_until

OPENAPI = ROOT / "docs" / "openapi.json"
JSON = {"Content-Type": "application/json"}


class Answer:
    def __init__(self, answer):
        self.status, self.reason = answer.status, answer.reason
        self.headers = answer.headers
        self.body = answer.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The code of an error."""
        return self.json["error"]["code"]

    def __repr__(self):
        return f"{self.status} {self.reason}\n{self.headers}\n{self.body[:2000]!r}"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def unix(run, method, target, body=None, headers=None):
    """An answer by the Unix socket."""
    connection = UnixConnection(run.runtime / "api.sock")
    try:
        connection.request(method, target, None if body is None else json.dumps(body), headers or {})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def login(run):
    """A fresh link."""
    answer = unix(run, "POST", "/api/v1/login")
    assert answer.status == 201, answer
    return answer.json["url"]


class WebAPI:
    """The listener on 127.0.0.1 of an instance. Only what is given is sent: no header of its own but Host, which may
    be replaced or (None) left out."""

    def __init__(self, run):
        self.run = run
        self.port = int((run.runtime / "web.port").read_text())
        self.host = f"127.0.0.1:{self.port}"
        self.base = f"http://{self.host}"
        self.token = (run.runtime / "api.token").read_text().strip()
        self.bearer = {"Authorization": f"Bearer {self.token}"}

    def ask(self, method, target, body=None, headers=None, host=..., timeout=60):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            host = self.host if host is ... else host
            if host is not None:
                connection.putheader("Host", host)
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            if body is not None:
                body = body if isinstance(body, bytes) else json.dumps(body).encode()
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, target, **headers):
        return self.ask("GET", target, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def session(self, url=None):
        """The cookie that a link gives, as a browser sends it."""
        url = url or login(self.run)
        assert url.startswith(self.base + "/login?code="), url
        answer = self.get(url.removeprefix(self.base))
        assert answer.status == 200, answer
        return {"Cookie": answer.headers["Set-Cookie"].split(";")[0]}

    def raw(self):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        return connection


def open_web(run):
    """The listener on 127.0.0.1, opened if it is not."""
    login(run)
    return WebAPI(run)


# The contents of docs/openapi.json


def document():
    return json.loads(OPENAPI.read_text())


def _strict(schema):
    """The same schema, under which a key that it does not name is wrong too."""
    if isinstance(schema, dict):
        closed = {key: _strict(value) for key, value in schema.items()}
        if closed.get("additionalProperties") is True:
            closed["additionalProperties"] = False
        return closed
    return [_strict(part) for part in schema] if isinstance(schema, list) else schema


def check(value, name):
    """Holds a value to a schema of the document by its name; it may have no key that is not described."""
    components = _strict(copy.deepcopy(document()["components"]))
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": f"#/components/schemas/{name}",
        "components": components,
    }
    jsonschema_rs.validator_for(schema).validate(value)
    return value


def check_answer(answer, method, target):
    """Holds an answer to what the document says of it: status, type, body."""
    path, operation = _operation(method, target)
    described = operation["responses"].get(str(answer.status))
    assert described, f"{method} {path} is not said to answer {answer.status}: {answer}"
    if "$ref" in described:
        described = document()["components"]["responses"][described["$ref"].rsplit("/", 1)[1]]
    kind = answer.headers["Content-Type"].split(";")[0]
    assert kind in described["content"], answer
    schema = described["content"][kind]["schema"]
    components = document()["components"]
    if answer.status < 400:
        schema, components = _strict(schema), _strict(components)
    jsonschema_rs.validator_for(
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "allOf": [schema], "components": components}
    ).validate(answer.json)
    return answer.json


def _operation(method, target):
    target = target.split("?")[0]
    for path, operations in document()["paths"].items():
        if re.fullmatch(re.sub(r"\\{.*?\\}", "[^/]+", re.escape(path)), target) and method.lower() in operations:
            return path, operations[method.lower()]
    raise AssertionError(f"{method} {target} is not described")


# Events


class Events:
    """A listener: the events as (name, data), for as long as the caller asks for the next one."""

    def __init__(self, connection, headers=None, target="/api/v1/events"):
        self.connection = connection
        connection.request("GET", target, headers=headers or {})
        self.answer = connection.getresponse()
        self.last = None

    def __iter__(self):
        return self

    def __next__(self):
        name, data = None, None
        for line in iter(self.answer.readline, b""):
            line = line.decode().rstrip("\n")
            if line.startswith("id: "):
                self.last = line[4:]
            elif line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                data = json.loads(line[6:])
            elif not line and name:
                return name, data
        raise StopIteration

    def close(self):
        self.connection.close()


def events(web):
    """The events of the listener on 127.0.0.1, by its token."""
    return Events(http.client.HTTPConnection("127.0.0.1", web.port, timeout=60), web.bearer)


def until_ready(web):
    wait_until(lambda: web.get("/readyz").status == 200, what="it is ready")
