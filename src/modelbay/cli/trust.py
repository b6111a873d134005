"""`modelbay trust`: the files of projects that may pin models."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelbay.cli import terminal
from modelbay.cli.columns import write_rows
from modelbay.cli.prompts import confirm
from modelbay.cli.terminal import GlobalOptions, pass_settings
from modelbay.cli.texts import FilePath
from modelbay.errors import ConfigError, FileError, UnknownModel

if TYPE_CHECKING:
    from modelbay.config.schema import Config
    from modelbay.project_pins import ProjectPins
    from modelbay.storage.trusted_files import TrustedFile


@click.command()
@click.argument("file", required=False, type=FilePath())
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--list", "as_list", is_flag=True, help="List the trusted files and their state, and exit.")
@click.option("--remove", metavar="FILE", type=FilePath(), help="Trusted file to remove from the list.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON. Only with --list.")
@pass_settings
def trust(
    settings: GlobalOptions, /, file: Path | None, yes: bool, as_list: bool, remove: Path | None, as_json: bool
) -> None:
    """Show the models that FILE pins, and use them until the file changes. Default: the file of this project.

    A project pins models in a file .modelbay.toml in the working directory or above it, up to the root of the repository or your
    home folder. The file can name only models that you configured. Without your trust, it is ignored.
    """
    context = click.get_current_context()
    if as_list + (remove is not None) + (file is not None or yes) > 1:
        raise click.UsageError("pass either FILE, --list or --remove FILE", context)
    if as_json and not as_list:
        raise click.UsageError("--json requires --list", context)
    if as_list:
        _list(as_json)
    elif remove is not None:
        _remove(remove)
    else:
        _trust(settings, file, yes)


def _trust(settings: GlobalOptions, file: Path | None, yes: bool) -> None:
    from modelbay.config.load import load
    from modelbay.project_pins import NAME, content, found, parse
    from modelbay.storage.trusted_files import TrustedFiles

    path = found() if file is None else _real(file)
    if path is None:
        raise ConfigError(
            f"no {NAME} in this folder or above it, up to the root of the repository or your home folder",
            hint=f"pass the file, or pin a model: `echo 'model = \"MODEL\"' > {NAME}`",
        )
    try:
        data = content(path)
    except FileError as error:
        raise FileError(f"{path} cannot be trusted: {error.message}", hint=error.hint, file=str(path)) from None
    pins = parse(path, data)
    _show(pins, load(settings.config))
    trusted = TrustedFiles()
    known = trusted.at(path)
    if known is not None and known.digest == pins.digest:
        terminal.note("Already trusted")
        return
    if not yes:
        confirm("Use these models until the file changes?")
    trusted.add(path, pins.digest)
    terminal.note(f"Trusted until it changes: {path}")


def _show(pins: "ProjectPins", config: "Config") -> None:
    """Write the pins, and which of them are not configured."""
    rows, missing = [], []
    for pin in pins.pins.values():
        name = " of ".join(reversed([key for key in pin.keys if key != "agents"]))
        try:
            entry = pins.entry(pin, config)
        except UnknownModel as error:
            rows.append((name, pin.model, "not configured"))
            missing.append(error)
        else:
            rows.append((name, pin.model, f"{entry.model} at {entry.provider}"))
    terminal.write(f"{pins.path} pins {'these models' if rows else 'no model'}\n")
    write_rows(rows, indent="  ")
    for unknown in missing:
        terminal.warning(f"{unknown.message} ({unknown.hint})")


def _list(as_json: bool) -> None:
    from modelbay.storage.trusted_files import TrustedFiles

    known = TrustedFiles().all()
    rows = list(zip(known, map(_state, known), strict=True))
    if as_json:
        terminal.write_json([{"file": one.path, "state": state, "sha256": one.digest} for one, state in rows])
    elif not rows:
        terminal.note("No file is trusted")
    else:
        write_rows(_table(rows))


def _table(rows: "Sequence[tuple[TrustedFile, str]]") -> list[tuple[str, str, str]]:
    from modelbay.cli.model_show import date

    return [(state, date(one.when), one.path) for one, state in rows]


def _state(known: "TrustedFile") -> str:
    """Whether a trusted file still has its content."""
    from modelbay.project_pins import content, digest

    path = Path(known.path)
    try:
        path.lstat()
        return "trusted" if digest(content(path)) == known.digest else "changed"
    except FileNotFoundError:
        return "missing"
    except (FileError, OSError):
        return "changed"


def _remove(file: Path) -> None:
    from modelbay.storage.trusted_files import TrustedFiles

    path = _real(file)
    if not TrustedFiles().remove(path):
        raise ConfigError(f"{path} is not trusted", hint="list the trusted files: `modelbay trust --list`")
    terminal.note(f"No longer trusted: {path}")


def _real(file: Path) -> Path:
    """The real path of a project's file, or of the one in a folder."""
    from modelbay.project_pins import NAME
    from modelbay.storage.paths import expanded

    path = expanded(file)
    path = path / NAME if os.path.isdir(path) and path.name != NAME else path
    if path.name != NAME:
        raise click.UsageError(f"{path} is not named {NAME}", click.get_current_context())
    return path.parent.resolve() / NAME  # the file itself must not be a link
