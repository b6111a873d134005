"""Runs `onboarding.setup` on the command line: options become given values, and a terminal prompts for missing ones."""

from collections.abc import Awaitable, Callable
from shlex import quote
from typing import Any, TypeAlias, TypeVar, cast

import click
from msgspec import Struct, field

from modelbay import threads
from modelbay.catalog.summary import counted
from modelbay.cli import key_input, known_values, terminal
from modelbay.cli.columns import write_rows
from modelbay.cli.key_input import KEY, Invalid, asked_secret, given_key
from modelbay.cli.picker import pick
from modelbay.cli.prompts import agreed, asked, asks, confirm, pick_one
from modelbay.cli.texts import Word
from modelbay.config.edit import Edited
from modelbay.config.load import load
from modelbay.config.schema import Config, Timeout
from modelbay.conversation import Protocol
from modelbay.errors import ModelbayError
from modelbay.model import Model
from modelbay.onboarding import fields
from modelbay.onboarding.choose_models import UNATTENDED, preferred
from modelbay.onboarding.fields import HeaderRow, ModelRow, ProviderFields
from modelbay.onboarding.setup.machine import Setup
from modelbay.onboarding.setup.steps import NO, YES, Given, Preview, Result, SetupNote, SetupQuestion, Step

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

REPORTED = 20
"""Maximum number of added models that are listed by name; the others are counted."""
API_NAMES = list(fields.APIS)
OPTIONS = {
    "api_key": "--api-key",
    "base_models": "--base-model",
    "base_url": "--base-url",
    "deployment": "--deployment",
    "dialect": "--dialect",
    "headers": "--header",
    "id": "--id",
    "models": "--model",
    "name": "--name",
    "provider_keys": "--provider-key",
    "proxy": "--proxy",
    "resource": "--resource",
    "values": "--env",
}
"""The option for each field of a question."""
SAME = (
    "kind", "id", "name", "base_url", "full_url", "dialect", "proxy", "default_model", "resource", "deployment",
    "api_version", "project", "location",
)  # fmt: skip
"""Options that are fields of `Given` of the same name."""
SECONDS = ("connect", "first_byte", "idle", "first_event", "content")


class Prompting(Struct):
    """Whether a command prompts and writes."""

    yes: bool = False
    dry_run: bool = False
    options: dict[str, str] = field(default_factory=OPTIONS.copy)


def fields_options(command: F, key: Word = KEY) -> F:
    """The options for the fields of a provider's entry. `key`: the type of an API key."""
    return _decorated(
        command,
        click.option("--name", metavar="NAME", help="Display name."),
        click.option(
            "--api",
            type=click.Choice(API_NAMES),
            help="Protocol. Default: detected from the URL, otherwise openai_chat.",
        ),
        click.option("--base-url", metavar="URL", help="Base URL or full endpoint."),
        click.option(
            "--full-url/--no-full-url", default=None, help="Whether the URL is a full endpoint. Default: detected."
        ),
        click.option(
            "--dialect",
            metavar="VENDOR",
            shell_complete=known_values.vendors,
            help="Vendor whose dialect the provider speaks. Default: detected.",
        ),
        click.option("--api-key", type=key, metavar="KEY", help=key_input.HELP),
        click.option("--header", multiple=True, metavar="'NAME: VALUE'", help="HTTP header. Repeatable."),
        click.option("--proxy", metavar="URL", help="Proxy URL (http, https, socks4, socks5), or none."),
        click.option(
            "--timeout",
            multiple=True,
            metavar="[NAME=]SECONDS",
            help=f"Timeout in seconds. Repeatable. NAME is one of {', '.join(SECONDS)}; "
            "without it, first_byte and idle are set.",
        ),
    )


def models_options(command: F, *, model: str = "Model to add. Repeatable.") -> F:
    """The options for the models to add. `model`: the help of --model."""
    return _decorated(
        command,
        click.option("--model", multiple=True, metavar="ID[=NAME]", help=model),
        click.option(
            "--base-model",
            multiple=True,
            metavar="ID=MODEL",
            help="Base model of a deployment or alias, whose facts and prices apply. Repeatable.",
        ),
        click.option("--all-models", is_flag=True, help="Add all listed models."),
    )


def manner_options(command: F) -> F:
    """The options that all commands for adding have."""
    return _decorated(
        command,
        click.option("--default-model", metavar="ID", help="Model to make the default."),
        click.option(
            "--yes", is_flag=True, help="Do not prompt: use defaults and agree to send the key to the provider."
        ),
        click.option("--dry-run", is_flag=True, help="Print the changes to config.toml without writing them."),
    )


