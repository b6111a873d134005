"""`modelbay configure`: providers in the configuration of a coding agent, and the way back."""

from shlex import quote
from typing import TYPE_CHECKING

import click

from modelbay.agents import NAMES
from modelbay.cli import known_values, terminal
from modelbay.cli.terminal import FAILED, GlobalOptions, pass_settings

if TYPE_CHECKING:
    from modelbay.agents.agent import Agent
    from modelbay.agents.transaction import Undone


@click.command(epilog=f"AGENT is one of {', '.join(NAMES)}.")
@click.argument("agent", type=click.Choice(NAMES), metavar="AGENT")
@click.argument("providers", nargs=-1, metavar="[PROVIDER...]", shell_complete=known_values.providers)
@click.option("--gateway", is_flag=True, help="Configure the gateway with all models, instead of providers.")
@click.option("--keys", is_flag=True, help="Write API keys that the agent cannot read by reference.")
@click.option("--undo", "undone", is_flag=True, help="Restore the settings that `modelbay configure` changed.")
@click.option("--dry-run", is_flag=True, help="Print the changes without writing them.")
@pass_settings
def configure(
    settings: GlobalOptions,
    /,
    agent: str,
    providers: tuple[str, ...],
    gateway: bool,
    keys: bool,
    undone: bool,
    dry_run: bool,
) -> int:
    """Write the entries for PROVIDER to the configuration of the coding agent AGENT, or undo it with --undo.

    Only these entries change. Comments and other settings are kept. The old values are stored in modelbay's data folder until they
    are restored.

    --undo restores the values from before the first `modelbay configure`. Settings that you or the agent changed since are kept. A
    URL and its key are restored together or not at all.

    With --gateway, the agent uses every configured model through modelbay's gateway, with the key of the client "local". An agent
    that does not support references gets this key itself.
    """
    from modelbay.agents import by_name

    to = by_name(agent)
    if not to.changes_file:
        wanted = " ".join(map(quote, providers)) or "--gateway"
        wrong = click.UsageError(f"modelbay cannot change {to.files()[-1]}", _context())
        wrong.hint = f"copy the output of `modelbay export {agent} {wanted}` into it"  # type: ignore[attr-defined]
        raise wrong
    if undone:
        if providers or gateway or keys:
            raise click.UsageError("--undo cannot be combined with PROVIDER, --gateway or --keys", _context())
        return _undo(to, dry_run=dry_run)
    if gateway == bool(providers):
        raise click.UsageError("pass either PROVIDER, --gateway or --undo", _context())
    _configure(settings, to, providers, keys=keys, dry_run=dry_run)
    return 0


def _context() -> click.Context:
    return click.get_current_context()


def _configure(settings: GlobalOptions, to: "Agent", providers: tuple[str, ...], *, keys: bool, dry_run: bool) -> None:
    from modelbay.agents.transaction import configure
    from modelbay.cli.export import exported_config, note_use
    from modelbay.config.load import load

    # the gateway's key is for this machine only
    with_keys = keys or not providers
    exported = exported_config(load(settings.config), to, providers, with_keys=with_keys, preview=dry_run)
    changes = configure(to, exported, dry_run=dry_run)
    for change in changes:
        if dry_run:
            terminal.write(change.diff or f"No changes: {change.path}\n")
        else:
            terminal.write(f"{'Written to' if change.diff else 'Already up to date:'} {change.path}\n")
        for line in change.changes:
            terminal.note(line)
        for problem in change.problems:
            terminal.warning(problem)
        for kept in change.kept:
            terminal.note(f"{kept}, as set in {to.title}")
    note_use(exported, to)
    if any(change.diff for change in changes) and not dry_run:
        terminal.note(f"to restore the old settings: modelbay configure {to.id} --undo")


def _undo(to: "Agent", *, dry_run: bool) -> int:
    from modelbay.agents.transaction import undo

    result = undo(to, dry_run=dry_run)
    if result is None:
        terminal.note(f"Nothing to undo: {to.title} is not configured by modelbay")
        return 0
    for change in result.files:
        if dry_run:
            terminal.write(change.diff or f"No changes: {change.path}\n")
        elif change.diff:
            terminal.write(f"{'Removed' if change.removed else 'Restored'} {change.path}\n")
        for kept in change.kept:
            terminal.note(kept)
    return _report_blocked(to, result)


def _report_blocked(to: "Agent", result: "Undone") -> int:
    if not result.blocked:
        return 0
    terminal.error(
        f"{', '.join(result.blocked)}: changed next to a URL or key that modelbay wrote; the old URL and key of this entry are"
        " not restored, because the key would be sent to the wrong host",
        f"remove {'it' if len(result.blocked) == 1 else 'them'} from the file, then run `modelbay configure {to.id} --undo` again",
    )
    return FAILED
