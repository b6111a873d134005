"""Lists of named items in agents' files, seen as tables.

Some agents keep their providers or models in a list, and each item names itself in one of its members. Findings and changes
address a setting by its path, so such a list is read as a table whose keys are these names. An item without a name of its own is
called `#2`, after its position, which starts at 0.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

from modelbay.config.toml.scan import Keys

ANY = "*"
"""In a path: any key."""

NamedLists: TypeAlias = Mapping[Keys, str]
"""The member that names an item, by the path of the list."""


def name_member(path: Keys, lists: NamedLists) -> str | None:
    """The member that names an item of the list at a path; None if the path is not one of `lists`."""
    for pattern, member in lists.items():
        if len(pattern) == len(path) and all(wanted in (ANY, key) for key, wanted in zip(path, pattern, strict=True)):
            return member
    return None


def names(items: list[Any], member: str) -> list[str]:
    """The name of each item. Names are unique: only the first of several items keeps it."""
    found: dict[str, None] = {}
    for number, item in enumerate(items):
        name = item.get(member) if isinstance(item, dict) else None
        found[name if isinstance(name, str) and name not in found else _free(number, found)] = None
    return list(found)


def _free(number: int, used: Mapping[str, None]) -> str:
    name = f"#{number}"
    while name in used:
        name = f"#{name}"
    return name


def as_tables(value: Any, lists: NamedLists, path: Keys = ()) -> Any:
    """A value with each of its named lists as a table."""
    member = name_member(path, lists) if isinstance(value, list) else None
    if member is not None:
        value = dict(zip(names(value, member), value, strict=True))
    if isinstance(value, dict):
        return {key: as_tables(item, lists, (*path, key)) for key, item in value.items()}
    return value


def as_lists(value: Any, lists: NamedLists, path: Keys = ()) -> Any:
    """The reverse of `as_tables`. An item that is added must contain its name."""
    if not isinstance(value, dict):
        return value
    inner = {key: as_lists(item, lists, (*path, key)) for key, item in value.items()}
    return inner if name_member(path, lists) is None else list(inner.values())
