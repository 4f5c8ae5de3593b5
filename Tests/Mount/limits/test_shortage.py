"""A shortage fails the requests that need the resource, and passes: descriptors, tasks, handles, and secrets that
stay secret."""

import http.client
import os
import random
import resource
import shutil
import socket

import instance
import pytest
from stand import Stand
from instance import BIN, MiB, wait_until


@pytest.fixture
def stand(run, sim, tmp_path):
    return Stand(run, sim, tmp_path, size=MiB)


def descriptors(pid):
    return sorted(int(name) for name in os.listdir(f"/proc/{pid}/fd"))


def test_the_limit_of_open_files_is_the_hard_limit_in_all_processes(make, sim, tmp_path):
    """Started with 256, as some shells and service managers do."""
    run = make()
    run.wrapper = ["prlimit", "--nofile=256:8192"]
    run.start()
    for pid in [run.process.pid, *run.two_shims()]:
        assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == (8192, 8192)


def test_shims_are_replaced_while_the_control_plane_has_no_descriptor_left(stand):
    control = stand.region.control
    before = resource.prlimit(control, resource.RLIMIT_NOFILE)
    limit = descriptors(control)[-1] + 8
    resource.prlimit(control, resource.RLIMIT_NOFILE, (limit, before[1]))
    clients = []
    try:
        # Each takes a descriptor of the control plane, until none is left.
        for _ in range(limit):
            client = socket.socket(socket.AF_UNIX)
            client.connect(str(stand.run.runtime / "api.sock"))
            clients.append(client)
        wait_until(lambda: len(descriptors(control)) == limit, 30, what="every descriptor is in use")
        for _ in range(3):
            epoch = stand.region.epoch
            stand.kill_active()
            wait_until(lambda: stand.region.epoch > epoch, 30, what="a takeover")
            stand.ready()
    finally:
        for client in clients:
            client.close()
        resource.prlimit(control, resource.RLIMIT_NOFILE, before)
    stand.run.serves()
    stand.settled()


def test_eleven_shims_that_get_no_threads_lose_no_mount(sim, make, tmp_path, monkeypatch):
    """They end with 75, as for want of tasks; the status says so, and the reader that waits is served once there is
    room."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("fsmvp", "fsmvp-shim"):
        shutil.copy(BIN / name, programs / name)
    monkeypatch.setattr(instance, "FSMVP", str(programs / "fsmvp"))
    stand = Stand(make().start(), sim, tmp_path, size=MiB)
    tries = tmp_path / "tries"
    short = tmp_path / "short"
    short.write_text(f"#!/bin/sh\necho >> {tries}\nexit 75\n")
    short.chmod(0o755)
    os.replace(programs / "fsmvp-shim", programs / "kept")
    os.replace(short, programs / "fsmvp-shim")
    with stand.checkers("direct", "buffered") as some:
        for pid in stand.run.shims():
            os.kill(pid, 9)
        wait_until(lambda: tries.exists() and len(tries.read_text()) > 10, 120, 0.2, what="eleven tries")
        shim = stand.run.cli("status", "--json").json["shim"]
        assert shim["state"] == "replacing" and "lacks" in shim["reason"] and "ulimit" in shim["reason"], shim
        assert "lacks" in stand.run.cli("status").out
        os.replace(programs / "kept", programs / "fsmvp-shim")
        stand.ready()
        wait_until(
            lambda: "reason" not in stand.run.cli("status", "--json").json["shim"], 30, 0.2, what="nothing is lacking"
        )
        some.finish()
    stand.settled()


def test_no_secret_is_in_the_environment_of_a_shim(make, sim):
    proxies = {name: "http://user:hunter2@127.0.0.1:9" for name in ("https_proxy", "HTTP_PROXY", "all_proxy")}
    run = make(**proxies, SOME_TOKEN="hunter2", TZ="UTC").start()
    for pid in run.two_shims():
        with open(f"/proc/{pid}/environ", encoding="utf-8") as file:
            variables = file.read().split("\0")
        assert not [
            text for text in variables if "hunter2" in text or "secret" in text.lower() or "proxy" in text.lower()
        ], variables
        assert "TZ=UTC" in variables and any(text.startswith("PATH=") for text in variables)


def test_six_thousand_handles_outlive_a_control_plane_and_are_closed_at_once(stand):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    files = [os.open(stand.path, os.O_RDONLY) for _ in range(6000)]
    assert stand.run.cli("status", "--json").json["openHandles"] == 6000
    stand.kill_control()
    stand.ready()
    wait_until(lambda: stand.run.cli("status", "--json").json["openHandles"] == 6000, what="all of them taken over")
    random.Random(7).shuffle(files)
    for file in files:
        os.close(file)
    wait_until(
        lambda: stand.run.cli("status", "--json").json["openHandles"] == 0, 60, 0.1, what="every handle is given back"
    )
    stand.settled()


def test_a_new_log_level_is_taken_and_shown(stand):
    """The shims' side of it is a test of the link (TakeoverTests)."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(stand.run.runtime / "api.sock"))
    connection.request("PUT", "/api/v1/log", '{"level": "error"}', {"Content-Type": "application/json"})
    assert connection.getresponse().status == 200
    connection.close()
    assert stand.run.cli("status", "--json").json["logLevel"] == "error"
    stand.kill_active()
    stand.ready()
    assert "shim.taken_over" not in stand.run.log.read_text()
