"""`modelbay provider remove`."""

import click

from modelbay import threads
from modelbay.catalog.summary import counted
from modelbay.cli import known_values, terminal
from modelbay.cli.adding import show_diff
from modelbay.cli.prompts import confirm
from modelbay.cli.terminal import GlobalOptions, pass_settings
from modelbay.config.changes import Removed
from modelbay.config.load import load
from modelbay.onboarding.login import device as logging_in
from modelbay.onboarding.remove import remove


@click.command()
@click.argument("id", shell_complete=known_values.providers)
@click.option("--yes", is_flag=True, help="Do not prompt for confirmation.")
@click.option("--dry-run", is_flag=True, help="Print the changes to config.toml without writing them.")
@pass_settings
def remove_provider(settings: GlobalOptions, /, id: str, yes: bool, dry_run: bool) -> None:
    """Remove the provider ID, its models, and default settings that refer to them."""
    config = load(settings.config)
    logging_in.check_editable(config, id)
    planned = remove(settings.config, [id], dry_run=True)
    if show_diff(planned, dry_run):
        return
    if not yes:
        models = planned.result[0].models
        also = f" and {counted(len(models), 'model')} ({', '.join(models[:5])}{' …' * (len(models) > 5)})" * bool(
            models
        )
        confirm(f"Remove provider {id}{also}?")
    for line in _said(id, threads.run(logging_in.remove(config, [id]))[0]):
        terminal.write(f"{line}\n")


def _said(id: str, done: Removed) -> list[str]:
    said = [f"Removed provider {id}"]
    if done.models:
        said.append(f"Removed {counted(len(done.models), 'model')}: {', '.join(done.models)}")
    if done.default_model:
        said.append(f"The default model is no longer set (was {done.default_model})")
    if done.default_provider:
        said.append("The default provider is no longer set")
    said += [f"The default model of {other} is no longer set" for other in done.provider_defaults]
    return said
