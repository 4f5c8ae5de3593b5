"""A desktop in a box: an X server without a screen, a window manager, a message bus of its own, hands (xdotool) and
eyes (import).

Everything is a child of the test, is ended by its pid, and dies with the test's runner.
"""

import os
import pathlib
import re
import select
import shutil
import subprocess
import tempfile
import time

from browser import Chromium, Receiver
from instance import BIN, PATIENCE, die_with_parent, mounts, wait_until

TILE = str(BIN / "fsmvp-tile")
# No service is started by the bus: what a test needs it starts, and ends.
BUS = """<busconfig><type>session</type><listen>unix:dir={folder}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>"""


class Desktop:
    """`bus`: with a message bus; else nothing can be reached, as the recipe for drags has it."""

    def __init__(self, bus=False):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fsmvp-desktop-"))
        (self.folder / "run").mkdir(mode=0o700)
        self.processes = []
        try:
            self._start(bus)
        except BaseException:
            self.close()
            raise

    def _start(self, bus):
        display, child = os.pipe()
        # -noreset: else the server begins anew when its only client goes, and takes one that comes meanwhile along.
        command = ["Xvfb", "-displayfd", str(child), "-screen", "0", "1600x900x24", "-nolisten", "tcp", "-noreset"]
        self.start(command, pass_fds=[child], environment={})
        os.close(child)
        number = self._line(display, 20)
        self.environment = {
            "DISPLAY": f":{number}",
            "GDK_BACKEND": "x11",
            "GSK_RENDERER": "cairo",
            "GTK_A11Y": "none",
            "DBUS_SESSION_BUS_ADDRESS": "disabled:",
            "HOME": str(self.folder),
            "XDG_RUNTIME_DIR": str(self.folder / "run"),
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
        }
        if bus:
            config = self.folder / "bus.conf"
            config.write_text(BUS.format(folder=self.folder / "run"))
            address, child = os.pipe()
            self.start(
                ["dbus-daemon", f"--config-file={config}", "--nofork", f"--print-address={child}"], pass_fds=[child]
            )
            os.close(child)
            self.environment["DBUS_SESSION_BUS_ADDRESS"] = self._line(address, 10)
        self.start(["openbox", "--sm-disable"])
        wait_until(
            lambda: "window id" in self.run("xprop", "-root", "_NET_SUPPORTING_WM_CHECK"), 10, what="the window manager"
        )

    @staticmethod
    def _line(descriptor, limit):
        """To the line's end: Xvfb writes the number and the end apart, and dies of a pipe that is closed between
        them."""
        text = b""
        end = time.monotonic() + max(limit, PATIENCE)
        while not text.endswith(b"\n"):
            ready, _, _ = select.select([descriptor], [], [], max(0, end - time.monotonic()))
            piece = os.read(descriptor, 100) if ready else b""
            assert piece, f"nothing came of it: {text!r}"
            text += piece
        os.close(descriptor)
        return text.decode().strip()

    # Processes

    def start(self, command, environment=None, **more):
        """A child that ends with the desktop."""
        log = open(self.folder / f"{pathlib.Path(command[0]).name}.log", "ab")
        environment = self.environment if environment is None else environment | {"PATH": "/usr/bin:/bin"}
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent,
            **more,
        )
        log.close()
        self.processes.append(process)
        return process

    def log(self, program):
        return (self.folder / f"{program}.log").read_text(errors="replace")

    def run(self, *command, **more):
        """The standard output of a program; "" if it fails."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=PATIENCE, **more)
        return done.stdout

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def close(self):
        for process in reversed(self.processes):
            self.end(process)
        # The document portal's, should it have been killed.
        for mount in [mount for mount in mounts() if mount.startswith(str(self.folder))]:
            subprocess.run(["umount", "-l", mount], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    # Windows

    def windows(self, name):
        return self.run("xdotool", "search", "--onlyvisible", "--name", name).split()

    def window(self, name, limit=20):
        return wait_until(lambda: self.windows(name), limit, 0.1, f"a window named {name}")[-1]

    def place(self, window, x, y):
        self.run("xdotool", "windowmove", "--sync", window, str(x), str(y))
        self.run("xdotool", "windowactivate", "--sync", window)

    def geometry(self, window):
        text = self.run("xdotool", "getwindowgeometry", "--shell", window)
        found = dict(re.findall(r"^(X|Y|WIDTH|HEIGHT)=(-?\d+)$", text, re.MULTILINE))
        return tuple(int(found[key]) for key in ("X", "Y", "WIDTH", "HEIGHT"))

    def middle(self, window):
        x, y, width, height = self.geometry(window)
        return x + width // 2, y + height // 2

    # Hands and eyes

    def drag(self, start, end, has_arrived):
        """From one point of the screen to another, as a hand does it: one single motion over a drop zone is not seen
        as one. A hand lets go once it sees that the other side takes notice (`has_arrived`), which a busy machine
        takes its time for."""

        def move(x, y):
            self.run("xdotool", "mousemove", str(round(x)), str(round(y)))
            time.sleep(0.03)

        x, y = start
        move(x, y)
        time.sleep(0.2)
        self.run("xdotool", "mousedown", "1")
        time.sleep(0.2)
        for _ in range(6):
            x, y = x + 5, y + 2
            move(x, y)
        time.sleep(0.5)
        for step in range(1, 21):
            move(x + (end[0] - x) * step / 20, y + (end[1] - y) * step / 20)

        def is_seen():
            """A hand is never quite still."""
            for by in (3, 2):
                move(end[0] + by, end[1] + by)
            return has_arrived()

        try:
            wait_until(is_seen, step=0.1, what="the drag is seen where it goes")
            time.sleep(0.5)
        finally:
            self.run("xdotool", "mouseup", "1")

    def keys(self, *keys):
        self.run("xdotool", "key", "--delay", "60", *keys)

    def type(self, text):
        self.run("xdotool", "type", "--delay", "30", text)

    def click(self, x, y, button=1):
        self.run("xdotool", "mousemove", str(x), str(y), "sleep", "0.1", "click", str(button))

    def clipboard(self, kind):
        """The clipboard's content as this type, asked for by another process; None if it has no such type."""
        done = subprocess.run(
            ["xclip", "-o", "-selection", "clipboard", "-t", kind],
            env=self.environment,
            capture_output=True,
            timeout=PATIENCE,
        )
        return done.stdout.decode() if done.returncode == 0 else None

    def picture(self, path):
        self.run("import", "-window", "root", str(path))


