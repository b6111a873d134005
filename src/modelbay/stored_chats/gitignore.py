"""The files that git ignores, by the rules of `.gitignore` files."""

import re
from fnmatch import translate
from pathlib import Path
from typing import NamedTuple

from modelbay.storage.paths import repository_root

LONGEST = 2**20
"""Maximum number of bytes that are read from a `.gitignore` file."""


class _Rule(NamedTuple):
    folder: tuple[str, ...]
    """The folder of the `.gitignore` file."""
    parts: list[re.Pattern[str] | None]
    """A pattern for each part of a path; None is `**`."""
    folders_only: bool
    negated: bool


class Ignored:
    """The rules for a folder and its contents, including those of the repository that it is in."""

    def __init__(self, folder: Path) -> None:
        self._rules: list[_Rule] = []
        repository = repository_root(folder)
        top = repository or folder
        self._at = folder.relative_to(top).parts
        """The folder, from the top of its repository."""
        if repository is not None:
            self._read(top / ".git" / "info" / "exclude", ())
        for depth in range(len(self._at)):
            self._read(top.joinpath(*self._at[:depth], ".gitignore"), self._at[:depth])
        self._folder = folder

    def enter(self, folder: tuple[str, ...]) -> None:
        """Add the rules of a folder, before its entries are asked for."""
        self._read(self._folder.joinpath(*folder, ".gitignore"), self._at + folder)

    def ignores(self, path: tuple[str, ...], is_folder: bool) -> bool:
        """Whether git ignores a path, given that it does not ignore the folder that the path is in."""
        whole = self._at + path
        for rule in reversed(self._rules):
            depth = len(rule.folder)
            if (
                (is_folder or not rule.folders_only)
                and whole[:depth] == rule.folder
                and _fits(rule.parts, whole[depth:])
            ):
                return not rule.negated
        return False

    def _read(self, file: Path, folder: tuple[str, ...]) -> None:
        try:
            with file.open("rb") as opened:
                text = opened.read(LONGEST).decode("utf-8", errors="replace")
        except OSError:
            return
        self._rules += [rule for line in text.splitlines() if (rule := _rule(line, folder)) is not None]


def _rule(line: str, folder: tuple[str, ...]) -> _Rule | None:
    line = re.sub(r"(?<!\\) +$", "", line)
    if not line or line.startswith("#"):
        return None
    negated = line.startswith("!")
    pattern = line[negated:]
    folders_only = pattern.endswith("/")
    names = pattern.strip("/").split("/")
    if names == [""]:
        return None
    parts = [None if name == "**" else _pattern(name) for name in names]
    if "/" not in pattern.rstrip("/"):
        parts.insert(0, None)
    if parts[-1] is None:
        parts.append(_pattern("*"))  # `a/**` is what is in the folder, not the folder
    return _Rule(folder, parts, folders_only, negated)


def _pattern(name: str) -> re.Pattern[str]:
    """A pattern for one name. `translate` makes expressions that cannot take exponential time."""
    name = re.sub(r"\\(.)", lambda escaped: escaped[1] if escaped[1] == "!" else f"[{escaped[1]}]", name)
    return re.compile(translate(name.replace("[^", "[!")))


def _fits(parts: list[re.Pattern[str] | None], names: tuple[str, ...]) -> bool:
    places = {0}
    for part in parts:
        if part is None:
            places = set(range(min(places), len(names) + 1))
        else:
            places = {place + 1 for place in places if place < len(names) and part.match(names[place])}
        if not places:
            return False
    return len(names) in places
