"""The alternatives: curl, and rclone's mount, each on the same simulator's links and on the same disk as our cache."""

import contextlib
import functools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

from instance import die_with_parent, mounts, wait_until

LISTING = pathlib.Path(__file__).with_name("listing.py")

# The values that its own documentation names for large sequential reads, as far as the installed version has it; beside
# the defaults, not instead of them.
TUNED = {
    "--vfs-read-chunk-streams": "16",
    "--vfs-read-chunk-size": "16Mi",
    "--buffer-size": "64Mi",
    "--vfs-read-ahead": "256Mi",
    "--transfers": "16",
    "--max-read-ahead": "1Mi",
}


def version(program):
    """ "curl 7.88.1", of the first line that the program prints about itself."""
    line = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    return " ".join(line.split()[:2])


def curl(url, copy, *flags, check=True):
    """`curl -o` of a link."""
    subprocess.run(["curl", "-s", *flags, "-o", copy, url], check=check)


def curl_first_bytes(url, length):
    """Seconds to the first byte of an answer, by curl's own clock, on a connection that is made for it."""
    command = ["curl", "-s", "-r", f"0-{length - 1}", "-o", "/dev/null", "-w", "%{time_starttransfer}", url]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@functools.cache
def tuned_flags():
    """Without `--vfs-read-chunk-streams` (rclone before 1.68) its chunks come one at a time, and small ones would
    only cost it requests."""
    known = subprocess.run(["rclone", "mount", "--help"], capture_output=True, text=True, check=True).stdout
    known += subprocess.run(["rclone", "help", "flags"], capture_output=True, text=True, check=True).stdout
    flags = {flag: value for flag, value in TUNED.items() if re.search(rf"{flag}\s", known)}
    if "--vfs-read-chunk-streams" not in flags:
        flags.pop("--vfs-read-chunk-size", None)
    return [f"{flag}={value}" for flag, value in flags.items()]


class RcloneMount:
    """`rclone mount` of links, with a cache of its own: nothing of an earlier one is warm.

    `pid` is the process that serves the mount; `close` leaves neither it nor mount nor folder.
    """

    def __init__(self, links, cache_mode, flags=()):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="rclone-"))
        self.mount = self.folder / "mnt"
        self.mount.mkdir()
        self.processes = []
        try:
            listing = subprocess.Popen(
                [sys.executable, LISTING],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                preexec_fn=die_with_parent,
            )
            self.processes.append(listing)
            json.dump(links, listing.stdin)
            listing.stdin.close()
            remote = f":http,url='http://127.0.0.1:{int(listing.stdout.readline())}/':"
            command = ["rclone", "mount", remote, self.mount, "--read-only", "--vfs-cache-mode", cache_mode]
            command += ["--cache-dir", self.folder / "cache", *flags]
            environment = {key: value for key, value in os.environ.items() if not key.startswith("RCLONE_")} | {
                "HOME": str(self.folder)
            }
            with open(self.folder / "log", "w") as log:
                process = subprocess.Popen(command, stderr=log, env=environment, preexec_fn=die_with_parent)
            self.processes.append(process)
            self.pid = process.pid
            wait_until(lambda: self._stands(process), 20, what="rclone mounts")
            # It knows the names and sizes now, as we do of what is staged.
            assert len(os.listdir(self.mount)) == len(links), (self.folder / "log").read_text()
        except BaseException:
            self.close()
            raise

    def _stands(self, process):
        assert process.poll() is None, (self.folder / "log").read_text()
        return str(self.mount) in mounts()

    def path(self, name):
        return str(self.mount / name)

    def close(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        unmount(self.mount)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def rclone(links, cache_mode, flags=()):
    mount = RcloneMount(links, cache_mode, flags)
    try:
        yield mount
    finally:
        mount.close()


def unmount(point):
    """Politely, then by force; until nothing stands there."""
    for command in (["fusermount3", "-u"], ["umount", "-l"]):
        if str(point) in mounts():
            subprocess.run([*command, point], stderr=subprocess.DEVNULL, check=False)
