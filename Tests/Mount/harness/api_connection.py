"""The control API over one connection that is kept."""

import http.client
import json
import socket


class ApiConnection:
    """Ten thousand stagings by ten thousand processes would take minutes."""

    def __init__(self, run):
        self.connection = http.client.HTTPConnection("localhost")
        self.connection.sock = socket.socket(socket.AF_UNIX)
        self.connection.sock.connect(f"{run.runtime}/api.sock")

    def _ask(self, method, path, body=None):
        self.connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        data = json.loads(answer.read())
        assert answer.status < 300, data
        return data

    def stage(self, file, tag="tag"):
        return self._ask("POST", "/api/v1/staged", {"file": file, "recipient": tag})

    def unstage(self, ident):
        return self._ask("DELETE", f"/api/v1/staged/{ident}")
