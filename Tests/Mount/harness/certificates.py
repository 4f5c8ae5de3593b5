"""Self-signed certificates that a test makes."""

import subprocess

#: A name that no resolver knows: only a proxy leads to it.
NAME = "hub.test"


def certificate(folder, name):
    """A self-signed certificate for this machine and for NAME, and its key, by the openssl command."""
    paths = [str(folder / f"{name}.pem"), str(folder / f"{name}.key")]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        + [
            "-subj",
            f"/CN={name}",
            "-addext",
            f"subjectAltName=IP:127.0.0.1,DNS:{NAME}",
            "-out",
            paths[0],
            "-keyout",
            paths[1],
        ],
        check=True,
        capture_output=True,
    )
    return paths
