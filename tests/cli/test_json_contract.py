"""`--json`: standard output has one JSON value, even if the command fails. Standard error has the error as text too."""

import json
from pathlib import Path

import pytest

from modelbay.simulator import Simulator
from tests import bundled_list
from tests.cli.conftest import CONFIG
from tests.cli.every_command import Line, every_command
from tests.cli.inside import Inside

LINES = {line.name: line for line in every_command() if any("--json" in param.opts for param in line.command.params)}
ARGUMENTS = {
    "ask": ["Hi"],
    "embed": ["-m", "sim/sim-1", "Hi"],
    "launch": ["--list"],
    "login": ["--status"],
    "manifest check": ["manifest.json", "--offline"],
    "model search": ["sim"],
    "model show": ["chat"],
    "provider models": ["sim"],
    "provider show": ["sim"],
    "provider test": ["sim"],
    "trust": ["--list"],
}
"""Arguments of the commands that require some."""
FIELDS = {"type", "message", "status", "title", "provider", "request_id", "attempts", "hint"}


@pytest.fixture
def bay(tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Inside:
    simulator.reset()
    bundled_list.store(tmp_path)
    (tmp_path / "config.toml").write_text(CONFIG.replace("SIM", simulator.url))
    (tmp_path / "broken.toml").write_text("a = \n")
    (tmp_path / "manifest.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    return Inside(tmp_path, monkeypatch)


def words(line: Line) -> list[str]:
    return [*line.words, *ARGUMENTS.get(line.name, []), "--json"]


@pytest.mark.parametrize("name", LINES)
def test_a_command_prints_one_value(bay: Inside, name: str) -> None:
    run = bay(*words(LINES[name]))
    assert "error:" not in run.err
    json.loads(run.out)


@pytest.mark.parametrize("name", LINES)
def test_a_wrong_option_is_an_error_as_json(bay: Inside, name: str) -> None:
    run = bay(*words(LINES[name]), "--nope")
    assert run.code == 2
    found = json.loads(run.out)["error"]
    assert found.keys() == FIELDS
    assert (found["type"], found["title"]) == ("UsageError", "Wrong Usage")
    assert f"error: {found['message']}\n" in run.err


@pytest.mark.parametrize("name", LINES)
def test_a_broken_configuration_is_an_error_as_json(bay: Inside, name: str) -> None:
    run = bay(*words(LINES[name]), "--config", "broken.toml")
    found = json.loads(run.out)
    if run.code == 0 or name == "manifest check":  # a command that needs no configuration
        assert name in ("client list", "launch", "manifest check", "trust")
        return
    assert found["error"].keys() == FIELDS
    assert found["error"]["title"] == "Broken Configuration"
    assert found["error"]["message"] in run.err


def test_a_bug_is_an_error_as_json(bay: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the roof fell in")

    monkeypatch.setattr("modelbay.gateway.clients.ClientKeys.all", fail)
    run = bay("client", "list", "--json")
    assert (run.code, json.loads(run.out)["error"]["type"]) == (1, "InternalError")


def test_an_answer_that_breaks_off_is_printed_once_with_its_error(bay: Inside) -> None:
    run = bay("ask", "-m", "sim/sim-1!cut-after-first", "Hi", "--json")
    found = json.loads(run.out)
    assert (run.code, found["error"].keys()) == (1, FIELDS)
    assert found["text"]


@pytest.mark.parametrize("line", [["nope", "--json"], ["provider", "nope", "--json"], ["key", "set", "sim", "--json"]])
def test_a_command_without_the_option_answers_in_json_too(bay: Inside, line: list[str]) -> None:
    run = bay(*line)
    assert (run.code, json.loads(run.out)["error"]["type"]) == (2, "UsageError")


def test_an_option_of_the_agent_is_not_ours(bay: Inside) -> None:
    run = bay("launch", "nope", "--", "--json")
    assert (run.code, run.out) == (2, "")


def test_without_the_option_the_error_is_only_text(bay: Inside) -> None:
    assert bay("provider", "show", "nope").out == ""


def test_a_secret_in_an_error_is_masked(bay: Inside) -> None:
    run = bay("provider", "models", "https://user:hunter2hunter2@127.0.0.1:9/v1", "--json")
    assert run.code != 0
    assert "hunter2" not in run.out
    json.loads(run.out)
