"""Exit codes of unknown values, for every command: 2 if no configuration accepts the value, 1 if this one lacks the name."""

from pathlib import Path

import click
import pytest

from modelbay.simulator import Simulator
from tests import bundled_list
from tests.cli.conftest import CONFIG
from tests.cli.every_command import ARGUMENTS, Line, every_command
from tests.cli.inside import Inside

OURS, YOURS = 2, 1
CODES = {
    "agents": OURS,
    "aliases": YOURS,
    "clients": YOURS,
    "efforts": OURS,
    "logins": YOURS,
    "models": YOURS,
    "paths": OURS,
    "providers": YOURS,
    "settings": OURS,
    "topic_names": OURS,
    "vendors": OURS,
}
"""The exit code for an unknown value, by the function that completes the known ones."""
TYPES = (click.Choice, click.IntRange, click.FloatRange)
"""Types whose unknown values are usage errors."""
REQUIRED = {
    "ask": ["Hi"],
    "embed": ["-m sim/sim-1", "Hi"],
    "provider custom": ["--name Acme", "--base-url SIM/v1", "--yes"],
    "provider add": ["--yes"],
    "provider remove": ["--yes"],
    "configure": ["--dry-run"],
    "manifest build": ["--embedded"],
    "chat": ["--plain"],
}
"""Options and texts that a command requires."""


def completer(param: click.Parameter) -> str:
    return getattr(param._custom_shell_complete, "__name__", "")


def known(param: click.Parameter) -> bool:
    return bool(completer(param)) or isinstance(param.type, TYPES)


PLACES = {
    f"{line.name} {max(param.opts, key=len)}": (line, param)
    for line in every_command()
    for param in line.valued
    if known(param) and not (line.name == "launch" and param.name in ("model", "small"))  # the agent is missing first
}


@pytest.fixture
def bay(tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Inside:
    simulator.reset()
    bundled_list.store(tmp_path)
    (tmp_path / "config.toml").write_text(CONFIG.replace("SIM", simulator.url))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return Inside(tmp_path, monkeypatch, {simulator.url: "SIM"})


def typed(line: Line, param: click.Parameter, value: str, url: str) -> list[str]:
    words = list(line.words)
    for one in line.command.params:
        if isinstance(one, click.Argument) and (one is param or one.required):
            words += [value] if one is param else ARGUMENTS[str(one.name)]
    if isinstance(param, click.Option):
        words += [max(param.opts, key=len), value]
    needed = [part.replace("SIM", url).split() for part in REQUIRED.get(line.name, [])]
    return words + [word for part in needed if part[0] not in param.opts for word in part]


@pytest.mark.parametrize("name", PLACES)
def test_an_unknown_value_has_the_exit_code_of_its_kind(bay: Inside, simulator: Simulator, name: str) -> None:
    line, param = PLACES[name]
    run = bay(*typed(line, param, "nope-x", simulator.url))
    wanted = CODES[completer(param)] if completer(param) else OURS
    assert (run.code, "internal error" in run.err) == (wanted, False), run.err


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("model set chat nope=1", OURS),
        ("model set chat max_output_size=nope", OURS),
        ("provider add nope-x", OURS),
        ("provider models nope-x", OURS),
        ("provider manifest nope-x", OURS),
        ("provider catalog list --url nope-x", OURS),
        ("provider catalog add nope-x", YOURS),
        ("provider catalog add openai --base-url nope-x", OURS),
        ("client add a/b", OURS),
        ("provider rename sim A/B", OURS),
        ("provider rename sim claude", YOURS),
        ("login kimi-code --oauth-host nope-x", OURS),
        ("manifest build --from nope-x --embedded", OURS),
        ("client remove nope-x --config missing.toml", YOURS),
        ("provider add SIM/v1 --id new --yes --resource acme", OURS),
        ("provider add openai --api-key k-0123456789 --yes --location global", OURS),
        ("provider add SIM/api.json --token-is-key --project p --api-key sk-planted-0123456789 --yes", OURS),
        ("provider add SIM/v1/models?provider=true --header X-Team:red --api-key sk-planted-0123456789 --yes", OURS),
        ("provider add SIM/api.json --no-full-url --api-key sk-planted-0123456789 --yes", OURS),
        ("provider add groq --as catalog --name Fast --yes", OURS),
        ("provider edit sim --remove-header nope-x", YOURS),
        ("trust --remove .modelbay.toml", YOURS),
    ],
)
def test_other_unknown_values_follow_the_same_rule(bay: Inside, simulator: Simulator, line: str, code: int) -> None:
    run = bay(*line.replace("SIM", simulator.url).split())
    assert (run.code, "internal error" in run.err) == (code, False), run.err


ANY_VALUE = {
    f"{line.name} {max(param.opts, key=len)}": (line, param)
    for line in every_command()
    for param in line.valued
    if line.name not in ("serve", "simulate", "demo", "manifest serve")  # they run until a signal
}


@pytest.mark.parametrize("name", ANY_VALUE)
def test_a_value_of_any_length_is_not_a_bug(bay: Inside, simulator: Simulator, name: str) -> None:
    line, param = ANY_VALUE[name]
    run = bay(*typed(line, param, "x" * 300, simulator.url))
    assert (run.code in (0, 1, 2), "internal error" in run.err) == (True, False), run.err


def test_a_long_path_of_the_configuration_is_not_a_bug(bay: Inside) -> None:
    run = bay("provider", "list", "--config", "x" * 300)
    assert (run.code, "File name too long" in run.err) == (2, True)


def test_a_provider_id_fits_into_a_file_name(bay: Inside) -> None:
    run = bay("provider", "rename", "sim", "x" * 101)
    assert (run.code, "Provider ID must be at most 100 characters" in run.err) == (2, True)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ask --max-tokens 0 Hi", "0 must be 1 or more"),
        ("ask --top-p 2 Hi", "2.0 must be 0 to 1"),
        ("ask --timeout 0 Hi", "0.0 must be more than 0"),
        ("serve --port 70000", "70000 must be 0 to 65535"),
    ],
)
def test_a_number_out_of_its_range_names_the_limits_in_words(bay: Inside, line: str, message: str) -> None:
    assert f"{message}\n" in bay(*line.split()).err
