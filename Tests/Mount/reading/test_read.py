"""Bytes are right however they are read."""

import mmap
import os
import random
import subprocess

import pytest
from instance import GiB, MiB
from readers import Background, Direct, sha256, sha256_file

ODD = 7 * MiB + 12345


@pytest.fixture
def staged(sim, run):
    file = sim.add(ODD, "clip.mp4")
    return file, run.stage(file, "tag")


def expected(sim, file, offset=0, length=None):
    return sim.bytes(file, "tag", offset, length)


def test_sequential(sim, staged):
    file, path = staged
    with sim.content(file, "tag") as right:
        assert sha256_file(path) == sha256(right)


def test_tail_first(sim, staged):
    file, path = staged
    data = expected(sim, file)
    with open(path, "rb", buffering=0) as stream:
        for start in range(len(data) - 65536, -1, -65536):
            stream.seek(start)
            assert stream.read(65536) == data[start : start + 65536], start


def test_random_4k(sim, staged):
    file, path = staged
    data = expected(sim, file)
    chance = random.Random(4)
    with open(path, "rb", buffering=0) as stream:
        for _ in range(2000):
            start = chance.randrange(len(data))
            stream.seek(start)
            assert stream.read(4096) == data[start : start + 4096], start


def test_eight_readers_at_once(sim, staged):
    file, path = staged
    with sim.content(file, "tag") as right:
        want = sha256(right)
    readers = [Background(sha256_file, path, 1000 * (n + 1) + 7) for n in range(8)]
    assert [reader.result() for reader in readers] == [want] * 8


def test_mmap(sim, staged):
    file, path = staged
    data = expected(sim, file)
    with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ) as map:
        assert len(map) == len(data)
        chance = random.Random(5)
        for _ in range(500):
            start = chance.randrange(len(data))
            assert map[start : start + 777] == data[start : start + 777]
        assert map[:] == data


def test_cp(sim, staged, tmp_path):
    file, path = staged
    subprocess.run(["cp", path, tmp_path / "copy"], check=True)
    assert (tmp_path / "copy").read_bytes() == expected(sim, file)


@pytest.mark.parametrize("block", [1, 511, 4097, 65537, 1000003])
def test_dd_with_odd_sizes(sim, run, tmp_path, block):
    size = 50_001 if block < 600 else ODD
    file = sim.add(size)
    path = run.stage(file, "tag")
    subprocess.run(["dd", f"if={path}", f"of={tmp_path / 'copy'}", f"bs={block}", "status=none"], check=True)
    assert (tmp_path / "copy").read_bytes() == expected(sim, file)


def test_o_direct(sim, staged):
    file, path = staged
    data = expected(sim, file)
    reader = Direct(path)
    try:
        for start in [0, 4096, 3 * MiB, len(data) // 4096 * 4096, MiB - 4096]:
            assert reader.read(start, MiB) == data[start : start + MiB], start
        got = b"".join(reader.read(start, 131072) for start in range(0, len(data), 131072))
        assert got == data
        assert reader.read((len(data) // 4096 + 1) * 4096, 4096) == b""
    finally:
        reader.close()


def test_empty_file(sim, run):
    file = sim.add(0, "nothing.mp4")
    path = run.stage(file, "tag")
    assert os.stat(path).st_size == 0
    with open(path, "rb") as stream:
        assert stream.read() == b""


@pytest.mark.parametrize("size", [1, 4095, 4096, 65535, 65536, 65537, MiB, MiB + 1])
def test_sizes_around_blocks(sim, run, size):
    file = sim.add(size)
    path = run.stage(file, "tag")
    with open(path, "rb") as stream:
        assert stream.read() == expected(sim, file)


def test_file_over_4_gib(sim, run):
    size = 5 * GiB + 4321
    file = sim.add(size)
    path = run.stage(file, "tag")
    sim.gate(file=file, **{"from": 5 * GiB})  # so that the filler does not drag the whole of it in
    sim.release()
    assert os.stat(path).st_size == size
    chance = random.Random(6)
    with open(path, "rb", buffering=0) as stream:
        for start in [0, 4 * GiB - 100, 4 * GiB, size - 321, *(chance.randrange(size) for _ in range(20))]:
            stream.seek(start)
            assert stream.read(300) == expected(sim, file, start, 300)[: size - start], start
    assert run.cli("unstage", path).code == 0


def test_each_recipient_gets_a_copy_of_their_own(sim, run):
    file = sim.add(MiB)
    one, two = run.stage(file, "tag"), run.stage(file, "other")
    assert one != two
    assert open(one, "rb").read() == sim.bytes(file, "tag")
    assert open(two, "rb").read() == sim.bytes(file, "other") != sim.bytes(file, "tag")


def test_first_byte_comes_long_before_the_download_ends(sim, run):
    file = sim.add(64 * MiB)
    path = run.stage(file, "tag")
    sim.gate(file=file, **{"from": 32 * MiB})
    with open(path, "rb", buffering=0) as stream:
        assert stream.read(MiB) == expected(sim, file, 0, MiB)
        assert run.item(path)["bytesFetched"] <= 32 * MiB
        sim.release()
    assert sha256_file(path) == sha256(sim.content(file, "tag"))
    assert run.item(path)["bytesFetched"] == 64 * MiB
