"""`modelbay export`: providers for a coding agent."""

from shlex import quote
from typing import TYPE_CHECKING

import click

from modelbay.agents import NAMES
from modelbay.cli import known_values, terminal
from modelbay.cli.terminal import GlobalOptions, pass_settings

if TYPE_CHECKING:
    from modelbay.agents.agent import Agent, ExportedConfig
    from modelbay.agents.exported import ExportedProvider
    from modelbay.config.schema import Config


@click.command(epilog=f"AGENT is one of {', '.join(NAMES)}.")
@click.argument("agent", type=click.Choice(NAMES), metavar="AGENT")
@click.argument("providers", nargs=-1, metavar="[PROVIDER...]", shell_complete=known_values.providers)
@click.option("--gateway", is_flag=True, help="Export the gateway with all models, instead of providers.")
@click.option("--keys", is_flag=True, help="Include API keys that the agent cannot read by reference.")
@pass_settings
def export(settings: GlobalOptions, /, agent: str, providers: tuple[str, ...], gateway: bool, keys: bool) -> None:
    """Print the entries for PROVIDER in the configuration of the coding agent AGENT.

    A key stays a reference if the agent supports it. Otherwise the entry names an environment variable.

    With --gateway, the agent uses every configured model through modelbay's gateway, with the key of the client "local". An agent
    that does not support references gets this key itself with --keys.
    """
    from modelbay.agents import by_name
    from modelbay.agents.write import render
    from modelbay.config.load import load

    if gateway == bool(providers):
        raise click.UsageError("pass either PROVIDER or --gateway", click.get_current_context())
    to = by_name(agent)
    exported = exported_config(load(settings.config), to, providers, with_keys=keys)
    terminal.write_file(render(exported))
    named = " ".join(map(quote, providers)) or "--gateway"
    write = f"to write it: modelbay configure {agent} {named}" if to.changes_file else "copy these lines into it"
    terminal.note(f"for {to.files()[-1]}; {write}")
    note_use(exported, to)


def exported_config(
    config: "Config", to: "Agent", providers: tuple[str, ...], *, with_keys: bool, preview: bool = False
) -> "ExportedConfig":
    """The agent's configuration for these providers, or for the gateway if there are none. A `preview` creates no client of the
    gateway."""
    prepared = (
        _providers(config, to, providers, with_keys=with_keys)
        if providers
        else [_gateway(config, to, with_keys=with_keys, preview=preview)]
    )
    return to.write(prepared)


def note_use(exported: "ExportedConfig", to: "Agent") -> None:
    """Print the variables to set, settings that are not exported, and the command that starts the agent."""
    for name, id in exported.variables.items():
        terminal.note(f"set {name} to the key of {id} before you start {to.title}, or pass --keys")
    for note in exported.notes:
        terminal.warning(note)
    if exported.command:
        terminal.note(f"try it: {exported.command}")


def _providers(config: "Config", to: "Agent", ids: tuple[str, ...], *, with_keys: bool) -> "list[ExportedProvider]":
    from modelbay.agents.exporting import exported_provider

    return [exported_provider(config, id, to, with_keys=with_keys) for id in dict.fromkeys(ids)]


def _gateway(config: "Config", to: "Agent", *, with_keys: bool, preview: bool) -> "ExportedProvider":
    from modelbay.agents.gateway_provider import gateway_provider
    from modelbay.gateway.clients import KEY_BYTES, ClientKeys, new_key

    clients = ClientKeys()
    if not preview:
        clients.local_key()
    provider = gateway_provider(config, to.protocols, clients.local_file, with_keys=with_keys)
    if preview and clients.known_local_key() is None:
        provider.future_key = new_key(bytes(KEY_BYTES))
    return provider
