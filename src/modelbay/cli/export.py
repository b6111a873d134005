"""`modelbay export`: providers for a coding agent."""

import click

from modelbay.agents import NAMES
from modelbay.cli import terminal
from modelbay.cli.terminal import Settings, pass_settings


@click.command()
@click.argument("agent", type=click.Choice(NAMES))
@click.argument("providers", nargs=-1, required=True, metavar="PROVIDER...")
@click.option("--keys", is_flag=True, help="Include API keys that the agent cannot read by reference.")
@click.option("--write", is_flag=True, help="Write to the agent's file, and save its previous content next to it.")
@pass_settings
def export(settings: Settings, /, agent: str, providers: tuple[str, ...], keys: bool, write: bool) -> None:
    """Print the entries for PROVIDER in the configuration of the coding agent AGENT.

    A key stays a reference if the agent supports it. Otherwise the entry names an environment variable.
    """
    from modelbay.agents import by_name
    from modelbay.agents import write as writing
    from modelbay.agents.exporting import departure
    from modelbay.config.load import load

    config = load(settings.config)
    to = by_name(agent)
    ids = list(dict.fromkeys(providers))
    block = to.write([departure(config, id, to.title, to.protocols, keys=keys, model_urls=to.model_urls) for id in ids])
    file = to.files()[-1]
    if write:
        done = writing.put(block, file)
        terminal.write(f"{'Written to' if done.changed else 'Already up to date:'} {file}\n")
        if done.backup:
            terminal.write(f"Previous content saved to {done.backup}\n")
        for gone in done.gone:
            terminal.note(gone)
        for hindrance in done.hindrances:
            terminal.warning(hindrance)
        for kept in done.kept:
            terminal.note(f"{kept}, as set in {to.title}")
    else:
        terminal.write(writing.text_of(block), whole=True)
        terminal.note(f"for {file}; pass --write to write it")
    for name, id in block.variables.items():
        terminal.note(f"set {name} to the key of {id} before you start {to.title}, or export with --keys")
    for lost in block.notes:
        terminal.warning(lost)
    if block.command:
        terminal.note(f"try it: {block.command}")
