"""Keys and tokens that a person enters: at a hidden prompt on a terminal, on standard input elsewhere."""

import signal
import sys
import tomllib
from pathlib import Path

import pytest

from modelbay.simulator import Simulator
from tests.cli.command import KEY, Command
from tests.cli.inside import Person

OTHER = "sk-other-9876543210"
ENTRY = f'[providers.acme]\ntype = "openai"\nbase_url = "SIM/v1"\napi_key = "{OTHER}"\n'
LINES = {
    "provider add": ["provider", "add", "SIM/v1", "--id", "new", "--model", "sim-1"],
    "provider add, a list": ["provider", "add", "SIM/v1/models", "--id", "new", "--yes"],
    "provider add, a registry": ["provider", "add", "SIM/api.json", "--as", "registry", "--yes"],
    "a registry's provider": [
        "provider",
        "add",
        "SIM/api.json",
        "--as",
        "registry",
        "--api-key",
        OTHER,
        "--yes",
        "--provider-key",
    ],
    "provider custom": ["provider", "custom", "new", "--name", "New", "--base-url", "SIM/v1", "--model", "sim-1"],
    "provider edit": ["provider", "edit", "acme"],
    "provider manifest": ["provider", "manifest", "SIM/v1/models?provider=true", "--yes"],
    "provider catalog add": ["provider", "catalog", "add", "deepseek", "--url", "SIM/api.json"],
    "login": ["login", "moonshot-cn", "--base-url", "SIM/v1"],
    "manifest build": ["manifest", "build", "--from", "SIM/v1", "--website", "https://acme.example", "--embedded"],
    "manifest check": ["manifest", "check", "SIM/v1/models?provider=true", "--yes"],
    "key set": ["key", "set", "acme", "--file"],
}
"""Every command that takes a key, without the key."""


@pytest.fixture
def home(tmp_path: Path, simulator: Simulator) -> Path:
    simulator.reset()
    (tmp_path / "config.toml").write_text(ENTRY.replace("SIM", simulator.url))
    return tmp_path


@pytest.mark.skipif(sys.platform == "win32", reason="it has no pseudo-terminals")
@pytest.mark.parametrize("command", LINES)
def test_on_a_terminal_a_key_is_asked_for_and_not_shown(home: Path, simulator: Simulator, command: str):
    line = [word.replace("SIM", simulator.url) for word in LINES[command]]
    line += ["acme=-"] if line[-1] == "--provider-key" else [] if line[0] == "key" else ["--api-key", "-"]
    with Person(home, *line) as person:
        person.sees("ey").sees(": ").types(KEY)
        person.ends()
    assert KEY not in person.seen


@pytest.mark.skipif(sys.platform == "win32", reason="it has no pseudo-terminals")
def test_an_empty_answer_is_asked_for_again(home: Path):
    with Person(home, "provider", "edit", "acme", "--api-key", "-") as person:
        person.sees("API key: ").types("").sees("API key: ").types(KEY).sees("Changed api_key")
        assert person.ends() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="it has no pseudo-terminals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_at_the_prompt_ends_the_command_and_the_terminal_shows_keys_again(home: Path, number: int):
    with Person(home, "key", "set", "acme", "--file") as person:
        person.sees(": ")
        assert not person.echoes
        person.gets(number)
        assert person.ends() == -number
        assert person.echoes


@pytest.mark.parametrize("piped", [KEY, f"{KEY}\n", f"  {KEY}\r\n", f"\ufeff{KEY}\n"])
def test_a_pipe_gives_the_key(modelbay: Command, piped: str):
    assert modelbay("provider", "edit", "sim", "--api-key", "-", stdin=piped).code == 0
    text = (modelbay.home / "config.toml").read_text()
    assert tomllib.loads(text)["providers"]["sim"]["api_key"] == KEY


@pytest.mark.parametrize(
    "form", ['export OPENAI_API_KEY="{}"', "Bearer {}", "'{}',", "curl SIM \\\n -H 'x-api-key: {}' \\\n -d x"]
)
@pytest.mark.parametrize("way", ["argument", "pipe"])
def test_of_a_line_with_a_key_only_the_key_is_used(modelbay: Command, form: str, way: str):
    text = form.format(OTHER)
    line = ["provider", "edit", "claude", "--api-key"]
    run = modelbay(*line, text) if way == "argument" else modelbay(*line, "-", stdin=text)
    assert run.code == 0, run.err
    written = tomllib.loads((modelbay.home / "config.toml").read_text())
    assert written["providers"]["claude"]["api_key"] == OTHER


@pytest.mark.parametrize(
    "key", ["sk-planted 0123456789", "sk-plänted-0123456789", "$OPENAI_API_KEY", "Bearer ${OPENAI_API_KEY}"]
)
@pytest.mark.parametrize("command", [name for name in LINES if name != "key set"])
def test_no_command_sends_a_text_that_cannot_be_a_key(
    home: Path, modelbay: Command, simulator: Simulator, command: str, key: str
):
    (home / "config.toml").write_text(ENTRY.replace("SIM", simulator.url))
    line = [word.replace("SIM", simulator.url) for word in LINES[command]]
    line += [f"acme={key}"] if line[-1] == "--provider-key" else ["--api-key", key]
    run = modelbay(*line)
    assert run.code == 2, run
    assert "contains invalid characters" in run.err or "enter {env:OPENAI_API_KEY} to use its value" in run.err


@pytest.mark.parametrize(
    ("piped", "message"),
    [
        ("", "--api-key: no API key on standard input"),
        (" \n", "--api-key: no API key on standard input"),
        (f"{KEY}\n{OTHER}\n", "--api-key: standard input must have one line with the API key, not 2"),
    ],
)
def test_a_pipe_without_one_key_changes_nothing(modelbay: Command, piped: str, message: str):
    before = (modelbay.home / "config.toml").read_text()
    run = modelbay("provider", "edit", "sim", "--api-key", "-", stdin=piped)
    assert (run.code, run.out) == (2, "")
    assert f"error: {message}\n" in run.err
    assert KEY not in run.err
    assert (modelbay.home / "config.toml").read_text() == before


@pytest.mark.parametrize(
    "line",
    [
        ["provider", "add", "-", "--api-key", "-"],
        ["provider", "manifest", "--embedded", "-", "--api-key", "-"],
        ["manifest", "check", "-", "--api-key", "-"],
        ["provider", "add", "SIM/api.json", "--as", "registry", "--api-key", "-", "--provider-key", "acme=-"],
    ],
    ids=" ".join,
)
def test_standard_input_is_for_one_thing(modelbay: Command, line: list[str]):
    line = [word.replace("SIM", modelbay.simulator.url) for word in line]
    run = modelbay(*line, stdin=KEY)
    assert run.code == 2, run
    assert "standard input" in run.err
