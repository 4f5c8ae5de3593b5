"""The stage a figure plays on: the simulator, the programs under test in a fetch mode, and what both leave behind,
which is nothing."""

import contextlib
import functools
import json
import os
import pathlib
import subprocess
import sys
import time
import urllib.parse
import urllib.request

from instance import Instance, MiB, Sim, die_with_parent

READER = pathlib.Path(__file__).with_name("reader.py")


@contextlib.contextmanager
def simulator(**settings):
    sim = Sim()
    try:
        sim.set(**settings)
        yield sim
    finally:
        sim.close()


@contextlib.contextmanager
def instance(sim, mode="temp-file", **environment):
    """A running control plane with its shims."""
    run = Instance(sim, FSMVP_FETCH_MODE=mode, **environment)
    try:
        yield run.start()
    finally:
        run.destroy()


@functools.cache
def refusal(mode):
    """Why there is nothing to measure in a mode, or nothing where there is."""
    with simulator() as sim:
        run = Instance(sim, FSMVP_FETCH_MODE=mode)
        try:
            run.start()
            with open(run.stage(sim.add(MiB)), "rb") as stream:
                stream.read()
                if mode == "range-lru" and list(run.cache.rglob("*.bytes")):
                    return "skipped: `fsmvp run` accepts range-lru and writes files of bytes all the same"
        except AssertionError as error:
            return f"skipped: {str(error).splitlines()[-1]}"
        finally:
            run.destroy()
    return ""


def signed_link(sim, file, tag):
    """Got as the control plane gets it."""
    body = urllib.parse.urlencode(
        {"grant_type": "client_credential", "client_id": "demo-client", "client_secret": "demo-secret"}
    ).encode()
    token = json.load(urllib.request.urlopen(f"{sim.base}/oauth2/token/", data=body))["access_token"]
    query = urllib.parse.urlencode({"file_id": file, "autograph_tag": tag, "redirect": "true"})
    done = subprocess.run(
        [
            "curl",
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{redirect_url}",
            "-H",
            f"Authorization: Bearer {token}",
            f"{sim.base}/files/downloads/?{query}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def settle():
    """Writes the bytes of earlier rounds to the disk, so that the next one does not pay for them."""
    os.sync()


def quiet_bytes(sim, file, silence=1.0, limit=10.0):
    """The bytes that the simulator sent of a file, once it sends no more of it (or after `limit` seconds)."""
    end, last, since = time.monotonic() + limit, -1, 0.0
    while time.monotonic() < end:
        sent = sim.stats()["bytes_sent"].get(file, 0)
        now = time.monotonic()
        if sent != last:
            last, since = sent, now
        elif now - since >= silence:
            break
        time.sleep(0.05)
    return last


def timed(function):
    """Seconds, and what it returned."""
    start = time.monotonic()
    value = function()
    return time.monotonic() - start, value


def dd(path, *flags):
    """Seconds of a sequential read."""
    return timed(
        lambda: subprocess.run(["dd", f"if={path}", "of=/dev/null", "bs=1M", "status=none", *flags], check=True)
    )[0]


def reader(*words):
    """A reader of reader.py, running."""
    command = [sys.executable, READER, *(str(word) for word in words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent)


def read_by(*words, limit=300):
    """The result of such a reader."""
    process = reader(*words)
    try:
        out, _ = process.communicate(timeout=limit)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, f"reader {words[0]} ended with {process.returncode}"
    return json.loads(out)
