"""All connections fall silent at once, as after a suspend or in another network, and only new ones bring bytes.

The limits of an idle connection and of a reader are far longer here than any test: a reader that goes on has not
waited for them.
"""

import hashlib

import pytest
from instance import MiB, wait_until
from readers import Background, Direct, sha256, sha256_file

MODES = ["temp-file", "range-lru"]
PATIENT = 'idle_timeout = "30m"\nstall_timeout = "1h"\n'


@pytest.fixture(params=MODES)
def run(make, request):
    return make(FSMVP_FETCH_MODE=request.param).configure(PATIENT).start()


class Upload:
    """A file read from its beginning on: how far its reader has come, and at the end the hash."""

    def __init__(self, path):
        self.position = 0
        self.reading = Background(self._read, path)

    def _read(self, path):
        digest = hashlib.sha256()
        with open(path, "rb", buffering=0) as stream:
            while data := stream.read(MiB):
                digest.update(data)
                self.position += len(data)
        return digest.hexdigest()

    def is_past(self, offset):
        return self.position > offset or not self.reading.is_running


@pytest.mark.parametrize("times", [1, 3])
def test_a_reader_goes_on_after_all_connections_fell_silent_at_once(sim, run, times):
    file = sim.add(48 * MiB)
    path = run.stage(file, "tag")
    # Each gate stands before the one before it opens: the whole file may come while this test is not looking.
    places = [(8 + 8 * number) * MiB for number in range(times)]
    gates = [(place, sim.gate(file=file, **{"from": place})) for place in places]
    upload = Upload(path)
    for place, gate in gates:
        # A piece that the kernel reads ahead and that ends behind the gate waits for it.
        wait_until(lambda place=place: upload.is_past(place - 3 * MiB), what="a reader that is near the gate")
        wait_until(lambda: sim.stats()["held"] > 0, what="a request that is held")
        sim.post("silence")
        sim.release(gate)
        # No byte behind the gate had been sent by then: it came over a new connection.
        wait_until(lambda place=place: upload.is_past(place), what="a reader that goes on")
    assert upload.reading.result(180) == sha256(sim.content(file, "tag"))
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
