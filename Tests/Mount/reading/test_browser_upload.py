"""The main job: a real browser uploads a staged path while its bytes are still being downloaded."""

from stand import read_and_upload
from instance import MiB, wait_until
from readers import sha256


def test_an_upload_arrives_whole(sim, run, chromium, receiver):
    file = sim.add(96 * MiB + 4321, "Übung mit Ton.mp4")
    path = run.stage(file, "somebody & co")
    with sim.content(file, "somebody & co") as right:
        assert chromium.upload(receiver, path) == sha256(right)
    # A reply is counted once the kernel has it.
    wait_until(lambda: (item := run.item(path))["bytesServed"] >= item["size"], what="all bytes are counted")
    item = run.item(path)
    assert item["size"] == item["bytesFetched"]


def test_upload_and_download_overlap(sim, run, chromium, receiver):
    file = sim.add(48 * MiB, "clip.mp4")
    path = run.stage(file, "x")
    sim.gate(file=file, **{"from": 32 * MiB})
    chromium.open(receiver.url)
    chromium.choose(path)
    wait_until(lambda: receiver.received >= 16 * MiB, 30, what="the receiver has bytes while the download is held")
    assert run.item(path)["bytesFetched"] < 48 * MiB
    sim.release()
    state = wait_until(lambda: chromium.ended(), 60)
    assert state == "done " + sha256(sim.content(file, "x"))


def test_the_same_path_uploads_again(sim, run, chromium, receiver):
    file = sim.add(20 * MiB, "clip.mp4")
    path = run.stage(file, "x")
    right = sha256(sim.content(file, "x"))
    assert chromium.upload(receiver, path) == right
    run.stage(sim.add(1000), "y")  # another tile in between
    assert chromium.upload(receiver, path) == right


def test_a_demo_video_plays(make, chromium):
    run = make(sim=None)
    run.start("--demo")
    outputs = [o for job in run.cli("jobs", "--limit", "100", "--json").json["jobs"] for o in job["outputs"]]
    video = min((o for o in outputs if o["contentType"].startswith("video/mp4")), key=lambda o: o["size"])
    path = run.stage(video["fileId"], "me")
    chromium.open("about:blank")
    chromium.call("Page.navigate", url=f"file://{path}")
    wait_until(
        lambda: chromium.evaluate("document.querySelector('video')?.readyState ?? 0") >= 2,
        30,
        what="the video has a picture",
    )
    assert chromium.evaluate("document.querySelector('video').duration") > 1
    assert chromium.evaluate("document.querySelector('video').videoWidth") > 0
    before = chromium.evaluate("document.querySelector('video').currentTime")
    chromium.evaluate("document.querySelector('video').muted = true; document.querySelector('video').play(); 1")
    wait_until(
        lambda: chromium.evaluate("document.querySelector('video').currentTime") > before + 0.5, 20, what="it plays"
    )


def test_an_upload_and_a_read_while_everybody_dies(sim, run, chromium, receiver, tmp_path):
    """`make soak` has it with 1 GiB, 50 kills of the shim and 20 of the control plane."""
    outages, _ = read_and_upload(
        run, sim, tmp_path, chromium, receiver, 48 * MiB, 16 * MiB, shim_kills=8, control_kills=3, seed=1
    )
    assert run.cli("status", "--json").json["shim"]["restarts"] == 8
    assert outages
