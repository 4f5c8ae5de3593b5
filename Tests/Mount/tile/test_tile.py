"""The tile on a real desktop: a window that is dragged from, a browser that is dropped into, and the bytes that
arrive."""

# Long because each test needs the desktop that stands at the top.
import subprocess
import time

import pytest
from bus import Service, call
from desktop import TILE, Desktop, Tile, Zone
from instance import PATIENCE, MiB, mounts, wait_until
from readers import sha256
from screen_reader import Gone, ScreenReader

PORTAL = (
    "org.freedesktop.portal.Documents",
    "/org/freedesktop/portal/documents",
    "org.freedesktop.portal.FileTransfer",
)


@pytest.fixture(scope="module")
def desktop():
    desktop = Desktop(bus=True)
    yield desktop
    desktop.close()


@pytest.fixture(scope="module")
def bus(desktop):
    return desktop.environment["DBUS_SESSION_BUS_ADDRESS"]


@pytest.fixture(scope="module")
def reader(desktop):
    reader = ScreenReader(desktop)
    yield reader
    reader.close()


@pytest.fixture(scope="module")
def zone(desktop):
    zone = Zone(desktop)
    yield zone
    zone.close()


@pytest.fixture
def tile(desktop, reader):
    """Opens windows that a screen reader sees; all are closed afterwards, and none may have crashed or complained."""
    opened = []

    def tile(instance, *arguments):
        opened.append(Tile(desktop, instance, *arguments, **reader.environment))
        return opened[-1]

    yield tile
    for one in opened:
        code = one.process.poll()
        one.close()
        assert code in (None, 0), one.errors()
        assert one.errors() == ""


def copies(desktop, path):
    """Ctrl-C brings the path onto the clipboard; pressed again as long as a window that is new has not heard it."""

    def is_copied():
        desktop.keys("ctrl+c")
        return desktop.clipboard("text/plain;charset=utf-8") == path

    wait_until(is_copied, step=0.2, what="the path on the clipboard")


def middle_of(shown, node):
    """On the screen."""
    left, top, width, height = node.box
    x, y, _, _ = shown.desktop.geometry(shown.window)
    return x + left + width // 2, y + top + height // 2


def test_a_tile_is_dragged_into_a_browser(sim, run, tmp_path):
    """An ordinary drag: the window's middle, no message bus, several times in one session."""
    file = sim.add(20 * MiB + 4321, "Trailer 30s.mp4")
    path = run.stage(file, "Jane at the agency")
    right = sha256(sim.content(file, "Jane at the agency"))
    desktop = Desktop()
    try:
        zone = Zone(desktop)
        try:
            shown = Tile(desktop, run, run.item(path)["id"])
            for _ in range(3):
                zone.drop(desktop.middle(shown.window))
                assert zone.uploaded() == right
                assert zone.browser.evaluate("window.over") == ["Files"]
                assert zone.browser.evaluate("window.dropped") == ["Trailer 30s.mp4", 20 * MiB + 4321]
            assert shown.process.poll() is None and shown.errors() == ""
        finally:
            zone.close()
    finally:
        desktop.close()


def test_a_row_of_the_list_is_dragged_and_tells_how_far_it_is(sim, run, desktop, reader, zone, tile):
    file = sim.add(24 * MiB, "film.mp4")
    path = run.stage(file, "one")
    run.stage(sim.add(1000, "newer.mp4"), "two")
    shown = tile(run)
    row = reader.find("list item", "film.mp4, for one, 24 MiB. Ready")
    # It lasts until the window has shown what is looked for, and is let go then.
    zone.receiver.rate = MiB // 4
    seen = set()

    def moves():
        assert zone.browser.evaluate("window.state") == "uploading", f"too late: {seen}"
        try:
            bars = [node for node in reader.nodes() if node.role == "progress bar" and node.name == "Read"]
            # The newer tile's bars come first.
            if len(bars) > 1:
                seen.add(round(bars[1].value, 2))
        except Gone:
            pass
        return len(seen) > 3

    try:
        zone.drop(middle_of(shown, row))
        wait_until(lambda: reader.says("is reading it"), what="the tile tells who reads")
        reader.find("list item", "film.mp4, for one, 24 MiB. Chrom")
        wait_until(moves, step=0.1, what="the bar moves")
    finally:
        zone.receiver.rate = None
    assert zone.uploaded() == sha256(sim.content(file, "one"))
    reader.find("list item", "film.mp4, for one, 24 MiB. Read to its end", limit=10)
    assert run.item(path)["bytesRead"] == 24 * MiB


