"""The page of the control API as a person meets it: by what the browser tells a screen reader, with a real mouse and
real keys."""

import base64
import http.client
import importlib.resources
import json
import socket
import urllib.parse

from instance import ROOT, wait_until

SCREENSHOTS = ROOT / "build" / "screenshots"

KEYS = {
    "Tab": 9,
    "Enter": 13,
    "Escape": 27,
    "ArrowDown": 40,
    "ArrowUp": 38,
    " ": 32,
}


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class API:
    """The control API by its Unix socket."""

    def __init__(self, instance):
        self.path = instance.runtime / "api.sock"

    def __call__(self, method, path, body=None):
        connection = UnixConnection(self.path)
        try:
            connection.request(
                method,
                f"/api/v1{path}",
                None if body is None else json.dumps(body),
                {"Content-Type": "application/json"},
            )
            answer = connection.getresponse()
            content = json.load(answer)
        finally:
            connection.close()
        assert answer.status < 300, (method, path, answer.status, content)
        return content

    def stage(self, file, recipient="somebody"):
        return self("POST", "/staged", {"file": file, "recipient": recipient})


class Element:
    """A node of the page, as the accessibility tree has it."""

    def __init__(self, page, node):
        self.page = page
        self.node = node
        self.name = node.get("name", {}).get("value", "")
        self.handle = page.tab.call("DOM.resolveNode", backendNodeId=node["backendDOMNodeId"])["object"]["objectId"]

    def run(self, function, *arguments):
        """The value of a JavaScript function of the element."""
        done = self.page.tab.call(
            "Runtime.callFunctionOn",
            objectId=self.handle,
            functionDeclaration=f"function (...rest) {{ return ({function})(this, ...rest); }}",
            arguments=[{"value": argument} for argument in arguments],
            returnByValue=True,
        )
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    @property
    def text(self):
        return self.run("e => e.innerText")

    def attribute(self, name):
        return self.run("(e, name) => e.getAttribute(name)", name)

    @property
    def has_focus(self):
        return self.run("e => e === document.activeElement")

    @property
    def is_there(self):
        return self.run("e => e.isConnected && e.checkVisibility()")

    def find(self, role, name=None):
        return self.page.find(role, name, self)

    def all(self, role, name=None):
        return self.page.all(role, name, self)

    def click(self):
        """By the mouse, at its middle; it has to be what lies there."""

        def place():
            """None while a notice, say, passes over it."""
            x, y, hit = self.run(
                """e => { e.scrollIntoView({block: "center", behavior: "instant"}); const box =
                e.getBoundingClientRect(), [x, y] = [box.x + box.width / 2, box.y + box.height / 2]; const there =
                document.elementFromPoint(x, y); return [x, y, Boolean(there) && (e.contains(there) ||
                there.contains(e))]; }"""
            )
            return (x, y) if hit else None

        x, y = wait_until(place, what=f"{self.name} with nothing over it")
        for kind in ("mousePressed", "mouseReleased"):
            self.page.tab.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)


