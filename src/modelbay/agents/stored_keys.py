"""References of coding agents' configurations to keys that modelbay stores in files."""

import re
from contextlib import suppress
from pathlib import Path

from modelbay.agents import NAMES, by_name
from modelbay.errors import ConfigError
from modelbay.storage import files

AFTER = r"(?![\w.-])"
"""Characters that must not follow a path: they would make it the name of another file."""


def follow(old: Path, new: Path) -> list[Path]:
    """Makes references to the key file `old` name `new`. Returns the files that were changed.

    Raises:
        ConfigError: a file cannot be written.
    """
    wanted = re.compile(re.escape(str(old)) + AFTER)
    changed = []
    for file in [file for name in NAMES for file in by_name(name).files()]:
        content = None
        with suppress(ConfigError, OSError):
            content = files.content_of(file)
        if content is None:
            continue
        after = wanted.sub(lambda _: str(new), content.decode("utf-8", "surrogateescape"))
        if (data := after.encode("utf-8", "surrogateescape")) != content:
            files.replace(file, content, data)
            changed.append(file)
    return changed
