"""What becomes of each setting of another program's configuration: every leaf of it is said once, and none is forgotten."""

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from modelbay.config.schema import Table
from modelbay.config.toml.scan import Keys
from modelbay.config.toml.values import path_text
from modelbay.secrecy import REFERENCE

Outcome: TypeAlias = Literal["exact", "approximate", "unsupported"]

NOT_OURS = "it says nothing of providers or models"
NO_SETTING = "modelbay has no such setting"
STAYS = "the secret stays where it is; --keys takes it along"


class Finding(Struct, frozen=True):
    """What became of a setting, or of all `count` settings of a table."""

    file: str
    path: Keys
    outcome: Outcome
    why: str = ""
    count: int = 1

    @property
    def where(self) -> str:
        return path_text(self.path)


class Layer(Struct, frozen=True):
    """One file of a configuration that is made of several."""

    file: str
    data: Table
    folder: Path = Path()
    """What relative paths in it are relative to."""
    trusted: bool = True
    """Whether its user wrote it; a project's file came along with the project."""
    root: Path = Path()
    """The folder that an untrusted file speaks for: its references do not leave it. Not the whole repository, which may be the
    user's home.
    """


class Ledger:
    """Several files laid over each other, the later over the earlier: tables are merged, all else is replaced."""

    def __init__(self, layers: Iterable[Layer], *, keys: bool = False, concerns: Iterable[str] = ()) -> None:
        self.layers = list(layers)
        self.keys = keys
        """Whether secrets are taken along."""
        self._concerns = set(concerns)
        """The top-level tables about providers: what is left of them is told setting by setting."""
        self.data: Table = {}
        self.own: Table = self.data
        """What the files say that are not a project's."""
        self._owners: dict[Keys, Layer] = {}
        self._said: dict[Keys, Finding] = {}
        if not all(layer.trusted for layer in self.layers):
            self.own = Ledger([layer for layer in self.layers if layer.trusted]).data
        for layer in self.layers:
            self._lay(layer, (), self.data, layer.data)

    def _lay(self, layer: Layer, path: Keys, under: Table, over: Table) -> None:
        for key, value in over.items():
            here = (*path, key)
            if isinstance(value, dict) and isinstance(under.get(key), dict):
                if value and not under[key]:
                    self._owners.pop(here, None)
                self._lay(layer, here, under[key], value)
                continue
            if key in under:
                self._owners = {leaf: owner for leaf, owner in self._owners.items() if leaf[: len(here)] != here}
            under[key] = copy.deepcopy(value)
            self._owners |= dict.fromkeys(leaves(value, here), layer)

    def owner(self, *path: str) -> Layer:
        """The file that says what is at a path, or the first of those that do."""
        return self._owners.get(path) or self._owners[self._inside(path)[0]]

    def withhold(self, *path: str, why: str) -> None:
        """Says of a setting that it is not taken over, and takes it out of what is read from now on."""
        self.unsupported(*path, why=why)
        for depth in range(len(path), 0, -1):  # with the tables that become empty by that
            table = self.get(*path[: depth - 1])
            del table[path[depth - 1]]
            if table:
                break

    def get(self, *path: str) -> Any:
        """What is at a path; None, where there is nothing."""
        value: Any = self.data
        for key in path:
            if not isinstance(value, dict) or key not in value:
                return None
            value = value[key]
        return value

    # Reading: what is not of the kind that is asked for is said to be of no use

    def text(self, *path: str) -> str | None:
        """A text that stands for itself. What modelbay would take for a reference is none."""
        value = self.get(*path)
        if not isinstance(value, str):
            self._expected("text", value, path)
            return None
        if REFERENCE.search(value):
            self.unsupported(*path, why="modelbay would take this text for a reference")
            return None
        return value.strip() or None

    def number(self, *path: str, least: float = 0) -> int | float | None:
        value = self.get(*path)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < float("inf"):
            self._expected("a number" if least == 0 else f"a number of at least {least:g}", value, path)
            return None
        return value

    def size(self, *path: str) -> int | None:
        """A number of tokens; 0 is how it is said that nobody knows."""
        value = self.number(*path)
        if value == 0:
            self.exact(*path, why="0 says that nobody knows")
        elif value is not None and (value != int(value) or value < 1):
            self._expected("a whole number", value, path)
        return int(value) if value and value == int(value) else None

    def switch(self, *path: str) -> bool | None:
        value = self.get(*path)
        if isinstance(value, bool):
            return value
        self._expected("true or false", value, path)
        return None

    def words(self, *path: str) -> list[str] | None:
        value = self.get(*path)
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return list(value)
        self._expected("a list of words", value, path)
        return None

    def table(self, *path: str) -> Table:
        """The table at a path; empty, where there is none."""
        value = self.get(*path)
        if isinstance(value, dict):
            return value
        self._expected("a table", value, path)
        return {}

    def _expected(self, kind: str, value: object, path: Keys) -> None:
        if value is not None:
            self.unsupported(*path, why=f"expected {kind}")

    # Saying

    def exact(self, *path: str, why: str = "") -> None:
        self._say(path, "exact", why)

    def approximate(self, *path: str, why: str) -> None:
        self._say(path, "approximate", why)

    def unsupported(self, *path: str, why: str = NO_SETTING) -> None:
        self._say(path, "unsupported", why)

    def secret(self, *path: str) -> bool:
        """Says what becomes of a secret; whether it is taken along."""
        if self.keys:
            self.exact(*path)
        else:
            self.approximate(*path, why=STAYS)
        return self.keys

    def revise(self, *path: str, why: str) -> None:
        """Says of a setting that it is taken over exactly, in other words."""
        self._said.pop(path, None)
        self.exact(*path, why=why)

    def revoke(self, *path: str, why: str) -> None:
        """Says of all that is at a path that it came to nothing after all."""
        self._said = {leaf: finding for leaf, finding in self._said.items() if leaf[: len(path)] != path}
        self.unsupported(*path, why=why)

    def _say(self, path: Keys, outcome: Outcome, why: str) -> None:
        inside = self._inside(path)
        unsaid = [leaf for leaf in inside if leaf not in self._said]
        owners = {self._owners[leaf].file for leaf in unsaid}
        whole = len(unsaid) == len(inside) and len(owners) == 1
        for leaf in unsaid:
            said, count = (path, len(inside)) if whole else (leaf, 1)
            self._said[leaf] = Finding(self._owners[leaf].file, said, outcome, why, count)

    def _inside(self, path: Keys) -> list[Keys]:
        """The leaves at a path."""
        if path in self._owners:
            return [path]
        value = self.get(*path)
        return leaves(value, path) if isinstance(value, dict) else []

    def findings(self) -> list[Finding]:
        """What became of every setting, in the files' order; what nobody has said by now is not taken over."""
        for leaf in list(self._owners):
            if leaf not in self._said:
                ours = leaf[0] in self._concerns
                self._say(leaf if ours else leaf[:1], "unsupported", NO_SETTING if ours else NOT_OURS)
        found: dict[Finding, None] = {}
        for layer in self.layers:
            for leaf in leaves(layer.data, ()):
                if self._owners.get(leaf) is layer:
                    found[self._said[leaf]] = None
                else:
                    found[Finding(layer.file, leaf, "exact", f"{self._later(leaf)} says otherwise, and counts")] = None
        return list(found)

    def _later(self, leaf: Keys) -> str:
        """The file that has the last word where a leaf of another one was."""
        for depth in range(len(leaf), 0, -1):
            for other, layer in self._owners.items():
                if other[:depth] == leaf[:depth]:
                    return layer.file
        return self.layers[-1].file


def leaves(value: Any, path: Keys) -> list[Keys]:
    """The paths of all that is not a table with something in it."""
    if not isinstance(value, dict) or (not value and path):
        return [path]
    return [leaf for key, item in value.items() for leaf in leaves(item, (*path, key))]
