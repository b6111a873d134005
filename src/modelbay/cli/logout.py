"""`modelbay logout`."""

import click

from modelbay.cli import terminal
from modelbay.cli.picker import pick_one
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
        name = known[0] if len(known) == 1 else pick_one("Log out of", {id: id for id in known})
    there, removed = logging_in.log_out(config, name)
    terminal.write(f"Logged out of {name}\n" if there else f"Nobody was logged in to {name}\n")
    if removed:
        terminal.write(f"Removed {', '.join([*removed.providers, *removed.models])}\n")
        if removed.default_model:
            terminal.write(f"There is no default model any more; it was {removed.default_model}\n")
