"""A real Chromium, driven over its DevTools, and a receiver that hashes what is uploaded to it."""

import hashlib
import http.server
import json
import pathlib
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.request

import websocket
from instance import die_with_parent, wait_until

PAGE = b"""<!doctype html><title>Upload</title><input type="file" id="file">
<script>
window.state = "idle";
document.getElementById("file").addEventListener("change", async event => {
  const file = event.target.files[0];
  window.state = "uploading " + file.size;
  try {
    const answer = await fetch("/upload", {method: "POST", body: file});
    window.state = "done " + await answer.text();
  } catch (error) { window.state = "failed " + error; }
});
</script>"""


class Receiver:
    """An upload zone: serves the page, hashes the body as it comes, at most `rate` bytes a second."""

    def __init__(self, rate=None, page=PAGE):
        receiver = self
        self.rate = rate
        self.first_byte = self.last_byte = None
        self.received = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.answer(page, "text/html; charset=utf-8")

            def do_POST(self):
                digest = hashlib.sha256()
                left = int(self.headers["Content-Length"])
                receiver.first_byte = time.monotonic()
                taken = 0
                while left:
                    data = self.rfile.read1(min(left, 1 << 18))
                    if not data:
                        break
                    digest.update(data)
                    left -= len(data)
                    taken += len(data)
                    receiver.received = taken
                    if receiver.rate:
                        ahead = taken / receiver.rate - (time.monotonic() - receiver.first_byte)
                        if ahead > 0:
                            time.sleep(ahead)
                receiver.last_byte = time.monotonic()
                self.answer(digest.hexdigest().encode() if not left else b"short", "text/plain")

            def answer(self, body, kind):
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Tab:
    """A page of a browser, by its DevTools. What it reports by itself is in `events`, for the domains that were
    enabled."""

    def __init__(self, address):
        self.socket = websocket.create_connection(address, timeout=60)
        self.events = []
        self._number = 0

    def call(self, method, **parameters):
        self._number += 1
        self.socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            if "method" in message:
                self.events.append(message)

    def evaluate(self, expression, **how):
        """None between two pages, too."""
        try:
            done = self.call("Runtime.evaluate", expression=expression, returnByValue=True, **how)
        except AssertionError as error:
            if "navigated" not in str(error) and "execution context" not in str(error):
                raise
            return None
        return done["result"].get("value")

    def open(self, url):
        self.call("Page.enable")
        self.call("Page.navigate", url=url)
        wait_until(
            lambda: self.evaluate("document.readyState == 'complete' && location.href") == url,
            20,
            what="the page loads",
        )

    def choose(self, path):
        """Puts the file into the page's file input, as a person's choice would."""
        document = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=document, selector="#file")["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def upload(self, receiver, path, limit=120):
        """The hash of what arrived."""
        self.open(receiver.url)
        self.choose(path)
        state = wait_until(lambda: self.ended(), limit, 0.05, what="the upload ends")
        assert state.startswith("done "), state
        return state.removeprefix("done ")

    def ended(self):
        state = self.evaluate("window.state")
        return state if state and state.split()[0] in ("done", "failed") else None

    def close(self):
        try:
            self.call("Page.close")
        finally:
            self.socket.close()


class Chromium(Tab):
    """A browser of its own, and its first tab: without a window; or with one, on the display that `environment`
    names."""

    def __init__(self, *arguments, environment=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fsmvp-chromium-"))
        self.process = subprocess.Popen(
            [
                "chromium",
                *(["--headless=new"] if environment is None else []),
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--remote-debugging-port=0",
                "--remote-allow-origins=*",
                f"--user-data-dir={self.folder}",
                *(arguments or ["about:blank"]),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
            env={
                "HOME": str(self.folder),
                "PATH": "/usr/bin:/bin",
                "XDG_RUNTIME_DIR": str(self.folder),
                "LANG": "C.UTF-8",
            }
            | (environment or {}),
        )
        port_file = self.folder / "DevToolsActivePort"
        wait_until(lambda: port_file.exists() and port_file.read_text().count("\n") >= 1, 30, what="Chromium starts")
        self.port = int(port_file.read_text().splitlines()[0])
        pages = wait_until(
            lambda: [
                t
                for t in json.load(urllib.request.urlopen(f"http://127.0.0.1:{self.port}/json"))
                if t["type"] == "page"
            ],
            20,
        )
        super().__init__(pages[0]["webSocketDebuggerUrl"])

    def tab(self):
        """Another tab, with the same cookies."""
        target = self.call("Target.createTarget", url="about:blank", background=True)["targetId"]
        return Tab(f"ws://127.0.0.1:{self.port}/devtools/page/{target}")

    def close(self):
        try:
            self.call("Browser.close")
            self.process.wait(10)
        except Exception:
            self.process.kill()
            self.process.wait()
        finally:
            self.socket.close()
            time.sleep(0.2)
            shutil.rmtree(self.folder, ignore_errors=True)