class Tile:
    """`fsmvp-tile` of an instance on a desktop, its window at the left."""

    def __init__(self, desktop, instance, *arguments, **environment):
        self.desktop = desktop
        self.process = desktop.start(
            [TILE, *arguments], environment=instance.environment | desktop.environment | environment
        )
        self.window = desktop.window("^FuseStream$")
        desktop.place(self.window, 10, 10)

    def errors(self):
        """Complaints of GTK and of the program."""
        return self.desktop.log("fsmvp-tile")

    def close(self):
        self.desktop.end(self.process)


ZONE = b"""<!doctype html><title>Drop zone</title>
<style>#zone { position: fixed; inset: 20px; border: 4px dashed grey; }</style><div id="zone">Drop files here</div>
<script>
window.state = "idle";
window.over = null;
const zone = document.getElementById("zone");
zone.addEventListener("dragover", event => { event.preventDefault(); window.over = Array.from(event.dataTransfer.types); });
zone.addEventListener("drop", async event => {
  event.preventDefault();
  const file = event.dataTransfer.files[0];
  window.text = event.dataTransfer.getData("text/plain");
  window.dropped = [file.name, file.size];
  window.state = "uploading";
  try {
    const answer = await fetch("/upload", {method: "POST", body: file});
    window.state = "done " + await answer.text();
  } catch (error) { window.state = "failed " + error; }
});
</script>"""


class Zone:
    """A window of a real browser with an upload zone in it, at the right of the desktop."""

    def __init__(self, desktop, rate=None):
        self.desktop = desktop
        self.receiver = Receiver(rate, ZONE)
        self.browser = Chromium(
            "--ozone-platform=x11",
            "--no-default-browser-check",
            "--password-store=basic",
            "--window-position=700,20",
            "--window-size=860,700",
            f"--app={self.receiver.url}",
            environment=desktop.environment,
        )
        wait_until(lambda: self.browser.evaluate("document.readyState") == "complete", 20, what="the drop zone")
        desktop.window("^Drop zone$")

    def point(self):
        """The middle of the zone, on the screen."""
        return self.browser.evaluate(
            """(() => { const r = zone.getBoundingClientRect(); return [
              screenX + (outerWidth - innerWidth) / 2 + r.x + r.width / 2,
              screenY + (outerHeight - innerHeight) + r.y + r.height / 2]; })()"""
        )

    def drop(self, start):
        """Drags what is at this point of the screen here; back when the page has it."""
        self.browser.evaluate("window.state = 'idle'; window.over = null")
        self.desktop.drag(start, self.point(), lambda: self.browser.evaluate("window.over !== null"))
        wait_until(lambda: self.browser.evaluate("window.state") != "idle", 5, what="the drop")

    def uploaded(self, limit=60):
        """The hash of what arrived."""
        state = wait_until(self.browser.ended, limit, 0.05, what="the upload ends")
        assert state.startswith("done "), state
        return state.removeprefix("done ")

    def close(self):
        self.browser.close()
        self.receiver.close()
