#!/usr/bin/env python3
"""The cost of a new TLS connection for the control plane, in processor time.

Sixteen readers at sixteen places of a file that was never read make sixteen connections at once, of an origin with
TLS and of one without; the difference, divided by sixteen, is TLS. Run it as `python3 bench/tls.py [ROUNDS]` with
the programs built; FSMVP_TEST_BIN names another folder of them.
"""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "Tests" / "Mount" / "harness"))

from instance import Instance, MiB, Sim  # noqa: E402

READERS = 16


def certificate(folder):
    paths = [f"{folder}/cert.pem", f"{folder}/key.pem"]
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=bench",
        ]
        + ["-addext", "subjectAltName=IP:127.0.0.1", "-out", paths[0], "-keyout", paths[1]],
        check=True,
        capture_output=True,
    )
    return paths


def processor_time(pid):
    """Nanoseconds of all threads."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as stream:
            total += int(stream.read().split()[0])
    return total


def cost(arguments, config):
    """Milliseconds of the control plane for the sixteen reads."""
    sim = Sim(*arguments)
    run = Instance(sim, FSMVP_FETCH_MODE="range-lru")
    try:
        path_of_config = run.folder / "config.toml"
        path_of_config.write_text(config)
        run.start("--config", str(path_of_config))
        size = 1024 * MiB
        path = run.stage(sim.add(size, "clip.mp4"), "bench")
        gate = threading.Barrier(READERS + 1)

        def read(place):
            descriptor = os.open(path, os.O_RDONLY)
            gate.wait()
            assert len(os.pread(descriptor, 4096, place)) == 4096
            os.close(descriptor)

        threads = [threading.Thread(target=read, args=(number * size // READERS,)) for number in range(READERS)]
        for thread in threads:
            thread.start()
        before = processor_time(run.process.pid)
        gate.wait()
        for thread in threads:
            thread.join()
        return (processor_time(run.process.pid) - before) / 1e6
    finally:
        run.destroy()
        sim.close()


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    plain, tls = [], []
    with tempfile.TemporaryDirectory() as folder:
        cert, key = certificate(folder)
        for _ in range(rounds):
            plain.append(cost(["--separate-storage"], ""))
            tls.append(cost(["--storage-tls-cert", cert, "--storage-tls-key", key], f'ca_file = "{cert}"\n'))
    first, second = statistics.median(plain), statistics.median(tls)
    print(
        f"{READERS} new connections: {first:.1f} ms of processor without TLS, {second:.1f} ms with; {(second - first) / READERS:.2f} ms a connection"
    )


main()
