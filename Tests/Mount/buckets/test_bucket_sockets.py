"""The sockets of the bucket server: who is served on which, and what slow, broken and many clients do to others."""

import http.client
import os
import re
import socket
import subprocess
import sys
import threading
import time

import pytest

from buckets import Bucket, api_socket, ask, listen, own_socket, tcp
from control_api import unix
from instance import PATIENCE, MiB, descriptors_of, wait_until


def raw(path):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(PATIENCE)

    def connected():
        try:
            client.connect(str(path))
        except BlockingIOError:  # the backlog is full
            return False
        return True

    wait_until(connected, what="a connection")
    return client


def test_the_listener_is_told_in_the_status_and_serves(make):
    run = make(FSMVP_BUCKET_LISTEN="127.0.0.1:0").start()
    assert re.fullmatch(r"127\.0\.0\.1:\d+", listen(run))
    bucket = Bucket(tcp(run))
    assert bucket.upload("/f", b"x").status == 200 and bucket.names() == ["/f"]
    other = Bucket.__new__(Bucket)
    other.connect, other.headers, other.id = api_socket(run), {}, bucket.id
    assert other.names() == ["/f"], "the same buckets by each socket"
    assert bucket.post("export", target_dir=str(run.folder / "out")).status == 403
    # A stock client finds it by a port of its choice.
    port = listen(run).split(":")[1]
    again = make(FSMVP_BUCKET_LISTEN=f"127.0.0.1:{port}").start()
    status = again.cli("status", "--json").json["buckets"]
    assert "listen" not in status and port in status["problem"] and "bucket_listen" in status["problem"]
    assert again.cli("bucket", "list").code == 0, "the others serve"


def test_a_unix_path_is_listened_to(make):
    run = make()
    path = run.folder / "buckets.sock"
    run.configure(f'bucket_listen = "{path}"\n').start()
    assert listen(run) == str(path) and path.stat().st_mode & 0o777 == 0o600
    from control_api import UnixConnection

    assert ask(lambda: UnixConnection(path), "GET", "/_status/livez").status == 200
    assert run.stop() == 0
    assert not path.exists() and not (run.runtime / "buckets.sock").exists()


@pytest.mark.parametrize("address", ["0.0.0.0:5001", "5001", "relative.sock", "127.0.0.1:99999", "example.org:1"])
def test_an_address_that_is_not_of_this_machine_is_refused(make, address):
    done = make().cli("run", FSMVP_BUCKET_LISTEN=address)
    assert done.code == 2 and "bucket_listen" in done.err and "Traceback" not in done.err, done


def test_the_token(make):
    run = make(FSMVP_BUCKET_LISTEN="127.0.0.1:0", FSMVP_BUCKET_TOKEN="hush-hush-token").start()
    connect = tcp(run)
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic hush-hush-token"}):
        answer = ask(connect, "POST", "/api/v0/bucket/list", {}, headers)
        assert answer.status == 401 and answer.headers["WWW-Authenticate"].startswith("Bearer"), answer
    right = {"Authorization": "Bearer hush-hush-token"}
    assert ask(connect, "POST", "/api/v0/bucket/list", {}, right).status == 200
    assert ask(connect, "GET", "/_status/livez").status == 200
    assert ask(own_socket(run), "POST", "/api/v0/bucket/list", {}).status == 200, "the Unix sockets need none"
    assert "hush" not in run.cli("config", "--json").out + run.log.read_text()
    assert b"hush" not in b"".join(open(f"/proc/{run.process.pid}/{file}", "rb").read() for file in ("environ", "cmdline"))


def test_pages_of_the_web_are_refused(make):
    run = make(FSMVP_BUCKET_LISTEN="127.0.0.1:0").start()
    connect = tcp(run)
    for headers in ({"Origin": "https://example.org"}, {"Origin": "null"}, {"Host": "example.org"}, {"Host": "127.0.0.1"}):
        answer = ask(connect, "POST", "/api/v0/bucket/list", {}, headers)
        assert answer.status == 403, (headers, answer)
    assert ask(connect, "POST", "/api/v0/bucket/list", {}, {"Origin": f"http://{listen(run)}"}).status == 200
    port = listen(run).split(":")[1]
    assert ask(connect, "POST", "/api/v0/bucket/list", {}, {"Host": f"localhost:{port}"}).status == 200
    bucket = Bucket(connect)
    bucket.upload("/page.html", b"<script>1</script>")
    headers = bucket.cat("/page.html").headers
    assert headers["Content-Security-Policy"] == "sandbox" and headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_another_users_process_is_refused(make):
    run = make(FSMVP_BUCKET_LISTEN="127.0.0.1:0").start()
    for folder in (run.folder, run.runtime):
        os.chmod(folder, 0o755)
    os.chmod(run.runtime / "buckets.sock", 0o777)
    program = (
        "import os,socket,sys; os.setgid(65534); os.setuid(65534)\n"
        "a=sys.argv[1]; s=socket.socket(socket.AF_UNIX if a[0]=='/' else socket.AF_INET); s.settimeout(20)\n"
        "s.connect(a if a[0]=='/' else ('127.0.0.1',int(a)))\n"
        "s.sendall(b'POST /api/v0/bucket/list HTTP/1.1\\r\\nHost: 127.0.0.1:'+sys.argv[2].encode()+b'\\r\\nContent-Type: application/json\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\n{}')\n"
        "print(s.recv(4096).decode().split('\\r\\n')[0])"
    )
    port = listen(run).split(":")[1]
    for address in (port, str(run.runtime / "buckets.sock")):
        done = subprocess.run(
            [sys.executable, "-c", program, address, port], capture_output=True, text=True, timeout=PATIENCE
        )
        assert "403" in done.stdout, (address, done)


