"""The page as a person uses it with a mouse: choose, stage, watch, copy, pin, remove; every figure held against the
simulator's."""

import pathlib
import re
import threading
import time

import pytest
from instance import MiB, wait_until
from web_page import API
from readers import Background, sha256, sha256_file


def test_from_a_job_to_a_path(sim, run, page):
    sim.add(3 * MiB, "Premiere Night.mp4")
    tile = page.stage("Premiere Night.mp4", "Jane at the agency")
    assert tile.name.startswith("Premiere Night.mp4")
    # It may be shown by its event before the answer comes, which gives it the focus.
    wait_until(lambda: tile.has_focus, what="the tile has the focus")
    assert "Jane at the agency" in tile.text and "3 MiB" in tile.text and "Nobody has opened it yet" in tile.text
    page.wait_said("Premiere Night.mp4 is staged for Jane at the agency")
    [item] = run.cli("staged", "--json").json
    assert item["recipient"] == "Jane at the agency"
    assert item["path"] in tile.text


def test_each_output_can_be_chosen(make, visit):
    run = make(sim=None).start("--demo")
    page = visit(run)
    assert "Demo" in page.text
    page.find("searchbox", "Search jobs").click()
    page.type("Series")
    wait_until(lambda: len(page.rows()) == 1, 8, what="the one series is listed")
    page.job("Series S01E01 Master.mov").click()
    outputs = page.all("radio")
    assert [radio.name.split(".mp4")[0] for radio in outputs] == [
        f"Series S01E01 {name}" for name in ("2160p", "1080p", "720p", "360p")
    ]
    assert "900 MiB" in outputs[1].name and "video/mp4" in outputs[1].name
    outputs[1].click()
    page.find("textbox", "Recipient").click()
    page.type("me")
    page.find("button", "Stage").click()
    page.tile("Series S01E01 1080p.mp4")
    assert [item["name"] for item in run.cli("staged", "--json").json] == ["Series S01E01 1080p.mp4"]


def test_jobs_come_a_page_at_a_time(make, visit):
    run = make(sim=None).start("--demo")
    page = visit(run)

    def summary():
        return page.tab.evaluate("document.querySelector('#jobs-summary').innerText")

    total = run.cli("jobs", "--json").json["total"]
    wait_until(lambda: summary() == f"Showing 1-20 of {total}", 8, what="the first page")
    assert len(page.rows()) == 20
    page.find("button", "Next").click()
    wait_until(lambda: summary() == f"Showing 21-{total} of {total}", 8, what="the second page")
    assert page.find("button", "Next").attribute("aria-disabled") == "true"
    page.find("button", "First").click()
    wait_until(lambda: summary() == f"Showing 1-20 of {total}", 8, what="the first page again")
    page.find("searchbox", "Search jobs").click()
    page.type("dailies")
    wait_until(lambda: summary() == "Showing 1-3 of 3 with “dailies” in the name", 8, what="the matching ones")
    page.type(" nowhere")
    wait_until(lambda: summary().startswith("No finished job with “dailies nowhere”"), 8, what="none")


