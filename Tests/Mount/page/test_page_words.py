"""The page's words about an item, state by state, by its own modules in a real browser."""

import json

import pytest
from instance import GiB, Instance
from web_page import Page

READER = {"pid": 4711, "process": "chromium", "position": GiB // 2}


def item(**more):
    """An untouched item of 1 GiB."""
    return {
        "id": "a1",
        "path": "/m/Staged/a1/f.mp4",
        "name": "f.mp4",
        "recipient": "x",
        "size": GiB,
        "state": "ready",
        "pinned": False,
        "openRef": 0,
        "bytesFetched": 0,
        "bytesRead": 0,
        "readers": [],
        "map": "0" * 128,
        "windowed": False,
    } | more


@pytest.fixture(scope="module")
def call(chromium):
    """Calls a function of a module as it is in the program."""
    instance = Instance().start("--demo")
    tab = chromium.tab()
    Page(tab, instance).sign_in()

    def call(module, function, *arguments):
        words = ", ".join(json.dumps(argument) for argument in arguments)
        return tab.evaluate(
            f"import('/assets/{module}.js').then(module => module.{function}({words}))", awaitPromise=True
        )

    yield call
    tab.close()
    instance.destroy()


@pytest.mark.parametrize(
    "state,words",
    [
        ({}, "Ready. Nobody has opened it yet."),
        ({"fetchRate": 5}, "Ready. It is being fetched ahead."),
        ({"bytesRead": GiB // 2}, "Ready. It was read up to 50 %."),
        ({"bytesRead": GiB}, "Done: read to the end. It can be used again."),
        ({"pinned": True}, "Ready. Pinned: it is being fetched to stay."),
        ({"pinned": True, "bytesFetched": GiB}, "Ready. Pinned: all of it is here and stays."),
        ({"size": 0}, "Ready. The file is empty."),
        ({"state": "open", "openRef": 1, "readers": [READER]}, "Uploading: chromium is reading."),
        ({"state": "open", "openRef": 1, "readers": [READER | {"process": "vlc"}]}, "In use: vlc is reading."),
        (
            {"state": "open", "openRef": 2, "readers": [READER | {"process": "vlc"}, READER | {"process": "cp"}]},
            "In use: vlc and cp are reading.",
        ),
        ({"state": "open", "openRef": 1}, "In use: a program is reading."),
        (
            {"state": "open", "openRef": 1, "bytesRead": GiB, "readers": [READER]},
            "Read to the end; chromium has it open still.",
        ),
        ({"state": "leaving", "openRef": 1, "readers": [READER]}, "Removed. chromium is still reading, to the end."),
        (
            {"state": "failed", "failure": "the link was refused"},
            "Failed: The link was refused. Whatever reads it next tries again; Pin tries at once.",
        ),
    ],
)
def test_states(call, state, words):
    assert call("words", "itemState", item(**state)) == words


@pytest.mark.parametrize(
    "part,whole,percent",
    [(0, 10, 0), (GiB - 1, GiB, 99), (GiB, GiB, 100), (GiB + 1, GiB, 100), (1, 1000, 0), (0, 0, 100), (-5, 10, 0)],
)
def test_a_hundred_per_cent_is_all_of_it(call, part, whole, percent):
    assert call("words", "percent", part, whole) == percent


@pytest.mark.parametrize(
    "count,words",
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (5 << 20, "5 MiB"),
        (GiB * 3 // 2, "1.5 GiB"),
        (GiB << 11, "2 TiB"),
    ],
)
def test_sizes_are_those_of_the_command_line(call, count, words):
    assert call("words", "bytes", count) == words


@pytest.mark.parametrize(
    "seconds,words",
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (600, "10 min"),
        (3599, "1 h"),
        (3660, "1 h 1 min"),
        (7200, "2 h"),
    ],
)
def test_durations(call, seconds, words):
    assert call("words", "duration", seconds) == words


@pytest.mark.parametrize(
    "cells,words",
    [
        ("0000", "nothing whole is here"),
        ("ffff", "here: 0 to 100 %"),
        ("ff0f", "here: 0 to 50 %, 75 to 100 %"),
        ("f700", "here: 0 to 25 %"),
        ("", "nothing whole is here"),
    ],
)
def test_the_map_in_words(call, cells, words):
    assert call("map", "mapWords", item(map=cells)) == f"Map of the file: {words}"


def test_the_map_in_colours(call):
    assert (
        call("map", "gradient", "ff70")
        == "linear-gradient(to right, var(--here-3) 0% 50%, var(--here-1) 50% 75%, var(--here-0) 75% 100%)"
    )
    assert call("map", "gradient", "") == "none"
    assert call("map", "gradient", "zz") == "linear-gradient(to right, var(--here-0) 0% 100%)"
