"""`modelbay import`: the providers of a coding agent become ours."""

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
@click.option("--keys", is_flag=True, help="Take keys along; without it they stay where they are.")
@click.option("--replace", is_flag=True, help="Replace providers whose ids are in use.")
@click.option("--yes", is_flag=True, help="Ask nothing; a provider whose id is in use comes under another one.")
@click.option("--dry-run", is_flag=True, help="Say what would become of each setting, and change nothing.")
@pass_settings
def import_(
    settings: Settings, /, agent: str, file: Path | None, keys: bool, replace: bool, yes: bool, dry_run: bool
) -> None:
    """Take over the providers of the coding agent AGENT.

    They are read from FILE, or from where the agent has them, its store of keys included. What becomes of each setting is
    said: it is taken over exactly, approximately, or not at all, and why.
    """
    from modelbay.agents import by_name
    from modelbay.agents import importing as arrival
    from modelbay.config.edit import Edit, apply

    found = by_name(agent).read(file, keys)
    _say(found)
    if not found.arrivals and not found.settings:
        terminal.note("There is nothing to take over")
        return
    if file is not None:
        _check_references(settings, by_name(agent), found, file, asked=not (yes or dry_run))
    used = apply(lambda edit: arrival.conflicts(edit, found), settings.config, dry_run=True).result
    answers = {id: _answer(id, agent, replace=replace, asked=not (yes or dry_run)) for id in used}

    def change(edit: Edit) -> "Written":
        return arrival.put(edit, found, agent, answers)

    planned = apply(change, settings.config, dry_run=True)
    if not planned.changed:
        terminal.note("Nothing of it is to be written")
        return
    terminal.write(f"\n{planned.diff}")
    if dry_run:
        return
    if not yes:
        _confirm()
    _report(apply(change, settings.config).result)


def _check_references(settings: Settings, agent: "Agent", found: "Import", file: Path, *, asked: bool) -> None:
    """A file that is not the agent's own does not decide which secrets go where: the user does.

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
        raise refusal(file, open_ones, "run it at a terminal without --yes")
    for one in open_ones:
        terminal.note(f"{shown(one.reference)} would be sent to {one.origin}")
    click.confirm("Follow these references of the file?", abort=True, err=True)
    remember(source, open_ones)


def _answer(id: str, agent: str, *, replace: bool, asked: bool) -> "Answer":
    """What to do with a provider whose id another one has."""
    from modelbay.cli.picker import asks

    if replace:
        return "replace"
    if not asked or not asks():
        return "rename"
    choice = click.prompt(
        f"There is another provider {id}. Take this one as {id}-{agent}, let it replace that one, or skip it?",
        type=click.Choice(["rename", "replace", "skip"]),
        default="rename",
        err=True,
    )
    answers: dict[str, Answer] = {"rename": "rename", "replace": "replace", "skip": "skip"}
    return answers[choice]


def _confirm() -> None:
    from modelbay.cli.picker import asks

    if not asks():
        raise click.UsageError("it is only written with --yes where nobody can be asked", click.get_current_context())
    click.confirm("Write this?", abort=True, err=True)


def _report(written: "Written") -> None:
    from modelbay.catalog.summary import counted
    from modelbay.config.toml.values import path_text

    terminal.write("\n")
    for placed in written.placed:
        models = f" with {counted(len(placed.models), 'model')}" if placed.models else ""
        other = f" (there: {placed.arrival.id})" if placed.id != placed.arrival.id else ""
        terminal.write(f"{placed.done}: {placed.id}{other}{models}\n")
        for alias in placed.dropped:
            terminal.warning(f"{alias}: its own key was removed: it was for another address")
        if placed.arrival.keyless and placed.done in ("added", "replaced"):
            terminal.note(
                f"{quote(placed.id)}: {placed.arrival.keyless}; give it one with `modelbay key set {quote(placed.id)}`"
            )
    for keys in written.kept:
        terminal.warning(f"{path_text(keys)} stays as it is: the file has another one")
    if written.default_model:
        terminal.write(f"The default model is {written.default_model}\n")
    elif written.kept_default:
        terminal.note(f"The default model stays {written.kept_default}")


def _say(found: "Import") -> None:
    """What became of each setting, file by file."""
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
        terminal.warning(f"provider {id} is left out: {why}")
