"""The view of a screen reader: a window's accessible tree over AT-SPI, as GTK gives it to every client."""

from instance import PATIENCE, wait_until
from jeepney import DBusAddress, MessageType, Properties, new_method_call
from jeepney.io.blocking import open_dbus_connection

LAUNCHER = "/usr/libexec/at-spi-bus-launcher"
ROOT = "/org/a11y/atspi/accessible/root"


class Gone(Exception):
    """The widget is no more."""


class Node:
    def __init__(self, reader, name, path):
        self.reader, self.bus_name, self.path = reader, name, path

    def _call(self, interface, method, signature=None, body=()):
        address = DBusAddress(self.path, self.bus_name, f"org.a11y.atspi.{interface}")
        return self.reader.ask(new_method_call(address, method, signature, body))

    def _get(self, interface, name):
        address = DBusAddress(self.path, self.bus_name, f"org.a11y.atspi.{interface}")
        return self.reader.ask(Properties(address).get(name))[0][1]

    @property
    def name(self):
        return self._get("Accessible", "Name")

    @property
    def role(self):
        return self._call("Accessible", "GetRoleName")[0]

    @property
    def text(self):
        return self._call("Text", "GetText", "ii", (0, -1))[0]

    @property
    def value(self):
        return self._get("Value", "CurrentValue")

    @property
    def box(self):
        """Left, top, width and height in its window; no width where it was never shown."""
        return self._call("Component", "GetExtents", "u", (1,))[0]

    @property
    def is_showing(self):
        return self.box[2] > 0

    @property
    def has_focus(self):
        """Bit 12 of what AT-SPI calls the states."""
        return bool(self._call("Accessible", "GetState")[0][0] & 1 << 12)

    def children(self):
        return [Node(self.reader, name, path) for name, path in self._call("Accessible", "GetChildren")[0]]

    def press(self):
        self._call("Action", "DoAction", "i", (0,))

    def all(self):
        yield self
        for child in self.children():
            yield from child.all()


class ScreenReader:
    """Reads the windows of a desktop that has a bus. Programs that start after it are to be started with
    `environment`."""

    environment = {"GTK_A11Y": "atspi"}

    def __init__(self, desktop):
        session = open_dbus_connection(desktop.environment["DBUS_SESSION_BUS_ADDRESS"])
        self.launcher = desktop.start([LAUNCHER, "--launch-immediately"])
        bus = DBusAddress("/org/a11y/bus", "org.a11y.Bus", "org.a11y.Bus")

        def address():
            answer = session.send_and_get_reply(new_method_call(bus, "GetAddress"))
            return answer.body[0] if answer.header.message_type == MessageType.method_return else None

        self.connection = open_dbus_connection(wait_until(address, 10, 0.1, "the accessibility bus"))
        session.close()

    def ask(self, message):
        answer = self.connection.send_and_get_reply(message, timeout=PATIENCE)
        if answer.header.message_type != MessageType.method_return:
            raise Gone(answer.body)
        return answer.body

    def windows(self):
        """The children of every application."""
        registry = Node(self, "org.a11y.atspi.Registry", ROOT)
        return [window for application in registry.children() for window in application.children()]

    def nodes(self):
        found = []
        for window in self.windows():
            found += window.all()
        return found

    def outline(self):
        """(role, name) of everything there is; for looking at."""
        return [(node.role, node.name) for node in self.nodes()]

    def find(self, role, name, limit=5):
        """The first of this role whose name begins so, within `limit` seconds."""
        return wait_until(lambda: self.look(role, name), limit, 0.1, f"a {role} named {name}")

    def look(self, role, name):
        """The same, right now; None where there is none."""
        try:
            return next(
                (node for node in self.nodes() if node.role == role and node.name.startswith(name) and node.is_showing),
                None,
            )
        except Gone:
            return None

    def wait_for_focus(self, role, name):
        """Waits, because the widget that takes the keys may only be there once an answer has come."""

        def has_it():
            try:
                return any(node.role == role and node.name.startswith(name) and node.has_focus for node in self.nodes())
            except Gone:
                return False

        wait_until(has_it, 10, 0.05, f"the focus on a {role} named {name}")

    def says(self, text):
        """Whether some label has this in it right now."""
        try:
            return any(text in node.name and node.is_showing for node in self.nodes() if node.role == "label")
        except Gone:
            return False

    def close(self):
        self.connection.close()
