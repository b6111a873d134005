"""The pytest fixture `modelbay_simulator`. It is available wherever modelbay is installed, and imports nothing until it is used."""

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from modelbay.testing import Simulator

_NAME = "modelbay-simulators"


class _Checks:
    """Checks scripted replies at the end of a test, not in its teardown: the test itself fails, not the fixture."""

    def __init__(self) -> None:
        self.running: dict[pytest.Item, Simulator] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        __tracebackhide__ = True
        simulator = self.running.get(item)
        if simulator is None:
            return (yield)
        try:
            result = yield
        except BaseException as error:
            simulator.conclude(error)
            raise
        simulator.conclude(None)
        return result


@pytest.fixture
def modelbay_simulator(request: pytest.FixtureRequest) -> "Iterator[Simulator]":
    """A simulated provider for one test: `modelbay.testing.Simulator`. The test fails if a scripted reply is not used."""
    from modelbay.testing import Simulator

    plugins = request.config.pluginmanager
    checks = plugins.get_plugin(_NAME)
    if checks is None:
        plugins.register(checks := _Checks(), _NAME)
    simulator = Simulator().start()
    checks.running[request.node] = simulator
    try:
        yield simulator
    finally:
        del checks.running[request.node]
        simulator.stop()
