"""What adding and changing a provider have in common on the command line: the key, the choice of models, the report."""

import asyncio
from collections.abc import Callable
from shlex import quote
from typing import Any, TypeVar

import click
from msgspec import Struct, field

from modelbay.catalog.summary import counted, facts
from modelbay.cli import terminal
from modelbay.cli.columns import write_rows
from modelbay.cli.key_input import Invalid
from modelbay.cli.picker import asks, pick
from modelbay.config.edit import Edited
from modelbay.config.load import load
from modelbay.config.schema import Config
from modelbay.errors import ModelbayError
from modelbay.onboarding import fields as dialog
from modelbay.onboarding.add import add as written
from modelbay.onboarding.choose_models import UNATTENDED, marked_at_first, preferred
from modelbay.onboarding.draft import Draft, joined, model_tables
from modelbay.onboarding.probe import Detected, detect
from modelbay.providers.upstream import upstream

F = TypeVar("F", bound=Callable[..., Any])

REPORTED = 20

API_NAMES = list(dialog.APIS)


class Choice(Struct):
    """What the options say of the models."""

    models: list[dialog.ModelRow] = field(default_factory=list)
    """Those named, with the names to show."""
    bases: dict[str, str] = field(default_factory=dict)
    """The model behind a name, by that name."""
    all: bool = False
    default: str | None = None
    yes: bool = False
    dry_run: bool = False

    @classmethod
    def of(cls, options: dict[str, Any]) -> "Choice":
        """Takes its own out of a command's options."""
        return cls(
            rows(options.pop("model")),
            base_models(options.pop("base_model")),
            options.pop("all_models"),
            options.pop("default_model"),
            options.pop("yes"),
            options.pop("dry_run"),
        )


def choice_options(command: F) -> F:
    """The options that `Choice.of` reads."""
    for option in reversed(
        (
            click.option("--model", multiple=True, metavar="ID[=NAME]", help="A model to add; may be given again."),
            click.option(
                "--base-model",
                multiple=True,
                metavar="ID=MODEL",
                help="The model behind a name such as a deployment: facts and prices are its.",
            ),
            click.option("--all-models", is_flag=True, help="Add every model that it lists."),
            click.option("--default-model", metavar="ID", help="Make this model of it the default."),
            click.option("--yes", is_flag=True, help="Ask nothing."),
            click.option("--dry-run", is_flag=True, help="Print what would change in config.toml, and change nothing."),
        )
    ):
        command = option(command)
    return command


def check(form: dialog.Form, taken: list[str], *, detects: bool) -> None:
    """Raises `Invalid` where the dialog would not let one go on."""
    words = {"id": "ID", "name": "--name", "base_url": "--base-url", "api_key": "--api-key", "models": "--model"}
    said = []
    for place, problem in dialog.problems(form, taken, detects=detects).items():
        table, _, rest = place.partition(".")
        number, _, part = rest.partition(".")
        if not rest:
            said.append(f"{words[table]}: {problem}")
        elif table == "models":
            row = form.models[int(number)]
            said.append(f"--model {row.id or '(no id)'}: {'name: ' if part == 'name' else ''}{problem}")
        else:
            header = form.headers[int(number)]
            said.append(f"--header {header.key or '(no name)'}: {'value: ' if part == 'value' else ''}{problem}")
    if said:
        raise Invalid(said)


def rows(named: tuple[str, ...]) -> list[dialog.ModelRow]:
    """`--model ID[=NAME]`. Without a name, the id is its name."""
    pairs = [text.partition("=") for text in named]
    return [dialog.ModelRow(id.strip(), name.strip() if equals else id.strip()) for id, equals, name in pairs]


def base_models(named: tuple[str, ...]) -> dict[str, str]:
    """`--base-model ID=MODEL`."""
    pairs = [text.partition("=") for text in named]
    found = {id.strip(): base.strip() for id, _, base in pairs}
    if wrong := [text for text in named if not all(part.strip() for part in text.partition("="))]:
        raise Invalid([f"--base-model {wrong[0]}: write ID=MODEL"])
    return found


def with_bases(tables: dict[str, Any], bases: dict[str, str]) -> dict[str, Any]:
    """The models' tables, by alias, with the models behind their names."""
    known = {str(table["model"]) for table in tables.values()}
    if unknown := [id for id in bases if id not in known]:
        raise Invalid([f"--base-model {unknown[0]}: it is not among the models that are added"])
    return {
        alias: {**table, "base_model": bases[table["model"]]} if table["model"] in bases else table
        for alias, table in tables.items()
    }


def row_problems(models: list[dialog.ModelRow]) -> list[str]:
    """What is wrong with the models that are named."""
    found = zip(models, dialog.model_problems(models), strict=True)
    return [f"--model {row.id or '(no id)'}: {problem}" for row, problems in found for problem in problems if problem]


def header_rows(named: tuple[str, ...]) -> list[dialog.HeaderRow]:
    """`--header 'NAME: VALUE'`."""
    pairs = [text.partition(":") for text in named]
    return [dialog.HeaderRow(name.strip(), value.strip()) for name, _, value in pairs]


