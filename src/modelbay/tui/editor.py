"""Writing a message in the user's own editor."""

import asyncio
import os
import shlex
import signal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from textual.app import App, SuspendNotSupported

from modelbay.storage.paths import environment

VARIABLES = ("VISUAL", "EDITOR")


class EditorFailed(Exception):
    """No editor could be started, or it did not end as it should. The message says what to do."""


async def edited(app: App[Any], text: str) -> str:
    """The text after its user has edited it. The app goes on meanwhile, without the terminal: an answer still arrives.

    Raises:
        EditorFailed: there is no editor, it failed, or it left no text.
    """
    command = _command()
    with TemporaryDirectory(
        prefix="modelbay-"
    ) as folder:  # of mode 0700: an editor's backup and swap files are private too
        path = Path(folder) / "message.md"
        with open(
            os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8", errors="replace"
        ) as file:
            file.write(f"{text}\n")
        try:
            with app.suspend():
                failure = await _run([*command, str(path)])
        except SuspendNotSupported:
            failure = "This terminal cannot be passed to an editor"
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
    """The editor and its arguments.

    Raises:
        EditorFailed: neither variable is set.
    """
    for name in VARIABLES:
        value = environment(name) or ""
        try:
            words = shlex.split(value)
        except ValueError as error:
            raise EditorFailed(f"{name} cannot be read: {error}: {value}") from None
        if words:
            return words
    raise EditorFailed("No editor is set. Set EDITOR before you start modelbay: export EDITOR=nano")


async def _run(command: list[str]) -> str:
    """Runs an editor to its end; why it failed, or ""."""
    before = signal.signal(signal.SIGINT, lambda *_: None)  # the terminal sends Ctrl-C to the app too
    process = None
    try:
        process = await asyncio.create_subprocess_exec(*command)
        code = await process.wait()
    except OSError as error:
        return f"Could not start {command[0]} of $VISUAL or $EDITOR: {error.strerror}"
    finally:
        signal.signal(signal.SIGINT, before)
        if process is not None and process.returncode is None:  # the app ends
            process.terminate()
    if code < 0:
        return f"{command[0]} was ended by {signal.Signals(-code).name}"
    return f"{command[0]} ended with exit code {code}" if code else ""
