"""`modelbay export`: providers for a coding agent."""

from typing import TYPE_CHECKING

import click

from modelbay.agents import NAMES
from modelbay.cli import terminal
from modelbay.cli.terminal import GlobalOptions, pass_settings

if TYPE_CHECKING:
    from modelbay.agents.agent import Agent
    from modelbay.agents.exported import ExportedProvider
    from modelbay.config.schema import Config


@click.command()
@click.argument("agent", type=click.Choice(NAMES))
@click.argument("providers", nargs=-1, metavar="[PROVIDER...]")
@click.option("--gateway", is_flag=True, help="Export the gateway with all models, instead of providers.")
@click.option("--keys", is_flag=True, help="Include API keys that the agent cannot read by reference.")
@click.option("--write", is_flag=True, help="Write to the agent's file, and save its previous content next to it.")
@pass_settings
def export(
    settings: GlobalOptions, /, agent: str, providers: tuple[str, ...], gateway: bool, keys: bool, write: bool
) -> None:
    """Print the entries for PROVIDER in the configuration of the coding agent AGENT.

    A key stays a reference if the agent supports it. Otherwise the entry names an environment variable.

    With --gateway, the agent uses every configured model through modelbay's gateway, with the key of the client "local". An agent
    that does not support references gets this key itself with --write.
    """
    from modelbay.agents import by_name
    from modelbay.agents.write import render, write_file
    from modelbay.config.load import load

    if gateway == bool(providers):
        raise click.UsageError("pass either PROVIDER or --gateway", click.get_current_context())
    config = load(settings.config)
    to = by_name(agent)
    exported = to.write(
        [_gateway(config, to, with_keys=keys or write)]
        if gateway
        else _providers(config, to, providers, with_keys=keys)
    )
    file = to.files()[-1]
    if write and not to.changes_file:
        raise click.UsageError(
            f"modelbay does not change {file}: copy the printed lines into it", click.get_current_context()
        )
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
        terminal.note(f"for {file}; {'pass --write to write it' if to.changes_file else 'copy these lines into it'}")
    for name, id in exported.variables.items():
        terminal.note(f"set {name} to the key of {id} before you start {to.title}, or export with --keys")
    for note in exported.notes:
        terminal.warning(note)
    if exported.command:
        terminal.note(f"try it: {exported.command}")


def _providers(config: "Config", to: "Agent", ids: tuple[str, ...], *, with_keys: bool) -> "list[ExportedProvider]":
    from modelbay.agents.exporting import exported_provider

    return [exported_provider(config, id, to, with_keys=with_keys) for id in dict.fromkeys(ids)]


def _gateway(config: "Config", to: "Agent", *, with_keys: bool) -> "ExportedProvider":
    from modelbay.agents.gateway_provider import gateway_provider
    from modelbay.gateway.clients import ClientKeys

    clients = ClientKeys()
    clients.local_key()
    return gateway_provider(config, to.protocols, clients.local_file, with_keys=with_keys)
