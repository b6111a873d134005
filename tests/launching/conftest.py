from collections.abc import Iterator
from pathlib import Path

import pytest

from modelbay.simulator import Simulator
from tests.cli.command import KEY
from tests.launching.desk import LaunchDesk, until

CONFIG = f"""\
default_model = "chat"

[providers.sim]
type = "openai"
base_url = "SIM/v1"
api_key = "{KEY}"

[providers.messages]
type = "anthropic"
base_url = "SIM"
api_key = "{KEY}"

[models.chat]
provider = "sim"
model = "sim-1"
max_context_size = 64_000

[models.direct]
provider = "messages"
model = "sim-1"
max_output_size = 32_000
capabilities = ["thinking", "tool_use"]
"""


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    with Simulator(key=KEY) as running:
        yield running


@pytest.fixture
def desk(tmp_path: Path, simulator: Simulator) -> Iterator[LaunchDesk]:
    """The command with fake agents. At the end, no gateway of a launch may be left."""
    simulator.reset()
    made = LaunchDesk(tmp_path, simulator)
    made.configure(CONFIG)
    yield made
    made.end_all()
    until(lambda: not made.gateways())
