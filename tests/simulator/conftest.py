from collections.abc import Iterator

import pytest

from modelbay.simulator import Simulator
from tests.simulator.protocols import PROTOCOLS, WireProtocol

KEY = "sk-simulated-0123456789"


@pytest.fixture(scope="session")
def _running() -> Iterator[Simulator]:
    with Simulator(key=KEY) as simulator:
        yield simulator


@pytest.fixture
def sim(_running: Simulator) -> Simulator:
    """A simulator without state of other tests."""
    _running.reset()
    return _running


@pytest.fixture(params=PROTOCOLS, ids=lambda protocol: protocol.protocol)
def protocol(request: pytest.FixtureRequest) -> WireProtocol:
    """Each protocol, one after the other."""
    chosen: WireProtocol = request.param
    return chosen
