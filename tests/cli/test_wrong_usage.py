"""The words for arguments that the parser refuses, for every parameter of every command: one style, and no words of click."""

from pathlib import Path

import click
import pytest

from modelbay.cli.wrong_usage import name_of
from tests.cli.every_command import Line, every_command
from tests.cli.inside import Inside

LINES = {line.name: line for line in every_command()}
CLICK = (
    "No such",
    "no such",
    "invalid value",
    "Error:",
    "is not one of",
    "missing argument",
    "missing option",
    "extra arg",
    "'",
)


@pytest.fixture
def parser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    monkeypatch.chdir(tmp_path)
    return Inside(tmp_path, monkeypatch)


def message(parser: Inside, *line: str) -> str:
    run = parser(*line)
    assert (run.code, run.out) == (2, "")
    said = run.err.partition("\n")[0].removeprefix("error: ")
    assert not [words for words in CLICK if words in said], said
    return said


@pytest.mark.parametrize("name", LINES)
def test_an_unknown_option_is_named(parser: Inside, name: str) -> None:
    assert message(parser, *LINES[name].words, "--xyzzy") == "unknown option --xyzzy"


CHOICES = [(line, param) for line in LINES.values() for param in line.valued if isinstance(param.type, click.Choice)]


@pytest.mark.parametrize(("line", "param"), CHOICES, ids=lambda value: getattr(value, "name", ""))
def test_an_unknown_choice_is_an_error_with_the_choices(parser: Inside, line: Line, param: click.Parameter) -> None:
    is_argument = isinstance(param, click.Argument)
    wanted = (
        f'unknown {param.name} "xyzzy"' if is_argument else f'{name_of(param, line.context)}: unknown value "xyzzy"'
    )
    assert message(parser, *line.with_value(param, "xyzzy")) == wanted
    assert isinstance(param.type, click.Choice)
    assert f"hint: choose one of: {', '.join(param.type.choices)}" in parser(*line.with_value(param, "xyzzy")).err


NUMBERS = [
    (line, param)
    for line in LINES.values()
    for param in line.valued
    if isinstance(param.type, click.IntRange | click.FloatRange)
]


@pytest.mark.parametrize(("line", "param"), NUMBERS, ids=lambda value: getattr(value, "name", ""))
def test_a_number_is_described_by_its_limits(parser: Inside, line: Line, param: click.Parameter) -> None:
    name = name_of(param, line.context)
    assert message(parser, *line.with_value(param, "many")) == f'{name}: "many" is not a valid number'
    assert message(parser, *line.with_value(param, "-9")).startswith(f"{name}: -9")
    assert "must be " in message(parser, *line.with_value(param, "-9"))


@pytest.mark.parametrize(
    "name",
    [line.name for line in LINES.values() if any(one.required and one.expose_value for one in line.command.params)],
)
def test_a_missing_value_is_named(parser: Inside, name: str) -> None:
    line = LINES[name]
    required = [name_of(one, line.context) for one in line.command.params if one.required]
    assert message(parser, *line.words) in {f"missing {one}" for one in required}


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (["nope"], 'unknown command "nope"'),
        (["provider", "nope"], 'unknown command "nope"'),
        (["help", "nope"], 'unknown command "nope"'),
        (["ask", "--model"], "--model requires a value"),
        (["ask", "--json=3", "Hi"], "--json does not accept a value"),
        (["provider", "show", "a", "b"], 'unexpected argument "b"'),
        (["provider", "show", "a", "b", "c"], "unexpected arguments: b c"),
        (["ask", "--record", "/", "Hi"], '--record: "/" is a directory'),
        (["ask", "--option", "seed", "Hi"], '--option: "seed" must be KEY=VALUE'),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_each_kind_has_our_words(parser: Inside, line: list[str], wanted: str) -> None:
    assert message(parser, *line) == wanted
