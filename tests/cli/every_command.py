"""All commands and their parameters, found from the parser."""

from collections.abc import Iterator
from typing import NamedTuple

import click

from modelbay.cli import modelbay as program


class Line(NamedTuple):
    """A command, by its words."""

    words: tuple[str, ...]
    command: click.Command
    context: click.Context

    @property
    def name(self) -> str:
        return " ".join(self.words)

    def with_value(self, param: click.Parameter, value: str) -> list[str]:
        """The words of a line that gives a value to one parameter. The arguments before it have a value that their type accepts."""
        if not isinstance(param, click.Argument):
            return [*self.words, max(param.opts, key=len), value]
        places = [one for one in self.command.params if isinstance(one, click.Argument)]
        before = [_accepted(one) for one in places[: places.index(param)]]
        return [*self.words, *before, value]

    @property
    def valued(self) -> list[click.Parameter]:
        """Its parameters that take a value, without the options of every command."""
        own = [one for one in self.command.params if one.expose_value]
        return [one for one in own if not (isinstance(one, click.Option) and one.is_flag)]


def _accepted(param: click.Parameter) -> str:
    return param.type.choices[0] if isinstance(param.type, click.Choice) else "x"


def every_command(command: click.Command = program, context: click.Context | None = None) -> Iterator[Line]:
    """Each command that does something."""
    context = context or click.Context(program, info_name="modelbay", **program.context_settings)
    if not isinstance(command, click.Group):
        words = context.command_path.split()[1:]
        yield Line(tuple(words), command, context)
        return
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        yield from every_command(inner, click.Context(inner, context, info_name=name))


ARGUMENTS = {
    "agent": ["kimi"],
    "alias": ["chat"],
    "files": ["missing.jsonl"],
    "id": ["sim"],
    "name": ["app"],
    "new": ["other"],
    "old": ["sim"],
    "prompt": ["Hi"],
    "provider": ["sim"],
    "settings_": ["max_output_size=8192"],
    "shell": ["bash"],
    "what": ["ollama"],
    "words": ["Hi"],
}
"""Values of arguments that a command may require."""
