"""The words for arguments that the parser refuses: click's words differ from those of other errors."""

import re
from collections.abc import Collection

import click
from click.exceptions import NoSuchCommand

from modelbay.cli import suggestions

_RANGE = re.compile(r"is not in the range (?:([\d.]*\d)<=?x<=?([\d.]*\d)|x(>=?)([\d.]*\d))")
"""A range in a message of click, which writes it as an inequality."""
_QUOTED = re.compile(r"(?:File |Directory |Path )?'(.*?)'(?= is | does | must | contains )", re.DOTALL)
"""The value in a message of click."""
_EXTRA = re.compile(r"Got unexpected extra argument(s?) \((.*)\)", re.DOTALL)


def name_of(param: click.Parameter, ctx: click.Context | None) -> str:
    """An option or argument in a message: `--model` for `-m, --model`, and `PROMPT` for `[PROMPT]...`."""
    if isinstance(param, click.Argument):
        metavar = param.make_metavar(ctx) if ctx else str(param.name).upper()
        return str(param.name).upper() if "{" in metavar else re.sub(r"\[|\]|\.\.\.", "", metavar)
    return max(param.opts, key=len)


def explained(wrong: click.UsageError) -> tuple[str, str | None]:
    """The message and the hint."""
    hint: str | None = getattr(wrong, "hint", None)
    choices: Collection[str] = ()
    if isinstance(wrong, click.BadParameter) and wrong.param is not None:
        if isinstance(wrong.param.type, click.Choice):
            choices = wrong.param.type.choices
        message = _about(wrong, wrong.param, choices)
    else:
        message = _without_a_parameter(wrong)
    if choices:
        hint = f"choose one of: {', '.join(choices)}"
    see = f"see `{wrong.ctx.command_path} --help`" if wrong.ctx else None
    return message.rstrip("."), suggestions.hint(wrong) or hint or see


def _about(wrong: click.BadParameter, param: click.Parameter, choices: Collection[str]) -> str:
    name = name_of(param, wrong.ctx)
    if isinstance(wrong, click.MissingParameter):
        return f"missing {name}"
    found = _QUOTED.match(wrong.message)
    if choices and found:
        return (
            f'unknown {param.name} "{found[1]}"'
            if isinstance(param, click.Argument)
            else f'{name}: unknown value "{found[1]}"'
        )
    return f"{name}: {_RANGE.sub(_limits, _QUOTED.sub(_in_double_quotes, wrong.message, count=1))}"


def _without_a_parameter(wrong: click.UsageError) -> str:
    if isinstance(wrong, NoSuchCommand):
        return f'unknown command "{wrong.command_name}"'
    if isinstance(wrong, click.NoSuchOption):
        return f"unknown option {wrong.option_name}"
    if isinstance(wrong, click.BadOptionUsage):
        return f"{wrong.option_name} {'requires' if 'requires' in wrong.message else 'does not accept'} a value"
    if extra := _EXTRA.search(wrong.message):
        return f"unexpected arguments: {extra[2]}" if extra[1] else f'unexpected argument "{extra[2]}"'
    return wrong.message


def _in_double_quotes(found: re.Match[str]) -> str:
    return f'"{found[1]}"'


def _limits(found: re.Match[str]) -> str:
    least, most, sign, limit = found.groups()
    if most is not None:
        return f"must be {least} to {most}"
    return f"must be {limit} or more" if sign == ">=" else f"must be more than {limit}"
