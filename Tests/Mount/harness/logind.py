"""A message bus of the test's own, and on it what stands in for systemd's logind: it gives inhibitors out and sees
them come back."""

import os
import select
import subprocess
import tempfile
import threading
import time

from jeepney import HeaderFields, MessageType, new_error, new_method_return
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import open_dbus_connection

from instance import die_with_parent

NAME = "org.freedesktop.login1"


class Bus:
    """A dbus-daemon; `address` is what DBUS_SYSTEM_BUS_ADDRESS is set to."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="fsmvp-bus-")
        self.address = f"unix:path={self.folder.name}/socket"
        # The session bus's rules let every client own every name and see every descriptor.
        self.process = subprocess.Popen(
            ["dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address=1", f"--address={self.address}"],
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent,
        )
        assert self.process.stdout.readline().startswith("unix:path=")

    def close(self):
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


class Inhibitor:
    """An inhibitor that was given out."""

    def __init__(self, body, end):
        self.what, self.who, self.why, self.mode = body
        self.end = end
        self.given = time.monotonic()
        self.back = None

    @property
    def is_held(self):
        """Whether the other end is open anywhere."""
        if self.back is None and select.select([self.end], [], [], 0)[0]:
            self.back = time.monotonic()
        return self.back is None


class Logind:
    """`Inhibit` as logind has it. With `answers=False` it takes the question and says nothing; with `refuses` it
    says no."""

    def __init__(self, bus, answers=True, refuses=False):
        self.answers, self.refuses = answers, refuses
        self.inhibitors = []
        self.questions = 0
        self.connection = open_dbus_connection(bus=bus.address, enable_fds=True)
        reply = self.connection.send_and_get_reply(message_bus.RequestName(NAME))
        assert reply.body == (1,), reply
        self.stopping = False
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self):
        while not self.stopping:
            try:
                message = self.connection.receive(timeout=0.1)
            except TimeoutError:
                continue
            except (OSError, ConnectionError):
                return
            if message.header.message_type != MessageType.method_call:
                continue
            if message.header.fields.get(HeaderFields.member) != "Inhibit":
                continue
            self.questions += 1
            if self.refuses:
                self.connection.send(
                    new_error(message, "org.freedesktop.DBus.Error.AccessDenied", "s", ("Permission denied",))
                )
            elif self.answers:
                ours, theirs = os.pipe()
                self.inhibitors.append(Inhibitor(message.body, ours))
                self.connection.send(new_method_return(message, "h", (theirs,)))
                os.close(theirs)

    @property
    def held(self):
        return [inhibitor for inhibitor in self.inhibitors if inhibitor.is_held]

    def close(self):
        self.stopping = True
        self.thread.join()
        self.connection.close()
        for inhibitor in self.inhibitors:
            os.close(inhibitor.end)
