"""Copies text to the system clipboard with a command-line tool.

The app also asks the terminal to copy (OSC 52). It uses both ways, because some terminals ignore OSC 52, and a tool may be missing
or on the wrong machine.
"""

import shutil
import subprocess
import sys
from contextlib import suppress

from modelbay.storage.paths import environment

TOOLS = (
    ("WAYLAND_DISPLAY", ("wl-copy",)),
    ("DISPLAY", ("xclip", "-selection", "clipboard", "-in")),
    ("DISPLAY", ("xsel", "--clipboard", "--input")),
)
"""The environment variable that each tool requires, and its command. The tools read the text from stdin."""
SECONDS = 5.0
"""Timeout of a tool."""


def put(text: str) -> str | None:
    """Copy a text. Returns the name of the tool that succeeded; None if none did."""
    for command in _usable():
        if (program := shutil.which(command[0])) is None:
            continue
        with suppress(OSError, subprocess.SubprocessError):
            # no pipes for the output: some tools keep running in the background and would keep them open
            subprocess.run(
                [program, *command[1:]], input=text.encode("utf-8", "replace"), check=True, timeout=SECONDS,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            return command[0]
    return None


def _usable() -> list[tuple[str, ...]]:
    if sys.platform == "darwin":
        return [] if environment("SSH_CONNECTION") else [("pbcopy",)]  # it would be the remote machine's clipboard
    return [command for variable, command in TOOLS if environment(variable)]
