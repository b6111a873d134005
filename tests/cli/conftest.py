from collections.abc import Iterator
from pathlib import Path

import pytest

from modelbay.simulator import Simulator
from tests.cli.command import KEY, Command

CONFIG = f"""\
default_model = "chat"

[providers.sim]
type = "openai"
base_url = "SIM/v1"
api_key = "{KEY}"

[providers.claude]
type = "anthropic"
base_url = "SIM"
api_key = "{KEY}"

[providers.responses]
type = "openai_responses"
base_url = "SIM/v1"
api_key = "{KEY}"

[providers.gemini]
type = "google-genai"
base_url = "SIM"
api_key = "{KEY}"

[models.chat]
provider = "sim"
model = "sim-thinker"
cost = {{ input = 3, output = 15 }}
"""


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    with Simulator(key=KEY) as running:
        yield running


@pytest.fixture
def modelbay(tmp_path: Path, simulator: Simulator) -> Command:
    """The command, configured for the simulator in each protocol."""
    simulator.reset()
    command = Command(tmp_path, simulator)
    command.configure(CONFIG)
    return command
