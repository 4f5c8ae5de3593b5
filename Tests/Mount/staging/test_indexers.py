"""Programs that walk whole disks (backups, media scanners, indexers) are told to leave the mount alone, by the files
that they look for."""

import errno
import os
import subprocess

import pytest
from instance import MiB, wait_until
from readers import Background
from region import Region

MARKERS = ["CACHEDIR.TAG", ".nomedia", ".trackerignore"]
SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55"


def content(run):
    return [(run.mount / name).read_bytes() for name in MARKERS]


def command(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    assert done.returncode == 0, done
    return done.stdout


@pytest.mark.parametrize("mode", ["temp-file", "range-lru"])
def test_the_root_has_the_markers_and_they_are_read_like_any_file(sim, make, mode):
    run = make(FSMVP_FETCH_MODE=mode).start()
    tag, *others = content(run)
    assert tag.startswith(SIGNATURE + b"\n") and others == [b"", b""]
    assert command("cat", run.mount / "CACHEDIR.TAG").encode() == tag
    listing = command("ls", "-la", run.mount).splitlines()
    for name in MARKERS:
        (line,) = [line for line in listing if line.endswith(" " + name)]
        assert line.startswith("-rw-r--r--"), "regular files, as the standard of cache tags wants"
    assert os.stat(run.mount / "CACHEDIR.TAG").st_size == len(tag)
    assert run.cli("staged", "--json").json == [] and run.cli("cache", "--json").json["items"] == []


def test_a_backup_and_a_search_that_know_the_tag_fetch_nothing(sim, run, tmp_path):
    file = sim.add(4 * MiB)
    path = run.stage(file, "tag")
    archive = tmp_path / "home.tar"
    command("tar", "--exclude-caches", "-C", run.folder, "-cf", archive, "mnt")
    assert command("tar", "-tf", archive).split() == ["mnt/", "mnt/CACHEDIR.TAG"]
    assert command("tar", "-xOf", archive, "mnt/CACHEDIR.TAG").encode().startswith(SIGNATURE)
    assert sim.stats()["bytes_sent"].get(file, 0) == 0
    assert os.stat(path).st_size == 4 * MiB


def test_markers_cannot_be_changed_and_are_no_items(sim, run):
    for name in MARKERS:
        marker = run.mount / name
        for change in [
            lambda: open(marker, "wb"),
            lambda: os.unlink(marker),
            lambda: os.rename(marker, run.mount / "x"),
        ]:
            with pytest.raises(OSError) as caught:
                change()
            assert caught.value.errno == errno.EROFS
        assert run.cli("unstage", str(marker)).code == 4
    staged = run.stage(sim.add(5000, "CACHEDIR.TAG"), "tag")
    assert os.stat(staged).st_size == 5000
    before = content(run)
    assert run.cli("unstage", "--all").code == 0
    assert content(run) == before


@pytest.mark.parametrize("dies", ["the shim", "the control plane", "both"])
def test_a_marker_that_is_open_is_read_on_after_a_death(sim, run, dies):
    with open(run.mount / "CACHEDIR.TAG", "rb", buffering=0) as opened:
        right = os.pread(opened.fileno(), 4096, 0)
        # No page of it is left in the kernel.
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        shim = run.shim_pid()
        # With both of them dead there is nobody but the standby.
        region = Region(shim)
        wait_until(lambda: region.standby, what="a standby")
        region.close()
        if dies != "the shim":
            run.kill()
        if dies != "the control plane":
            os.kill(shim, 9)
        reading = Background(os.pread, opened.fileno(), 4096, 0)
        if dies != "the shim":
            run.start()
        assert reading.result() == right
    assert content(run)[0] == right


def test_the_tag_survives_a_cleaner_of_the_cache_folder_and_leaves_nothing_at_the_stop(sim, run):
    right = content(run)[0]
    (folder,) = run.cache.iterdir()
    (folder / "cachedir.tag").write_bytes(b"")
    with open(run.mount / "CACHEDIR.TAG", "rb", buffering=0) as opened:
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert os.pread(opened.fileno(), 4096, 0) == right
    assert run.cli("cache", "clear").code == 0
    assert content(run)[0] == right
    run.stop()
    wait_until(lambda: not run.shims(), what="the shims have ended")
    assert not (folder / "cachedir.tag").exists()
    run.start()
    assert content(run)[0] == right
