#!/usr/bin/env python3
"""A folder of links for rclone, in a process of its own.

rclone's http remote wants a folder that lists its files, and drops the query of an address, which is where a signed
link has its signature. So this serves a page of names, and redirects a request for one to the signed link of the
simulator: the bytes come from there.

Reads {"name": "link", ...} from standard input, prints its port, serves until SIGTERM.
"""

import http.server
import json
import signal
import sys
import urllib.parse

LINKS = json.load(sys.stdin)


class Folder(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        name = urllib.parse.unquote(self.path.lstrip("/"))
        if not name:
            names = "".join(f'<a href="{urllib.parse.quote(name)}">{name}</a>\n' for name in LINKS)
            return self.answer(200, f"<!doctype html><title>Folder</title>\n{names}".encode())
        if name not in LINKS:
            return self.answer(404)
        return self.answer(302, location=LINKS[name])

    do_HEAD = do_GET

    def answer(self, status, body=b"", location=None):
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


# Ctrl-C goes to every process on the terminal; this one ends with its parent instead.
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Folder)
print(server.server_port, flush=True)
server.serve_forever()
