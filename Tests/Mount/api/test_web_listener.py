"""The listener on 127.0.0.1: which requests it serves, and what slow, broken and many clients do to the others. By
bytes on real sockets."""

import errno
import hashlib
import hmac
import http.client
import json
import os
import random
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time

import pytest
from control_api import JSON, WebAPI, events, login, open_web, unix, until_ready
from instance import PATIENCE, MiB, wait_until

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


@pytest.fixture
def web(run):
    return open_web(run)


def guarded(answer):
    """Every answer of this listener says what a browser may do with it."""
    assert answer.headers["Content-Security-Policy"] == POLICY, answer
    assert answer.headers["X-Content-Type-Options"] == "nosniff", answer
    assert answer.headers["Referrer-Policy"] == "no-referrer", answer
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin", answer
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")], answer
    assert answer.headers["Cache-Control"] in ("no-store", "no-cache"), answer
    return answer


def forged(web, seconds, key=None, port=None):
    """The cookie of a session that ends so many seconds from now, signed with some key for some port."""
    end = int(time.time()) + seconds
    text = f"fsmvp session\nport {port or web.port}\nuntil {end}".encode()
    signature = hmac.new((key or web.token).encode(), text, hashlib.sha256).hexdigest()
    return {"Cookie": f"fsmvp-{web.port}={end}.{signature}"}


# Access


def test_nobody_listens_before_somebody_wants_the_page(run):
    assert not (run.runtime / "web.port").exists() and not (run.runtime / "api.token").exists()
    assert "web" not in run.cli("status", "--json").json
    url = login(run)
    web = WebAPI(run)
    assert re.fullmatch(rf"http://127\.0\.0\.1:{web.port}/login\?code=[0-9a-f]{{32}}", url)
    assert run.cli("status", "--json").json["web"] == web.base
    for name in ("api.token", "web.port"):
        assert stat.S_IMODE((run.runtime / name).stat().st_mode) == 0o600, name
    assert re.fullmatch("[0-9a-f]{64}", web.token)
    # 127.0.0.1 and nothing else.
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", web.port), timeout=5)


def test_a_link_opens_the_page_once_and_the_session_goes_on(run, web):
    url = login(run)
    target = url.removeprefix(web.base)
    first = guarded(web.get(target))
    assert first.status == 200 and b'http-equiv="refresh"' in first.body
    cookie = first.headers["Set-Cookie"]
    assert re.fullmatch(
        rf"fsmvp-{web.port}=\d+\.[0-9a-f]{{64}}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Strict", cookie
    ), cookie
    session = {"Cookie": cookie.split(";")[0]}
    assert guarded(web.ask("GET", "/api/v1/status", headers=session)).json["pid"] == run.process.pid
    again = guarded(web.get(target))
    assert again.status == 401 and "Set-Cookie" not in again.headers
    assert web.ask("GET", "/api/v1/status", headers=session).status == 200


#: Sends what it is given to a port of 127.0.0.1; says what comes back, or ends at once.
SENDER = """
import socket, sys
port, wants, data = int(sys.argv[1]), sys.argv[2] == "answer", sys.stdin.buffer.read()
with socket.create_connection(("127.0.0.1", port), timeout=60) as stream:
    stream.sendall(data)
    while wants and (got := stream.recv(65536)):
        sys.stdout.buffer.write(got)
"""


def sent_as(user, web, request, wants="answer"):
    """The status of what a process of `user` is answered."""
    done = subprocess.run(
        [
            "setpriv",
            f"--reuid={user}",
            f"--regid={user}",
            "--clear-groups",
            sys.executable,
            "-S",
            "-c",
            SENDER,
            str(web.port),
            wants,
        ],
        input=request.encode(),
        capture_output=True,
        timeout=60,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[1]) if wants == "answer" else None


def test_another_user_cannot_use_the_session_that_the_browser_sent_to_his_server(sim, web):
    """Cookies know no ports: another server that the browser visits gets a good one."""
    cookie = web.session()["Cookie"]
    status = f"GET /api/v1/status HTTP/1.1\r\nHost: {web.host}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
    assert sent_as(0, web, status) == 200
    assert sent_as(65534, web, status) == 403
    assert sent_as(65534, web, status.replace(f"Cookie: {cookie}", f"Authorization: Bearer {web.token}")) == 403
    # A client may also close before the answer: then its socket is reported as root's before Linux 6.17.
    file = sim.add(MiB, "clip.mp4")
    body = json.dumps({"file": file, "recipient": "tag"})
    stage = f"POST /api/v1/staged HTTP/1.1\r\nHost: {web.host}\r\nCookie: {cookie}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    control = web.run.process.pid
    os.kill(control, signal.SIGSTOP)
    try:
        sent_as(65534, web, stage, wants="nothing")
    finally:
        os.kill(control, signal.SIGCONT)
    assert web.ask("GET", "/api/v1/status", headers=web.bearer).status == 200
    assert web.ask("GET", "/api/v1/staged", headers=web.bearer).json == []
    assert sent_as(0, web, stage.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1)) == 201, (
        "the same request, of who waits for its answer"
    )


