"""`modelbay logout`."""

import click

from modelbay.cli import terminal
from modelbay.cli.terminal import Settings, pass_settings
from modelbay.config.load import load
from modelbay.onboarding import login as logging_in


@click.command()
@click.argument("name", required=False, metavar="[PROVIDER]")
@pass_settings
def logout(settings: Settings, /, name: str | None) -> None:
    """Forget a login: its tokens, and the provider and models that it brought."""
    config = load(settings.config)
    if name is None:
        known = [one.provider for one in logging_in.status(config)]
        if not known:
            terminal.note("Nothing to log out of")
            return
        if len(known) > 1:
            raise click.UsageError(f"name one: {', '.join(known)}", click.get_current_context())
        name = known[0]
    there, removed = logging_in.log_out(config, name)
    terminal.write(f"Logged out of {name}\n" if there else f"Nobody was logged in to {name}\n")
    if removed:
        terminal.write(f"Removed {', '.join([*removed.providers, *removed.models])}\n")
        if removed.default_model:
            terminal.write(f"There is no default model any more; it was {removed.default_model}\n")