def test_bucket_paths_at_the_apis_socket(run):
    bucket = Bucket(api_socket(run))
    answer = bucket.upload("/f", b"x" * MiB)
    assert answer.status == 200 and answer.headers["Connection"] == "close"
    assert bucket.cat("/f").body == b"x" * MiB
    # The wrong path for a connection is told so, and the connection ends.
    connection = api_socket(run)()
    connection.request("GET", "/api/v1/log")
    assert connection.getresponse().read() == b'{"level":"info"}'
    connection.request("GET", "/_status/livez")
    answer = connection.getresponse()
    assert answer.status == 421 and answer.headers["Connection"] == "close" and b"misdirected" in answer.read()
    client = raw(run.runtime / "api.sock")
    client.sendall(
        b"GET /_status/livez HTTP/1.1\r\nHost: x\r\n\r\nGET /api/v1/status HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    got = b""
    while piece := client.recv(65536):
        got += piece
    assert got.startswith(b"HTTP/1.1 200") and b"Connection: close" in got and b'"pid"' not in got
    # Over 127.0.0.1 the page's listener has no buckets.
    assert unix(run, "GET", "/api/v0/nothing").status == 404


def test_a_slow_client_of_the_apis_socket_gets_to_where_it_asks(run):
    request = b"GET /_status/livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    for wait in (0.001, 0.06):
        client = raw(run.runtime / "api.sock")
        for byte in request[: 30 if wait > 0.01 else None]:
            client.sendall(bytes([byte]))
            time.sleep(wait)
        if wait > 0.01:
            client.sendall(request[30:])
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
        client.close()


def test_hostile_clients_keep_nobody_out(run):
    """Silence, half a word, garbage and hang-ups at each socket."""
    before = len(descriptors_of(run.process.pid))
    clients = []
    for _ in range(40):
        for path in ("api.sock", "buckets.sock"):
            for message in (b"", b"GET /api/v0/b", b"POST /api/v0/bucket HTTP/1.1\r\nContent-", b"\0\xff" * 50, b"GET /" + b"x" * 99):
                client = raw(run.runtime / path)
                try:
                    client.sendall(message)
                except OSError:
                    pass
                clients.append(client)
    assert run.cli("bucket", "list").code == 0 and run.cli("status").code == 0
    for client in clients[::2]:
        client.close()
    assert run.cli("bucket", "list").code == 0
    for client in clients:
        client.close()
    wait_until(lambda: len(descriptors_of(run.process.pid)) <= before + 5, what="their descriptors are closed")


def test_more_connections_than_there_may_be_wait_for_their_turn(run):
    bucket = Bucket(own_socket(run))
    idle = [raw(run.runtime / "buckets.sock") for _ in range(256)]
    wait_until(lambda: len(descriptors_of(run.process.pid)) > 256, what="all are accepted")
    got = []
    thread = threading.Thread(target=lambda: got.append(bucket.names()))
    thread.start()
    idle.pop().close()
    thread.join(PATIENCE)
    assert got == [[]]
    for client in idle:
        client.close()


def test_waiting_clients_end_with_the_control_plane(run):
    bucket = Bucket(own_socket(run))
    answers = []

    def wait():
        try:
            answers.append(bucket.ask("GET", f"/api/v0/bucket/events?bucket_id={bucket.id}&since=0&timeout=60").status)
        except (OSError, http.client.HTTPException):
            answers.append(None)

    threads = [threading.Thread(target=wait) for _ in range(20)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(descriptors_of(run.process.pid)) > 40, what="they wait")
    # An upload that has not ended is cut, and stored not at all.
    connection = bucket.connect()
    connection.putrequest("POST", bucket.fs("/", "half"))
    connection.putheader("Content-Length", "1000000")
    connection.endheaders(b"x" * 1000)
    assert run.stop() == 0
    for thread in threads:
        thread.join(PATIENCE)
    assert set(answers) <= {503, None} and len(answers) == 20
    connection.close()
    run.start()
    assert bucket.tree() == {}


def test_a_socket_whose_name_is_removed_is_bound_again(run):
    bucket = Bucket(own_socket(run))
    os.unlink(run.runtime / "buckets.sock")
    wait_until(lambda: (run.runtime / "buckets.sock").exists(), what="the socket is there again")
    assert bucket.names() == []
    assert run.says("buckets.restored")


def test_a_reload_goes_on_with_the_buckets(run):
    bucket = Bucket(own_socket(run))
    bucket.upload("/f", b"x")
    assert run.cli("reload").code == 0
    assert bucket.tree() == {"/f": b"x"}
    assert run.cli("bucket", "list").code == 0


def test_two_control_planes_do_not_share_buckets(run, make):
    bucket = Bucket(own_socket(run))
    other = make(sim=None, FSMVP_STATE_DIR=str(run.state)).start("--demo")
    status = other.cli("status", "--json").json["buckets"]
    assert "another control plane" in status["problem"]
    failed = other.cli("bucket", "list")
    assert failed.code == 1 and "another control plane" in failed.err
    answer = ask(own_socket(other), "GET", "/_status/readyz")
    assert answer.status == 503 and answer.json["status"] == "failure"
    assert bucket.upload("/f", b"").status == 200
