import os
import pathlib
import signal
import threading

import pytest

import kill_points
import preloaded_calls
import terminal
from browser import Chromium, Receiver
from instance import Instance, Sim, mounts
from web_page import Page

# A shell that starts things in the background, or nohup, makes them ignore these; the programs under test are to have
# them as a login shell leaves them.
for number in (signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


#: Seconds after a test's timeout, whose signal cannot interrupt a read that waits in the kernel for a page, until its
#: instances are ended.
STUCK = 30


@pytest.fixture(autouse=True)
def sanitizer_reports():
    """With a sanitized shim (`make sanitize`) a test fails if any shim of it reported something."""
    yield
    if "FSMVP_SANITIZER_REPORTS" not in os.environ:
        return
    reports = sorted(pathlib.Path(os.environ["FSMVP_SANITIZER_REPORTS"]).glob("report.*"))
    texts = [report.read_text() for report in reports]
    for report in reports:
        report.unlink()
    assert not texts, "\n".join(texts)


@pytest.fixture(scope="session")
def _sim():
    sim = Sim()
    yield sim
    sim.close()


@pytest.fixture
def sim(_sim):
    """A MediaHub with nothing set, no fault and no gate."""
    _sim.post("reset")
    yield _sim
    _sim.release()


@pytest.fixture
def make(sim, request):
    """Makes instances, started by the test; all are gone afterwards, and none may have left a mount."""
    made = []

    def make(**environment):
        instance = Instance(environment.pop("sim", sim), **environment)
        made.append(instance)
        return instance

    own = request.node.get_closest_marker("timeout")
    limit = own.args[0] if own else float(request.config.getini("timeout"))
    watchdog = threading.Timer(limit + STUCK, lambda: [instance.destroy() for instance in made])
    watchdog.daemon = True
    watchdog.start()
    yield make
    watchdog.cancel()
    sim.release()
    undefined = [
        line
        for instance in made
        if instance.log.exists()
        for line in instance.log.read_text(errors="replace").splitlines()
        if "runtime error:" in line
    ]
    for instance in made:
        instance.destroy()
    assert not undefined, "\n".join(undefined)
    left = mounts()
    assert not [instance.mount for instance in made if str(instance.mount) in left]


@pytest.fixture(scope="session")
def calls_library(tmp_path_factory):
    return preloaded_calls.compiled(tmp_path_factory.mktemp("calls"))


@pytest.fixture
def calls(calls_library, tmp_path, make):
    """Ordinary calls that fail or wait, in instances made with `**calls.environment`. No call waits any more when
    they are taken down."""
    calls = preloaded_calls.Calls(calls_library, tmp_path)
    yield calls
    calls.end()


@pytest.fixture
def run(make):
    """A running instance."""
    return make().start()


@pytest.fixture
def stand_with_kill_points(sim, make, tmp_path, monkeypatch):
    """A stand of the debug build, whose processes die or wait at a kill point that the test arms."""
    monkeypatch.setattr("instance.FSMVP", str(kill_points.PROGRAMS / "fsmvp"))
    # No shim that a test holds or stops is ended for that.
    return kill_points.start_stand(make, sim, tmp_path, FSMVP_SHIM_TIMEOUT="300s")


# A browser


@pytest.fixture(scope="module")
def chromium():
    browser = Chromium()
    yield browser
    browser.close()


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def visit(chromium):
    """Opens the page of an instance in a tab of its own. Nothing may have gone wrong in it, but where a test says
    `page.spoilt = True`."""
    pages = []

    def visit(instance, **look):
        tab = chromium.tab()
        tab.call("Page.bringToFront")
        pages.append(Page(tab, instance))
        return pages[-1].look(**look).sign_in()

    yield visit
    for page in pages:
        problems = page.problems()
        page.tab.close()
        assert page.spoilt or problems == []


@pytest.fixture
def page(visit, run):
    """The page of a running instance."""
    return visit(run)


@pytest.fixture
def opened(run):
    """Opens terminals that are closed afterwards."""
    terminals = []

    def opened(*arguments, **more):
        terminals.append(terminal.fsmvp(more.pop("run", run), *arguments, **more))
        return terminals[-1]

    yield opened
    for one in terminals:
        one.close()
