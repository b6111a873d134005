"""Suggestions for commands and options that do not exist."""

from pathlib import Path

import click
import pytest

from modelbay.cli import COMMANDS
from modelbay.cli import modelbay as program
from modelbay.cli.suggestions import near
from tests.cli.inside import Inside


@pytest.fixture
def bay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    return Inside(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("providers", "did you mean `modelbay provider`?"),
        ("keys set", "did you mean `modelbay key`?"),
        ("Models", "did you mean `modelbay model`?"),
        ("prov", "did you mean `modelbay provider`?"),
        ("simualte", "did you mean `modelbay simulate`?"),
        ("connect", "did you mean `modelbay provider add`?"),
        ("list", "did you mean `modelbay client list` or `modelbay model list` or `modelbay provider list`?"),
        ("provider ls", "did you mean `modelbay provider list`?"),
        ("provider delete acme", "did you mean `modelbay provider remove`?"),
        ("key remove acme", "did you mean `modelbay key delete`?"),
        ("help provders", "did you mean `modelbay provider`?"),
        ("provider help ad", "did you mean `modelbay provider add`?"),
        ("ask --modle x", "did you mean `--model`?"),
        ("ask --Model x", "did you mean `--model`?"),
        ("ask -M x", "did you mean `-m`?"),
        ("provider custom acme --base_url x", "did you mean `--base-url`?"),
        ("provider custom acme --url x", "did you mean `--base-url` or `--full-url`?"),
        ("--model x ask", "put the option after the command: `modelbay ask --model`"),
        ("ask --zebra x", "see `modelbay ask --help`"),
        ("frobnicate", "see `modelbay --help`"),
        ("provider frobnicate", "see `modelbay provider --help`"),
        ("completion", "choose one of: bash, zsh, fish"),
        ("key set", "see `modelbay key set --help`"),
    ],
)
def test_a_near_spelling_is_suggested_and_nothing_else(bay: Inside, line: str, hint: str):
    run = bay(*line.split())
    assert (run.code, run.out) == (2, "")
    assert run.err.count("\n") == 3  # the error, an empty line and the hint
    assert run.err.endswith(f"\n\nhint: {hint}\n"), run.err


def test_a_prompt_without_ask_gets_the_command_for_it(bay: Inside):
    assert 'hint: put the prompt after `ask`: `modelbay ask "Why is the sky blue?"`' in bay("Why is the sky blue?").err


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        return [(path, command)]
    context = click.Context(command)
    found = []
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        found += leaves(inner, (*path, name))
    return found


def test_a_slip_in_any_command_or_option_leads_back_to_it(bay: Inside):
    lost = []
    for path, command in leaves(program):
        typed = [*path[:-1], f"{path[-1][:-1]}x"]
        if f"`modelbay {' '.join(path)}`" not in bay(*typed).err:
            lost.append(typed)
        for option in (name for param in command.params for name in param.opts if name.startswith("--")):
            swapped = f"{option[:-2]}{option[-1]}{option[-2]}" if option[-1] != option[-2] else option[:-1]
            if f"`{option}`" not in bay(*path, swapped, "x").err:
                lost.append([*path, swapped])
    assert lost == []


def test_far_words_are_not_near():
    assert near("--schema", ["--system", "--model"]) == []
    assert near("--stop", ["--system", "--store"]) in ([], ["--store"])
    assert near("xyzzy", list(COMMANDS)) == []


@pytest.mark.parametrize("line", ["-h", "--help", "help"])
def test_help_has_three_spellings(bay: Inside, line: str):
    assert bay(line).out == bay.done("--help")


@pytest.mark.parametrize("path", [path for path, _ in leaves(program)], ids=" ".join)
def test_the_help_of_every_command_has_them_too(bay: Inside, path: tuple[str, ...]):
    text = bay.done(*path, "--help")
    assert text.startswith(f"Usage: modelbay {' '.join(path)}")
    assert bay.done(*path, "-h") == bay.done("help", *path) == text
    if len(path) > 1:
        assert bay.done(*path[:-1], "help", path[-1]) == text


@pytest.mark.parametrize("line", ["-V", "version"])
def test_the_version_has_three_spellings(bay: Inside, line: str):
    assert bay.done(line) == bay.done("--version")
