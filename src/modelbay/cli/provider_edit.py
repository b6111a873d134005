"""`modelbay provider edit`, `rename` and `copy`."""

from functools import partial
from typing import Any

import click

from modelbay.agents.stored_keys import follow
from modelbay.catalog.summary import counted
from modelbay.cli import known_values, terminal
from modelbay.cli.adding import (
    REPORTED,
    carry_out,
    fields_options,
    given_of,
    manner_of,
    manner_options,
    models_options,
    show_diff,
)
from modelbay.cli.prompts import asks
from modelbay.cli.terminal import GlobalOptions, pass_settings
from modelbay.cli.texts import Word
from modelbay.config.load import load
from modelbay.credentials.reference import keys_folder
from modelbay.onboarding.login.device import check_editable
from modelbay.onboarding.rename import Moved, copy, rename
from modelbay.onboarding.setup.steps import Given


@click.command()
@click.argument("id", shell_complete=known_values.providers)
@partial(fields_options, key=Word(clears=True, lines=True))
@click.option("--remove-header", multiple=True, metavar="NAME", help="Header to remove. Repeatable.")
@click.option("--add-model", multiple=True, metavar="ID[=NAME]", help="Model to add to the others. Repeatable.")
@click.option("--remove-model", multiple=True, metavar="ID", help="Model to remove, by model ID or alias. Repeatable.")
@partial(models_options, model="Model of the provider, instead of all others. Repeatable.")
@manner_options
@pass_settings
def edit_provider(settings: GlobalOptions, /, id: str, **options: Any) -> None:
    """Edit a provider. Fields that are not given do not change.

    --model replaces all models of the provider with those that you name; --add-model and --remove-model keep the others.
    --api-key "" removes the API key. Without options, on a terminal, you choose among the models that the provider lists. On
    a terminal, a changed key, URL or header is tested before it is saved.
    """
    given = given_of({**options, "id": None})
    given.tests = asks() and not given.yes
    if not asks() and given == Given(tests=False, yes=given.yes):
        config = load(settings.config)
        config.provider(id)
        raise click.UsageError("there is nothing to change", click.get_current_context())
    carry_out(load(settings.config), lambda setup: setup.edit(id, given), manner_of(options))


@click.command()
@click.argument("old", shell_complete=known_values.providers)
@click.argument("new")
@click.option("--dry-run", is_flag=True, help="Print the changes to config.toml without writing them.")
@pass_settings
def rename_provider(settings: GlobalOptions, /, old: str, new: str, dry_run: bool) -> None:
    """Rename the provider OLD to NEW, with its models, stored keys and defaults."""
    config = load(settings.config)
    check_editable(config, old)
    moved = rename(config, old, new, dry_run=dry_run)
    if not show_diff(moved.edited, dry_run):
        _report(f"Renamed provider {old} to {new}", moved)
        for file in follow(keys_folder() / old, keys_folder() / new):
            terminal.note(f"{file} now refers to the stored key by its new name")


@click.command()
@click.argument("old", shell_complete=known_values.providers)
@click.argument("new")
@click.option("--dry-run", is_flag=True, help="Print the changes to config.toml without writing them.")
@pass_settings
def copy_provider(settings: GlobalOptions, /, old: str, new: str, dry_run: bool) -> None:
    """Copy the provider OLD to NEW, with its models and stored keys."""
    config = load(settings.config)
    check_editable(config, old)
    moved = copy(config, old, new, dry_run=dry_run)
    if not show_diff(moved.edited, dry_run):
        _report(f"Copied provider {old} to {new}", moved)


def _report(title: str, moved: Moved) -> None:
    put = moved.edited.result
    models = [*put.added, *put.changed]
    terminal.write(f"{title}\n")
    if models:
        more = " …" * (len(models) > REPORTED)
        terminal.write(f"  {counted(len(models), 'model')}: {', '.join(models[:REPORTED])}{more}\n")
    for note in moved.notes:
        terminal.note(note)
