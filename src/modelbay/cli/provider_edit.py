"""`modelbay provider edit`, `rename` and `copy`."""

from typing import Any

import click

from modelbay.cli.adding import carry_out, fields_options, given_of, manner_of, manner_options, models_options
from modelbay.cli.picker import asks
from modelbay.cli.terminal import Settings, pass_settings
from modelbay.config.load import load
from modelbay.onboarding.setup.steps import Given


@click.command()
@click.argument("id")
@fields_options
@click.option("--remove-header", multiple=True, metavar="NAME", help="Header to remove; repeatable.")
@click.option("--add-model", multiple=True, metavar="ID[=NAME]", help="Model to add to the others; repeatable.")
@click.option("--remove-model", multiple=True, metavar="ID", help="Model to remove, by model ID or alias; repeatable.")
@models_options
@manner_options
@pass_settings
def edit_provider(settings: Settings, /, id: str, **options: Any) -> None:
    """Edit a provider. Fields that are not given stay as they are.

    --model names all models of the provider; --api-key "" removes its API key. Without options, on a terminal, you choose
    among the models that it lists. On a terminal, a changed key, URL or header is tested before it is saved.
    """
    given = given_of({**options, "id": None})
    given.tests = asks() and not given.yes
    if not asks() and given == Given(tests=False, yes=given.yes):
        config = load(settings.config)
        config.provider(id)
        raise click.UsageError("there is nothing to change", click.get_current_context())
    carry_out(load(settings.config), lambda setup: setup.edit(id, given), manner_of(options))
