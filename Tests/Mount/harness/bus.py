"""The other side of a message bus: services that answer as a desktop's do."""

import threading

from jeepney import DBusAddress, HeaderFields, MessageType, new_error, new_method_call, new_method_return, new_signal
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import open_dbus_connection

from instance import PATIENCE


def call(address, name, path, interface, method, signature=None, body=()):
    """The answer's body."""
    with open_dbus_connection(address) as connection:
        answer = connection.send_and_get_reply(
            new_method_call(DBusAddress(path, name, interface), method, signature, body), timeout=PATIENCE
        )
    assert answer.header.message_type == MessageType.method_return, answer.body
    return answer.body


class Service:
    """Owns a name until it is closed; `answers` maps a method to what makes (signature, body) of its arguments.
    Keeps the calls."""

    def __init__(self, address, name, answers):
        self.calls = []
        self.answers = answers
        self.connection = open_dbus_connection(address)
        self.connection.send_and_get_reply(message_bus.RequestName(name))
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                message = self.connection.receive()
            except (OSError, EOFError, ValueError):
                return
            if message.header.message_type != MessageType.method_call:
                continue
            method = message.header.fields[HeaderFields.member]
            self.calls.append((method, message.body))
            if method in self.answers:
                answer = new_method_return(message, *self.answers[method](*message.body))
            else:
                answer = new_error(message, "org.freedesktop.DBus.Error.UnknownMethod")
            self.connection.send(answer)

    def signal(self, path, interface, name, signature, body):
        self.connection.send(new_signal(DBusAddress(path, interface=interface), name, signature, body))

    def close(self):
        # The socket's end is what wakes the thread.
        self.connection.sock.shutdown(2)
        self.thread.join(5)
        self.connection.close()