def given_of(options: dict[str, Any]) -> Given:
    """The given values from the options of a command."""
    said: dict[str, Any] = {name: options.get(name) for name in SAME}
    return Given(
        **said,
        api_key=given_key(options.get("api_key")),
        protocol=cast(Protocol | None, options.get("api")),
        headers=header_rows(options.get("header", ())),
        remove_headers=list(options.get("remove_header", ())),
        timeout=timeout_of(options.get("timeout", ())),
        models=model_rows(options.get("model", ())),
        add_models=model_rows(options.get("add_model", ())),
        remove_models=list(options.get("remove_model", ())),
        base_models=pairs(options.get("base_model", ()), "--base-model", "ID=MODEL"),
        all_models=options.get("all_models", False),
        yes=options.get("yes", False),
    )


def manner_of(options: dict[str, Any]) -> Prompting:
    return Prompting(options.get("yes", False), options.get("dry_run", False))


def model_rows(named: tuple[str, ...]) -> list[ModelRow]:
    """Parse `--model ID[=NAME]`. The default name is the ID."""
    split = [text.partition("=") for text in named]
    return [ModelRow(id.strip(), name.strip() if equals else id.strip()) for id, equals, name in split]


def header_rows(named: tuple[str, ...]) -> list[HeaderRow]:
    """Parse `--header 'NAME: VALUE'`."""
    split = [text.partition(":") for text in named]
    return [HeaderRow(name.strip(), value.strip()) for name, _, value in split]


def check_fields(given: Given, taken: list[str]) -> None:
    """Raise `Invalid` with all problems of a custom provider's fields at once, for use without a terminal."""
    form = ProviderFields(
        given.id or "",
        given.name or "",
        given.protocol,
        given.base_url or "",
        given.api_key or "",
        given.models,
        given.headers,
    ).trimmed()
    words = {**OPTIONS, "id": "ID"}
    said = []
    for place, problem in fields.problems(form, taken, detects=True).items():
        table, _, rest = place.partition(".")
        number, _, part = rest.partition(".")
        if not rest:
            said.append(f"{words[table]}: {problem}")
        elif table == "models":
            said.append(f"--model {form.models[int(number)].id or '(no id)'}: {'name: ' * (part == 'name')}{problem}")
        else:
            said.append(
                f"--header {form.headers[int(number)].key or '(no name)'}: {'value: ' * (part == 'value')}{problem}"
            )
    if said:
        raise Invalid(said)


def pairs(named: tuple[str, ...], option: str, form: str) -> dict[str, str]:
    """Parse options of the form `NAME=VALUE`."""
    for text in named:
        if not all(part.strip() for part in text.partition("=")):
            raise Invalid([f"{option} {text.partition('=')[0] or '=…'}: expected {form}"])
    split = [text.partition("=") for text in named]
    return {name.strip(): value.strip() for name, _, value in split}


def timeout_of(named: tuple[str, ...]) -> Timeout | None:
    """Parse `--timeout [NAME=]SECONDS`."""
    found: dict[str, float] = {}
    for text in named:
        name, equals, number = text.rpartition("=")
        try:
            seconds = float(number)
        except ValueError:
            seconds = 0.0
        if (equals and name.strip() not in SECONDS) or not 0 < seconds < float("inf"):
            said = f"--timeout {text}: expected SECONDS or NAME=SECONDS, with more than 0 seconds"
            raise Invalid([said], f"use one of these names: {', '.join(SECONDS)}")
        found |= {name.strip(): seconds} if equals else {"first_byte": seconds, "idle": seconds}
    return Timeout(**found) if found else None


# Steps


Begin: TypeAlias = Callable[[Setup], Awaitable[Step]]
"""The first step of a setup."""


def carry_out(
    config: Config, begin: Begin, manner: Prompting, again: Callable[[ModelbayError], Begin] | None = None
) -> None:
    """Run the setup up to the result and print it. `again`: the way to begin after a beginning that failed."""
    steps = Steps(config, manner)
    preview = steps.preview(begin, again)
    if manner.dry_run:
        terminal.write(preview.diff or "no changes\n")
        return
    _confirm(preview, manner)
    result = steps.take(steps.setup.answer)
    assert isinstance(result, Result)
    report(config, result)


