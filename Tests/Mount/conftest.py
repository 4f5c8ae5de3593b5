import signal

import pytest

import house
import terminal
from browser import Chromium, Receiver
from page import Page

# A shell that starts things in the background, or nohup, makes them ignore these; the programs under test are to have them as a login shell leaves them.
for number in (signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def _sim():
    sim = house.Sim()
    yield sim
    sim.close()


@pytest.fixture
def sim(_sim):
    """A MediaHub with nothing set, no fault and no gate."""
    _sim.post("reset")
    yield _sim
    _sim.release()


@pytest.fixture
def make(sim):
    """Makes instances, started by the test; all are gone afterwards, and none may have left a mount."""
    made = []

    def make(**environment):
        instance = house.Instance(environment.pop("sim", sim), **environment)
        made.append(instance)
        return instance

    yield make
    sim.release()
    for instance in made:
        instance.destroy()
    left = house.mounts()
    assert not [instance.mount for instance in made if str(instance.mount) in left]


@pytest.fixture
def run(make):
    """A running instance."""
    return make().start()


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
    """Opens the page of an instance in a tab of its own. Nothing may have gone wrong in it, but where a test says `page.spoilt = True`."""
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
