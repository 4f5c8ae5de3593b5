"""How the page looks, kept as pictures in build/screenshots, and what axe-core has against it."""

import time

import pytest
from instance import MiB, wait_until
from web_page import API
from readers import Background, sha256_file

LOOKS = [("light", 1600, 1000), ("dark", 1600, 1000), ("light", 360, 740), ("dark", 360, 740), ("light", 1100, 800)]


@pytest.mark.parametrize("scheme,width,height", LOOKS)
def test_empty(make, visit, scheme, width, height):
    page = visit(make(sim=None).start("--demo"), scheme=scheme, width=width, height=height)
    wait_until(lambda: page.rows(), 8)
    page.screenshot(f"empty-{scheme}-{width}")
    assert page.violations() == []
    assert page.tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme,width,height", LOOKS)
def test_uploading(sim, run, visit, scheme, width, height):
    api = API(run)
    file = sim.add(60 * MiB, "Uploading now.mp4")
    api.stage(sim.add(4 * MiB, "Nobody yet.mp4"), "Jane at the agency")
    pinned = api.stage(sim.add(4 * MiB, "Pinned.mp4"), "bob@example.com")
    api("PATCH", f"/staged/{pinned['id']}", {"pinned": True})
    path = api.stage(file, "Jane at the agency")["path"]
    page = visit(run, scheme=scheme, width=width, height=height)
    sim.set(rate=6 * MiB)
    reader = Background(sha256_file, path)
    try:
        tile = page.tile("Uploading now.mp4")
        wait_until(lambda: int(tile.find("progressbar", "Read").attribute("aria-valuenow")) > 20, 20)
        time.sleep(2)  # for the lines to have a shape
        tile.run("e => e.scrollIntoView({block: 'center'})")
        page.screenshot(f"uploading-{scheme}-{width}")
        assert page.violations() == []
        tile.find("button", "Remove").click()
        assert page.violations() == []
        page.screenshot(f"asking-{scheme}-{width}")
    finally:
        sim.set(rate=1 << 40)
        reader.result()


@pytest.mark.parametrize("scheme,width,height", LOOKS[:3])
def test_first_run(make, visit, sim, scheme, width, height):
    run = make(sim=None, FSMVP_WEB="true", FSMVP_API_BASE=sim.base).start()
    page = visit(run, scheme=scheme, width=width, height=height)
    page.spoilt = True  # jobs cannot be had yet
    wait_until(lambda: "No credentials are set yet" in page.text, 8, what="the page says what is missing")
    for words in ("client_id", "client_secret", "chmod 600", "fsmvp reload", str(run.folder)):
        assert words in page.text
    assert page.all("textbox", "Recipient") == [] and "password" not in page.tab.evaluate("document.body.innerHTML")
    page.screenshot(f"first-run-{scheme}-{width}")
    assert page.violations() == []
    if width < 1600:
        return
    config = run.folder / ".fuse-stream-mvp" / "config.toml"
    config.parent.mkdir(mode=0o700, exist_ok=True)
    config.write_text('client_id = "demo-client"\nclient_secret = "demo-secret"\n')
    config.chmod(0o600)
    assert run.cli("reload").code == 0
    wait_until(lambda: page.rows(), 20, what="the page goes on to the jobs by itself")
    assert "No credentials" not in page.text


def test_signed_out(run, page):
    page.spoilt = True  # a 401 is an error of the console
    page.tab.call("Network.clearBrowserCookies")
    page.look(scheme="dark")
    page.tab.call("Page.navigate", url=f"{page.base}/")
    wait_until(lambda: "fsmvp ui" in page.text, 8, what="the page says how to sign in")
    page.screenshot("signed-out")
    assert page.violations() == []


def test_without_motion_and_with_few_colours(sim, run, visit):
    run.stage(sim.add(1000, "Still.mp4"), "x")
    page = visit(run)
    page.look(**{"prefers-reduced-motion": "reduce", "forced-colors": "active"})
    tile = page.tile("Still.mp4")
    moving = (
        "e => [...e.querySelectorAll('*')].filter(x => parseFloat(getComputedStyle(x).transitionDuration) > 0).length"
    )
    assert tile.run(moving) == 0
    assert tile.run("e => getComputedStyle(e.querySelector('.track')).borderStyle") == "solid"
    page.screenshot("forced-colours")
