"""`modelbay config`: path and check of the configuration, approval of its references."""

import click

from modelbay.catalog.summary import counted
from modelbay.cli import Noun, terminal
from modelbay.cli.project import project_config
from modelbay.cli.terminal import FAILED, GlobalOptions, pass_settings
from modelbay.config.load import load
from modelbay.config.schema import Config
from modelbay.storage.paths import config_file


@click.group(cls=Noun)
def config() -> None:
    """Locate and check config.toml; approve references of another file."""


@config.command("path")
@pass_settings
def show_path(settings: GlobalOptions, /) -> None:
    """Print the path of the configuration file."""
    terminal.write(f"{settings.config or config_file()}\n")


@config.command("check")
@pass_settings
def check_config(settings: GlobalOptions, /) -> int:
    """Print errors in the configuration and in your vendor files, with their lines and fixes. Nothing is sent.

    The exit code is 1 if an entry cannot be used. An unknown key is only a warning. The models that a trusted project pins are
    checked too.
    """
    from modelbay.onboarding.config_check import config_problems
    from modelbay.providers import presets

    read = load(settings.config, report=False)
    if not read.exists:
        terminal.note(f"No configuration at {read.path}; create it with `modelbay provider add`")
    problems, vendors = config_problems(read), presets.own()
    for problem in problems + read.unknown:
        fix = f"  hint: {problem.hint}\n" if problem.hint else ""
        terminal.write(f"{'' if problem in problems else 'warning: '}{problem}\n{fix}")
    if read.exists and not problems and not read.unknown:
        counts = f"providers: {len(read.providers)}, models: {len(read.models)}"
        counts += f", own vendors: {', '.join(vendor.id for vendor in vendors)}" * bool(vendors)
        terminal.note(f"{read.path} is valid: {counts}")
    _check_pins(read)
    return FAILED if problems else 0


def _check_pins(read: Config) -> None:
    if (pins := project_config(read).pins) is not None:
        for pin in pins.pins.values():
            pins.entry(pin, read)
        terminal.note(f"{pins.path} is valid, and pins {counted(len(pins.pins), 'model')}")


@config.command("approve")
@pass_settings
def approve(settings: GlobalOptions, /) -> None:
    """Approve the references of a file that is not in modelbay's home, until the file changes.

    Each reference is listed with the origin that receives its value. The command asks for confirmation; without a terminal, pass
    each reference with --allow-reference.
    """
    from modelbay.cli.prompts import confirm
    from modelbay.credentials.approval import Source, is_foreign, remember, shown
    from modelbay.onboarding.references import missing, wanted

    read = load(settings.config)
    if not is_foreign(read):
        terminal.note(f"{read.path} needs no approval" if read.exists else f"{read.path} does not exist")
        return
    source = Source(read.path, read.digest)
    all_of_them = wanted(read)
    open_ones = missing(all_of_them, source)
    for one in all_of_them:
        done = "" if one in open_ones else "  (allowed)"
        terminal.write(f"{shown(one.reference)} -> {one.origin}{done}\n")
    if not all_of_them:
        terminal.note(f"{read.path} has no references")
        return
    if open_ones:
        names = ", ".join(f"'{shown(one.reference)}={one.origin}'" for one in open_ones)
        question = "Follow these references and send their values to these origins?"
        confirm(question, otherwise=f"not a terminal: pass each with --allow-reference: {names}")
    remember(source, all_of_them)
    terminal.note(f"Approved until {read.path} changes")