def test_a_link_of_another_instance_opens_nothing(make, run, web):
    other = open_web(make().start())
    code = login(other.run).removeprefix(other.base)
    assert web.get(code).status == 401
    assert web.ask("GET", "/api/v1/status", headers=other.bearer).status == 401
    assert web.ask("GET", "/api/v1/status", headers=other.session()).status == 401
    stolen = other.session()["Cookie"].replace(f"fsmvp-{other.port}=", f"fsmvp-{web.port}=")
    assert web.ask("GET", "/api/v1/status", headers={"Cookie": stolen}).status == 401


def test_only_token_and_session_are_answered(web):
    good = [web.bearer, web.session(), forged(web, 60), {"Cookie": "a=b; " + web.session()["Cookie"]}]
    for headers in good:
        assert guarded(web.ask("GET", "/api/v1/status", headers=headers)).status == 200, headers
    bad = [
        {},
        {"Authorization": "Bearer " + "0" * 64},
        {"Authorization": f"Bearer {web.token[:-1]}"},
        {"Authorization": f"Basic {web.token}"},
        {"Authorization": web.token},
        web.session() | {"Authorization": "Bearer x"},
        forged(web, -1),
        forged(web, 60, key="0" * 64),
        forged(web, 60, port=web.port + 1),
        {"Cookie": f"fsmvp-{web.port}={int(time.time()) + 60}."},
        {"Cookie": f"fsmvp-{web.port}="},
        {"X-Token": web.token},
    ]
    for headers in bad:
        answer = guarded(web.ask("GET", "/api/v1/status", headers=headers))
        assert (
            answer.status == 401
            and answer.code == "unauthorized"
            and answer.headers["WWW-Authenticate"].startswith("Bearer")
        ), headers
    # Neither as a parameter, and a code is no token.
    assert web.get(f"/api/v1/status?token={web.token}").status == 401
    code = login(web.run).split("code=")[1]
    assert web.ask("GET", "/api/v1/status", headers={"Authorization": f"Bearer {code}"}).status == 401
    assert web.get(f"/login?code={web.token}").status == 401


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/"),
        ("GET", "/assets/main.js"),
        ("GET", "/api/v1/jobs"),
        ("GET", "/api/v1/events"),
        ("GET", "/api/v1/config"),
        ("GET", "/api/v1/nothing"),
        ("GET", "/nothing"),
        ("POST", "/api/v1/staged"),
        ("DELETE", "/api/v1/staged"),
        ("POST", "/api/v1/login"),
        ("POST", "/api/v1/stop"),
        ("PUT", "/api/v1/log"),
        ("OPTIONS", "/api/v1/staged"),
        ("PATCH", "/"),
        ("HEAD", "/api/v1/status"),
        ("GET", "/login?code=0"),
        ("GET", "/login"),
    ],
)
def test_without_a_session_nothing_is_told(web, method, target):
    answer = guarded(web.ask(method, target))
    assert answer.status == 401, answer
    if target == "/":
        assert b"fsmvp ui" in answer.body or method != "GET"
    assert web.run.cli("status").code == 0


def test_probes_need_no_session(web):
    assert guarded(web.get("/healthz")).json == {"status": "ok"}
    assert guarded(web.get("/readyz")).json == {"status": "ready"}


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "127.0.0.1",
        "localhost",
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1:1",
        "127.0.0.1.evil.example:{port}",
        "[::1]:{port}",
        "0.0.0.0:{port}",
    ],
)
def test_another_name_for_us_is_refused(web, host):
    """A page whose name was made to point here (DNS rebinding) asks under that name."""
    host = host and host.format(port=web.port)
    for target in ("/", "/healthz", "/api/v1/status", "/login?code=0"):
        answer = web.ask("GET", target, headers=web.bearer, host=host)
        # Without one the library itself may say no.
        assert answer.status == 403 or (host is None and answer.status == 400), answer
        if answer.status == 403:
            assert guarded(answer).code == "forbidden"


