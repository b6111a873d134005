"""`modelbay import`: providers of a coding agent."""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from modelbay.agents import IMPORTED_ONLY, NAMES
from modelbay.cli import terminal
from modelbay.cli.prompts import asks, confirm, pick_one
from modelbay.cli.terminal import GlobalOptions, pass_settings
from modelbay.cli.texts import FilePath

if TYPE_CHECKING:
    from modelbay.agents.agent import ImportedConfig, ImportSource
    from modelbay.agents.importing import ConflictAction, ImportSummary


@click.command("import")
@click.argument("agent", type=click.Choice((*NAMES, *IMPORTED_ONLY)), metavar="AGENT")
@click.argument("file", type=FilePath(exists=True, dir_okay=False, readable=True), required=False)
@click.option("--keys", is_flag=True, help="Copy API keys too.")
@click.option("--replace", is_flag=True, help="Replace existing providers with the same ID.")
@click.option("--yes", is_flag=True, help="Do not prompt; import a provider under another ID if its ID exists.")
@click.option("--dry-run", is_flag=True, help="Print the result for each setting without writing it.")
@pass_settings
def import_(
    settings: GlobalOptions, /, agent: str, file: Path | None, keys: bool, replace: bool, yes: bool, dry_run: bool
) -> None:
    """Import providers from AGENT, a coding agent or LiteLLM.

    They are read from FILE, or from the agent's own files and key store. Each setting is listed as exact, approximate or
    unsupported, with the reason.
    """
    from modelbay.agents import import_source, importing
    from modelbay.config.edit import Edit, apply
    from modelbay.config.load import load
    from modelbay.onboarding import key_storage

    source = import_source(agent)
    found = source.read(file, keys)
    _write_findings(found)
    if not found.providers and not found.settings:
        terminal.note("Nothing to import")
        return
    if file is not None and not dry_run:
        _check_references(settings, source, found, file, asked=not yes)
    used = apply(lambda edit: importing.conflicts(edit, found), settings.config, dry_run=True).result
    actions = {id: _conflict_action(id, agent, replace=replace, asked=not (yes or dry_run)) for id in used}

    def change(edit: Edit) -> "ImportSummary":
        return importing.add(edit, found, agent, actions)

    config = load(settings.config, new=True)
    planned = key_storage.apply(change, config, dry_run=True)
    if not planned.diff:
        terminal.note("No changes to write")
        return
    terminal.write(f"\n{planned.diff}")
    if dry_run:
        return
    if not yes:
        confirm("Write these changes?")
    done = key_storage.apply(change, config)
    _report(done.result)
    for note in done.notes:
        terminal.note(note)


def _check_references(
    settings: GlobalOptions, agent: "ImportSource", found: "ImportedConfig", file: Path, *, asked: bool
) -> None:
    """Ask before references are followed in a file that is not the agent's own: they decide which secrets are sent where.

    Raises:
        ConfigError: a reference is not approved.
    """
    from hashlib import sha256

    from modelbay.agents.importing import may_run, references
    from modelbay.config.load import load
    from modelbay.credentials.approval import Source, refusal, remember, shown
    from modelbay.onboarding.references import missing

    if may_run(file, agent.files()):
        return
    source = Source(file, sha256(file.read_text(encoding="utf-8-sig").encode()).hexdigest())
    open_ones = missing(references(load(settings.config, new=True), found), source)
    if not open_ones:
        return
    if not asked or not asks():
        raise refusal(file, open_ones, "run it on a terminal without --yes")
    for one in open_ones:
        terminal.note(f"{shown(one.reference)} would be sent to {one.origin}")
    confirm("Follow these references of the file?")
    remember(source, open_ones)


def _conflict_action(id: str, agent: str, *, replace: bool, asked: bool) -> "ConflictAction":
    """The action for a provider whose ID already exists."""
    if replace:
        return "replace"
    if not asked or not asks():
        return "rename"
    terminal.note(f"Provider {id} already exists")
    actions: dict[ConflictAction, str] = {
        "rename": f"Import as {id}-{agent}",
        "replace": "Replace the existing provider",
        "skip": "Skip",
    }
    return pick_one("Action", actions)


def _report(summary: "ImportSummary") -> None:
    from modelbay.catalog.summary import counted
    from modelbay.config.toml.values import path_text

    terminal.write("\n")
    for result in summary.providers:
        models = f" with {counted(len(result.models), 'model')}" if result.models else ""
        other = f" (in the agent: {result.provider.id})" if result.id != result.provider.id else ""
        terminal.write(f"{result.action}: {result.id}{other}{models}\n")
        for alias in result.models_without_key:
            terminal.warning(f"{alias}: removed its API key, which belongs to another URL")
        if result.provider.missing_key and result.action in ("added", "replaced"):
            id = quote(result.id)
            login = "oauth" in result.provider.table
            fix = f"log in: `modelbay login {id}`" if login else f"set an API key: `modelbay key set {id}`"
            terminal.note(f"{id}: {result.provider.missing_key}; {fix}")
    for keys in summary.unchanged:
        terminal.warning(f"{path_text(keys)} already exists and was not changed")
    if summary.default_model:
        terminal.write(f"The default model is {summary.default_model}\n")
    elif summary.other_default:
        terminal.note(f"The default model stays {summary.other_default}")


def _write_findings(found: "ImportedConfig") -> None:
    """Print the result for each setting, by file."""
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
    for id, why in found.skipped.items():
        terminal.warning(f"skipped provider {id}: {why}")
