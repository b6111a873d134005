"""`modelbay logout`."""

import click

from modelbay import threads
from modelbay.cli import known_values, terminal
from modelbay.cli.login import time_text
from modelbay.cli.prompts import pick_one
from modelbay.cli.terminal import GlobalOptions, pass_settings
from modelbay.config.load import load
from modelbay.onboarding.login import device as logging_in


@click.command()
@click.argument("name", required=False, metavar="[PROVIDER]", shell_complete=known_values.providers)
@pass_settings
def logout(settings: GlobalOptions, /, name: str | None) -> None:
    """Log out: delete and revoke a login's tokens, and remove the provider and models that it added."""
    config = load(settings.config)
    if name is None:
        known = [one.provider for one in logging_in.status(config)]
        if not known:
            terminal.note("Nothing to log out of")
            return
        name = known[0] if len(known) == 1 else pick_one("Log out of", {id: id for id in known})
    done = threads.run(logging_in.log_out(config, name))
    terminal.write(f"Logged out of {name}\n" if done.ended.deleted else f"Not logged in to {name}\n")
    if done.ended.problem:
        until = f" until {time_text(done.ended.until)}" if done.ended.until else ""
        terminal.note(f"warning: could not revoke the login: {done.ended.problem}. Its token stays valid{until}")
    if done.removed:
        terminal.write(f"Removed {', '.join([*done.removed.providers, *done.removed.models])}\n")
        if done.removed.default_model:
            terminal.write(f"No default model is set now; it was {done.removed.default_model}\n")
