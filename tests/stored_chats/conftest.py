"""The hub that these tests share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from modelbay.hub import Hub
from modelbay.simulator import Simulator
from tests.fault_config import KEY, hub_config


@pytest.fixture
async def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hub]:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    with Simulator(key=KEY) as simulator:
        async with Hub.open(hub_config(tmp_path, simulator.url)) as opened:
            yield opened
