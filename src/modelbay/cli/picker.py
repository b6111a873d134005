"""Choosing models on a terminal: a numbered list with a filter, in plain lines that every terminal can display."""

import re
from collections.abc import Iterable

import click

from modelbay.catalog.search import Finder
from modelbay.catalog.summary import counted, facts
from modelbay.cli import terminal
from modelbay.cli.prompts import asked
from modelbay.model import Model
from modelbay.stored_chats.plain import plain

PAGE = 20
"""Maximum number of lines of the list that are shown."""
NAMED = 5
"""Maximum number of marked models that are listed by name; more are counted."""
HELP = """\
Type words to filter, numbers to mark (1-5,8), all or none; / shows all models.
Enter adds the marked models, q quits, ? shows this help."""


def pick(models: list[Model], chosen: Iterable[str], title: str) -> list[str]:
    """The model IDs that the user marks, in the list's order; at least one. `chosen` are marked at the beginning.

    Raises:
        click.Abort: the user quit.
    """
    picker = _Picker(models, set(chosen))
    terminal.note(f"{title}\n{HELP}")
    picker.show()
    while True:
        answer = asked("Models")
        if answer.lower() in ("q", "quit"):
            raise click.Abort
        if answer:
            picker.do(answer)
        elif picker.chosen:
            return [model.id for model in models if model.id in picker.chosen]
        else:
            terminal.note("At least one model is required: type its number, or all")


class _Picker:
    def __init__(self, models: list[Model], chosen: set[str]) -> None:
        self._all = models
        self._finder = Finder(models)
        self._seen = models
        self.chosen = chosen & {model.id for model in models}

    def show(self) -> None:
        """Print the first models that match the filter, and the number of marked models."""
        for number, model in enumerate(self._seen[:PAGE], 1):
            mark = "x" if model.id in self.chosen else " "
            about = facts(model)
            name = f" ({model.name})" if model.name and model.name != model.id else ""
            _say(f"{number:>4} [{mark}] {model.id}{name}" + (f"  {about}" if about else ""))
        if len(self._seen) > PAGE:
            _say(f"     … and {len(self._seen) - PAGE:,} more: type words to filter")
        _say(f"     {len(self.chosen):,} of {len(self._all):,} marked")

    def do(self, answer: str) -> None:
        """Apply an input, print the list and the change."""
        word = answer.lower()
        if word in ("?", "help"):
            terminal.note(HELP)
            return
        last = min(len(self._seen), PAGE)
        if word in ("a", "all"):
            said = self._mark({model.id for model in self._seen} - self.chosen)
        elif word in ("n", "none"):
            said = self._mark(self.chosen & {model.id for model in self._seen})
        elif (numbers := _numbers(answer)) is None:
            said = self._filter(answer.removeprefix("/").strip())
        elif all(1 <= number <= last for number in numbers):
            said = self._mark({self._seen[number - 1].id for number in numbers})
        else:
            terminal.note(f"The numbers are 1 to {last}; type /{answer} to search for {answer}")
            return
        self.show()
        terminal.note(said)

    def _filter(self, words: str) -> str:
        found = self._finder.find(words, len(self._all)) if words else self._all
        if not found:
            return f'No model matches "{words}"; the list is unchanged'
        self._seen = found
        return f'{counted(len(found), "model")} for "{words}"; / shows all models' if words else "All models are shown"

    def _mark(self, ids: set[str]) -> str:
        """Mark the models that are not marked, and unmark the others."""
        removed = ids & self.chosen
        added = ids - removed
        self.chosen = (self.chosen | added) - removed
        said = [f"{verb} {self._named(those)}" for verb, those in (("marked", added), ("unmarked", removed)) if those]
        text = "; ".join(said) or "nothing changed"
        return text[:1].upper() + text[1:]

    def _named(self, ids: set[str]) -> str:
        names = [model.id for model in self._all if model.id in ids]
        return ", ".join(names) if len(names) <= NAMED else counted(len(names), "model")


def _say(line: str) -> None:
    click.echo(plain(line), err=True)


def _numbers(answer: str) -> list[int] | None:
    """The numbers in an answer such as "1 3-5, 8"; None if it contains anything else. A range may be reversed."""
    found: list[int] = []
    for word in re.split(r"[\s,]+", re.sub(r"\s*-\s*", "-", answer.strip(", "))):
        match = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", word)
        if not match:
            return None
        first, last = sorted((int(match[1]), int(match[2] or match[1])))
        if last - first > PAGE:
            return [first, last]  # more than the list shows: the caller refuses the ends, so do not expand the range
        found += range(first, last + 1)
    return found
