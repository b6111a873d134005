"""References of coding agents' configurations to keys that modelbay stores in files."""

import re
from pathlib import Path

from modelbay.agents import NAMES, by_name, transaction

AFTER = r"(?![\w.-])"
"""Characters that must not follow a path: they would make it the name of another file."""


def follow(old: Path, new: Path) -> list[Path]:
    """Replace `old` by `new` in references to a key file, including those that `configure --undo` would restore. Returns the
    files that were changed.

    Raises:
        ConfigError: a file cannot be written.
    """
    wanted = re.compile(re.escape(str(old)) + AFTER)
    return [
        file
        for name in NAMES
        for file in transaction.substitute(by_name(name), lambda text: wanted.sub(lambda _: str(new), text))
    ]
