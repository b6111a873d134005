"""The result of an import for each setting of an agent's configuration. Every setting gets exactly one result."""

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

NOT_OURS = "not about providers or models"
NO_SETTING = "modelbay has no such setting"
NOT_COPIED = "the secret is not copied; pass --keys to copy it"
LIKE_REFERENCE = "modelbay would read this text as a reference"
KEY_NOT_COPIED = "the key was not copied"
KEY_IN_HEADER = "the key is in a header, which was not copied"


class SettingFinding(Struct, frozen=True):
    """The result for a setting, or for all `count` settings of a table."""

    file: str
    path: Keys
    outcome: Outcome
    why: str = ""
    count: int = 1

    @property
    def where(self) -> str:
        return path_text(self.path)


class ConfigLayer(Struct, frozen=True):
    """One of the files that a configuration is merged from."""

    file: str
    data: Table
    folder: Path = Path()
    """The folder that relative paths in the file refer to."""
    trusted: bool = True
    """Whether the user wrote the file. A file of a project may be by any author."""
    root: Path = Path()
    """The folder of an untrusted file: its references to files outside of the folder are not followed. This is not always the
    repository, because the home folder of a user may be one.
    """


class MergedConfig:
    """Several files merged in increasing priority: tables are merged, other values are replaced.

    The reader of an agent records a result for each setting with `exact`, `approximate` and `unsupported`. The first result
    for a setting counts.
    """

    def __init__(
        self, layers: Iterable[ConfigLayer], *, keys: bool = False, provider_tables: Iterable[str] = ()
    ) -> None:
        self.layers = list(layers)
        self.keys = keys
        """Whether secrets are copied."""
        self._provider_tables = set(provider_tables)
        """Top-level tables about providers. Their settings without a result are listed one by one."""
        self.data: Table = {}
        self.user_data: Table = self.data
        """The data of the user's own files, without those of a project."""
        self._owners: dict[Keys, ConfigLayer] = {}
        self._results: dict[Keys, SettingFinding] = {}
        if not all(layer.trusted for layer in self.layers):
            self.user_data = MergedConfig([layer for layer in self.layers if layer.trusted]).data
        for layer in self.layers:
            self._merge(layer, (), self.data, layer.data)

    def _merge(self, layer: ConfigLayer, path: Keys, under: Table, over: Table) -> None:
        for key, value in over.items():
            here = (*path, key)
            if isinstance(value, dict) and isinstance(under.get(key), dict):
                if value and not under[key]:
                    self._owners.pop(here, None)
                self._merge(layer, here, under[key], value)
                continue
            if key in under:
                self._owners = {leaf: owner for leaf, owner in self._owners.items() if leaf[: len(here)] != here}
            under[key] = copy.deepcopy(value)
            self._owners |= dict.fromkeys(leaves(value, here), layer)

    def owner(self, *path: str) -> ConfigLayer:
        """The file that sets a path, or the first one that sets a path inside it."""
        return self._owners.get(path) or self._owners[self._inside(path)[0]]

    def remove(self, *path: str, why: str) -> None:
        """Record a setting as unsupported and remove it from the data."""
        self.unsupported(*path, why=why)
        for depth in range(len(path), 0, -1):  # and the tables that are empty then
            table = self.get(*path[: depth - 1])
            del table[path[depth - 1]]
            if table:
                break

    def get(self, *path: str) -> Any:
        """The value at a path; None if missing."""
        value: Any = self.data
        for key in path:
            if not isinstance(value, dict) or key not in value:
                return None
            value = value[key]
        return value

    # Typed values: a value of another type is recorded as unsupported

    def text(self, *path: str) -> str | None:
        """A text; None if missing, or if modelbay would read it as a reference."""
        value = self.get(*path)
        if not isinstance(value, str):
            self._mismatch("text", value, path)
            return None
        if REFERENCE.search(value):
            self.unsupported(*path, why=LIKE_REFERENCE)
            return None
        return value.strip() or None

    def number(self, *path: str, least: float = 0) -> int | float | None:
        value = self.get(*path)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < float("inf"):
            self._mismatch("a number" if least == 0 else f"a number of at least {least:g}", value, path)
            return None
        return value

    def size(self, *path: str) -> int | None:
        """A number of tokens; None if missing or 0, which means unknown."""
        value = self.number(*path)
        if value == 0:
            self.exact(*path, why="0 means unknown")
        elif value is not None and (value != int(value) or value < 1):
            self._mismatch("a whole number", value, path)
        return int(value) if value and value == int(value) else None

    def boolean(self, *path: str) -> bool | None:
        value = self.get(*path)
        if isinstance(value, bool):
            return value
        self._mismatch("true or false", value, path)
        return None

    def strings(self, *path: str) -> list[str] | None:
        value = self.get(*path)
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return list(value)
        self._mismatch("a list of texts", value, path)
        return None

    def table(self, *path: str) -> Table:
        """The table at a path; empty if missing."""
        value = self.get(*path)
        if isinstance(value, dict):
            return value
        self._mismatch("a table", value, path)
        return {}

    def _mismatch(self, kind: str, value: object, path: Keys) -> None:
        if value is not None:
            self.unsupported(*path, why=f"expected {kind}")

    # Results
    def exact(self, *path: str, why: str = "") -> None:
        self._record(path, "exact", why)

    def approximate(self, *path: str, why: str) -> None:
        self._record(path, "approximate", why)

    def unsupported(self, *path: str, why: str = NO_SETTING) -> None:
        self._record(path, "unsupported", why)

    def secret(self, *path: str) -> bool:
        """Record the result for a secret, and return whether to copy it."""
        if self.keys:
            self.exact(*path)
        else:
            self.approximate(*path, why=NOT_COPIED)
        return self.keys

    def override_exact(self, *path: str, why: str) -> None:
        """Record a setting as exact, in place of its earlier result."""
        self._results.pop(path, None)
        self.exact(*path, why=why)

    def override_unsupported(self, *path: str, why: str) -> None:
        """Record everything at a path as unsupported, in place of earlier results."""
        for leaf in self._inside(path):
            self._results.pop(leaf, None)
        self.unsupported(*path, why=why)

    def _record(self, path: Keys, outcome: Outcome, why: str) -> None:
        inside = self._inside(path)
        new = [leaf for leaf in inside if leaf not in self._results]
        owners = {self._owners[leaf].file for leaf in new}
        whole = len(new) == len(inside) and len(owners) == 1
        for leaf in new:
            shown, count = (path, len(inside)) if whole else (leaf, 1)
            self._results[leaf] = SettingFinding(self._owners[leaf].file, shown, outcome, why, count)

    def _inside(self, path: Keys) -> list[Keys]:
        """The leaves at a path."""
        if path in self._owners:
            return [path]
        value = self.get(*path)
        return leaves(value, path) if isinstance(value, dict) else []

    def findings(self) -> list[SettingFinding]:
        """The result for every setting, in the order of the files. A setting without a result is unsupported."""
        for leaf in list(self._owners):
            if leaf not in self._results:
                about_providers = leaf[0] in self._provider_tables
                shown = leaf if about_providers else leaf[:1]
                self._record(shown, "unsupported", NO_SETTING if about_providers else NOT_OURS)
        found: dict[SettingFinding, None] = {}
        for layer in self.layers:
            for leaf in leaves(layer.data, ()):
                if self._owners.get(leaf) is layer:
                    found[self._results[leaf]] = None
                else:
                    found[SettingFinding(layer.file, leaf, "exact", f"{self._overriding_file(leaf)} overrides it")] = (
                        None
                    )
        return list(found)

    def _overriding_file(self, leaf: Keys) -> str:
        """The file that overrides a setting of another file."""
        for depth in range(len(leaf), 0, -1):
            for other, layer in self._owners.items():
                if other[:depth] == leaf[:depth]:
                    return layer.file
        return self.layers[-1].file


def leaves(value: Any, path: Keys) -> list[Keys]:
    """The paths of all values in a table, empty tables included."""
    if not isinstance(value, dict) or (not value and path):
        return [path]
    return [leaf for key, item in value.items() for leaf in leaves(item, (*path, key))]
