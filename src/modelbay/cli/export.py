"""`modelbay export`: our providers in the configuration of a coding agent."""

import click

from modelbay.agents import NAMES
from modelbay.cli import terminal
from modelbay.cli.terminal import Settings, pass_settings


@click.command()
@click.argument("agent", type=click.Choice(NAMES))
@click.argument("providers", nargs=-1, required=True, metavar="PROVIDER...")
@click.option("--keys", is_flag=True, help="With the keys themselves, where the agent cannot be told where they are.")
@click.option(
    "--write", is_flag=True, help="Put it into the agent's own file, and keep that file's old content beside it."
)
@pass_settings
def export(settings: Settings, /, agent: str, providers: tuple[str, ...], keys: bool, write: bool) -> None:
    """Print what the coding agent AGENT must have in its configuration to use PROVIDER.

    A key that is a reference stays one where the agent has references; else it is told the name of an environment variable.
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
        terminal.write(f"{'Written to' if done.changed else 'All of it is there already:'} {file}\n")
        if done.backup:
            terminal.write(f"Its old content is in {done.backup}\n")
        for gone in done.gone:
            terminal.note(gone)
        for hindrance in done.hindrances:
            terminal.warning(hindrance)
        for kept in done.kept:
            terminal.note(f"{kept}: that is what {to.title} has chosen")
    else:
        terminal.write(writing.text_of(block), whole=True)
        terminal.note(f"for {file}; --write puts it there")
    for name, id in block.variables.items():
        terminal.note(f"set {name} to the key of {id} before you start {to.title}, or export with --keys")
    for lost in block.notes:
        terminal.warning(lost)
    if block.command:
        terminal.note(f"try it: {block.command}")
