"""Blank values and control characters, for every parameter of every command: usage errors."""

from pathlib import Path
from typing import NamedTuple

import click
import pytest

from modelbay.cli.texts import FilePath, PathOrUrl, Prose
from modelbay.cli.wrong_usage import name_of
from tests.cli.every_command import Line, every_command
from tests.cli.inside import Inside


class Place(NamedTuple):
    line: Line
    param: click.Parameter

    @property
    def name(self) -> str:
        shown = (
            max(self.param.opts, key=len) if isinstance(self.param, click.Option) else self.param.human_readable_name
        )
        return f"{self.line.name} {shown}"

    @property
    def said(self) -> str:
        """The beginning of an error about its value."""
        if isinstance(self.param, click.Argument) and isinstance(self.param.type, click.Choice):
            return f'error: unknown {self.param.name} "'
        return f"error: {name_of(self.param, self.line.context)}: "


PLACES = {place.name: place for place in (Place(line, param) for line in every_command() for param in line.valued)}
BLANK_ALLOWED = {"ask [PROMPT]...", "embed [TEXT]...", "launch [-- ARGS...]", "provider edit --api-key"}
"""Texts, which the command checks as a whole; arguments of another program; a key that is removed."""
ANY_TEXT = {name for name, place in PLACES.items() if isinstance(place.param.type, Prose | FilePath | PathOrUrl)} | {
    "ask --stop",
    "ask --schema",
    "ask --tool",
    "ask --option",
    "launch [-- ARGS...]",
}
"""Prose, and paths, which may have any characters."""


@pytest.fixture
def parser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    """Commands that are parsed, and do not run."""
    monkeypatch.setattr(click.Command, "invoke", lambda self, context: None)
    return Inside(tmp_path, monkeypatch)


@pytest.mark.parametrize("name", sorted(PLACES.keys() - BLANK_ALLOWED))
def test_an_empty_value_is_a_usage_error_that_names_its_place(parser: Inside, name: str) -> None:
    place = PLACES[name]
    run = parser(*place.line.with_value(place.param, ""))
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith(place.said)


@pytest.mark.parametrize("name", sorted(PLACES.keys() - BLANK_ALLOWED - ANY_TEXT))
@pytest.mark.parametrize("value", ["  ", "\x07", "a\x1b[2Jb", "a\u202eb"])
def test_blanks_and_control_characters_are_usage_errors(parser: Inside, name: str, value: str) -> None:
    place = PLACES[name]
    run = parser(*place.line.with_value(place.param, value))
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith(place.said)


@pytest.mark.parametrize("value", ["名前", "اسم", "a b", "naïve", "e\u0301", "👩\u200d🔬"])
def test_letters_of_every_script_are_accepted(parser: Inside, value: str) -> None:
    assert parser("provider", "edit", "acme", "--name", value).code == 0


def test_only_known_parameters_accept_a_blank_value() -> None:
    assert PLACES.keys() > BLANK_ALLOWED
    assert "ask --system" not in BLANK_ALLOWED
