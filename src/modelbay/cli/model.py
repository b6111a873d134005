"""`modelbay model`: models, facts about them, and model settings."""

from shlex import quote
from typing import TYPE_CHECKING

import click

from modelbay.cli import Noun, known_values, terminal
from modelbay.cli.adding import show_diff
from modelbay.cli.project import note_pin, project_config
from modelbay.cli.terminal import GlobalOptions, pass_settings
from modelbay.config.load import load
from modelbay.errors import ConfigError, UnknownModel

if TYPE_CHECKING:
    from modelbay.config.edit import Edit


@click.group(cls=Noun)
def model() -> None:
    """List and search models, set the default model and model settings."""


@model.command("list")
@click.option(
    "--provider", metavar="ID", shell_complete=known_values.providers, help="Only the models of this provider."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def list_models(settings: GlobalOptions, /, provider: str | None, as_json: bool) -> None:
    """List the configured models. The default model is marked with `*`."""
    from modelbay.cli import model_show

    model_show.list_models(project_config(load(settings.config)), provider, as_json=as_json)


@model.command("search")
@click.argument("words", nargs=-1, required=True)
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(min=1), metavar="N", help="Maximum number of results."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def search_models(settings: GlobalOptions, /, words: tuple[str, ...], limit: int, as_json: bool) -> None:
    """Search configured models, models that your providers list, and thousands of models in models.dev.

    Characters may be missing: `gpt4o` finds gpt-4o-mini.
    """
    from modelbay.cli import model_show

    model_show.search_models(load(settings.config), " ".join(words), limit, as_json=as_json)


@model.command("show")
@click.argument("name", required=False, shell_complete=known_values.models)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def show_model(settings: GlobalOptions, /, name: str | None, as_json: bool) -> None:
    """Show the facts about a model with their sources. Without NAME, show the default model."""
    from modelbay.cli import model_show

    config = load(settings.config)
    if name is None:
        made = project_config(config)
        config = made.checked()
        note_pin(made)
    model_show.show_model(config, name, as_json=as_json)


@model.command("default")
@click.argument("name", required=False, shell_complete=known_values.models)
@click.option("--dry-run", is_flag=True, help="Print the changes to config.toml without writing them.")
@pass_settings
def default_model(settings: GlobalOptions, /, name: str | None, dry_run: bool) -> None:
    """Set the default model in config.toml. Without NAME, print the default model, which a project can pin."""
    from modelbay.catalog.lookup import Catalog
    from modelbay.config import changes
    from modelbay.config.edit import apply
    from modelbay.providers.upstream import upstream

    config = load(settings.config)
    made = project_config(config)
    if name is None:
        if made.config.default_model is None:
            raise ConfigError("no default model is set", hint="set one with `modelbay model default NAME`")
        terminal.write(f"{made.config.default_model}\n")
        note_pin(made)
        return
    entry = config.model(name)
    provider = config.provider_of(entry)
    edited = apply(lambda edit: changes.set_default_model(edit, name), settings.config, dry_run=dry_run)
    if not show_diff(edited, dry_run):
        was = f" (was {edited.result})" if edited.result and edited.result != name else ""
        terminal.write(f"Default model set to {name}{was}\n")
        seen = Catalog().seen(upstream(config, provider, entry))
        if seen is not None and seen.models and not {entry.model, entry.identity} & seen.models.keys():
            terminal.warning(f"{provider.id} does not list {entry.model}")
    note_pin(made)


@model.command("set")
@click.argument("alias", shell_complete=known_values.aliases)
@click.argument("settings_", nargs=-1, required=True, metavar="KEY=VALUE...")
@click.option("--dry-run", is_flag=True, help="Print the changes to config.toml without writing them.")
@pass_settings
def set_model(settings: GlobalOptions, /, alias: str, settings_: tuple[str, ...], dry_run: bool) -> None:
    """Set facts about the model ALIAS. They have priority over all other sources; KEY= removes one.

    \b
    max_output_size=8192         maximum output tokens, sent with every request
    max_context_size=200k        context window; also max_input_size
    image_in=no                  refuse images; also audio_in, video_in,
                                 document_in, tool_use
    computer_use=no              refuse computer-use tools
    thinking=yes temperature=no  capabilities and accepted settings
    cost.input=3 cost.output=15  US dollars per million tokens; also
                                 cost.cache_read and cost.cache_write
    capabilities=thinking,image_in   capabilities, in Kimi Code's list
    reasoning_key=reasoning      reply field that contains the thinking
    support_efforts=low,high default_effort=low
    variants.deep.reasoning_effort=high
                                 keys added to the request by -m ALIAS:deep
    base_model=gpt-5             model behind a deployment, a proxy's name or
                                 a fine-tune: its facts and prices apply
    display_name aliases model protocol modalities.input modalities.output
    """
    from modelbay.config import changes
    from modelbay.config.changes import Changed
    from modelbay.config.edit import apply
    from modelbay.config.keys import ROUTING_KEYS
    from modelbay.onboarding.model_settings import changes as changes_of

    def change(edit: "Edit") -> Changed:
        entry = _alias(edit, alias)
        table = edit.get("models", entry)
        if not _is_filled_in(edit, entry):
            return changes.change_model(edit, entry, changes_of(settings_, table))
        wanted = changes_of(settings_, {**table, **table.get("overrides", {})})
        return changes.change_model(
            edit, entry, {keys if keys[0] in ROUTING_KEYS else ("overrides", *keys): wanted[keys] for keys in wanted}
        )

    edited = apply(change, settings.config, dry_run=dry_run)
    if show_diff(edited, dry_run):
        return
    done = edited.result
    said = [f"Set {', '.join(done.set)} of {alias}"] * bool(done.set)
    said += [f"Removed {', '.join(done.removed)} of {alias}"] * bool(done.removed)
    terminal.write("".join(f"{line}\n" for line in said) or f"{alias} already has these values\n")


def _is_filled_in(edit: "Edit", alias: str) -> bool:
    """Whether a model list writes the keys of the model, so that the user's settings are in `overrides`."""

    config = edit.config
    entry = config.models.get(alias)
    return entry is not None and not entry.flat and config.provider_of(entry).filled_in is not None


def _alias(edit: "Edit", name: str) -> str:
    """The alias for a name, which can also be PROVIDER/MODEL_ID."""
    if isinstance(edit.get("models", name), dict):
        return name

    found = edit.config.model(name)
    if not found.configured:
        raise UnknownModel(
            f'"{name}" is not in {edit.path}',
            hint=f"add it first: `modelbay provider edit {quote(found.provider)} --add-model {quote(found.model)}`",
        )
    return found.alias
