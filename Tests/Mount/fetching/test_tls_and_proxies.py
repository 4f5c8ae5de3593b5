"""The way to a service that is not on this machine: TLS that is verified, certificates of one's own, proxies, a
limit."""

import socket
import ssl
import threading
import time

import pytest
from certificates import NAME, certificate
from instance import MiB


def pour(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


class Relay:
    """A port of this machine: `enter` makes what is behind it of each connection, then bytes go to and fro."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.entered = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            client, behind = self.enter(client)
        except OSError:
            return client.close()
        self.entered += 1
        with client, behind:
            back = threading.Thread(target=pour, args=(behind, client), daemon=True)
            back.start()
            pour(client, behind)
            back.join()

    def close(self):
        # Wakes accept, which a mere close would not.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class TLS(Relay):
    """TLS in front of a port."""

    def __init__(self, paths, port):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*paths)
        self.behind = port
        super().__init__()

    def enter(self, client):
        return self.context.wrap_socket(client, server_side=True), socket.create_connection(("127.0.0.1", self.behind))


class ConnectProxy(Relay):
    """A proxy for CONNECT that knows one host, NAME, and one user."""

    scheme = "http"

    def __init__(self, port):
        self.behind = port
        super().__init__()

    def enter(self, client):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1) or self.refuse()
        if not head.startswith(f"CONNECT {NAME}:443 ".encode()) or b"Basic amFuZTpwYTU1d29yZA==" not in head:
            client.sendall(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
            self.refuse()
        client.sendall(b"HTTP/1.1 200 Go on\r\n\r\n")
        return client, socket.create_connection(("127.0.0.1", self.behind))

    def refuse(self):
        raise OSError("refused")


class SocksProxy(ConnectProxy):
    """The same by SOCKS 5 (RFC 1928, 1929), which is given the name to look up."""

    scheme = "socks5h"

    def enter(self, client):
        stream = client.makefile("rb")
        methods = stream.read(stream.read(2)[1])
        client.sendall(b"\5\2" if 2 in methods else b"\5\xff")
        user, password = [stream.read(stream.read(size)[-1]) for size in (2, 1)]
        client.sendall(b"\1\0" if (user, password) == (b"jane", b"pa55word") else b"\1\1")
        stream.read(4)
        name, port = stream.read(stream.read(1)[0]), int.from_bytes(stream.read(2), "big")
        if (name, port) != (NAME.encode(), 443):
            self.refuse()
        client.sendall(b"\5\0\0\1\0\0\0\0\0\0")
        return client, socket.create_connection(("127.0.0.1", self.behind))


@pytest.fixture
def relays():
    made = []
    yield lambda relay: made.append(relay) or relay
    for relay in made:
        relay.close()


@pytest.fixture
def secure(sim, make, relays, tmp_path):
    """A service behind TLS with an untrusted certificate; makes instances with such a config. Links lead to the same
    relay."""
    sim.set(relative_location=True)
    tls = relays(TLS(certificate(tmp_path, "ours"), int(sim.root.rsplit(":", 1)[1])))

    def secure(config, base=f"https://127.0.0.1:{tls.port}/v1"):
        instance = make(FSMVP_API_BASE=base, FSMVP_CONFIG=str(tmp_path / "config.toml"))
        (tmp_path / "config.toml").write_text(config)
        (tmp_path / "config.toml").chmod(0o600)
        return instance

    secure.tls = tls
    return secure


def refused(instance, says, *not_said):
    done = instance.cli("run", timeout=30)
    assert done.code == 2 and done.out == "" and done.err.strip().count("\n") == 0, done
    for word in says:
        assert word in done.err, done
    for word in not_said:
        assert word not in done.err, done


def test_a_certificate_that_nobody_vouches_for_is_named(sim, secure):
    run = secure("").start()
    done = run.cli("stage", sim.add(MiB), "--recipient", "x")
    assert done.code == 5 and "certificate" in done.err and "ca_file" in done.err, done
    assert secure.tls.entered == 0


def test_another_authority_does_not_help(sim, secure, tmp_path):
    certificate(tmp_path, "another")
    run = secure('ca_file = "another.pem"').start()
    done = run.cli("stage", sim.add(MiB), "--recipient", "x")
    assert done.code == 5 and "certificate" in done.err, done


def test_ca_file_is_trusted_for_the_service_and_the_bytes(sim, secure, tmp_path):
    """Ours is the second of two in the file."""
    certificate(tmp_path, "another")
    (tmp_path / "bundle.pem").write_text((tmp_path / "another.pem").read_text() + (tmp_path / "ours.pem").read_text())
    run = secure('ca_file = "bundle.pem"').start()
    file = sim.add(3 * MiB + 17, "clip.mp4")
    with open(run.stage(file, "tag"), "rb") as stream:
        assert stream.read() == sim.bytes(file, "tag")
    assert secure.tls.entered >= 1


def test_a_certificate_of_another_name_is_named(sim, secure):
    run = secure('ca_file = "ours.pem"', base=f"https://localhost:{secure.tls.port}/v1").start()
    done = run.cli("stage", sim.add(MiB), "--recipient", "x")
    assert done.code == 5 and "certificate" in done.err and "localhost" in done.err, done


@pytest.mark.parametrize("proxy", [ConnectProxy, SocksProxy])
def test_a_proxy_is_gone_through_and_its_password_is_told_to_nobody_else(sim, secure, relays, proxy):
    relay = relays(proxy(secure.tls.port))
    address = f"{proxy.scheme}://jane:pa55word@127.0.0.1:{relay.port}"
    run = secure(f'ca_file = "ours.pem"\nproxy = "{address}"\nlog_level = "debug"', base=f"https://{NAME}/v1").start()
    file = sim.add(3 * MiB + 17, "clip.mp4")
    with open(run.stage(file, "tag"), "rb") as stream:
        assert stream.read() == sim.bytes(file, "tag")
    assert relay.entered >= 1
    shown = run.cli("config")
    assert f"{proxy.scheme}://‹redacted›@127.0.0.1:{relay.port}" in shown.out, shown
    assert "pa55word" not in shown.out + shown.err + run.log.read_text()


def test_a_proxy_that_refuses_is_named_without_the_password(sim, secure, relays):
    relay = relays(ConnectProxy(secure.tls.port))
    run = secure(
        f'ca_file = "ours.pem"\nproxy = "http://jane:pa55word2@127.0.0.1:{relay.port}"', base=f"https://{NAME}/v1"
    ).start()
    done = run.cli("stage", sim.add(MiB), "--recipient", "x")
    assert done.code == 5 and "407" in done.err and "pa55word2" not in done.err + run.log.read_text(), done


def test_a_ca_file_that_cannot_be_used_is_refused_at_the_start(secure, tmp_path):
    refused(secure('ca_file = "missing.pem"'), ["ca_file", "missing.pem", "No such file"])
    (tmp_path / "empty.pem").write_text("nothing\n")
    refused(secure('ca_file = "empty.pem"'), ["ca_file", "empty.pem", "no certificate"])


def test_a_secret_that_cannot_sign_is_refused_at_the_start(secure):
    refused(secure('link_auth = "hmac"'), ["link_auth", "client_secret", "base64"], "demo-secret")


def test_a_limit_holds_for_a_whole_file(sim, make):
    run = make(FSMVP_MAX_DOWNLOAD_RATE="4MiB").start()
    file = sim.add(8 * MiB, "clip.mp4")
    path = run.stage(file, "tag")
    began = time.monotonic()
    with open(path, "rb") as stream:
        data = stream.read()
    took = time.monotonic() - began
    assert data == sim.bytes(file, "tag")
    # Two seconds' worth, but for what the bucket held and what a reader's ranges get on credit.
    assert took > 0.8
