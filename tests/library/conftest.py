"""The simulator, and a configuration with a provider of each protocol that is the simulator."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelbay import sync
from modelbay.simulator import Simulator
from modelbay.simulator.config_entries import config_text


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


@pytest.fixture(scope="module")
def config(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("library") / "config.toml"
    file.write_text(config_text(simulator.url, None))
    return file


@pytest.fixture(params=["openai_chat", "openai_responses", "anthropic", "google"])
def model(config: Path, request: pytest.FixtureRequest) -> str:
    return model_of(config, request.param)


def model_of(config: Path, protocol: str) -> str:
    """The alias of a model of a protocol."""
    return next(str(one.alias) for one in sync.Hub.open(config).models() if one.protocol == protocol)
