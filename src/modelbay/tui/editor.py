"""Edits a message in an external editor."""

import asyncio
import os
import shlex
import signal
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from textual.app import App, SuspendNotSupported

from modelbay.storage.paths import environment

VARIABLES = ("VISUAL", "EDITOR")
GRACE = 2.0
"""Seconds for an editor to end when the app does."""


class EditorFailed(Exception):
    """The editor could not start or failed. The message says what to do."""


async def edited(app: App[Any], text: str) -> str:
    """Run the editor and return the edited text. The app keeps running without the terminal, so an answer still arrives.

    Raises:
        EditorFailed: no editor is set, it failed, or the file is empty.
    """
    command = _command()
    with TemporaryDirectory(
        prefix="modelbay-"
    ) as folder:  # mode 0700: backup and swap files of the editor are private too
        path = Path(folder) / "message.md"
        with open(
            os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8", errors="replace"
        ) as file:
            file.write(f"{text}\n")
        try:
            with app.suspend():
                failure = await _run([*command, str(path)])
        except SuspendNotSupported:
            failure = "This terminal cannot run an editor"
        if failure:
            raise EditorFailed(f"{failure}. The message is unchanged")
        try:
            written = path.read_text(encoding="utf-8").removesuffix("\n")
        except OSError as error:
            raise EditorFailed(f"The edited file cannot be read: {error.strerror}. The message is unchanged") from None
        except UnicodeDecodeError:
            raise EditorFailed("The edited file is not UTF-8. The message is unchanged") from None
    if not written.strip() and text.strip():
        raise EditorFailed("The edited file was empty. The message is unchanged")
    return written


def _command() -> list[str]:
    """The command of the editor.

    Raises:
        EditorFailed: neither VISUAL nor EDITOR is set.
    """
    for name in VARIABLES:
        value = environment(name) or ""
        try:
            words = shlex.split(value)
        except ValueError as error:
            raise EditorFailed(f"Invalid value of {name}: {error}: {value}") from None
        if words:
            return words
    raise EditorFailed("No editor is set. Set EDITOR before you start modelbay: export EDITOR=nano")


async def _run(command: list[str]) -> str:
    """Run an editor to its end. Returns the reason of a failure, or ""."""
    before = signal.signal(signal.SIGINT, lambda *_: None)  # the terminal sends Ctrl-C to the app too
    try:
        with subprocess.Popen(command) as process:
            try:
                code = await asyncio.to_thread(process.wait)
            finally:
                _end(process)
    except OSError as error:
        return f"Could not start {command[0]} (from $VISUAL or $EDITOR): {error.strerror}"
    finally:
        signal.signal(signal.SIGINT, before)
    if code < 0:
        return f"{command[0]} was killed by {signal.Signals(-code).name}"
    return f"{command[0]} exited with code {code}" if code else ""


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End an editor that is still running because the app is ending. It may save its files first."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