def choose(detected: Detected, choice: Choice, marked: list[str] | None = None) -> list[tuple[str, str | None]]:
    """The models to write, by wire id, with the names to show."""
    if choice.models:
        listed = {model.id for model in detected.models}
        for row in choice.models:
            if detected.discovery is not None and row.id not in listed:
                terminal.warning(f"{row.id} is not in the list of its models; it is added all the same")
        return [(row.id, row.name) for row in choice.models]
    if detected.draft.models:
        return [(id, None) for id in detected.draft.models]
    models = detected.models
    if not models:
        return []
    if not choice.all and not choice.yes and asks():
        title = f"{counted(len(models), 'model')}" + _by_whom(detected)
        at_first = marked_at_first(models) if marked is None else marked
        return [(id, None) for id in pick(models, at_first, title)]
    if not choice.all and len(models) > UNATTENDED:
        raise click.UsageError(
            f"it has {len(models):,} models: choose some with --model ID, or take them all with --all-models",
            click.get_current_context(),
        )
    return [(model.id, None) for model in models]


def asked_models(config: Config, made: Draft, choice: Choice) -> Detected:
    """What a provider says when it is asked for its models."""
    with terminal.waiting(f"asking {made.id} for its models"):
        return asyncio.run(detect(config, made, [row.id for row in choice.models]))


def say_detected(detected: Detected, *, raised: bool = False) -> None:
    """What came of asking for the models. An error that is `raised` thereafter is told then."""
    for text in detected.notes:
        terminal.note(text)
    if detected.others:
        terminal.note(f"{counted(detected.others, 'model')} of its list cannot be talked to and are left out")
    if detected.error is not None and not raised:
        terminal.warning(f"{_failed(detected)}: {detected.error.message}")


def _failed(detected: Detected) -> str:
    return "the key was refused" if detected.refused else "its models could not be listed"


def no_models(detected: Detected) -> ModelbayError | click.ClickException:
    """Why there is nothing to write. What mends a provider that is there does not mend one that is only to be added."""
    if (error := detected.error) is not None:
        if detected.refused:
            error.hint = "give the key that it takes, copied whole, with --api-key"
        else:
            why = error.advice or "check the URL"
            error.message = f"{_failed(detected)}: {error.message}"
            error.hint = f"{why}; to add the provider without its list of models, name them with --model ID"
        return error
    if detected.discovery is not None:
        where = f"GET {detected.discovery.url}: " if detected.discovery.url else ""
        return Invalid([f"{where}the list has no chat models"], "name the models with --model ID")
    return Invalid(["--model: At least one model is required"])


def alias_of(tables: dict[str, Any], named: str | None) -> str | None:
    """The alias of a model that is to be the default: by its alias, or its wire id."""
    if named is None:
        return None
    for alias, table in tables.items():
        if named in (alias, table["model"]):
            return alias
    raise Invalid([f"--default-model: {named} is none of its models"], f"they are {', '.join(tables) or 'none'}")


def add(config: Config, detected: Detected, choice: Choice, title: str) -> None:
    """Chooses the models, writes, and says what was written."""
    made = detected.draft
    models = choose(detected, choice)
    if not models:
        raise no_models(detected)
    tables = with_bases(model_tables(config, made.id, models), choice.bases)
    wanted = alias_of(tables, choice.default)
    with terminal.waiting(f"writing {counted(len(tables), 'model')}"):
        edited = written(config, detected, tables, default_model=wanted, dry_run=choice.dry_run)
    if show_diff(edited, choice.dry_run):
        return
    terminal.write(f"Added provider {made.id}: {title}\n")
    report(detected, list(tables), tables)
    say_default(config, made.id, edited.result.default_model)


def say_default(config: Config, provider: str, default: str | None) -> None:
    """The default model, where that was set, and a command to try the provider with."""
    if default:
        terminal.write(f"The default model is {default}\n")
    after = load(config.path)
    first = preferred(after, [model for model in after.models.values() if model.provider == provider])
    if default or first:
        terminal.note(f'try it: modelbay ask -m {quote(str(default or (first and first.alias)))} "Hello"')


def say_guessed(id: str, type: str | None) -> None:
    """That nothing told which protocol a provider speaks."""
    terminal.note(f'Protocol guessed as "{type}" for {id}: edit "type" in config.toml if requests fail')


def show_diff(edited: Edited[Any], dry_run: bool) -> bool:
    """Prints what would change, where nothing was to be changed."""
    if dry_run:
        terminal.write(edited.diff or "nothing would change\n")
    return dry_run


def report(detected: Detected, aliases: list[str], tables: dict[str, Any]) -> None:
    """The models that were written, each with what is known of it."""
    known = {model.id: model for model in detected.models}
    shown = [(alias, known.get(tables[alias]["model"])) for alias in aliases[:REPORTED]]
    write_rows([(alias, facts(model) if model else "") for alias, model in shown], indent="  ")
    if len(aliases) > REPORTED:
        terminal.write(f"  … and {counted(len(aliases) - REPORTED, 'model')} more\n")


def place_of(config: Config, made: Draft) -> str:
    """A provider in one line, as "OpenAI Compatible at https://acme.example/v1"."""
    grown, _ = joined(config, made)
    found = upstream(grown, grown.provider(made.id))
    name = made.preset.name if made.preset else dialog.APIS[found.protocol]
    return f"{name} at {found.origin}"


def _by_whom(detected: Detected) -> str:
    return f", according to {detected.source}" if detected.source == "models.dev" else ""