def test_hostile_names_are_text(sim, run, desktop, reader, zone, tile):
    name = "<b>&amp; \"quote\" 'n' _under_ %s ‮gpj.mp4"
    tag = "<span size='9999'>big</span> &_x"
    file = sim.add(300_000, name)
    path = run.stage(file, tag)
    item = run.item(path)
    shown = tile(run, item["id"])
    node = reader.find("label", item["name"].replace("‮", "�"))
    assert node.is_showing
    reader.find("label", "for <span size='9999'>big</span> &_x")
    zone.drop(desktop.middle(shown.window))
    assert zone.uploaded() == sha256(sim.content(file, tag))
    assert zone.browser.evaluate("window.dropped")[0] == item["name"]


def test_the_keyboard_copies_pins_and_removes(sim, run, desktop, reader, tile):
    path = run.stage(sim.add(1 * MiB, "müde & 100% wach.mp4"), "one")
    newer = run.stage(sim.add(1000, "newer.mp4"), "two")
    shown = tile(run)
    reader.find("list item", "newer.mp4")
    copies(desktop, newer)
    desktop.keys("Down")
    copies(desktop, path)
    assert desktop.clipboard("UTF8_STRING") == path
    uri = desktop.clipboard("text/uri-list")
    assert uri.startswith("file:///") and uri.endswith("/m%C3%BCde%20&%20100%25%20wach.mp4\r\n")
    assert "filetransfer" not in desktop.clipboard("TARGETS"), "there is no portal here"
    # Enter: the menu; its third entry.
    desktop.keys("Return")
    reader.find("menu item", "Pin")
    desktop.keys("Down", "Down", "Return")
    wait_until(lambda: run.item(path)["pinned"], 5, what="pinned")
    reader.find("list item", "müde & 100% wach.mp4")
    desktop.keys("Delete")
    wait_until(lambda: [item["path"] for item in run.cli("staged", "--json").json] == [newer], 5, what="removed")
    assert shown.process.poll() is None


def test_a_window_outlives_the_control_plane(sim, run, desktop, reader, zone, tile):
    file = sim.add(5 * MiB, "clip.mp4")
    path = run.stage(file, "x")
    shown = tile(run, run.item(path)["id"])
    reader.find("label", "Ready")
    run.kill()
    wait_until(lambda: reader.says("The control plane is away."), 10, what="a sentence about it")
    run.start()
    wait_until(lambda: not reader.says("The control plane is away."), 10, what="the sentence goes")
    zone.drop(desktop.middle(shown.window))
    assert zone.uploaded() == sha256(sim.content(file, "x"))
    reader.find("label", "Read to its end")


def test_a_window_waits_for_a_control_plane(sim, make, desktop, reader, tile):
    run = make()
    tile(run, "--wait")
    wait_until(lambda: reader.says("The control plane is away."), 10, what="a sentence about it")
    run.start()
    run.stage(sim.add(1000, "first.mp4"), "me")
    reader.find("list item", "first.mp4, for me", limit=10)


def test_a_sandbox_gets_the_file_from_the_portal(sim, run, desktop, bus, reader, tile):
    """The real document portal, asked as a receiver in a sandbox asks it."""
    path = run.stage(sim.add(1 * MiB, "clip.mp4"), "x")
    services = [
        desktop.start(["/usr/libexec/xdg-permission-store"]),
        desktop.start(["/usr/libexec/xdg-document-portal"]),
    ]
    try:
        wait_until(
            lambda: [mount for mount in mounts() if mount.startswith(str(desktop.folder))],
            10,
            what="the portal's mount",
        )
        tile(run, run.item(path)["id"])
        reader.find("label", "Ready")
        copies(desktop, path)
        assert desktop.clipboard("TARGETS").count("application/vnd.portal.filetransfer") == 1
        for _ in range(2):
            # The key is made for one receiver, and good once.
            key = desktop.clipboard("application/vnd.portal.filetransfer").rstrip("\0")
            assert call(bus, *PORTAL, "RetrieveFiles", "sa{sv}", (key, {})) == ([path],)
            with pytest.raises(AssertionError):
                call(bus, *PORTAL, "RetrieveFiles", "sa{sv}", (key, {}))
        item = run.item(path)
        assert (item["bytesFetched"], item["openRef"], item["bytesRead"]) == (0, 0, 0), "nobody opened it"
        # This file was never looked up, and cannot be while the control plane is away: the receiver waits, the window
        # does not.
        other = run.stage(sim.add(1000, "other.mp4"), "x")
        tile(run, run.item(other)["id"])
        reader.find("label", "other.mp4")
        copies(desktop, other)
        run.kill()
        receiver = subprocess.Popen(
            ["xclip", "-o", "-selection", "clipboard", "-t", "application/vnd.portal.filetransfer"],
            env=desktop.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: reader.says("The control plane is away."), 10, what="a sentence about it")
        assert receiver.poll() is None
        run.start()
        key = receiver.communicate(timeout=PATIENCE)[0].rstrip("\0")
        assert call(bus, *PORTAL, "RetrieveFiles", "sa{sv}", (key, {})) == ([other],)
    finally:
        for service in reversed(services):
            desktop.end(service)


