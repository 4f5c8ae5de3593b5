"""An instance whose processes are killed while checkers read from it."""

import contextlib
import os
import random
import time

import checkers
from instance import MiB, PATIENCE, is_alive, mounts, wait_until
from readers import sha256
from region import Region

ALL = ["direct", "probe", "buffered", "names", "open"]


class Stand:
    """A running instance with one staged file, and its right bytes in a file of their own."""

    def __init__(self, run, sim, tmp_path, size=8 * MiB, fetched=True, want="want"):
        self.run, self.sim = run, sim
        self.file = sim.add(size, "clip.mp4")
        self.want = str(tmp_path / want)
        with open(self.want, "wb") as out, sim.content(self.file, "tag") as right:
            while block := right.read(MiB):
                out.write(block)
        self.path = run.stage(self.file, "tag")
        self.region = Region(run.shim_pid())
        if fetched:
            with open(self.path, "rb") as stream:
                while stream.read(MiB):
                    pass
        self.ready()

    def checkers(self, *modes):
        """Begun, and past their open."""
        some = checkers.Checkers(self.path, self.want, modes or ALL)
        wait_until(lambda: all(checker.operations or checker.errors for checker in some.all), what="checkers at work")
        return some

    # The processes of the mount; a snapshot that is true now

    def ready(self):
        """An active shim, a standby and a control plane stand."""
        wait_until(
            lambda: (
                is_alive(self.region.active)
                and is_alive(self.region.standby)
                and self.region.standby != self.region.active
                and is_alive(self.region.control)
            ),
            20,
            0.002,
            what="active, standby and control plane",
        )

    def kill_active(self, wait=True):
        """When the signal was sent; a successor has claimed by the return."""
        epoch = self.region.epoch
        at = checkers.kill(self.region.active)
        if wait:
            wait_until(lambda: self.region.epoch > epoch, 10, 0.0005, what="a takeover")
        return at

    def kill_control(self, start=True):
        """SIGKILL and, where wanted, at once the next one."""
        self.run.kill()
        if start:
            self.run.start()

    # Afterwards

    def rows_are_free(self):
        try:
            wait_until(lambda: not self.region.slots() and not self.region.handles(), 10)
        except AssertionError:
            raise AssertionError(f"rows in use: slots {self.region.slots()}, handles {self.region.handles()}") from None

    def settled(self):
        """Every slot and every handle row is free again: open handles were released, and no request waits."""
        self.rows_are_free()
        wait_until(lambda: self.run.item(self.path)["openRef"] == 0, what="openRef 0")
        wait_until(lambda: self.run.cli("status", "--json").json["openHandles"] == 0, what="no open handle")

    def ends_clean(self):
        """Stops in order; no process, mount, file of bytes or socket is left."""
        self.region.close()
        assert self.run.stop() == 0
        wait_until(lambda: not self.run.shims(), 3, what="no shim left")
        files = [name for _, _, names in os.walk(self.run.cache) for name in names]
        assert files == [] and str(self.run.mount) not in mounts()
        assert [name for name in os.listdir(self.run.runtime) if name.endswith(".sock")] == []


def kill_at_random(stand, seconds, seed, pause=(0.01, 0.12)):
    """Active, standby and control plane, drawn independently, overlaps included, never all three. Returns how often
    each was killed: on a busy machine it goes on until each was.

    Who lives is asked each time, by pid and region: one that counts a process twice kills all three. So does one
    that counts a process whose end takes its time, as that of a sanitized shim does.
    """
    draw = random.Random(seed)
    counts = {"active": 0, "standby": 0, "control": 0}
    begin = time.monotonic()
    run, region = stand.run, stand.region
    killed = set()
    while time.monotonic() < begin + seconds or (not all(counts.values()) and time.monotonic() < begin + PATIENCE):
        time.sleep(draw.uniform(*pause))
        active, standby = region.active, region.standby
        living = {pid for pid in (active, standby) if is_alive(pid)} - killed
        victims = [name for name in counts if draw.random() < 0.45]
        if not living:
            continue
        if (
            "control" in victims
            and run.process.poll() is None
            and (len(living) == 2 or not {"active", "standby"} & set(victims))
        ):
            run.process.kill()
            counts["control"] += 1
            control_lives = False
        else:
            control_lives = run.process.poll() is None
        # One of the three has to be left: with a dead control plane one shim, else none need be.
        may = len(living) - (0 if control_lives else 1)
        for name, pid in (("active", active), ("standby", standby)):
            if name in victims and may > 0 and pid in living:
                # The control plane ends one that is slow to claim.
                with contextlib.suppress(ProcessLookupError):
                    checkers.kill(pid)
                    counts[name] += 1
                killed.add(pid)
                living.discard(pid)
                may -= 1
        if not control_lives:
            run.process.wait()
            run.start()
    return counts


def read_and_upload(run, sim, tmp_path, chromium, receiver, size, rate, shim_kills, control_kills, seed):
    """One whole O_DIRECT read and one browser's upload at once, under kills spread over their time; both have to end
    right.

    Returns the outages of the shim kills, in ms, as a warm reader saw them.
    """
    draw = random.Random(seed)
    stand = Stand(run, sim, tmp_path, size=MiB)
    probed = stand.checkers("probe")
    sim.set(rate=rate)
    file = sim.add(size, "upload.mp4")
    path = run.stage(file, "uploader")
    with sim.content(file, "uploader") as right:
        uploaded_right = sha256(right)
    reading = Stand(run, sim, tmp_path, size=size, fetched=False, want="read")
    kills = ["shim"] * shim_kills + ["control"] * control_kills
    draw.shuffle(kills)
    pause = size / rate * 0.8 / len(kills)
    outages = []
    try:
        with reading.checkers("once") as some:
            chromium.open(receiver.url)
            chromium.choose(path)
            for kill in kills:
                time.sleep(draw.uniform(0.5, 1.5) * pause)
                if kill == "control":
                    stand.kill_control()
                    stand.ready()
                    continue
                at = stand.kill_active()
                stand.ready()
                time.sleep(0.02)
                outages.append(probed["probe"].outage(at))
            still_running = some.all[0].process.poll() is None, chromium.ended() is None
            state = wait_until(chromium.ended, 300, 0.05, what="the upload ends")
            assert state == f"done {uploaded_right}", state
            some.all[0].process.wait(300)
            some.check()
            assert some.all[0].operations == size // MiB
        probed.finish()
    finally:
        probed.__exit__(None, None, None)
        sim.set(rate=0)
    reading.settled()
    return [outage * 1000 for outage in outages if outage is not None], still_running
