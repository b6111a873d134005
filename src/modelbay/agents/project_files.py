"""Files of a project: they must not send the user's keys to another server.

A project may come from an unknown author. Its files may describe models. But if they can change the destination of a provider's
calls, the provider gets none of the user's secrets and is not the default. Every change that they make to an entry counts, except
of settings that are known to be harmless: a list of the dangerous ones would miss the next one that an agent adds.
"""

from collections.abc import Callable
from typing import TypeAlias

from modelbay.agents.findings import MergedConfig, leaves
from modelbay.config.toml.scan import Keys

NO_KEYS = "a project's file can change the URL of this provider, so it gets none of your keys"

Harmless: TypeAlias = Callable[[Keys], bool]
"""Returns whether a setting, by its path in the entry, cannot change the destination of a call."""


def changed_by_project(merged: MergedConfig, here: Keys, harmless: Harmless) -> bool:
    """Whether a project's files can change the destination of an entry's calls: they set, change or remove a setting of it."""
    if merged.user_data is merged.data:
        return False
    user, all_files = _settings(merged.user_data, here), _settings(merged.data, here)
    changed = {path for path in (*user, *all_files) if user.get(path, _NOTHING) != all_files.get(path, _NOTHING)}
    return any(not harmless(path) for path in changed)


def remove_user_settings(merged: MergedConfig, here: Keys, kept: Harmless, why: str = NO_KEYS) -> bool:
    """Remove the user's settings from an entry, except the `kept` ones. Returns whether there were any."""
    found = False
    for path in leaves(merged.get(*here), ()) if isinstance(merged.get(*here), dict) else ():
        leaf = (*here, *path)
        if path and not kept(path) and merged.owner(*leaf).trusted:
            merged.remove(*leaf, why=why)
            found = True
    return found


_NOTHING = object()


def _settings(data: object, here: Keys) -> dict[Keys, object]:
    """The values of an entry by their paths in it; {} if there is no such entry."""
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
