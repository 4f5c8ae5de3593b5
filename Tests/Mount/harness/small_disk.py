"""A small disk of an instance's own for its cache, which a test fills."""

import errno
import os
import subprocess

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")


class SmallDisk:
    """A tmpfs over an instance's cache folder, and a foreign file that fills it."""

    def __init__(self, run, size):
        self.path = str(run.cache)
        os.makedirs(self.path, mode=0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "small", self.path], check=True)
        self.ballast = f"{self.path}/ballast"

    def free(self):
        about = os.statvfs(self.path)
        return about.f_bavail * about.f_frsize

    def fill(self, leaving):
        with open(self.ballast, "ab") as file:
            while True:
                try:
                    return os.posix_fallocate(file.fileno(), 0, file.tell() + self.free() - leaving)
                except OSError as error:
                    # The control plane wrote between the look at the free space and the call: look again.
                    if error.errno != errno.ENOSPC:
                        raise

    def close(self):
        subprocess.run(["umount", "-l", self.path], check=True)
