import pytest

from buckets import Bucket, own_socket
from instance import Instance


@pytest.fixture(scope="module")
def server(_sim):
    """An instance for all tests of a file."""
    run = Instance(_sim).start()
    yield run
    run.destroy()


@pytest.fixture
def bucket(server):
    """A bucket of a test's own, by the socket of the buckets alone."""
    return Bucket(own_socket(server))
