"""The welcome dialog, login and logout."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from modelbay.onboarding import local_servers
from modelbay.providers import presets
from modelbay.simulator import Simulator
from modelbay.simulator.login_server import LoginBehavior, behavior_of
from tests.cli.command import KEY
from tests.tui.sitting import sitting


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No local server is found, even if one runs on this machine."""
    monkeypatch.setattr(local_servers, "usual", list)


@pytest.fixture
def open_server() -> Iterator[Simulator]:
    """A provider that requires no key and approves logins automatically."""
    with Simulator() as running:
        running.provider.logins.behave(LoginBehavior(approve_after=1, interval=1))
        yield running


@pytest.mark.usefixtures("alone")
async def test_the_first_start_offers_one_key_for_each_thing(home: Path):
    async with sitting(home=home) as person:
        await person.sees("Welcome to modelbay", "l  Log in", "a  Add a provider", "t  Try without an account")
        await person.sees("No local server found")
        await person.presses("a")
        await person.sees("Add provider", "Known third-party provider")
        await person.presses("escape")
        await person.sees("Welcome to modelbay")
        await person.presses("escape")
        await person.sees("no provider · /provider")


@pytest.mark.usefixtures("alone")
async def test_places_to_log_in_at_can_be_told_from_each_other(home: Path):
    async with sitting(home=home) as person:
        await person.sees("Welcome to modelbay")
        await person.presses("l")
        await person.sees("platform.kimi.com)", "platform.kimi.ai)")


@pytest.mark.usefixtures("alone")
async def test_the_built_in_provider_answers_and_leaves_nothing_behind(home: Path):
    async with sitting(home=home) as person:
        await person.sees("Welcome to modelbay")
        await person.presses("t")
        await person.sees("A simulated model answers. Add a real one")
        await person.says("Why is the sky blue?")
        await person.sees("You asked: Why is the sky blue?")
        await person.says("/model")
        await person.sees("sim-anthropic")
        await person.presses("down", "enter")
        await person.sees_no("Select a model")
    assert not (home / "config.toml").exists()


async def test_a_server_on_this_machine_is_one_key_away(
    home: Path, open_server: Simulator, monkeypatch: pytest.MonkeyPatch
):
    ollama = presets.by_id("ollama")
    assert ollama is not None
    here = msgspec.structs.replace(ollama, base_url=f"{open_server.url}/v1", hosts=[f"localhost:{open_server.port}"])
    monkeypatch.setattr(local_servers, "usual", lambda: [here])
    async with sitting(home=home) as person:
        await person.sees("1  Ollama", "7 models")
        await person.presses("1")
        await person.sees("Select a model", "sim-thinker")
        await person.presses("enter")
        await person.says("Hello")
        await person.sees("You asked: Hello")
        written = tomllib.loads(person.config)
        assert [provider["base_url"] for provider in written["providers"].values()] == [f"{open_server.url}/v1"]


@pytest.mark.usefixtures("alone")
async def test_esc_closes_the_welcome_and_the_app_still_helps(home: Path):
    async with sitting(home=home) as person:
        await person.sees("Welcome to modelbay")
        await person.presses("escape")
        await person.says("Hello")
        await person.sees("Model Not Found")


FLOW = """\
[providers.own]
type = "openai"
base_url = "SIM/coding/v1"

[providers.own.oauth]
key = "own"
device_url = "SIM/api/oauth/device_authorization"
token_url = "SIM/api/oauth/token"
client_id = "me"

[models.mine]
provider = "own"
model = "sim-1"
"""


async def test_logging_in_shows_the_code_and_waits_for_the_approval(home: Path, open_server: Simulator):
    open_server.provider.logins.behave(LoginBehavior(approve_after=2, interval=1))
    async with sitting(FLOW.replace("SIM", open_server.url), home=home) as person:
        await person.says("/login")
        await person.sees("Select a platform", "Kimi Code", "provider own")
        await person.presses("end", "enter")
        await person.sees("Open", "/simulate/approve", "and approve the code", "waiting for approval")
        await person.sees("Select a model", "mine")
        await person.presses("enter")
        await person.says("Hello")
        await person.sees("You asked: Hello")
        assert list((home / "credentials").glob("own*.json"))


async def test_a_login_that_is_denied_takes_its_code_away_and_can_be_tried_again(home: Path, open_server: Simulator):
    open_server.provider.logins.behave(behavior_of(["deny", "interval=1"]))
    async with sitting(FLOW.replace("SIM", open_server.url), home=home) as person:
        await person.says("/login own")
        await person.reads("denied")
        await person.sees_no("/simulate/approve")
        await person.presses("enter")
        await person.sees("/simulate/approve", "waiting for approval")
        await person.sees("Select a model", "mine")


async def test_esc_leaves_a_login_that_was_denied(home: Path, open_server: Simulator):
    open_server.provider.logins.behave(behavior_of(["deny", "interval=1"]))
    async with sitting(FLOW.replace("SIM", open_server.url), home=home) as person:
        await person.says("/login own")
        await person.reads("denied")
        await person.presses("escape")
        await person.sees_no("Log in to")


async def test_logging_out_asks_first(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("/logout")
        await person.sees("Log out of", "claude")
        await person.presses("down", "enter")
        await person.sees("Log out of claude", "Log out? [y/N]")
        await person.presses("n")
        assert "claude" in tomllib.loads(person.config)["providers"]
        await person.says("/logout")
        await person.sees("Log out of")
        await person.presses("down", "enter")
        await person.sees("Log out? [y/N]")
        await person.presses("y")
        await person.sees("Logged out of claude")
        assert "claude" not in tomllib.loads(person.config)["providers"]


async def test_there_may_be_nothing_to_log_out_of(home: Path, simulator: Simulator):
    config = f'[providers.acme]\ntype = "openai"\nbase_url = "{simulator.url}/v1"\n[models.m]\nprovider = "acme"\nmodel = "x"\n'
    async with sitting(config, home=home) as person:
        await person.says("/logout")
        await person.sees("There is no login or API key to remove")


@pytest.mark.parametrize("default", ["sim/sim-1", ""])
async def test_a_provider_without_a_list_of_models_is_connected(home: Path, simulator: Simulator, default: str):
    entry = f'[providers.sim]\ntype = "openai"\nbase_url = "{simulator.url}/v1"\napi_key = "{KEY}"\n'
    async with sitting(f'default_model = "{default}"\n{entry}' if default else entry, home=home) as person:
        if not default:
            await person.sees("no model · /model")
            await person.says("/model")
            await person.sees("Type /model PROVIDER/MODEL_ID")
            await person.says("/model sim/sim-1")
            await person.sees("Model for this session: sim/sim-1")
        await person.says("Are you there?")
        await person.sees("You asked: Are you there?")
        assert "Welcome" not in person.screen


async def test_a_configuration_with_a_fault_says_so_and_the_rest_works(home: Path, configured: str):
    async with sitting(configured + "\n[providers.bad]\ntype = 7\n", home=home) as person:
        await person.sees("providers.bad")
        await person.says("Hello")
        await person.sees("You asked: Hello")


async def test_a_configuration_that_is_gone_stays_in_use(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("/model plain")
        await person.sees("Model for this session: plain")
        (home / "config.toml").unlink()
        await person.sees("config.toml was deleted")
        await person.says("Hello")
        await person.sees("You asked: Hello")
        (home / "config.toml").write_text(configured, encoding="utf-8")
        await person.sees("Reloaded config.toml")
        assert person.app.state.chat.model == "plain"
