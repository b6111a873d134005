"""What of an agent's file has to go when an entry in it is written anew.

An entry holds an address and what was given for this address: a key, headers, parameters. Where the address becomes another one,
all of that goes, or the agent would send it to the new host. Where the address stays, what is still valid stays; only of the
settings of which an agent uses one (a key, a variable's name, a program that prints a key), the new one replaces the others.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgspec import Struct

from modelbay.agents.findings import leaves
from modelbay.config.schema import Table
from modelbay.config.toml.scan import Keys
from modelbay.config.toml.values import path_text
from modelbay.credentials.credential import AUTH_HEADERS
from modelbay.origin import origin

ANY = "*"
"""In a pattern: any key. A pattern is of all that begins like it."""


class Entry(Struct, frozen=True):
    """An entry of an agent's file, and what in it depends on its address. The patterns are of paths within the entry."""

    path: Keys
    home: Callable[[Table], str | None]
    """The destination of an entry's calls as comparable text; None if unknown."""
    address: tuple[Keys, ...]
    """What says where calls go. What the new entry does not say of it would still count, so it goes in any case."""
    secrets: tuple[Keys, ...]
    """What was given for the address alone."""
    one_of: tuple[Keys, ...] = ()
    """Of the secrets, those of which the agent uses one."""


def doomed(entry: Entry, data: Table, written: Iterable[Keys], after: Table) -> list[Keys]:
    """The paths that go out of a file. `written` are those that are set anew, `after` is the file with them in it."""
    old, new = _at(data, entry.path), _at(after, entry.path)
    if not isinstance(old, dict) or not isinstance(new, dict):
        return []
    depth = len(entry.path)
    kept = {path[depth:] for path in written if path[:depth] == entry.path}
    here, there = entry.home(old), entry.home(_only(new, kept))
    patterns = list(entry.address)
    if here is None or here != there:
        patterns += entry.secrets
    if any(_is_one(path, pattern) for path in kept for pattern in entry.one_of):
        patterns += entry.one_of
    going = [path for path in leaves(old, ()) if path not in kept and any(_is_one(path, one) for one in patterns)]
    return [(*entry.path, *path) for path in going if path]


def differences(before: Table, after: Table) -> Iterator[str]:
    """Every value of a file that is replaced or removed, by its path; not what it was, which may be a secret."""
    for path in leaves(before, ()):
        old, new = _at(before, path), _at(after, path)
        if new is _NOTHING:
            yield f"{path_text(path)} was removed"
        elif old != new and not (old in ({}, None) and isinstance(new, dict)):
            yield f"{path_text(path)} was replaced"


def auth_headers(*table: str) -> tuple[Keys, ...]:
    """The headers of a table that a key may be in, in whatever case they are written."""
    return tuple((*table, name) for name in sorted(AUTH_HEADERS))


def origin_text(url: object) -> str | None:
    """The origin of an address in a file, as a text to compare; None where it has none."""
    try:
        return str(origin(url)) if isinstance(url, str) else None
    except ValueError:
        return None


_NOTHING = object()


def _at(data: Any, path: Keys) -> Any:
    for key in path:
        if not isinstance(data, dict) or key not in data:
            return _NOTHING
        data = data[key]
    return data


def _only(entry: Table, kept: set[Keys]) -> Table:
    """An entry as it would be alone: with what is written anew and nothing else."""
    alone: Table = {}
    for path in leaves(entry, ()):
        if path in kept:
            table = alone
            for key in path[:-1]:
                table = table.setdefault(key, {})
            table[path[-1]] = _at(entry, path)
    return alone


def _is_one(path: Keys, pattern: Keys) -> bool:
    return len(path) >= len(pattern) and all(
        wanted in (ANY, key) or (bool(at) and path[at - 1].endswith("headers") and wanted == key.lower())
        for at, (key, wanted) in enumerate(zip(path, pattern, strict=False))
    )