def test_reveal_asks_the_file_manager(sim, run, desktop, bus, reader, tile):
    path = run.stage(sim.add(1000, "a b.mp4"), "x")
    tile(run, run.item(path)["id"])
    reader.find("button", "Reveal").press()
    wait_until(lambda: reader.says("No file manager answers."), 10, what="a sentence where there is none")
    manager = Service(bus, "org.freedesktop.FileManager1", {"ShowItems": lambda uris, startup: (None, ())})
    try:
        reader.find("button", "Reveal").press()
        wait_until(lambda: manager.calls, 5, what="the file manager is asked")
        assert manager.calls == [("ShowItems", ([f"file://{path.replace(' ', '%20')}"], ""))]
    finally:
        manager.close()


def test_a_file_is_staged_from_the_window(sim, run, desktop, reader, tile):
    for name in ("Alpha.mp4", "Beta one.mp4", "Beta two.mp4"):
        sim.add(1000, name)
    tile(run)
    reader.find("button", "Stage a file")
    desktop.keys("ctrl+f")
    reader.find("search box", "Search jobs")
    desktop.type("beta")
    reader.find("list item", "Beta two.mp4")
    reader.find("label", "2 jobs")

    # Enter: to the list; the second; Enter: to the recipient; Enter: stage.
    def go(role, name, *keys):
        desktop.keys(*keys)
        reader.wait_for_focus(role, name)

    go("list item", "Beta two.mp4, video", "Return")
    go("list item", "Beta one.mp4, video", "Down")
    go("text box", "Recipient", "Return")
    desktop.type("Jane at the agency")
    desktop.keys("Return")
    reader.find("list item", "Beta one.mp4, for Jane at the agency", limit=10)
    # Again, and the recipient from those of before.
    go("search box", "Search jobs", "ctrl+f")
    go("list item", "Beta two.mp4, video", "Return", "Up")
    go("text box", "Recipient", "Return")
    go("button", "Recipients of before", "ctrl+a", "BackSpace", "Tab")
    go("menu item", "Jane at the agency", "Return")
    go("text box", "Recipient", "Return")
    desktop.keys("Return")
    reader.find("list item", "Beta two.mp4, for Jane at the agency", limit=10)
    staged = [(item["name"], item["recipient"]) for item in run.cli("staged", "--json").json]
    assert staged == [("Beta one.mp4", "Jane at the agency"), ("Beta two.mp4", "Jane at the agency")]


def test_the_list_of_jobs_goes_on_as_it_is_scrolled(sim, run, desktop, reader, tile):
    for number in range(120):
        sim.add(1000, f"Scroll {number:03}.mp4")
    tile(run)
    reader.find("button", "Stage a file")
    desktop.keys("ctrl+f")
    reader.find("search box", "Search jobs")
    # The other tests' jobs are there, too.
    desktop.type("scroll")
    reader.find("label", "120 jobs", limit=10)
    asked = sim.stats()["requests"]
    reader.find("list item", "Scroll 119.mp4")
    desktop.keys("Return", "End")
    wait_until(lambda: sim.stats()["requests"] != asked, 5, what="the next page is asked for")

    def is_at_the_end():
        desktop.keys("End")
        return reader.look("list item", "Scroll 000.mp4")

    wait_until(is_at_the_end, 20, 0.3, what="the last job is in sight")


