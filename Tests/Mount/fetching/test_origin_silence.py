"""All connections fall silent at once, as after a suspend or in another network, and only new ones bring bytes.

The limits of an idle connection and of a reader are far longer here than any test: a reader that goes on has not
waited for them.
"""

import pytest
from instance import MiB, wait_until
from readers import Background, Direct, sha256, sha256_file

MODES = ["temp-file", "range-lru"]
PATIENT = 'idle_timeout = "30m"\nstall_timeout = "1h"\n'


@pytest.fixture(params=MODES)
def run(make, request):
    return make(FSMVP_FETCH_MODE=request.param).configure(PATIENT).start()


@pytest.mark.parametrize("times", [1, 3])
def test_a_reader_goes_on_after_all_connections_fell_silent_at_once(sim, run, times):
    file = sim.add(48 * MiB)
    path = run.stage(file, "tag")
    reading = Background(sha256_file, path)
    for number in range(times):
        gate = sim.gate(file=file, **{"from": (8 + 8 * number) * MiB})
        wait_until(lambda: sim.stats()["held"] > 0, what="a request that is held")
        held = sim.stats()["held"]
        sim.post("silence")
        sim.release(gate)
        wait_until(lambda: sim.stats()["held"] < held or not reading.is_running, what="silent connections are given up")
    assert reading.result(180) == sha256(sim.content(file, "tag"))
    assert run.item(path).get("failure") is None


def test_a_reader_goes_on_if_the_connections_fell_silent_while_nothing_was_read(sim, run):
    file = sim.add(48 * MiB)
    reader = Direct(run.stage(file, "tag"))
    for number in range(4):
        offset = number * 11 * MiB
        assert Background(reader.read, offset, 65536).result() == sim.bytes(file, "tag", offset, 65536)
        wait_until(lambda: sim.stats()["active"] == 0, what="no request under way")
        sim.post("silence")
    reader.close()


def test_many_readers_go_on_after_all_connections_fell_silent_at_once(sim, run):
    files = [sim.add(8 * MiB) for _ in range(6)]
    gates = [sim.gate(file=file, **{"from": MiB}) for file in files]
    readings = [Background(sha256_file, run.stage(file, "tag")) for file in files]
    wait_until(lambda: sim.stats()["held"] >= len(files), what="requests that are held")
    sim.post("silence")
    for gate in gates:
        sim.release(gate)
    for file, reading in zip(files, readings, strict=True):
        assert reading.result(180) == sha256(sim.content(file, "tag"))
