"""The paths that complete an `@` mention: those of the working directory, without hidden and git-ignored ones."""

import os
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from modelbay.errors import ConfigError
from modelbay.storage.paths import expanded
from modelbay.stored_chats.gitignore import Ignored

ENTRIES = 20_000
"""Maximum number of folder entries that are read: a home folder may have a million files."""
OFFERED = 50
"""Maximum number of suggested paths."""
LONGEST = 1_000
"""Maximum length of a mention in characters."""
OPEN = re.compile(r"""(?:^|(?<=\s))@("[^"\n]*|'[^'\n]*|(?:\\.|[^\s\\"'])*)$""")


class Mention(NamedTuple):
    """A mention that is being typed."""

    start: int
    """Where its `@` is in the line."""
    typed: str
    """The path so far, without quotes and escapes."""


def open_mention(line: str) -> Mention | None:
    """The mention at the end of a line."""
    cut = max(len(line) - LONGEST, 0)
    found = OPEN.search(line[cut:])
    if found is None:
        return None
    typed = found[1]
    return Mention(cut + found.start(), typed[1:] if typed[:1] in ('"', "'") else re.sub(r"\\(.)", r"\1", typed))


def mention(path: str) -> str:
    """A path as `attachments.mentioned` reads it. That of a folder ends in / and stays open, so that typing continues it."""
    if not re.search(r"[\s\"'\\]", path):
        return f"@{path}"
    for quote in ('"', "'"):
        if quote not in path and (quote == "'" or "\\" not in path):
            return f"@{quote}{path}" + ("" if path.endswith("/") else quote)
    return "@" + re.sub(r"([\s\"'\\])", r"\\\1", path)


class FileNames:
    """The paths below the working directory. They are read at the first call, which takes a moment: call it in a thread."""

    def __init__(self) -> None:
        self._paths: list[str] | None = None
        self._lock = Lock()
        self.limited = False
        """Whether there are more entries than were looked at."""

    def matching(self, typed: str) -> list[str]:
        """The paths that what was typed may become, the best first; folders end in /."""
        folder, slash, name = typed.rpartition("/")
        if slash or typed.startswith("~"):
            paths, name = _entries(folder + slash), name.lower()
            hidden = name.startswith(".")
            paths = [path for path in paths if hidden or not _name(path).startswith(".")]
        else:
            with self._lock:
                if self._paths is None:
                    self._paths = list(self._walk())
            paths, name = self._paths, typed.lower()
            if not typed:
                paths = [path for path in paths if "/" not in path[:-1]]
        worst = 1 if slash else 2
        ranked = [(rank, path[:-1].count("/"), path) for path in paths if (rank := _rank(path.lower(), name)) <= worst]
        return [path for _, _, path in sorted(ranked)[:OFFERED]]

    def _walk(self) -> Iterator[str]:
        try:
            ignored = Ignored(Path.cwd())
        except OSError:  # the working directory was deleted
            return
        folders: deque[tuple[str, ...]] = deque([()])
        left = ENTRIES
        while folders:
            folder = folders.popleft()
            ignored.enter(folder)
            for entry in _scan("/".join(folder) or "."):
                if left == 0:
                    self.limited = True
                    return
                left -= 1
                path, is_folder = (*folder, entry.name), _is_folder(entry)
                if is_folder is None or entry.name.startswith(".") or ignored.ignores(path, is_folder):
                    continue
                yield "/".join(path) + ("/" if is_folder else "")
                if is_folder and not entry.is_symlink():
                    folders.append(path)


def _entries(folder: str) -> list[str]:
    """The entries of one folder, ignored or not: its user named it."""
    try:
        place = expanded(folder)
    except ConfigError:
        return []
    found: list[str] = []
    for entry in _scan(place):
        if len(found) == ENTRIES:
            break
        if (is_folder := _is_folder(entry)) is not None:
            found.append(f"{folder}{entry.name}" + ("/" if is_folder else ""))
    return found


def _scan(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    """The entries of a folder whose names can be typed."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.isprintable() and not entry.name.startswith("~"):
                    yield entry
    except OSError:
        return


def _is_folder(entry: os.DirEntry[str]) -> bool | None:
    """Whether an entry is a folder; None: neither that nor a file."""
    try:
        return True if entry.is_dir() else False if entry.is_file() else None
    except OSError:
        return None


def _rank(path: str, name: str) -> int:
    """How well a path fits: 0 by the beginning of its name, 1 by its name, 2 by any part, 3 not at all."""
    own = _name(path)
    return 0 if own.startswith(name) else 1 if name in own else 2 if name in path else 3


def _name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
