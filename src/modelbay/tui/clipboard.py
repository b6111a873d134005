"""The system's clipboard, through the tool that the system has for it.

The app also asks the terminal to copy (OSC 52). Some terminals ignore that, and a tool may be missing or on the wrong machine, so
both are used.
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
"""The variable of the display that each tool belongs to, and how it is called; it reads the text from its input."""
SECONDS = 5.0


def put(text: str) -> str | None:
    """Copies a text. The name of the tool that did it; None if no tool could."""
    for command in _usable():
        if (program := shutil.which(command[0])) is None:
            continue
        with suppress(OSError, subprocess.SubprocessError):
            # no pipes for its output: some tools stay in the background and would keep them open
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
