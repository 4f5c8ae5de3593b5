"""The page with much on it: how soon it shows, and what its events cost while a file is uploaded."""

import os
import time

from browser import Chromium, Receiver
from instance import MiB, file_id, wait_until
from web_page import API, Page
from results import Row, at_most
from stage import instance, simulator

JOBS, STAGED = 10_000, 1_000
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
SNAPSHOT = "performance.getEntriesByName('snapshot')[0].startTime"
TICK = os.sysconf("SC_CLK_TCK")


def processor_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        user, system = stat.read().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / TICK


def first_paint(bench):
    many = f"{STAGED:,} files staged, {JOBS:,} jobs"
    paint = Row(f"first paint of the page, {many}", "ms", target=at_most(300))
    live = Row("until its newest files stand there", "ms")
    busy = Row("the page's main thread while one file is uploaded", "%")
    serving = Row("the control plane meanwhile, more than without the page", "% of a core", target=at_most(5))
    with simulator() as sim:
        for start in range(0, JOBS, 500):
            sim.post(
                "file",
                [
                    {"id": file_id(0x10000 + n), "size": 512 * MiB, "name": f"Episode {n:05}.mp4"}
                    for n in range(start, start + 500)
                ],
            )
        with instance(sim) as run:
            api = API(run)
            paths = [api.stage(file_id(0x10000 + n), f"recipient {n % 7}")["path"] for n in range(STAGED)]
            chromium = Chromium()
            try:
                page = Page(chromium, run).look(1400, 900).sign_in()
                for _ in range(bench.rounds(15, quick=3)):
                    page.load()
                    wait_until(
                        lambda: page.tab.evaluate("document.querySelectorAll('#tiles > li').length") == STAGED, 30
                    )
                    paint.ours.append(page.tab.evaluate(PAINT))
                    live.ours.append(page.tab.evaluate(SNAPSHOT))
                # Fetching is what both halves of the comparison have to have in common.
                sim.set(rate=12 * MiB)
                for number in range(bench.rounds(3)):
                    upload(bench, page, run.process.pid, paths[-1 - number], busy, serving)
            finally:
                chromium.close()
    return [paint, live, busy, serving]


def upload(bench, page, pid, path, busy, serving):
    """One of 8 MiB a second, of a file that is fetched all the while; the page looks on for two thirds of it."""
    seconds = 4 if bench.quick else 10
    receiver = Receiver(rate=8 * MiB)
    uploading = page.tab.tab()
    try:
        uploading.open(receiver.url)
        uploading.choose(path)
        wait_until(lambda: receiver.received > 4 * MiB, 20)
        page.tab.call("Performance.enable")
        with_page = share(lambda: processor_seconds(pid), seconds)
        busy.ours.append(100 * share(lambda: task_seconds(page), seconds))
        page.tab.open("about:blank")
        serving.ours.append(max(0.0, 100 * (with_page - share(lambda: processor_seconds(pid), seconds))))
        page.load()
    finally:
        uploading.close()
        receiver.close()


def task_seconds(page):
    return {metric["name"]: metric["value"] for metric in page.tab.call("Performance.getMetrics")["metrics"]}[
        "TaskDuration"
    ]


def share(counter, seconds):
    """How much a counter of seconds grows in a second."""
    before, began = counter(), time.monotonic()
    time.sleep(seconds)
    return (counter() - before) / (time.monotonic() - began)