def test_localhost_is_us_too(web):
    assert guarded(web.ask("GET", "/api/v1/status", headers=web.bearer, host=f"localhost:{web.port}")).status == 200


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "http://evil.example",
        "https://127.0.0.1:{port}",
        "http://127.0.0.1:1",
        "http://127.0.0.1",
        "http://127.0.0.1:{port}.evil.example",
        "file://",
        "",
    ],
)
def test_another_page_is_refused(sim, web, origin):
    headers = web.session() | JSON | {"Origin": origin.format(port=web.port)}
    body = {"file": sim.add(1000), "recipient": "x"}
    for method, target, body in [
        ("GET", "/api/v1/status", None),
        ("POST", "/api/v1/staged", body),
        ("DELETE", "/api/v1/staged", None),
        ("GET", "/healthz", None),
    ]:
        answer = guarded(web.ask(method, target, body, headers))
        assert answer.status == 403 and answer.code == "forbidden", answer
    assert web.run.cli("staged", "--json").json == []


def test_our_own_page_is_served(sim, web):
    headers = web.session() | JSON | {"Origin": web.base}
    answer = guarded(web.ask("POST", "/api/v1/staged", {"file": sim.add(1000), "recipient": "x"}, headers))
    assert answer.status == 201, answer


def test_a_preflight_gets_no_leave(web):
    headers = {"Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "authorization"}
    for origin in ("http://evil.example", web.base):
        answer = guarded(web.ask("OPTIONS", "/api/v1/staged", headers=headers | {"Origin": origin}))
        assert answer.status == (403 if "evil" in origin else 401), answer
    answer = guarded(web.ask("OPTIONS", "/api/v1/staged", headers=headers | web.bearer))
    assert answer.status == 405 and answer.headers["Allow"] == "GET, POST, DELETE, PATCH"


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        None,
        "text/plain; application/json",
    ],
)
def test_a_form_cannot_post(sim, web, kind):
    """A page can send a body of one of these types without asking."""
    headers = web.session() | ({"Content-Type": kind} if kind else {})
    for method, target, body in [
        ("POST", "/api/v1/staged", {"file": sim.add(1000), "recipient": "x"}),
        ("POST", "/api/v1/stop", {}),
        ("PUT", "/api/v1/log", {"level": "debug"}),
    ]:
        answer = guarded(web.ask(method, target, body, headers))
        assert (
            answer.status == 400 and answer.code == "invalid" and "application/json" in answer.json["error"]["message"]
        ), answer
    if kind:
        assert web.ask("POST", "/api/v1/stop", b"", headers).status == 400
    assert web.run.cli("staged", "--json").json == [] and web.get("/readyz").status == 200


def test_links_are_made_by_the_unix_socket_alone(run, web):
    answer = guarded(web.ask("POST", "/api/v1/login", headers=web.bearer))
    assert answer.status == 403 and answer.code == "forbidden"
    assert unix(run, "GET", "/login?code=0").status == 404


def test_what_is_secret_is_in_no_log(run, web):
    url = login(run)
    session = web.session(url)
    run.cli("config")
    unix(run, "PUT", "/api/v1/log", {"level": "debug"})
    web.session()
    for headers in (
        session,
        web.bearer,
        {"Authorization": "Bearer wrongwrong"},
        {"Cookie": f"fsmvp-{web.port}=12345678901.ab"},
    ):
        web.ask("GET", "/api/v1/config", headers=headers)
    config = web.ask("GET", "/api/v1/config", headers=web.bearer).body.decode()
    text = run.log.read_text() + config
    for secret in (web.token, url.split("code=")[1], session["Cookie"].split("=")[1], "wrongwrong", "demo-secret"):
        assert secret not in text
    assert "‹redacted›" in config
    command = (f"/proc/{run.process.pid}/cmdline", f"/proc/{run.process.pid}/environ")
    for path in command:
        with open(path, "rb") as stream:
            assert web.token.encode() not in stream.read()


# Settings


def free_port():
    """One that the kernel gives to nobody who asks for any, and that nobody has."""
    for port in random.sample(range(20000, 30000), 100):
        with socket.socket() as other:
            try:
                other.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


