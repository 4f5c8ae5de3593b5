"""Ten thousand jobs and a thousand staged files on one page. `make bench ARGS=page` has the figures."""

import pytest
from browser import Receiver
from instance import MiB, Sim, file_id, wait_until
from web_page import API

JOBS, STAGED = 10_000, 1_000


@pytest.fixture(scope="module")
def big():
    sim = Sim()
    for start in range(0, JOBS, 500):
        sim.post(
            "file",
            [
                {"id": file_id(0x10000 + n), "size": 64 * MiB, "name": f"Episode {n:05}.mp4"}
                for n in range(start, start + 500)
            ],
        )
    yield sim
    sim.close()


@pytest.mark.timeout(300)
def test_a_thousand_files_and_ten_thousand_jobs(big, make, visit, chromium):
    run = make(sim=big).start()
    api = API(run)
    for number in range(STAGED):
        api.stage(file_id(0x10000 + number), f"recipient {number % 7}")
    page = visit(run, width=1400, height=900)
    wait_until(
        lambda: page.tab.evaluate("document.querySelectorAll('#tiles > li').length") == STAGED,
        20,
        what="all tiles stand",
    )

    page.load()
    wait_until(
        lambda: page.tab.evaluate("document.querySelectorAll('#tiles > li').length") == STAGED,
        what="all tiles stand again",
    )
    wait_until(lambda: page.rows(), what="the rows of jobs")
    wait_until(lambda: "Showing 1-20 of 10,000" in page.text and len(page.rows()) == 20, what="the first page")
    wait_until(lambda: "1,000 files staged" in page.text, what="their number")
    assert page.tab.evaluate("document.querySelector('#tiles > li h3').innerText") == f"Episode {STAGED - 1:05}.mp4"
    page.find("button", "Last").click()
    wait_until(lambda: "Showing 9,981-10,000 of 10,000" in page.text, 10, what="the last page")

    # A tile among a thousand, by its name.
    page.find("searchbox", "Filter staged files").click()
    page.type("Episode 00123")
    wait_until(lambda: "1 of them shown" in page.text, 5)
    page.press("Escape")

    # A running upload is shown among a thousand tiles. `make bench ARGS=page` measures what that costs.
    receiver = Receiver(rate=2 * MiB)
    uploading = chromium.tab()
    try:
        uploading.open(receiver.url)
        uploading.choose(api("GET", "/staged")[-1]["path"])
        wait_until(lambda: "Uploading: chromium is reading" in page.text, what="the page shows the upload")
    finally:
        uploading.close()
        receiver.close()