class Page:
    def __init__(self, tab, instance):
        self.tab = tab
        self.instance = instance
        self.base = None
        self.spoilt = False
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility", "DOM"):
            tab.call(f"{domain}.enable")
        self.tab.events.clear()

    # The page's address

    def sign_in(self):
        """With a link that works once; it ends on the live page."""
        url = API(self.instance)("POST", "/login")["url"]
        self.base = "{0.scheme}://{0.netloc}".format(urllib.parse.urlsplit(url))
        self.tab.call("Page.navigate", url=url)
        return self.wait_live()

    def load(self):
        self.tab.call("Page.navigate", url=f"{self.base}/")
        return self.wait_live()

    def wait_live(self):
        live = """location.pathname === '/' && document.querySelector('#stream')?.dataset.state === 'open'
            && performance.getEntriesByName('snapshot').length > 0"""
        wait_until(lambda: self.tab.evaluate(live), what="the page is live and has its snapshot")
        return self

    # The page's elements

    def all(self, role, name=None, within=None):
        root = {"objectId": within.handle} if within else {"nodeId": self.tab.call("DOM.getDocument")["root"]["nodeId"]}
        asked = {"role": role} | ({"accessibleName": name} if name else {})
        found = []
        for node in self.tab.call("Accessibility.queryAXTree", **root, **asked)["nodes"]:
            if node.get("ignored") or "backendDOMNodeId" not in node:
                continue
            try:
                found.append(Element(self, node))
            except AssertionError as error:  # drawn anew since the question
                if "No node" not in str(error) and "does not belong" not in str(error):
                    raise
        return found

    def find(self, role, name=None, within=None, limit=8):
        """The only one; waits for it."""
        found = wait_until(lambda: self.all(role, name, within), limit, what=f"{role} {name!r}")
        assert len(found) == 1, f"{len(found)} of {role} {name!r}"
        return found[0]

    def tile(self, name, limit=8):
        """The first tile whose name begins so."""
        return wait_until(
            lambda: next((e for e in self.all("listitem") if e.name.startswith(name) and e.attribute("data-id")), None),
            limit,
            what=f"tile {name!r}",
        )

    def job(self, title, limit=8):
        """The first row of the list of jobs with that title."""
        return wait_until(
            lambda: next((e for e in self.all("listitem") if not e.attribute("data-id") and title in e.text), None),
            limit,
            what=f"job {title!r}",
        )

    def said(self):
        """The text of the live regions."""
        texts = "[...document.querySelectorAll('[aria-live]')].map(e => e.textContent).join('\\n')"
        return self.tab.evaluate(texts) or ""

    def wait_said(self, words, limit=10):
        wait_until(lambda: words in self.said(), limit, what=f"{words!r} is said; {self.said()!r}")

    @property
    def text(self):
        """The visible text, without text that is only spoken."""
        return (
            self.tab.evaluate(
                "[...document.querySelectorAll('header, main, #notices')].map(e => e.innerText).join('\\n')"
            )
            or ""
        )

    # A person's actions

    def press(self, key, count=1, shift=False):
        code = {
            "key": key,
            "code": "Space" if key == " " else key,
            "windowsVirtualKeyCode": KEYS[key],
            "modifiers": 8 if shift else 0,
        }
        text = {"Enter": "\r", " ": " "}.get(key)
        for _ in range(count):
            self.tab.call(
                "Input.dispatchKeyEvent",
                type="keyDown" if text else "rawKeyDown",
                **code,
                **({"text": text} if text else {}),
            )
            self.tab.call("Input.dispatchKeyEvent", type="keyUp", **code)

    def type(self, text):
        self.tab.call("Input.insertText", text=text)

    def focus_name(self):
        """The name of what has the focus, as it is said."""
        handle = self.tab.call("Runtime.evaluate", expression="document.activeElement")["result"]["objectId"]
        node = self.tab.call("Accessibility.getPartialAXTree", objectId=handle, fetchRelatives=False)["nodes"][0]
        return node.get("role", {}).get("value"), node.get("name", {}).get("value", "")

    def tab_to(self, name, most=60):
        """By the key alone."""
        for _ in range(most):
            self.press("Tab")
            if self.focus_name()[1] == name:
                return
        raise AssertionError(f"{most} times Tab did not lead to {name!r}")

    def stage(self, title, recipient):
        """Search, Choose, Recipient, Stage; the tile."""
        search = self.find("searchbox", "Search jobs")
        search.click()
        search.run("e => e.select()")
        self.type(title)
        wait_until(lambda: len(self.rows()) == 1, 8, what=f"one job is {title!r}")
        self.job(title).find("button", "Choose").click()
        self.find("textbox", "Recipient").click()
        self.type(recipient)
        self.find("button", "Stage").click()
        return self.tile(title)

    def rows(self):
        return self.tab.evaluate("[...document.querySelectorAll('#jobs > li')].map(e => e.innerText)") or []

    # How it looks and behaves

    def look(self, width=1200, height=800, scheme="light", **features):
        """The window's size and what the person prefers."""
        self.tab.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        wanted = {"prefers-color-scheme": scheme} | features
        self.tab.call(
            "Emulation.setEmulatedMedia", features=[{"name": key, "value": value} for key, value in wanted.items()]
        )
        return self

    def screenshot(self, name):
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        shot = self.tab.call("Page.captureScreenshot", format="png")
        (SCREENSHOTS / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))

    def violations(self):
        """The violations that axe-core finds on the page as it stands, one line each."""
        if not self.tab.evaluate("typeof axe !== 'undefined'"):
            self.tab.evaluate(
                importlib.resources.files("axe_playwright_python").joinpath("axe.min.js").read_text() + "; 1"
            )
        report = self.tab.evaluate(
            "axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)", awaitPromise=True
        )
        return [
            f"{rule['id']}: {rule['help']}: {node['target']} {node['html'][:160]}"
            for rule in report
            for node in rule["nodes"]
        ]

    def problems(self):
        """Errors of the console, exceptions, requests to other servers."""
        self.tab.evaluate("1")
        found = []
        for event in self.tab.events:
            what = event["params"]
            match event["method"]:
                case "Runtime.exceptionThrown":
                    found.append(what["exceptionDetails"])
                case "Runtime.consoleAPICalled" if what["type"] in ("error", "warning", "assert"):
                    found.append(what["args"])
                case "Log.entryAdded" if what["entry"]["level"] in ("error", "warning"):
                    found.append(what["entry"])
                case "Network.requestWillBeSent":
                    url = what["request"]["url"]
                    if not url.startswith((f"{self.base}/", "data:")):
                        found.append(url)
        return found