def test_a_web_that_is_off_stays_off(make):
    run = make(FSMVP_WEB="false").start()
    answer = unix(run, "POST", "/api/v1/login")
    assert answer.status == 403 and "web = false" in answer.json["error"]["message"]
    assert not (run.runtime / "web.port").exists() and "web" not in run.cli("status", "--json").json


def test_a_web_that_is_on_is_open_from_the_start_at_the_port_that_is_set(make):
    port = free_port()
    run = make(FSMVP_WEB="true", FSMVP_WEB_PORT=str(port)).start()
    web = WebAPI(run)
    assert web.port == port and run.cli("status", "--json").json["web"] == web.base
    assert web.get("/healthz").status == 200


def test_a_port_that_is_taken_is_told_and_harms_nothing_else(sim, make):
    port = free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        run = make(FSMVP_WEB="true", FSMVP_WEB_PORT=str(port)).start()
        file = sim.add(MiB)
        with open(run.stage(file), "rb") as stream:
            assert stream.read() == sim.bytes(file, "somebody")
        answer = unix(run, "POST", "/api/v1/login")
        assert (
            answer.status == 500
            and str(port) in answer.json["error"]["message"]
            and "web_port" in answer.json["error"]["message"]
        )
        assert run.says(f"port {port}")
    # It is tried again with each login.
    assert login(run).startswith(f"http://127.0.0.1:{port}/")


# Restarts


def test_a_restart_keeps_port_token_and_sessions(run, web):
    session = web.session()
    assert run.stop() == 0
    with pytest.raises(OSError):
        web.get("/healthz")
    run.start()
    after = WebAPI(run)
    assert (after.port, after.token) == (web.port, web.token)
    assert after.ask("GET", "/api/v1/status", headers=session).status == 200


def test_a_killed_control_plane_and_a_reload_keep_port_token_and_sessions(sim, run, web):
    session = web.session()
    listener = events(web)
    assert next(listener)[0] == "snapshot"
    run.kill()
    # Told by the end of its connection.
    with pytest.raises((StopIteration, OSError, http.client.HTTPException)):
        for _ in range(1000):
            next(listener)
    run.start()
    until_ready(web)
    assert WebAPI(run).token == web.token
    assert web.ask("GET", "/api/v1/status", headers=session).json["pid"] == run.process.pid
    assert run.cli("reload").code == 0
    wait_until(lambda: web.ask("GET", "/api/v1/status", headers=session).json["reload"]["state"] == "done")
    # A link that was not used is of the process that made it.
    url = login(run)
    assert run.cli("reload").code == 0
    assert web.get(url.removeprefix(web.base)).status == 401


def test_a_last_port_that_is_taken_costs_the_sessions_only(run, web):
    session = web.session()
    assert run.stop() == 0
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("127.0.0.1", web.port))
            other.listen()
        except OSError as error:
            # Another program of this machine was faster, which is as good.
            assert error.errno == errno.EADDRINUSE
        run.start()
        after = WebAPI(run)
        assert after.port != web.port and after.token == web.token
        assert run.says(f"port {web.port}")
        # Browsers sent the old sessions to the next server at the old port: they are worth nothing.
        stolen = session["Cookie"].replace(f"fsmvp-{web.port}=", f"fsmvp-{after.port}=")
        assert after.ask("GET", "/api/v1/status", headers={"Cookie": stolen}).status == 401
        assert after.ask("GET", "/api/v1/status", headers=after.bearer).status == 200


def test_a_token_that_others_could_read_is_replaced(run, web):
    session = web.session()
    assert run.stop() == 0
    (run.runtime / "api.token").chmod(0o644)
    run.start()
    after = WebAPI(run)
    assert after.token != web.token and stat.S_IMODE((run.runtime / "api.token").stat().st_mode) == 0o600
    assert after.ask("GET", "/api/v1/status", headers=web.bearer).status == 401
    assert after.ask("GET", "/api/v1/status", headers=session).status == 401


# Slow, broken and many


def is_ended(connection, limit):
    """Whether the other side ends the connection while a byte is sent four times a second, at most `limit` seconds."""
    end = time.monotonic() + limit
    connection.settimeout(0.25)
    while time.monotonic() < end:
        try:
            connection.send(b"x")
            if connection.recv(65536) == b"":
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


