from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet

from modelbay.simulator import Simulator
from tests.cli.command import KEY
from tests.tui.sitting import SECONDS


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    with Simulator(key=KEY) as running:
        yield running


@pytest.fixture(autouse=True, scope="session")
def parsed_once() -> Iterator[None]:
    """Every app parses the same style sheets, which is a tenth of the processor time of a test. The rules depend on the theme's
    variables, too: Textual's own cache, one for each app, is emptied when they change."""
    parse = Stylesheet._parse_rules
    kept: dict[tuple[object, ...], list[RuleSet]] = {}

    def rules(self: Stylesheet, css: str, *location: object, **more: object) -> list[RuleSet]:
        key = (css, *location, *more.items(), frozenset(self._variables.items()))
        if key not in kept:
            kept[key] = parse(self, css, *location, **more)  # type: ignore[arg-type]
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stylesheet, "_parse_rules", rules)
        yield


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: Simulator) -> Path:
    """A temporary home for configuration, cache and conversations."""
    simulator.reset()
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    monkeypatch.setattr("modelbay.tui.app.WATCH", 0.1)
    monkeypatch.setattr("modelbay.tui.widgets.status_message.SECONDS", SECONDS / 2)  # a slow machine may draw it late
    for screen in ("app", "chat_screen"):
        monkeypatch.setattr(f"modelbay.tui.{screen}.TWICE", 600.0)
    for name in ("NO_COLOR", "COLORFGBG", "DISPLAY", "WAYLAND_DISPLAY", "TEXTUAL", "TEXTUAL_THEME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def configured(simulator: Simulator) -> str:
    """A configuration with two providers, both the simulator, and three models."""
    return f"""\
default_model = "thinker"

[providers.sim]
type = "openai"
base_url = "{simulator.url}/v1"
api_key = "{KEY}"

[providers.claude]
type = "anthropic"
base_url = "{simulator.url}"
api_key = "{KEY}"

# the one for hard questions
[models.thinker]
provider = "sim"
model = "sim-thinker"
max_context_size = 1000
capabilities = ["thinking"]
support_efforts = ["low", "medium", "high"]
cost = {{ input = 3, output = 15 }}

[models.plain]
provider = "sim"
model = "sim-text"

[models.sonnet]
provider = "claude"
model = "sim-1"
"""
