"""`fsmvp ui`: the link that signs a browser in, and its way to the browser."""

import os
import re
import stat
import urllib.error
import urllib.request

import pytest
from browser import Chromium
from instance import PATIENCE, wait_until

#: What the command starts ends in time, however busy the machine is.
HURRIED = ("nice", "-n", "-15")

LINK = re.compile(r"http://127\.0\.0\.1:\d+/login\?code=[A-Za-z0-9_-]{20,}")

ASK = "(() => { const ask = new XMLHttpRequest(); ask.open('GET', '/api/v1/status', false); ask.send(); return ask.status; })()"

# Keeps what it was called with, the page it was to open, and every command line of the machine at that moment.
OPENER = """#!/bin/sh
cat "$1" >{folder}/page
stat -c %a "$1" >{folder}/mode
cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' >{folder}/machine
printf '%s\\n' "$@" >{folder}/called.new
mv {folder}/called.new {folder}/called
{then}
"""


@pytest.fixture
def desk(run, tmp_path):
    class Desk:
        folder = tmp_path
        environment = {"DISPLAY": ":99", "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}

        def opener(self, then="exit 0"):
            self.script("xdg-open", OPENER.format(folder=tmp_path, then=then))

        def script(self, name, text):
            path = tmp_path / "bin" / name
            path.write_text(text)
            path.chmod(0o755)

        def ui(self, *arguments, **environment):
            return run.cli("ui", *arguments, **(self.environment | environment))

        def page(self):
            """The path that the desktop was given."""
            wait_until((tmp_path / "called").exists, what="called")
            return (tmp_path / "called").read_text().rstrip("\n")

    (tmp_path / "bin").mkdir()
    desk = Desk()
    # Replaces the `sleep` before the page is removed, so that the test chooses the time.
    desk.script(
        "sleep", f"#!/bin/sh\nuntil test -e {tmp_path}/later || ! test -d {tmp_path}; do /bin/sleep 0.05; done\n"
    )
    yield desk
    (tmp_path / "later").touch()


def pages(run):
    return sorted(run.runtime.glob("login-*"))


def test_print_gives_the_link_alone_and_opens_nothing(run, desk):
    desk.opener()
    done = desk.ui("--print")
    assert done.code == 0 and done.err == "" and LINK.fullmatch(done.out.removesuffix("\n"))
    assert not (desk.folder / "called").exists() and pages(run) == []
    # It is good once.
    link = done.out.strip()
    assert urllib.request.urlopen(link, timeout=PATIENCE).status == 200
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(link, timeout=PATIENCE)
    assert refused.value.code == 401
    assert desk.ui("--print").out != done.out


def test_the_browser_gets_the_link_by_a_file_that_only_its_owner_reads(run, desk):
    desk.opener()
    done = desk.ui()
    link = LINK.search(done.out)[0]
    assert done.code == 0 and done.out.startswith("Opening your browser") and f"\n  {link}\n" in done.out
    page = desk.page()
    assert page.startswith(str(run.runtime) + "/login-") and page.endswith(".html")
    assert (desk.folder / "mode").read_text() == "600\n"
    assert f'content="0; url={link}"' in (desk.folder / "page").read_text()
    # The code is in no argument list, and in no log.
    code = link.split("code=")[1]
    # Command lines of other programs may be no text.
    machine = (desk.folder / "machine").read_text(errors="replace")
    assert "xdg-open" in machine and code not in machine and code not in run.log.read_text()
    assert [str(path) for path in pages(run)] == [page]
    assert stat.S_IMODE(os.stat(run.runtime).st_mode) == 0o700


def test_the_page_goes_after_a_while_and_at_the_next_use(run, desk):
    desk.opener()
    assert desk.ui().code == 0
    first = desk.page()
    assert desk.ui().code == 0
    wait_until(lambda: desk.page() != first, what="the second page")
    assert [str(path) for path in pages(run)] == [desk.page()]
    (desk.folder / "later").touch()
    wait_until(lambda: pages(run) == [], what="the page taken away")


@pytest.mark.parametrize(
    "environment, words",
    [({"DISPLAY": ""}, "no display"), ({"PATH": "/nonexistent"}, "xdg-utils")],
)
def test_without_a_display_or_an_opener_the_link_is_told(run, desk, environment, words):
    done = desk.ui(**environment)
    assert done.code == 0 and words in done.out and LINK.search(done.out) and done.err == ""
    assert pages(run) == []


def test_an_opener_that_fails(run, desk):
    # At once: the command waits two seconds for it.
    desk.script("xdg-open", "#!/bin/sh\nexit 3\n")
    done = desk.ui(wrapper=HURRIED)
    assert done.code == 0 and "`xdg-open` ended with code 3" in done.out and LINK.search(done.out)
    assert pages(run) == []


def test_an_opener_that_stays_is_not_waited_for(run, desk):
    desk.opener(then="exec /bin/sleep 8")
    done = desk.ui()
    assert done.code == 0 and done.out.startswith("Opening your browser") and pages(run)


def test_where_the_page_is_switched_off(make, desk):
    run = make().configure("web = false\n").start()
    for arguments in ([], ["--print"]):
        done = run.cli("ui", *arguments)
        assert done.code != 0 and "web" in done.err and done.out == "" and len(done.err.strip().splitlines()) == 1


def test_without_a_control_plane(make):
    done = make().cli("ui", "--print")
    assert done.code == 3 and done.out == ""


def test_a_real_browser_comes_from_the_file_to_the_page(run, desk):
    desk.opener()
    done = desk.ui()
    base = LINK.search(done.out)[0].split("/login")[0]
    browser = Chromium()
    try:
        browser.call("Page.navigate", url=f"file://{desk.page()}")
        wait_until(lambda: browser.evaluate("location.href") == f"{base}/", limit=20, what="the page")
        # Signed in, by a cookie that scripts do not see.
        assert browser.evaluate(ASK) == 200
        assert browser.evaluate("document.cookie") == ""
        assert "code=" not in browser.evaluate("JSON.stringify(performance.getEntries())")
    finally:
        browser.close()