def test_headers_and_bodies_that_trickle_are_cut_off(web):
    request = f"POST /api/v1/staged HTTP/1.1\r\nHost: {web.host}\r\nAuthorization: Bearer {web.token}\r\nContent-Type: application/json\r\n"
    starts = [
        "GET /",
        "GET / HTTP/1.1\r\nX: ",
        request + "Content-Length: 60000\r\n\r\n",
        request + "Transfer-Encoding: chunked\r\n\r\nffff\r\n",
    ]
    results = [False] * len(starts)

    def trickle(index, start):
        with web.raw() as connection:
            connection.sendall(start.encode())
            results[index] = is_ended(connection, 100)

    threads = [threading.Thread(target=trickle, args=pair) for pair in enumerate(starts)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert web.get("/healthz").status == 200
        time.sleep(0.5)
    assert all(results), results


def test_idle_connections_keep_nobody_out(web):
    idle = [web.raw() for _ in range(200)]
    try:
        for _ in range(20):
            assert web.ask("GET", "/api/v1/status", headers=web.bearer).status == 200
    finally:
        for connection in idle:
            connection.close()
    descriptors = f"/proc/{web.run.process.pid}/fd"
    wait_until(lambda: len(os.listdir(descriptors)) < 100, what="they are closed")


def test_headers_and_bodies_that_are_too_large_are_refused(web):
    with web.raw() as connection:
        try:
            connection.sendall(f"GET / HTTP/1.1\r\nHost: {web.host}\r\nX: ".encode() + b"x" * (1 << 20) + b"\r\n\r\n")
            answer = connection.recv(65536)
            assert answer == b"" or answer.split()[1] in (b"400", b"413", b"414", b"431"), answer
        except OSError:
            pass
    for size in (65 << 10, 900 << 10):
        assert guarded(web.ask("POST", "/api/v1/staged", b"x" * size, web.bearer | JSON)).status == 413
    # Announced, not sent.
    with web.raw() as connection:
        connection.sendall(
            f"POST /api/v1/staged HTTP/1.1\r\nHost: {web.host}\r\nAuthorization: Bearer {web.token}\r\nContent-Type: application/json\r\n"
            "Content-Length: 99999999999\r\n\r\n".encode()
        )
        assert connection.recv(65536).split()[1] == b"413"
    assert web.get("/healthz").status == 200


GARBAGE = {
    "TLS": b"\x16\x03\x01\x02\x00\x01",
    "zeros": b"\0" * 5000,
    "no target": b"GET\r\n\r\n",
    "a version to come": b"GET / HTTP/9.9\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "empty lines": b"\r\n" * 5000,
    "a proxy's request": b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
def test_what_is_no_request_harms_nobody(web, data):
    with web.raw() as connection:
        connection.settimeout(2)
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
            assert not answer.startswith(b"HTTP/1.1 200"), answer
        except OSError:
            pass
        assert web.get("/healthz").status == 200


def test_clients_that_take_nothing_of_their_answer_hold_up_nobody(web):
    """Answers larger than the socket takes, to clients that stand still: they cost a connection each for a while."""
    stuck = []
    for _ in range(20):
        connection = web.raw()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(
            f"GET /api/v1/config HTTP/1.1\r\nHost: {web.host}\r\nAuthorization: Bearer {web.token}\r\n\r\n".encode()
            * 200
        )
        stuck.append(connection)
    for _ in range(5):
        assert web.get("/healthz").status == 200
    for connection in stuck:
        connection.close()


def test_fifty_listeners_hear_the_same_and_a_stuck_one_holds_up_nobody(sim, web):
    listeners = [events(web) for _ in range(50)]
    assert all(next(listener)[0] == "snapshot" for listener in listeners)
    stuck = web.raw()
    stuck.sendall(
        f"GET /api/v1/events HTTP/1.1\r\nHost: {web.host}\r\nAuthorization: Bearer {web.token}\r\n\r\n".encode()
    )
    item = web.ask(
        "POST", "/api/v1/staged", {"file": sim.add(1000, "heard.bin"), "recipient": "x"}, web.bearer | JSON
    ).json
    for listener in listeners:
        name, data = next(event for event in listener if event[0] == "item")
        assert data["id"] == item["id"] and data["name"] == "heard.bin"
    assert web.get("/healthz").status == 200
    stuck.close()
    for listener in listeners:
        listener.close()
    assert web.run.stop() == 0


def test_a_stop_by_the_page_ends_it_in_order(web):
    answer = guarded(web.ask("POST", "/api/v1/stop", headers=web.bearer))
    assert answer.status == 202 and answer.json == {"pid": web.run.process.pid}
    assert web.run.process.wait(PATIENCE) == 0
    assert web.run.process.returncode != -signal.SIGKILL
