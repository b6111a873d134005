from collections.abc import Iterator

import pytest

from modelbay.simulator import Simulator
from tests.simulator.tongues import TONGUES, Tongue

KEY = "sk-simulated-0123456789"


@pytest.fixture(scope="session")
def _running() -> Iterator[Simulator]:
    with Simulator(key=KEY) as simulator:
        yield simulator


@pytest.fixture
def sim(_running: Simulator) -> Simulator:
    """A simulator that remembers nothing of other tests."""
    _running.reset()
    return _running


@pytest.fixture(params=TONGUES, ids=lambda tongue: tongue.protocol)
def tongue(request: pytest.FixtureRequest) -> Tongue:
    """Each protocol in turn."""
    chosen: Tongue = request.param
    return chosen
