"""The mount's tree, which no operation can change."""

import errno
import os
import pathlib
import stat
import subprocess

import pytest
from instance import MiB


@pytest.fixture
def staged(sim, run):
    return run, run.stage(sim.add(MiB, "clip.mp4"), "tag")


def shell(command, **more):
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, **more)


def test_cd_ls_stat_df_find(staged):
    run, path = staged
    item = os.path.dirname(path)
    done = shell(f"cd {run.mount} && cd Staged && ls -la && cd {item} && ls -la && pwd")
    assert done.returncode == 0, done.stderr
    assert "clip.mp4" in done.stdout and str(MiB) in done.stdout
    listing = shell(f"find {run.mount} | sort").stdout.split()
    markers = [f"{run.mount}/{name}" for name in ("CACHEDIR.TAG", ".nomedia", ".trackerignore")]
    assert sorted(listing) == sorted([str(run.mount), f"{run.mount}/Staged", item, path, *markers])
    figures = os.statvfs(run.mount)
    assert figures.f_blocks * figures.f_frsize >= MiB and figures.f_namemax == 255
    assert shell(f"df {run.mount}").returncode == 0


def test_attributes(staged):
    run, path = staged
    for folder in [run.mount, f"{run.mount}/Staged", os.path.dirname(path)]:
        mode = os.stat(folder).st_mode
        assert stat.S_ISDIR(mode) and stat.S_IMODE(mode) == 0o755
    file = os.stat(path)
    assert stat.S_ISREG(file.st_mode) and file.st_size == MiB and file.st_nlink == 1
    assert (file.st_uid, file.st_gid) == (os.geteuid(), os.getegid())
    inodes = {os.stat(p).st_ino for p in [run.mount, f"{run.mount}/Staged", os.path.dirname(path), path]}
    assert len(inodes) == 4


def test_mount_options(run):
    with open("/proc/self/mountinfo") as lines:
        line = next(line for line in lines if line.split()[4] == str(run.mount))
    options = line.split()[5].split(",")
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(options)
    tail = line.split(" - ")[1].split()
    assert tail[0] == "fuse.fsmvp" and "fsmvp" in tail[1] and "default_permissions" in tail[2]


def test_ready_line(run):
    assert run.ready == f"ready mount={run.mount} socket={run.runtime}/api.sock"


def test_what_is_not_there(staged):
    run, path = staged
    for missing in [run.mount / "nope", f"{path}/under", f"{run.mount}/Staged/nope/clip.mp4", path + "x"]:
        with pytest.raises((FileNotFoundError, NotADirectoryError)):
            os.stat(missing)
    with pytest.raises(OSError) as caught:
        os.stat(f"{run.mount}/{'n' * 256}")
    assert caught.value.errno == errno.ENAMETOOLONG
    with pytest.raises(FileNotFoundError):
        os.stat(f"{run.mount}/{'n' * 255}")


MUTATING = {
    "create": lambda mount, path: os.open(f"{mount}/new", os.O_CREAT | os.O_WRONLY),
    "write": lambda mount, path: os.open(path, os.O_WRONLY),
    "append": lambda mount, path: os.open(path, os.O_RDWR | os.O_APPEND),
    "truncate on open": lambda mount, path: os.open(path, os.O_WRONLY | os.O_TRUNC),
    "truncate": lambda mount, path: os.truncate(path, 0),
    "unlink": lambda mount, path: os.unlink(path),
    "mkdir": lambda mount, path: os.mkdir(f"{mount}/new"),
    "rmdir": lambda mount, path: os.rmdir(os.path.dirname(path)),
    "rename": lambda mount, path: os.rename(path, path + ".new"),
    "symlink": lambda mount, path: os.symlink("to", f"{mount}/new"),
    "link": lambda mount, path: os.link(path, path + ".new"),
    "mknod": lambda mount, path: os.mknod(f"{mount}/new", 0o600 | stat.S_IFIFO),
    "chmod": lambda mount, path: os.chmod(path, 0o777),
    "chown": lambda mount, path: os.chown(path, 1, 1),
    "utime": lambda mount, path: os.utime(path, (1, 1)),
    "setxattr": lambda mount, path: os.setxattr(path, "user.x", b"y"),
    "removexattr": lambda mount, path: os.removexattr(path, "user.x"),
}


@pytest.mark.parametrize("name", MUTATING)
def test_mutating_calls_are_refused(staged, name):
    run, path = staged
    before = os.stat(path)
    with pytest.raises(OSError) as caught:
        MUTATING[name](run.mount, path)
    assert caught.value.errno == errno.EROFS, os.strerror(caught.value.errno)
    after = os.stat(path)
    assert (before.st_size, before.st_mtime_ns, before.st_mode) == (after.st_size, after.st_mtime_ns, after.st_mode)


def test_names_from_the_service_are_made_safe(sim, run):
    names = {
        "a/b\\c.mp4": None,
        "tab\tnew\nline.mov": None,
        "..": None,
        "x" * 300 + ".mp4": None,
        "Übung mit Ton – 日本語.mp4": "Übung mit Ton – 日本語.mp4",
        " spaces  inside .mp4": None,
    }
    for name, exact in names.items():
        path = run.stage(sim.add(5000, name), "tag")
        assert "\n" not in path
        found = pathlib.Path(path)
        assert found.parent.parent == pathlib.Path(run.mount) / "Staged"
        assert len(found.name.encode()) <= 255 and found.name not in (".", "..")
        assert not any(ord(c) < 32 for c in found.name)
        if exact:
            assert found.name == exact
        if name.endswith(".mp4"):
            assert found.suffix == ".mp4"
        assert os.stat(path).st_size == 5000
        assert os.listdir(found.parent) == [found.name]
