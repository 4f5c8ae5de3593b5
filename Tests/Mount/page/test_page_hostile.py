"""Names and tags from outside are text on the page, whatever is in them, and break nothing."""

import pytest
from instance import wait_until
from web_page import API

NAMES = [
    "<img src=x onerror=window.ran=1>.mp4",
    "<script>window.ran=1</script>.mp4",
    "\"'><svg onload=window.ran=1>.mp4",
    "&lt;b&gt; &amp;copy; `code` {{7*7}} ${7*7}.mp4",
    "שלום ‏עולם العربية.mp4",
    "👩‍👩‍👧‍👦 Überraschung 日本語.mp4",
    "javascript:window.ran=1",
    "wide " + "w" * 230 + ".mp4",
]
TAGS = ["<img src=x onerror=window.ran=1>", '"><script>window.ran=1</script>', "‮evil‬ tag", "x" * 255, "`rm -rf` & co"]


@pytest.mark.parametrize("width", [1200, 360])
def test_names_and_tags_are_text(sim, run, visit, width):
    api = API(run)
    staged = [api.stage(sim.add(1000, name), TAGS[number % len(TAGS)]) for number, name in enumerate(NAMES)]
    page = visit(run, width=width)
    for item in staged:
        tile = wait_until(
            lambda item=item: next((e for e in page.all("listitem") if e.attribute("data-id") == item["id"]), None), 8
        )
        assert tile.run("e => e.querySelector('[data-is=name]').textContent") == item["name"]
        assert tile.run("e => e.querySelector('[data-is=recipient]').textContent") == item["recipient"]
        assert tile.run("e => e.querySelector('[data-is=path]').textContent") == item["path"]
        assert tile.attribute("aria-label").startswith(item["name"])
    # Nothing of them has become an element, ran, or made the page wider than the window.
    assert (
        page.tab.evaluate("document.querySelectorAll('main img, main script, #tiles svg:not(.spark), main b').length")
        == 0
    )
    assert page.tab.evaluate("typeof window.ran") == "undefined"
    assert page.tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_titles_of_jobs_are_text(sim, run, page):
    for name in NAMES[:4]:
        sim.add(1000, name)
        search = page.find("searchbox", "Search jobs")
        search.click()
        search.run("e => e.select()")
        page.type(name)
        summary = "document.querySelector('#jobs-summary').textContent"
        wait_until(
            lambda name=name, summary=summary: name in page.tab.evaluate(summary), 8, what=f"the jobs with {name!r}"
        )
        assert page.rows() and all(name in row for row in page.rows())
    assert page.tab.evaluate("document.querySelectorAll('#jobs img, #jobs script, #jobs svg, #jobs b').length") == 0
    assert page.tab.evaluate("typeof window.ran") == "undefined"


def test_a_line_break_in_a_title_breaks_nothing(sim, run, page):
    sim.add(1000, "two\nlines\tand a tab.mp4")
    page.find("searchbox", "Search jobs").click()
    page.type("and a tab")
    wait_until(lambda: len(page.rows()) == 1, 8)
    page.job("two").find("button", "Choose").click()
    page.type("me")
    page.press("Enter")
    assert page.tile("two").name.startswith("two_lines_and a tab.mp4")


def test_a_refusal_is_text_too(sim, run, page):
    sim.post("fault", {"kind": "status", "route": "jobs", "status": 500, "count": 0})
    page.find("searchbox", "Search jobs").click()
    page.type("<b>x</b>")
    page.spoilt = True  # a 502 is an error of the console
    wait_until(lambda: "could not be listed" in page.text, 30, what="the page says that it failed")
    sim.post("reset")
    page.find("button", "Try again").click()
    wait_until(lambda: "No finished job with “<b>x</b>”" in page.text, 8, what="trying again works")
