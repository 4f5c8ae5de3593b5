"""Files that stream through the window in memory (range-lru): under every death, with every window's size, and never
more of it than was allowed."""

import os
import re
import signal
import subprocess
import time

import pytest
from stand import Stand, kill_at_random
from instance import MiB, descriptors_of, wait_until
from readers import Background, Direct, sha256, sha256_file

# Bytes of a file that is read under kills: more than the window, and little enough to be compared quickly.
SIZES = {"64MiB": 80 * MiB, "1MiB": 8 * MiB}


def windowed(make, settings="", **environment):
    return make(FSMVP_FETCH_MODE="range-lru", **environment).configure(settings)


@pytest.fixture(params=SIZES)
def stand(request, sim, make, tmp_path):
    run = windowed(make, f'cache_size = "{request.param}"\n').start()
    return Stand(run, sim, tmp_path, size=SIZES[request.param], fetched=False)


def leased(run):
    return run.cli("status", "--json").json["readsLeased"]


# Deaths


def test_random_kills_of_all_three_under_users_of_a_window(stand):
    with stand.checkers("direct", "buffered", "direct", "buffered", "open") as some:
        counts = kill_at_random(stand, 5, seed=os.getpid())
        some.check()
        stand.ready()
        some.finish()
    assert all(counts.values()), counts
    stand.settled()
    stand.ends_clean()


def test_a_file_that_streams_while_its_shim_is_killed_again_and_again(sim, make, tmp_path):
    stand = Stand(windowed(make, 'cache_size = "1MiB"\n').start(), sim, tmp_path, size=16 * MiB, fetched=False)
    sim.set(rate=8 * MiB)
    with stand.checkers("once") as some:
        while some.all[0].process.poll() is None:
            stand.kill_active()
            time.sleep(0.15)
        some.check()
        assert some.all[0].operations == 16
    stand.settled()


def test_a_reload_under_users_of_a_window(sim, make, tmp_path):
    stand = Stand(windowed(make, 'cache_size = "1MiB"\n').start(), sim, tmp_path, fetched=False)
    pid = stand.run.process.pid
    with stand.checkers("direct", "buffered", "open") as some:
        for _ in range(2):
            before = (stand.region.active, stand.region.standby)
            done = stand.run.cli("reload", timeout=60)
            assert done.code == 0, done
            stand.ready()
            assert stand.run.process.poll() is None and stand.region.control == pid
            assert not {stand.region.active, stand.region.standby} & set(before), "both shims are new"
        some.finish()
    stand.settled()
    stand.ends_clean()


def test_an_open_handle_is_leased_again_after_an_adoption(sim, make, tmp_path):
    """Its bytes are gone with the control plane that had them; once fetched again they are read without the next
    one."""
    stand = Stand(windowed(make).start(), sim, tmp_path, fetched=False)
    with open(stand.want, "rb") as want:
        right = want.read()
    reader = Direct(stand.path)
    assert reader.read(MiB, MiB) == right[MiB : 2 * MiB]
    for _ in range(2):
        stand.kill_control()
        assert stand.run.says("windows.taken_up")
        assert reader.read(MiB, MiB) == right[MiB : 2 * MiB]
        before = leased(stand.run)
        for _ in range(10):
            assert reader.read(MiB, 65536) == right[MiB : MiB + 65536]
        wait_until(lambda before=before: leased(stand.run) >= before + 10, what="ten leased reads")
        stand.run.process.send_signal(signal.SIGSTOP)
        assert Background(reader.read, MiB, MiB).result(10) == right[MiB : 2 * MiB]
        stand.kill_active()
        assert Background(reader.read, MiB, MiB).result(10) == right[MiB : 2 * MiB]
        stand.run.process.send_signal(signal.SIGCONT)
        stand.ready()
    reader.close()
    stand.settled()
    stand.ends_clean()


def test_a_read_that_waits_for_its_window_outlives_the_control_plane(sim, make, tmp_path):
    stand = Stand(windowed(make, 'cache_size = "1MiB"\n').start(), sim, tmp_path, fetched=False)
    gate = sim.gate(file=stand.file)
    readers = [Direct(stand.path) for _ in range(8)]
    reading = [Background(reader.read, number * MiB, MiB) for number, reader in enumerate(readers)]
    wait_until(lambda: list(stand.region.slots().values()).count("TAKEN") == 8, what="waiting reads")
    stand.kill_control()
    stand.kill_active()
    assert all(one.is_running for one in reading)
    sim.release(gate)
    with open(stand.want, "rb") as want:
        for one in reading:
            assert one.result(30) == want.read(MiB)
    for reader in readers:
        reader.close()
    stand.settled()


