"""`modelbay config`: where the configuration is, and what is wrong with it."""

import click

from modelbay.cli import Noun, terminal
from modelbay.cli.terminal import FAILED, Settings, pass_settings
from modelbay.config.load import load
from modelbay.config.paths import config_file


@click.group(cls=Noun)
def config() -> None:
    """Say where config.toml is, and what is wrong with it."""


@config.command("path")
@pass_settings
def show_path(settings: Settings, /) -> None:
    """Print the path of the configuration file."""
    terminal.write(f"{settings.config or config_file()}\n")


@config.command("check")
@pass_settings
def check_config(settings: Settings, /) -> int:
    """Print all that is wrong with the configuration, each with its line and how to mend it. Nothing is sent.

    The exit code is 1 where there is something.
    """
    from modelbay.onboarding.checkup import checkup

    read = load(settings.config)
    if not read.exists:
        terminal.note(f"There is no configuration at {read.path} yet; `modelbay provider add` writes one")
        return 0
    problems = checkup(read)
    for problem in problems:
        terminal.write(f"{problem}\n" + (f"  fix: {problem.hint}\n" if problem.hint else ""))
    if not problems:
        counts = f"providers: {len(read.providers)}, models: {len(read.models)}"
        terminal.note(f"{read.path} is in order: {counts}")
    return FAILED if problems else 0
