"""Choosing some of many on a terminal: a numbered list, with a filter, in plain lines that any terminal can show."""

import re
import sys
from collections.abc import Iterable

import click

from modelbay.catalog.search import Finder
from modelbay.catalog.summary import facts
from modelbay.chat.plain import plain
from modelbay.cli import terminal
from modelbay.model import Model

PAGE = 20
"""Lines of the list at a time."""
HELP = "numbers toggle (1 3-5), /words filters, / shows all, a all, n none, Enter takes what is marked, q gives up"


def pick(models: list[Model], chosen: Iterable[str], title: str) -> list[str]:
    """The wire ids that a person marks, in the list's order. `chosen` are those marked at first.

    Raises:
        click.Abort: the person gave up.
    """
    picker = _Picker(models, set(chosen))
    terminal.note(f"{title}\n{HELP}")
    while True:
        picker.show()
        answer = click.prompt("Models", default="", show_default=False, prompt_suffix=": ", err=True).strip()
        if not answer:
            return [model.id for model in models if model.id in picker.chosen]
        if answer.lower() == "q":
            raise click.Abort
        picker.do(answer)


def pick_one(title: str, offered: dict[str, str]) -> str:
    """The word that a person chooses, of those shown by their titles.

    Raises:
        click.UsageError: there is nobody to ask.
    """
    words = list(offered)
    if not asks():
        raise click.UsageError(f"name one: {', '.join(words)}", click.get_current_context())
    for number, word in enumerate(words, 1):
        _say(f"{number:>4}  {offered[word]}")
    number = click.prompt(title, type=click.IntRange(1, len(words)), default=1, err=True)
    return words[number - 1]


class _Picker:
    def __init__(self, models: list[Model], chosen: set[str]) -> None:
        self._all = models
        self._finder = Finder(models)
        self._seen = models
        self.chosen = chosen

    def show(self) -> None:
        """The first of the models that the filter leaves, and how many are marked in all."""
        for number, model in enumerate(self._seen[:PAGE], 1):
            mark = "x" if model.id in self.chosen else " "
            about = facts(model)
            name = f" ({model.name})" if model.name and model.name != model.id else ""
            _say(f"{number:>4} [{mark}] {model.id}{name}" + (f"  {about}" if about else ""))
        if not self._seen:
            _say("     no model fits")
        if len(self._seen) > PAGE:
            _say(f"     … and {len(self._seen) - PAGE:,} more: filter with /words")
        marked = sum(model.id in self.chosen for model in self._all)
        _say(f"     {marked:,} of {len(self._all):,} marked")

    def do(self, answer: str) -> None:
        if answer.startswith("/"):
            words = answer[1:].strip()
            self._seen = self._finder.find(words, len(self._all)) if words else self._all
        elif answer.lower() == "a":
            self.chosen |= {model.id for model in self._seen}
        elif answer.lower() == "n":
            self.chosen -= {model.id for model in self._seen}
        elif (numbers := _numbers(answer, min(len(self._seen), PAGE))) is not None:
            for number in numbers:
                self.chosen ^= {self._seen[number - 1].id}
        else:
            terminal.note(HELP)


def _say(line: str) -> None:
    click.echo(plain(line), err=True)


def _numbers(answer: str, last: int) -> list[int] | None:
    """The numbers of an answer, as "1 3-5, 8"; None where it has others, or none of the list."""
    found: list[int] = []
    for word in re.split(r"[\s,]+", answer.strip(", ")):
        match = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", word)
        if not match:
            return None
        first, end = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= end <= last:
            return None
        found += range(first, end + 1)
    return list(dict.fromkeys(found))


def asks() -> bool:
    """Whether there is a person to ask."""
    return terminal.is_terminal(sys.stdin) and terminal.is_terminal(sys.stderr)