def test_the_bars_move_while_another_page_uploads(sim, run, page, chromium, receiver):
    size = 24 * MiB
    file = sim.add(size, "Live upload.mp4")
    tile = page.stage("Live upload.mp4", "x")
    # Slow until the page has shown what is looked for.
    sim.set(rate=3 * MiB // 2)
    uploading = chromium.tab()
    uploading.open(receiver.url)
    uploading.choose(run.cli("staged", "--json").json[0]["path"])

    bars = "e => [...e.querySelectorAll('[role=progressbar]')].map(bar => Number(bar.ariaValueNow))"
    samples, words = [], set()

    def moves():
        return all(len(set(bar)) > 5 for bar in zip(*samples, strict=True)) and any(
            "MiB/s" in text and " left" in text for text in words
        )

    def ended():
        samples.append(tile.run(bars))
        words.add(tile.text)
        if moves():
            sim.set(rate=0)
        # Bytes shown as fetched have left the simulator.
        assert samples[-1][0] * size <= 100 * sim.stats()["bytes_sent"].get(file, 0)
        return uploading.ended()

    assert wait_until(ended, 120, 0.1, what="the upload ends").startswith("done ")
    fetched, read = zip(*samples, strict=True)
    assert list(fetched) == sorted(fetched) and list(read) == sorted(read)
    assert len(set(read)) > 5 and len(set(fetched)) > 5, samples
    assert any("Uploading: chromium is reading" in text for text in words)
    assert any("MiB/s" in text and " left" in text for text in words)
    pids = {int(word.split(")")[0]) for text in words for word in text.split("(pid ")[1:]}
    assert pids and all(pathlib.Path(f"/proc/{pid}/comm").read_text().startswith("chrom") for pid in pids)

    wait_until(lambda: tile.run(bars) == [100, 100], 10, what="both bars are full")
    wait_until(lambda: "Done: read to the end" in tile.text, 15, what="the tile says so")
    page.wait_said("chromium has begun to read Live upload.mp4")
    page.wait_said("Live upload.mp4 is read to the end")
    uploading.close()


def test_speeds_are_those_of_the_simulator(sim, run, page):
    rate = 3 * MiB
    sim.add(240 * MiB, "Measured.mp4")
    tile = page.stage("Measured.mp4", "x")
    sim.set(rate=rate)
    path = run.cli("staged", "--json").json[0]["path"]
    stop = threading.Event()

    def read():
        with open(path, "rb") as file:
            while not stop.is_set() and file.read(1 << 18):
                pass

    def speed(figure):
        """The bytes a second that the page says; 0 where it says none."""
        words = tile.run(f"e => e.querySelector('[data-is={figure}]').innerText")
        found = re.search(r" · ([\d.]+)\s(KiB|MiB)/s", words)
        return float(found[1]) * {"KiB": 1024, "MiB": MiB}[found[2]] if found else 0

    seen = []

    def are_right():
        """A machine that stands still for a moment has another speed in it."""
        seen.append([speed(figure) for figure in ("fetchedWords", "readWords")])
        return all(rate * 0.6 < one < rate * 1.5 for one in seen[-1])

    reader = Background(read)
    try:
        time.sleep(5)
        wait_until(are_right, step=0.5, what="the simulator's speed")
        assert "fetched" in page.tab.evaluate("document.querySelector('#speed').innerText")
        assert any("here: 0 to" in image.name for image in tile.all("image"))
    finally:
        stop.set()
        sim.set(rate=1 << 40)
        reader.result()


def test_pin_fetches_all_and_says_so(sim, run, page):
    sim.add(6 * MiB, "Keep me.mp4")
    tile = page.stage("Keep me.mp4", "x")
    pin = tile.find("button", "Pin")
    pin.click()
    wait_until(lambda: pin.attribute("aria-pressed") == "true", 8, what="it is pinned")
    wait_until(lambda: tile.find("progressbar", "Fetched").attribute("aria-valuenow") == "100", 10, what="it is here")
    assert tile.find("progressbar", "Read").attribute("aria-valuenow") == "0"
    page.wait_said("All of Keep me.mp4 is here")
    assert run.cli("staged", "--json").json[0]["pinned"]
    pin.click()
    wait_until(lambda: pin.attribute("aria-pressed") == "false", 8, what="it is not pinned")


def test_copy_path_fills_the_clipboard(sim, run, page, chromium):
    sim.add(1000, "Copy me.mp4")
    tile = page.stage("Copy me.mp4", "x")
    path = run.cli("staged", "--json").json[0]["path"]
    chromium.call(
        "Browser.grantPermissions", origin=page.base, permissions=["clipboardReadWrite", "clipboardSanitizedWrite"]
    )
    tile.find("button", "Copy path").click()
    page.wait_said("The path of Copy me.mp4 is copied")
    assert page.tab.evaluate("navigator.clipboard.readText()", awaitPromise=True, userGesture=True) == path


def test_a_path_is_selected_where_the_clipboard_is_refused(sim, run, page, chromium):
    sim.add(1000, "Select me.mp4")
    tile = page.stage("Select me.mp4", "x")
    chromium.call("Browser.setPermission", origin=page.base, permission={"name": "clipboard-write"}, setting="denied")
    tile.find("button", "Copy path").click()
    page.wait_said("press Ctrl+C")
    assert page.tab.evaluate("getSelection().toString()") == run.cli("staged", "--json").json[0]["path"]


def test_remove_takes_it_away(sim, run, page):
    sim.add(1000, "First out.mp4")
    sim.add(1000, "Stays here.mp4")
    page.stage("Stays here.mp4", "x")
    tile = page.stage("First out.mp4", "x")
    tile.find("button", "Remove").click()
    page.wait_said("First out.mp4 is removed")
    wait_until(lambda: not tile.run("e => e.isConnected"), what="the tile is gone")
    wait_until(lambda: page.tile("Stays here.mp4").has_focus, what="the next tile has the focus")
    assert [item["name"] for item in run.cli("staged", "--json").json] == ["Stays here.mp4"]


def test_remove_asks_while_somebody_reads(sim, run, page):
    file = sim.add(8 * MiB, "In use.mp4")
    tile = page.stage("In use.mp4", "x")
    path = run.cli("staged", "--json").json[0]["path"]
    gate = sim.gate(file=file, **{"from": 2 * MiB})
    reader = Background(sha256_file, path)
    wait_until(lambda: "In use:" in tile.text, 10, what="the tile says who reads")
    tile.find("button", "Remove").click()
    assert page.focus_name() == ("button", "Keep")
    page.press("Escape")
    assert page.focus_name() == ("button", "Remove")
    tile.find("button", "Remove").click()
    tile.find("button", "Yes, remove").click()
    wait_until(lambda: not pathlib.Path(path).parent.exists(), 8, what="the path is gone")
    sim.release(gate)
    with sim.content(file, "x") as right:
        assert reader.result() == sha256(right)
    wait_until(lambda: not tile.run("e => e.isConnected"), 10, what="the tile goes with the last close")


def test_clear_cache_says_what_it_freed(sim, run, page):
    sim.add(5 * MiB, "Cached.mp4")
    page.stage("Cached.mp4", "x")
    path = run.cli("staged", "--json").json[0]["path"]
    sha256_file(path)
    wait_until(lambda: run.item(path)["openRef"] == 0, 8)
    wait_until(lambda: "5 MiB here" in page.text, 8, what="the page shows what is here")
    page.find("button", "Clear cache").click()
    wait_until(lambda: "Freed 5 MiB of 1 file." in page.text, 8, what="it says what it freed")
    wait_until(lambda: "0 B here" in page.text, 8, what="the page shows that nothing is")
    page.find("button", "Clear cache").click()
    wait_until(lambda: "Nothing to free" in page.text, 8)


def test_what_others_do_is_seen_at_once(sim, run, page):
    file = sim.add(1000, "From a terminal.mp4")
    path = run.stage(file, "terminal")
    tile = page.tile("From a terminal.mp4")
    run.cli("unstage", path)
    wait_until(lambda: not tile.run("e => e.isConnected"), 8, what="the tile is gone")
    wait_until(lambda: "Nothing is staged" in page.text, what="the page says so")


def test_a_failure_says_what_to_do(sim, run, page):
    file = sim.add(4 * MiB, "Broken.mp4")
    tile = page.stage("Broken.mp4", "x")
    sim.fault("status", file, status=404, count=0)
    path = run.cli("staged", "--json").json[0]["path"]
    with pytest.raises(OSError), open(path, "rb") as stream:
        stream.read(1)
    wait_until(
        lambda: "Failed: " in tile.text and "tries again" in tile.text,
        10,
        what="the tile says that it failed, and what to do",
    )
    wait_until(
        lambda: "Broken.mp4" in page.tab.evaluate("document.querySelector('#assertive').textContent"),
        5,
        what="it is said at once",
    )


def test_the_last_recipients_are_offered(sim, run, visit):
    API(run).stage(sim.add(1000, "Old one.mp4"), "Anna & <Bert>")
    page = visit(run)
    sim.add(1000, "New one.mp4")
    page.find("searchbox", "Search jobs").click()
    page.type("New one.mp4")
    wait_until(lambda: len(page.rows()) == 1, 8)
    page.job("New one.mp4").find("button", "Choose").click()
    page.find("button", "Anna & <Bert>").click()
    assert page.find("textbox", "Recipient").run("e => e.value") == "Anna & <Bert>"
    page.find("button", "Stage").click()
    page.tile("New one.mp4, for Anna & <Bert>")


def test_what_is_missing_is_said_at_the_field(sim, page):
    page.find("button", "Stage").click()
    page.wait_said("Choose a job first")
    sim.add(1000, "Needs a name.mp4")
    page.find("searchbox", "Search jobs").click()
    page.type("Needs a name.mp4")
    wait_until(lambda: len(page.rows()) == 1, 8)
    page.job("Needs a name.mp4").click()
    page.find("button", "Stage").click()
    page.wait_said("Say who the file is for")
    field = page.find("textbox", "Recipient")
    assert field.has_focus and field.attribute("aria-invalid") == "true"


def test_it_goes_on_after_a_restart(sim, make, visit):
    run = make(FSMVP_WEB="true").start()
    page = visit(run)
    page.spoilt = True  # refused connections are errors of the console
    sim.add(2 * MiB, "Survivor.mp4")
    tile = page.stage("Survivor.mp4", "x")
    run.kill()

    def stream():
        return page.tab.evaluate("document.querySelector('#stream').innerText")

    wait_until(lambda: stream() == "Reconnecting", 10, what="the page says that it waits")
    wait_until(lambda: "FuseStream does not answer" in page.text, 10, what="what lasts gets a banner")
    run.start()
    wait_until(lambda: stream() == "Live", 20, what="the page is live again")
    wait_until(lambda: page.all("heading", "FuseStream does not answer") == [], what="the banner goes")
    assert tile.run("e => e.isConnected")
    run.cli("unstage", "--all")
    wait_until(lambda: not tile.run("e => e.isConnected"), 8, what="events come again")


def test_a_lost_session_says_so(run, page):
    page.spoilt = True
    page.tab.call("Network.clearBrowserCookies")
    run.cli("reload")
    wait_until(
        lambda: "You are signed out" in page.text and "fsmvp ui" in page.text,
        30,
        what="the page says that it is signed out",
    )