def test_closing_and_removing_ask_while_somebody_reads(sim, run, desktop, reader, tile):
    file = sim.add(4 * MiB, "clip.mp4")
    path = run.stage(file, "x")
    shown = tile(run, run.item(path)["id"])
    with open(path, "rb", buffering=0) as upload:
        first = upload.read(1000)
        wait_until(lambda: reader.says("is reading it"), 5, what="the tile tells who reads")
        reader.find("button", "Remove").press()
        reader.find("label", "Remove “clip.mp4” while it is being read?")
        desktop.keys("Escape")
        assert run.item(path)["state"] == "open"
        desktop.keys("ctrl+w")
        reader.find("label", "An upload is running")
        desktop.keys("Escape")
        time.sleep(0.3)
        assert shown.process.poll() is None
        desktop.keys("ctrl+w")
        reader.find("label", "An upload is running")
        desktop.keys("Tab", "Return")
        assert shown.process.wait(PATIENCE) == 0
        # It was the window that went, and nothing else.
        assert first + upload.read() == sim.bytes(file, "x")[: 1000 + (4 * MiB - 1000)]


def test_a_tile_whose_file_is_unstaged_says_so(sim, run, desktop, reader, tile):
    path = run.stage(sim.add(1000, "clip.mp4"), "x")
    run.stage(sim.add(1000, "other.mp4"), "x")
    shown = tile(run, path)
    reader.find("label", "Ready")
    desktop.keys("Return")
    reader.find("menu item", "Reveal in file manager")
    desktop.keys("Escape")
    run.cli("unstage", path)
    reader.find("label", "No longer staged.")
    desktop.keys("ctrl+w")
    assert shown.process.wait(PATIENCE) == 0


def test_the_same_tile_is_opened_once(sim, run, desktop, reader, tile):
    path = run.stage(sim.add(1000, "clip.mp4"), "x")
    item = run.item(path)["id"]
    tile(run, item)
    again = subprocess.run(
        [TILE, item], env=run.environment | desktop.environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert len(desktop.windows("^FuseStream$")) == 1


def test_dark_is_asked_for_by_the_portal(sim, run, desktop, bus, reader, tile, tmp_path):
    scheme = [1]
    settings = Service(
        bus, "org.freedesktop.portal.Desktop", {"Read": lambda space, key: ("v", (("v", ("u", scheme[0])),))}
    )
    try:
        shown = tile(run)
        x, y, width, height = desktop.geometry(shown.window)

        def brightness():
            desktop.picture(tmp_path / "desktop.png")
            text = desktop.run(
                "convert",
                str(tmp_path / "desktop.png"),
                "-crop",
                f"{width - 40}x{height - 90}+{x + 20}+{y + 70}",
                "-colorspace",
                "gray",
                "-format",
                "%[fx:mean]",
                "info:",
            )
            return float(text)

        wait_until(lambda: brightness() < 0.4, 5, 0.2, "a dark window")
        scheme[0] = 0
        settings.signal(
            "/org/freedesktop/portal/desktop",
            "org.freedesktop.portal.Settings",
            "SettingChanged",
            "ssv",
            ("org.freedesktop.appearance", "color-scheme", ("u", 0)),
        )
        wait_until(lambda: brightness() > 0.6, 5, 0.2, "a light window")
    finally:
        settings.close()


def test_what_cannot_be_shown_is_one_sentence(run, make, desktop):
    def refused(instance, *arguments, **environment):
        done = subprocess.run(
            [TILE, *arguments],
            env=instance.environment | desktop.environment | environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.stdout == "" and done.stderr.startswith("fsmvp-tile: ") and done.stderr.count("\n") == 1, done
        return done.returncode, done.stderr

    assert refused(run, "--nonsense")[0] == 2
    assert refused(run, "--config", "/nowhere.toml")[0] == 2
    code, sentence = refused(run, "0123456789abcdef")
    assert code == 4 and "`fsmvp staged`" in sentence
    code, sentence = refused(run, DISPLAY=":999")
    assert code == 1 and "display" in sentence
    code, sentence = refused(make(), "0123456789abcdef")
    assert code == 3 and "`fsmvp run`" in sentence
    done = subprocess.run([TILE, "--version"], env={}, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("fsmvp-tile ")
