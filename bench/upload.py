"""The main job: a browser uploads while the file downloads."""

from browser import Chromium, Receiver
from instance import MiB
from readers import sha256
from results import Row, at_most, ratios, shown
from rivals import curl
from stage import instance, signed_link, simulator, timed

RATE = 40 * MiB


def upload(bench):
    """A slow origin to a slow receiver: wall time over the slower side alone."""
    size = (64 if bench.quick else 512) * MiB
    walls, slower, sums = [], [], []
    copy = bench.folder / "copy"
    with simulator() as sim, instance(sim) as run:
        browser = Chromium()
        try:
            file = sim.add(size, "clip.mp4")
            for number in range(bench.rounds(3)):
                tag = f"round {number}"
                with sim.content(file, tag) as right:
                    want = sha256(right)
                sim.set(rate=RATE)
                url = signed_link(sim, file, tag)
                down, _ = timed(lambda: curl(url, copy))
                up = upload_once(browser, copy, want)
                copy.unlink()
                path = run.stage(file, tag)
                walls.append(upload_once(browser, path, want))
                run.cli("unstage", path)
                sim.set(rate=0)
                slower.append(max(down, up))
                sums.append(down + up)
                print(
                    f"  round {number + 1}: download alone {shown(down)} s, upload alone {shown(up)} s, both at once {shown(walls[-1])} s",
                    flush=True,
                )
        finally:
            browser.close()
    what = f"upload by Chromium, {size // MiB} MiB, origin and receiver 40 MiB/s each"
    return [
        Row(what, "s", walls, "the slower side alone", slower, ratios(walls, slower), target=at_most(1.1)),
        Row(what, "s", walls, "`curl -o`, then upload", sums, ratios(walls, sums)),
    ]


def upload_once(browser, path, want):
    receiver = Receiver(RATE)
    try:
        seconds, got = timed(lambda: browser.upload(receiver, path, 300))
    finally:
        receiver.close()
    assert got == want, "the upload arrived with other bytes"
    return seconds
