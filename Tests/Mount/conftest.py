import signal

import pytest

import house

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
