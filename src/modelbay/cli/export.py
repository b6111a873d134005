"""`modelbay export`: providers for a coding agent."""

import click

from modelbay.agents import NAMES
from modelbay.cli import terminal
from modelbay.cli.terminal import GlobalOptions, pass_settings


@click.command()
@click.argument("agent", type=click.Choice(NAMES))
@click.argument("providers", nargs=-1, required=True, metavar="PROVIDER...")
@click.option("--keys", is_flag=True, help="Include API keys that the agent cannot read by reference.")
@click.option("--write", is_flag=True, help="Write to the agent's file, and save its previous content next to it.")
@pass_settings
def export(settings: GlobalOptions, /, agent: str, providers: tuple[str, ...], keys: bool, write: bool) -> None:
    """Print the entries for PROVIDER in the configuration of the coding agent AGENT.

    A key stays a reference if the agent supports it. Otherwise the entry names an environment variable.
    """
    from modelbay.agents import by_name
    from modelbay.agents.exporting import exported_provider
    from modelbay.agents.write import render, write_file
    from modelbay.config.load import load

    config = load(settings.config)
    to = by_name(agent)
    ids = list(dict.fromkeys(providers))
    exported = to.write(
        [exported_provider(config, id, to.title, to.protocols, with_keys=keys, model_urls=to.model_urls) for id in ids]
    )
    file = to.files()[-1]
    if write:
        result = write_file(exported, file)
        terminal.write(f"{'Written to' if result.changed else 'Already up to date:'} {file}\n")
        if result.backup:
            terminal.write(f"Previous content saved to {result.backup}\n")
        for change in result.changes:
            terminal.note(change)
        for problem in result.problems:
            terminal.warning(problem)
        for kept in result.kept:
            terminal.note(f"{kept}, as set in {to.title}")
    else:
        terminal.write(render(exported), whole=True)
        terminal.note(f"for {file}; pass --write to write it")
    for name, id in exported.variables.items():
        terminal.note(f"set {name} to the key of {id} before you start {to.title}, or export with --keys")
    for note in exported.notes:
        terminal.warning(note)
    if exported.command:
        terminal.note(f"try it: {exported.command}")
