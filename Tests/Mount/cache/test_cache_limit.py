"""The limit of the cache that is shown is the one that holds: never more than the disk can give."""

import os

import pytest
from instance import MiB, wait_until
from readers import sha256, sha256_file
from small_disk import SmallDisk, needs_root


@needs_root
@pytest.mark.parametrize("settings", ["", 'max_cache = "176GiB"\n'])
def test_the_limit_that_is_shown_is_what_the_disk_can_really_give(sim, make, settings):
    run = make().configure(f"min_free = 0\n{settings}")
    disk = SmallDisk(run, "64m")
    try:
        run.start()
        disk.fill(leaving=16 * MiB)
        report = run.cli("cache", "--json").json
        assert report["limit"] <= 16 * MiB, report
        file = sim.add(4 * MiB)
        assert sha256_file(run.stage(file, "tag")) == sha256(sim.content(file, "tag"))
        wait_until(lambda: run.cli("cache", "--json").json["bytes"] >= 4 * MiB, what="the bytes are counted")
        # The bytes that the cache holds already are a part of its room.
        # Sums are still being written beside them, between the two looks at what is free.
        report = wait_until(
            lambda: (report := run.cli("cache", "--json").json)["free"] == disk.free() and report,
            what="the free space, as the disk has it",
        )
        assert 4 * MiB < report["limit"] <= 16 * MiB + MiB, report
        os.unlink(disk.ballast)
        assert run.cli("cache", "--json").json["limit"] > 40 * MiB
    finally:
        run.destroy()
        disk.close()
