"""Everything but passthrough works without privilege, by way of fusermount3."""

import os
import subprocess
import time

import pytest
from instance import PATIENCE, FSMVP, MiB, die_with_parent, wait_until
from readers import sha256

NOBODY = 65534


@pytest.fixture
def unprivileged(make, tmp_path_factory):
    """An instance of uid 65534. On a machine whose /dev/fuse is closed to others it gets one of its own by a mount
    namespace."""
    instance = make()
    instance.folder.chmod(0o755)
    for folder in (instance.runtime, instance.cache, instance.state, instance.mount):
        folder.mkdir(mode=0o700)
        os.chown(folder, NOBODY, NOBODY)
    os.chown(instance.folder, NOBODY, NOBODY)
    assert os.geteuid() == 0, "this test needs root to become nobody"
    device = instance.folder / "dev"
    device.mkdir()
    setup = (
        f"mount -t tmpfs none {device} && mknod -m 666 {device}/fuse c 10 229 && mount --bind {device}/fuse /dev/fuse"
        ' && exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"'
    )
    instance.wrapper = ["unshare", "-m", "bash", "-c", setup, "bash"]
    return instance


def inside(instance, *command):
    """Runs in the instance's mount namespace, as its user: without allow_other a FUSE mount is hidden from other
    users."""
    pid = str(instance.process.pid)
    return subprocess.run(
        ["nsenter", "-t", pid, "-m", "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command],
        capture_output=True,
        env=instance.environment,
    )


def test_mounts_reads_and_unmounts(sim, unprivileged):
    run = unprivileged.start()
    file = sim.add(9 * MiB + 5, "clip.mp4")
    staged = inside(run, FSMVP, "stage", file, "--recipient", "tag")
    assert staged.returncode == 0, staged
    path = staged.stdout.decode().rstrip("\n")
    done = inside(run, "sha256sum", path)
    assert done.stdout.decode().split()[0] == sha256(sim.content(file, "tag"))
    info = inside(run, "cat", "/proc/self/mountinfo").stdout.decode()
    line = next(line for line in info.splitlines() if line.split()[4] == str(run.mount))
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(line.split()[5].split(","))
    assert "max_read=1048576" in line.split(" - ")[1].split()[2].split(",")
    assert inside(run, "touch", f"{run.mount}/x").returncode != 0
    shim = inside(run, FSMVP, "status", "--json")
    assert shim.returncode == 0
    # The folder cannot be told from outside; ask before it is gone.
    keeper = subprocess.Popen(["nsenter", "-t", str(run.process.pid), "-m", "sleep", "600"], preexec_fn=die_with_parent)
    try:
        namespaces = [f"/proc/{pid}/ns/mnt" for pid in (keeper.pid, run.process.pid)]
        wait_until(lambda: len({os.readlink(path) for path in namespaces}) == 1, what="a keeper of the namespace")
        assert run.stop() == 0
        after = subprocess.run(
            ["nsenter", "-t", str(keeper.pid), "-m", "cat", "/proc/self/mountinfo"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert str(run.mount) not in [line.split()[4] for line in after.stdout.splitlines()]
    finally:
        keeper.kill()
        keeper.wait()


def test_blocked_readers_do_not_hold_up_the_end_without_privilege(sim, unprivileged):
    run = unprivileged.start()
    file = sim.add(64 * MiB)
    path = inside(run, FSMVP, "stage", file, "--recipient", "tag").stdout.decode().rstrip("\n")
    sim.gate(file=file)
    prefix = [
        "nsenter",
        "-t",
        str(run.process.pid),
        "-m",
        "setpriv",
        f"--reuid={NOBODY}",
        f"--regid={NOBODY}",
        "--clear-groups",
    ]
    readers = [
        subprocess.Popen([*prefix, "cat", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(8)
    ]
    try:
        time.sleep(0.5)
        assert run.stop() == 0
        for reader in readers:
            assert reader.wait(PATIENCE) != 0
    finally:
        for reader in readers:
            reader.kill()
            reader.wait()


def test_another_users_command_is_refused(sim, run):
    run.folder.chmod(0o755)
    run.runtime.chmod(0o755)
    os.chmod(run.runtime / "api.sock", 0o777)
    done = subprocess.run(
        ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", FSMVP, "staged"],
        env=run.environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "user" in done.stderr, done
    assert run.cli("staged").code == 0
