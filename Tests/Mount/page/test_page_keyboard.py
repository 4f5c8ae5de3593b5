"""The page without a mouse: everything is reached, seen to be reached, and done."""

from instance import MiB, wait_until
from readers import Background, sha256_file

RING = "getComputedStyle(document.activeElement).outlineStyle !== 'none' || getComputedStyle(document.activeElement.closest('label') ?? document.body).outlineStyle !== 'none'"


def test_the_whole_flow_by_keys(sim, run, page):
    sim.add(2 * MiB, "By keys.mp4")
    page.tab_to("Search jobs")
    page.type("By keys.mp4")
    wait_until(lambda: len(page.rows()) == 1, 8, what="the job is listed")
    page.press("ArrowDown")
    assert page.focus_name() == ("button", "Choose")
    assert page.tab.evaluate(RING)
    page.press("Enter")
    assert page.focus_name() == ("textbox", "Recipient")
    page.type("Keys & Co")
    page.press("Enter")
    wait_until(lambda: page.focus_name()[1].startswith("By keys.mp4, for Keys & Co"), 8, what="the tile has the focus")
    assert page.tab.evaluate(RING)
    page.tab_to("Copy path", most=1)
    page.press("Enter")
    wait_until(lambda: "By keys.mp4 is copied" in page.said() or "press Ctrl+C" in page.said(), 8)
    page.tab_to("Pin", most=1)
    page.press(" ")
    wait_until(lambda: run.cli("staged", "--json").json[0]["pinned"], 8, what="it is pinned")
    page.tab_to("Remove", most=1)
    page.press("Enter")
    wait_until(lambda: run.cli("staged", "--json").json == [], 8, what="it is removed")
    wait_until(lambda: "Upload it" in page.focus_name()[1], 8, what="the focus is on the heading")


def test_outputs_by_keys(make, visit):
    run = make(sim=None).start("--demo")
    page = visit(run)
    page.tab_to("Search jobs")
    page.type("Series")
    wait_until(lambda: len(page.rows()) == 1, 8)
    page.press("ArrowDown")
    page.press("Enter")
    assert page.focus_name()[1].startswith("Series S01E01 2160p.mp4")
    page.press("ArrowDown", 2)
    assert page.focus_name()[1].startswith("Series S01E01 720p.mp4")
    assert page.tab.evaluate(RING)
    page.press("Enter")
    page.type("me")
    page.press("Enter")
    wait_until(
        lambda: page.focus_name()[1].startswith("Series S01E01 720p.mp4, for me"), 8, what="the tile has the focus"
    )


def test_every_stop_is_seen(sim, run, page):
    run.stage(sim.add(1000, "A stop.mp4"), "x")
    page.tile("A stop.mp4")
    stops = []
    for _ in range(60):
        page.press("Tab")
        stop = page.focus_name()
        if stop[0] in ("RootWebArea", "generic", "none"):
            break
        assert page.tab.evaluate(RING), stop
        stops.append(stop[1])
    assert stops[0] == "Skip to the staged files"
    for name in ("Search jobs", "Choose", "Recipient", "Stage", "Copy path", "Pin", "Remove", "Clear cache"):
        assert name in stops, stops


def test_escape_keeps_what_is_read(sim, run, page):
    file = sim.add(8 * MiB, "Do not go.mp4")
    path = run.stage(file, "x")
    page.tile("Do not go.mp4")
    gate = sim.gate(file=file, **{"from": 2 * MiB})
    reader = Background(sha256_file, path)
    wait_until(lambda: run.item(path)["openRef"] > 0, 8)
    wait_until(lambda: "In use:" in page.text, 8)
    page.tab_to("Remove")
    page.press("Enter")
    assert page.focus_name() == ("button", "Keep")
    page.press("Escape")
    assert page.focus_name() == ("button", "Remove")
    sim.release(gate)
    reader.result()
    assert run.item(path)["name"] == "Do not go.mp4"