class Steps:
    """The setup of one command."""

    def __init__(self, config: Config, manner: Prompting) -> None:
        self._manner = manner
        self._doing: Callable[[str], object] = lambda words: None
        self._noted: set[SetupNote] = set()
        self.setup = Setup(config, self._say)

    def _say(self, words: str) -> None:
        self._doing(words)

    def take(self, step: Callable[[], Awaitable[T]]) -> T:
        """Run a step of the setup with a progress message."""

        async def awaited() -> T:
            return await step()

        try:
            with terminal.progress() as self._doing:
                return threads.run(awaited())
        except ModelbayError:
            self._note(self.setup.notes)
            raise

    def preview(self, begin: Begin, again: Callable[[ModelbayError], Begin] | None = None) -> Preview:
        """The preview, after all questions are answered and the models are chosen."""
        step: Step | None = None
        while step is None:
            try:
                step = self.take(lambda: begin(self.setup))  # noqa: B023 it is awaited here
            except ModelbayError as failed:
                if again is None:
                    raise
                begin = again(failed)
        while isinstance(step, SetupQuestion):
            self._note(step.notes)
            answer = self._answer(step)
            step = self.take(lambda: self.setup.answer(answer))  # noqa: B023 it is awaited here
        assert isinstance(step, Preview)
        self._note(step.notes)
        if not step.chooses:
            return step
        ids = chosen(step.models, step.chosen, step.source, self._manner)
        return self.take(lambda: self.setup.choose(ids))

    def _note(self, notes: list[SetupNote]) -> None:
        for note in notes:
            if note not in self._noted:
                (terminal.warning if note.warns else terminal.note)(note.text)
        self._noted |= set(notes)

    def _answer(self, question: SetupQuestion) -> str:
        if asks() and not self._manner.yes:
            return _asked(question)
        if question.default is not None:
            return question.default
        if question.error is not None:
            raise question.error
        name, _, part = question.field.partition(".")
        option = " ".join(word for word in (self._manner.options.get(name, f"--{name}"), part) if word)
        apart = " " if question.problem and name in ("models", "headers", "base_models") else ": "
        said = question.problem or question.missing or f"{question.label} is required"
        raise Invalid([f"{option}{apart}{said}"], question.hint)


def chosen(models: list[Model], marked: list[str], source: str, manner: Prompting) -> list[str]:
    """IDs of the models that the user chooses; all if the user cannot be asked."""
    if asks() and not manner.yes:
        title = counted(len(models), "model") + (" (from models.dev)" if source == "models.dev" else "")
        return pick(models, marked, title)
    if len(models) > UNATTENDED:
        raise click.UsageError(
            f"the provider has {len(models):,} models: choose some with --model ID, or add all with --all-models",
            click.get_current_context(),
        )
    return [model.id for model in models]


def _asked(question: SetupQuestion) -> str:
    """Prompts for the answer."""
    for text in [*question.about, *([question.problem] if question.problem else [])]:
        if text:
            terminal.note(text)
    if [option.value for option in question.options] == [YES, NO]:
        return YES if agreed(question.label, default=question.suggestion == YES) else NO
    if question.options:
        return pick_one(question.label, {option.value: option.label for option in question.options})
    if question.secret:
        return asked_secret(question.label, needed=question.required)
    default = question.suggestion or (None if question.required else "")
    return asked(question.label, default)


def _confirm(preview: Preview, manner: Prompting) -> None:
    """Show the preview and ask for confirmation, if it is required."""
    failed = preview.connection is not None and preview.connection.ok is False and preview.title.startswith("Edit ")
    if preview.confirms:
        show(preview)
    if manner.yes or not (preview.confirms or (failed and asks())):
        return
    confirm(preview.confirms or "The connection test failed. Save anyway?", default=True)


def show(preview: Preview) -> None:
    """Print the settings of a preview."""
    width = max(len(label) for label, _ in preview.facts)
    for label, text in preview.facts:
        first, *rest = text.splitlines() or [""]
        terminal.note(f"  {label.ljust(width)}  {first}".rstrip())
        for line in rest:
            terminal.note(f"  {' ' * width}  {line}")


def report(config: Config, result: Result) -> None:
    """Print the result."""
    if result.title:
        terminal.write(f"{result.title}\n")
    write_rows(result.rows[:REPORTED], indent="  ")
    if len(result.rows) > REPORTED:
        terminal.write(f"  … and {counted(len(result.rows) - REPORTED, 'more model')}\n")
    indent = "  " if result.title else ""
    terminal.write("".join(f"{indent}{line}\n" for line in (*result.lines, *result.stored)))
    for note in result.notes:
        (terminal.warning if note.warns else terminal.note)(note.text)
    if result.default_model:
        terminal.write(f"The default model is {result.default_model}\n")
    if result.title and len(result.providers) == 1 and not result.title.endswith("is unchanged"):
        say_how_to_try(config, result)


def say_how_to_try(config: Config, result: Result) -> None:
    """Print a command that uses the new provider."""
    after = load(config.path)
    first = preferred(after, [model for model in after.models.values() if model.provider in result.providers])
    if result.default_model or first:
        alias = str(result.default_model or (first and first.alias))
        terminal.note(f'try it: modelbay ask -m {quote(alias)} "Hello"')


def show_diff(edited: Edited[Any], dry_run: bool) -> bool:
    """Print the changes of a dry run. Returns `dry_run`."""
    if dry_run:
        terminal.write(edited.diff or "no changes\n")
    return dry_run


def _decorated(command: F, *options: Callable[[F], F]) -> F:
    for option in reversed(options):
        command = option(command)
    return command
