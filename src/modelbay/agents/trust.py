"""What a project's file may do to the providers of its user.

A project's file came along with the project: anybody may have written it. It may describe models, but where it has a say in where a
call goes, nothing that is secret of its user's goes along, and none of it becomes the default. A say is any difference that the
project's files make to an entry, but for the settings that are known to be harmless: a list of the dangerous ones would miss the
next one that an agent invents.
"""

from collections.abc import Callable
from typing import TypeAlias

from modelbay.agents.findings import Ledger, leaves
from modelbay.config.toml.scan import Keys

WHY = "a project's file says where this provider is: it does not get a key of yours"

Harmless: TypeAlias = Callable[[Keys], bool]
"""Whether a setting, by its path within an entry, has no say in where a call goes."""


def swayed(ledger: Ledger, here: Keys, harmless: Harmless) -> bool:
    """Whether project's files have a say in where the calls of an entry go: they set, change or remove something of it."""
    if ledger.own is ledger.data:
        return False
    ours, theirs = _settings(ledger.own, here), _settings(ledger.data, here)
    changed = {path for path in (*ours, *theirs) if ours.get(path, _NOTHING) != theirs.get(path, _NOTHING)}
    return any(not harmless(path) for path in changed)


def withhold(ledger: Ledger, here: Keys, kept: Harmless, why: str = WHY) -> bool:
    """Takes out of an entry what its user wrote, but for what is `kept`; whether there was anything."""
    found = False
    for path in leaves(ledger.get(*here), ()) if isinstance(ledger.get(*here), dict) else ():
        leaf = (*here, *path)
        if path and not kept(path) and ledger.owner(*leaf).trusted:
            ledger.withhold(*leaf, why=why)
            found = True
    return found


_NOTHING = object()


def _settings(data: object, here: Keys) -> dict[Keys, object]:
    """The values of an entry by their paths in it; {} where there is no such entry."""
    for key in here:
        if not isinstance(data, dict) or key not in data:
            return {}
        data = data[key]
    if not isinstance(data, dict):
        return {(): data}
    return {path: _at(data, path) for path in leaves(data, ()) if path}


def _at(data: object, path: Keys) -> object:
    for key in path:
        data = data[key] if isinstance(data, dict) else None
    return data
