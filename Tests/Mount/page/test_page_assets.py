"""The page's files contain nothing forbidden, and all of them are in the program."""

import re

from instance import ROOT

SOURCES = ROOT / "Sources" / "Control" / "CPage"
ASSETS = SOURCES / "assets"
TEXTS = {file.name: file.read_text() for file in sorted(ASSETS.iterdir())}
PAGES = {name: text for name, text in TEXTS.items() if name.endswith(".html")}
SCRIPTS = {name: text for name, text in TEXTS.items() if name.endswith(".js")}


def test_no_text_becomes_markup():
    ways = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|setHTML|createContextualFragment|DOMParser|srcdoc|\beval\b|new Function"
    )
    assert {name: ways.findall(text) for name, text in TEXTS.items() if ways.search(text)} == {}


def test_nothing_comes_from_elsewhere():
    address = re.compile(r"(?:https?:)?//(?!www\.w3\.org/)[\w.-]+\.\w+")
    assert {name: address.findall(text) for name, text in TEXTS.items() if address.search(text)} == {}


def test_no_style_or_script_stands_in_a_page():
    inline = re.compile(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\bsrc=)|javascript:")
    assert {name: inline.findall(text) for name, text in PAGES.items() if inline.search(text)} == {}


def test_every_file_is_in_the_program():
    table = (SOURCES / "page.c").read_text()
    for name in TEXTS:
        assert f'#embed "assets/{name}"' in table, name
        path = {"index.html": "/"}.get(name, name if name.endswith(".html") else f"/assets/{name}")
        assert f'{{"{path}", ' in table, path


def test_every_module_is_asked_for_at_once():
    """A module that only its importer names is asked for when that has come."""
    imported = {found for text in SCRIPTS.values() for found in re.findall(r'from "\./([\w-]+\.js)"', text)}
    preloaded = set(re.findall(r'modulepreload" href="/assets/([\w-]+\.js)"', TEXTS["index.html"]))
    assert imported == preloaded


def test_imports_go_one_way():
    uses = {name: re.findall(r'from "\./([\w-]+\.js)"', text) for name, text in SCRIPTS.items()}

    def below(name, above=()):
        assert name not in above, f"{name} imports itself by {above}"
        for other in uses[name]:
            below(other, (*above, name))

    below("main.js")
