"""Questions on a terminal. They are written to stderr."""

import sys
from typing import TypeVar

import click

from modelbay.cli import terminal
from modelbay.stored_chats.plain import plain

Choice = TypeVar("Choice", bound=str)


def asks() -> bool:
    """Whether the user can be asked, which requires a terminal."""
    return terminal.is_terminal(sys.stdin) and terminal.is_terminal(sys.stderr)


def asked(label: str, default: str | None = "", suffix: str = ": ") -> str:
    """A line that the user types. `default`: the answer of an empty line; None if an answer is required.

    Raises:
        click.Abort: the user pressed Ctrl-C or Ctrl-D.
    """
    answer: str = click.prompt(
        plain(label), default=default, show_default=bool(default), prompt_suffix=suffix, err=True
    )
    return answer.strip()


def agreed(question: str, *, default: bool = False) -> bool:
    """Whether the user answers yes. `default`: the answer of an empty line."""
    answers = {"": default, "y": True, "yes": True, "n": False, "no": False}
    while (answer := asked(f"{question} [{'Y/n' if default else 'y/N'}]").lower()) not in answers:
        terminal.note("Type y or n")
    return answers[answer]


def confirm(question: str, *, default: bool = False, otherwise: str = "not a terminal: pass --yes to confirm") -> None:
    """Ask whether to go on. `otherwise`: the error if the user cannot be asked.

    Raises:
        click.UsageError: this is not a terminal.
        click.Abort: the user declined.
    """
    if not asks():
        raise click.UsageError(otherwise, click.get_current_context())
    if not agreed(question, default=default):
        raise click.Abort


def pick_one(title: str, offered: dict[Choice, str]) -> Choice:
    """The key of `offered` that the user chooses by its title.

    Raises:
        click.UsageError: this is not a terminal.
    """
    words = list(offered)
    if not asks():
        raise click.UsageError(f"not a terminal: pass one of: {', '.join(words)}", click.get_current_context())
    for number, word in enumerate(words, 1):
        click.echo(plain(f"{number:>4}  {offered[word]}"), err=True)
    answers: dict[str, Choice] = {word: word for word in words} | {
        str(number): word for number, word in enumerate(words, 1)
    }
    while (answer := asked(title, "1")) not in answers:
        terminal.note(f"Type a number from 1 to {len(words)}")
    return answers[answer]
