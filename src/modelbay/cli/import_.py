"""`modelbay import`: providers of a coding agent."""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from modelbay.agents import NAMES
from modelbay.cli import terminal
from modelbay.cli.terminal import Settings, pass_settings

if TYPE_CHECKING:
    from modelbay.agents.agent import Agent, Import
    from modelbay.agents.importing import Answer, Written


@click.command("import")
@click.argument("agent", type=click.Choice(NAMES))
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False, readable=True), required=False)
@click.option("--keys", is_flag=True, help="Copy API keys too.")
@click.option("--replace", is_flag=True, help="Replace existing providers with the same ID.")
@click.option("--yes", is_flag=True, help="Do not prompt; import a provider under another ID if its ID exists.")
@click.option("--dry-run", is_flag=True, help="Print the result for each setting without writing it.")
@pass_settings
def import_(
    settings: Settings, /, agent: str, file: Path | None, keys: bool, replace: bool, yes: bool, dry_run: bool
) -> None:
    """Import providers from the coding agent AGENT.

    They are read from FILE, or from the agent's own files and key store. Each setting is listed as exact, approximate or
    unsupported, with the reason.
    """
    from modelbay.agents import by_name
    from modelbay.agents import importing as arrival
    from modelbay.config.edit import Edit, apply

    found = by_name(agent).read(file, keys)
    _say(found)
    if not found.arrivals and not found.settings:
        terminal.note("Nothing to import")
        return
    if file is not None:
        _check_references(settings, by_name(agent), found, file, asked=not (yes or dry_run))
    used = apply(lambda edit: arrival.conflicts(edit, found), settings.config, dry_run=True).result
    answers = {id: _answer(id, agent, replace=replace, asked=not (yes or dry_run)) for id in used}

    def change(edit: Edit) -> "Written":
        return arrival.put(edit, found, agent, answers)

    planned = apply(change, settings.config, dry_run=True)
    if not planned.changed:
        terminal.note("No changes to write")
        return
    terminal.write(f"\n{planned.diff}")
    if dry_run:
        return
    if not yes:
        _confirm()
    _report(apply(change, settings.config).result)


def _check_references(settings: Settings, agent: "Agent", found: "Import", file: Path, *, asked: bool) -> None:
    """Asks before references are followed in a file that is not the agent's own: they decide which secrets are sent where.

    Raises:
        ConfigError: a reference is not approved.
    """
    from hashlib import sha256

    from modelbay.agents.importing import may_run, references
    from modelbay.cli.picker import asks
    from modelbay.config.load import load
    from modelbay.credentials.approval import Source, refusal, remember, shown
    from modelbay.onboarding.references import missing

    if may_run(file, agent.files()):
        return
    source = Source(file, sha256(file.read_text(encoding="utf-8-sig").encode()).hexdigest())
    open_ones = missing(references(load(settings.config), found), source)
    if not open_ones:
        return
    if not asked or not asks():
        raise refusal(file, open_ones, "run it on a terminal without --yes")
    for one in open_ones:
        terminal.note(f"{shown(one.reference)} would be sent to {one.origin}")
    click.confirm("Follow these references of the file?", abort=True, err=True)
    remember(source, open_ones)


def _answer(id: str, agent: str, *, replace: bool, asked: bool) -> "Answer":
    """The action for a provider whose ID already exists."""
    from modelbay.cli.picker import asks

    if replace:
        return "replace"
    if not asked or not asks():
        return "rename"
    choice = click.prompt(
        f"Provider {id} already exists. Import as {id}-{agent}, replace the existing one, or skip?",
        type=click.Choice(["rename", "replace", "skip"]),
        default="rename",
        err=True,
    )
    answers: dict[str, Answer] = {"rename": "rename", "replace": "replace", "skip": "skip"}
    return answers[choice]


def _confirm() -> None:
    from modelbay.cli.picker import asks

    if not asks():
        raise click.UsageError("not a terminal: pass --yes to confirm", click.get_current_context())
    click.confirm("Write these changes?", abort=True, err=True)


def _report(written: "Written") -> None:
    from modelbay.catalog.summary import counted
    from modelbay.config.toml.values import path_text

    terminal.write("\n")
    for placed in written.placed:
        models = f" with {counted(len(placed.models), 'model')}" if placed.models else ""
        other = f" (in the agent: {placed.arrival.id})" if placed.id != placed.arrival.id else ""
        terminal.write(f"{placed.done}: {placed.id}{other}{models}\n")
        for alias in placed.dropped:
            terminal.warning(f"{alias}: removed its API key, which belongs to another URL")
        if placed.arrival.keyless and placed.done in ("added", "replaced"):
            terminal.note(
                f"{quote(placed.id)}: {placed.arrival.keyless}; set an API key: `modelbay key set {quote(placed.id)}`"
            )
    for keys in written.kept:
        terminal.warning(f"{path_text(keys)} already exists and was not changed")
    if written.default_model:
        terminal.write(f"The default model is {written.default_model}\n")
    elif written.kept_default:
        terminal.note(f"The default model stays {written.kept_default}")


def _say(found: "Import") -> None:
    """Prints the result for each setting, by file."""
    from modelbay.cli.columns import write_rows

    for file in found.files:
        rows = [
            (
                finding.outcome,
                finding.where + (f" ({finding.count} settings)" if finding.count > 1 else ""),
                finding.why,
            )
            for finding in found.findings
            if finding.file == file
        ]
        terminal.write(f"{file}\n")
        write_rows(rows, indent="  ")
    for id, why in found.left_out.items():
        terminal.warning(f"skipped provider {id}: {why}")