# Memory


def private(pid, skip):
    """Bytes of a process that count as its own (PSS), but for mappings of the file `skip`."""
    total, counts = 0, True
    with open(f"/proc/{pid}/smaps") as lines:
        for line in lines:
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                counts = skip not in line
            elif line.startswith("Pss:") and counts:
                total += int(line.split()[1]) << 10
    return total


def window_bytes(pid):
    """The memory that the window's memfd takes, over all its mappings."""
    for number, target in descriptors_of(pid).items():
        if "fsmvp-window" in target:
            return os.stat(f"/proc/{pid}/fd/{number}").st_blocks * 512
    raise AssertionError("no window")


def memory(run):
    pids = [run.process.pid, *run.shims()]
    return sum(private(pid, "fsmvp-window") for pid in pids) + window_bytes(run.process.pid)


def stream_all(sim, run, count, size):
    """Every file read whole at once by a reader of its own; the most memory seen meanwhile."""
    files = [sim.add(size, f"clip {number}.mp4") for number in range(count)]
    paths = [run.stage(file, "tag") for file in files]
    right = [sha256(sim.content(file, "tag")) for file in files]
    readers = [Background(sha256_file, path, 256 << 10) for path in paths]
    most = 0
    while any(reader.is_running for reader in readers):
        most = max(most, memory(run))
        time.sleep(0.02)
    assert [reader.result(120) for reader in readers] == right
    return most


@pytest.mark.parametrize(
    "cache, budget, size",
    [("64MiB", 64 * MiB, 6 * MiB + 7), ("8MiB", 8 * MiB, 2 * MiB + 7), ("64KiB", MiB // 4, MiB + 7)],
    ids=["by default", "a block a file", "the smallest"],
)
def test_32_files_stream_at_once_within_their_memory(sim, make, cache, budget, size):
    run = windowed(make, f'cache_size = "{cache}"\n').start()
    most = stream_all(sim, run, 32, size)
    assert most < budget + 64 * MiB, f"{most / MiB:.1f} MiB"
    # A reader's worth is beyond it, whatever the size.
    assert window_bytes(run.process.pid) <= budget + 4 * MiB
    run.cli("unstage", "--all")
    wait_until(lambda: window_bytes(run.process.pid) == 0, what="the window's memory is given back")


# Nothing on a disk


def test_no_file_of_bytes_is_made(sim, make):
    run = windowed(make).start()
    file = sim.add(4 * MiB)
    path = run.stage(file, "tag")
    with open(path, "rb", buffering=0) as stream:
        assert sha256(stream) == sha256(sim.content(file, "tag"))
        assert [names for _, _, names in os.walk(run.cache) if names] == []
        assert run.item(path)["windowed"] is True


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a disk")
def test_a_cache_folder_that_is_read_only_is_no_obstacle(sim, make):
    run = windowed(make)
    os.makedirs(run.cache, mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "small", run.cache], check=True)
    try:
        run.start()
        subprocess.run(["mount", "-o", "remount,ro", run.cache], check=True)
        file = sim.add(4 * MiB)
        assert sha256_file(run.stage(file, "tag")) == sha256(sim.content(file, "tag"))
        assert run.cli("cache").code == 0
        shims = sorted(run.two_shims())
        run.kill()
        run.start()
        assert sorted(run.shims()) == shims, "adopted"
        assert run.stop() == 0
        # Without the instance's folder in it, too.
        subprocess.run(["mount", "-o", "remount,rw", run.cache], check=True)
        for folder in run.cache.iterdir():
            folder.rmdir()
        subprocess.run(["mount", "-o", "remount,ro", run.cache], check=True)
        for stop in (run.kill, run.stop):
            run.start()
            other = sim.add(4 * MiB)
            assert sha256_file(run.stage(other, "tag")) == sha256(sim.content(other, "tag"))
            stop()
    finally:
        run.destroy()
        subprocess.run(["umount", "-l", run.cache], check=False)
        run.destroy()
