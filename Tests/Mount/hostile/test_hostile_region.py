"""Another process writes into the region: what it changes costs the request in that row, and never wrong bytes, a
shim or the mount."""

import errno
import os
import pathlib
import signal
import struct

import pytest
from stand import Stand
from instance import MiB, descriptors_of, wait_until
from readers import Background, Direct

SLOTS, LEASES = 2, 5
#: Offsets in a slot.
OP, ARG2, RAW_LENGTH, RAW = 0, 48, 124, 208
READDIR, LOOKUP, OPEN = 3, 1, 4


def row(region, section, index):
    """The offset of that row of a section."""
    offset, _, stride = struct.unpack_from("<QII", region.memory, 224 + 16 * section)
    return offset + index * stride


def word32(region, at):
    return struct.unpack_from("<I", region.memory, at)[0]


def slot(region, state, op):
    """The slot in that state that asks that, once there is one."""

    def found():
        rows = [row(region, SLOTS, index) for index, is_in in region.slots().items() if is_in == state]
        return [at for at in rows if word32(region, at + OP) == op]

    return wait_until(found, step=0.002, what=f"a slot {state} of operation {op}")[0]


def stop(run):
    """The control plane, which has stopped by the return."""
    run.process.send_signal(signal.SIGSTOP)
    stat = pathlib.Path(f"/proc/{run.process.pid}/stat")
    wait_until(lambda: stat.read_text().rsplit(")", 1)[1].split()[0] == "T", step=0.002, what="a stopped control plane")


@pytest.fixture
def stand(run, sim, tmp_path):
    return Stand(run, sim, tmp_path, size=MiB)


@pytest.mark.parametrize("is_taken_over", [False, True], ids=["answered", "after a takeover"])
def test_a_changed_argument_of_a_listing_does_not_change_its_form(stand, is_taken_over):
    """The kernel asked for names with attributes or without, and takes nothing else."""
    path = stand.run.stage(stand.sim.add(MiB, "listed.bin"), "tag")
    folder = os.path.dirname(path)
    os.stat(folder)
    stop(stand.run)
    try:
        listing = Background(os.listdir, folder)
        at = slot(stand.region, "SUBMITTED", READDIR)
        struct.pack_into("<Q", stand.region.memory, at + ARG2, 1 - stand.region.word(at + ARG2))
        if is_taken_over:
            stand.kill_active()
    finally:
        stand.run.process.send_signal(signal.SIGCONT)
    assert listing.result() == ["listed.bin"]
    stand.ready()
    stand.settled()


def test_a_name_without_an_end_costs_its_look_up_alone(stand):
    """A successor decodes the request that stands in a slot; libfuse looks for the end of the name (`make sanitize`
    sees it go too far)."""
    stop(stand.run)
    try:
        looking = Background(os.path.exists, f"{stand.run.mount}/Staged/{'n' * 200}")
        at = slot(stand.region, "SUBMITTED", LOOKUP)
        header = bytearray(stand.region.memory[at + RAW : at + RAW + 40])
        struct.pack_into("<I", header, 0, 304)
        stand.region.memory[at + RAW : at + RAW + 304] = bytes(header) + b"n" * 264
        struct.pack_into("<I", stand.region.memory, at + RAW_LENGTH, 304)
        stand.kill_active()
    finally:
        stand.run.process.send_signal(signal.SIGCONT)
    assert looking.result() is False
    stand.ready()
    assert stand.region.epoch == 2
    with open(stand.path, "rb") as stream, open(stand.want, "rb") as want:
        assert stream.read() == want.read()
    stand.settled()


def test_an_open_whose_slot_is_taken_from_the_shim_gives_its_handle_back(stand_with_kill_points):
    """The row of the handle stayed OPENING, and the item in use, for ever."""
    stand = stand_with_kill_points
    region = stand.region
    stand.armed.arm("push.cleared", holds=True)
    opening = Background(os.open, stand.path, os.O_RDONLY)
    wait_until(lambda: stand.armed.fired, what="the shim is about to submit")
    ((index, state),) = region.slots().items()
    assert state == "LOCAL" and word32(region, row(region, SLOTS, index) + OP) == OPEN
    assert list(region.handles().values()) == ["OPENING"]
    generation = word32(region, row(region, 1, index) + 4)
    struct.pack_into("<II", region.memory, row(region, 1, index), 0, generation + 1)
    stand.armed.go_on()
    with pytest.raises(OSError) as error:
        opening.result()
    assert error.value.errno == errno.EIO
    # Before the answer; a successor would find it, too, once this shim is replaced.
    assert "OPENING" not in region.handles().values()
    stand.rows_are_free()
    with open(stand.path, "rb") as stream, open(stand.want, "rb") as want:
        assert stream.read() == want.read()
    stand.ready()
    stand.settled()


def test_a_file_that_is_opened_under_a_lease_revoked_meanwhile_is_not_read(stand_with_kill_points):
    """Its name may be another file's by then. No byte of that is answered, and no descriptor of it is kept."""
    stand = stand_with_kill_points
    region, run = stand.region, stand.run
    reader = Direct(stand.path)
    # A shim that has nothing open yet.
    assert run.cli("shim", "restart").code == 0
    stand.ready()
    stand.armed.arm("lease.opening", holds=True)
    reading = Background(reader.read, 0, 65536)
    wait_until(lambda: stand.armed.fired, what="a disk thread opens the file")
    stop(run)
    try:
        (index,) = region.handles()
        lease = region.word(row(region, 4, index) + 24)
        at = row(region, LEASES, lease & 0xFFFFFFFF)
        assert word32(region, at) == lease >> 32
        (file,) = run.cache.rglob("*.bytes")
        kept = file.with_suffix(".kept")
        file.rename(kept)
        file.write_bytes(b"another file's bytes" * (stand_size(stand) // 20 + 1))
        struct.pack_into("<I", region.memory, at, (lease >> 32) + 1)
        stand.armed.go_on()
        slot(region, "SUBMITTED", 5)
        wait_until(
            lambda: not [target for target in descriptors_of(region.active).values() if ".bytes" in target],
            what="no descriptor of a cached file",
        )
        assert reading.is_running
        kept.rename(file)
        struct.pack_into("<I", region.memory, at, lease >> 32)
    finally:
        run.process.send_signal(signal.SIGCONT)
    with open(stand.want, "rb") as want:
        assert reading.result() == want.read(65536)
    reader.close()
    stand.settled()


def stand_size(stand):
    return os.path.getsize(stand.want)
