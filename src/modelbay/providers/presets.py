"""Finds vendors by ID, host or type.

A user's own vendors (`own_vendors`) are found in addition to the built-in ones, never instead of them.
"""

import os
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from modelbay.config.schema import Problem
from modelbay.origin import ascii_host
from modelbay.providers.vendor import (
    LoginMethod,
    OwnVendors,
    Preset,
    built_in,
    built_in_preset,
    matches,
    presets_with,
    texts,
)
from modelbay.storage.paths import home

OWN = "presets"
"""Folder of the user's own vendors in modelbay's home."""
NOTHING = OwnVendors()


def all() -> list[Preset]:
    """All vendors, sorted by ID."""
    return sorted((*built_in(), *_own().presets), key=lambda preset: preset.id)


def own() -> tuple[Preset, ...]:
    """The vendors that the user added, sorted by ID."""
    return _own().presets


def problems() -> list[Problem]:
    """Errors in the files of the user's own vendors."""
    return list(_own().problems)


def broken(id: str) -> str | None:
    """How to fix the user's vendor file of this name; None if it has no errors, or there is none."""
    found = next((one for one in _own().problems if Path(one.file).stem.lower() == id.lower()), None)
    return f"correct {found}" if found else None


def by_id(id: str) -> Preset | None:
    return (
        built_in_preset(id) if id in texts() else next((preset for preset in _own().presets if preset.id == id), None)
    )


def by_name(name: str) -> Preset | None:
    """The vendor with this ID, provider type, ID at models.dev, name or alias, ignoring case and punctuation."""
    exact = by_id(name.lower()) or by_type(name.lower()) or by_models_dev(name.lower())
    wanted = _letters(name)
    return exact or next((one for one in all() if wanted in map(_letters, (one.id, one.name, *one.aliases))), None)


def similar(name: str) -> list[str]:
    """The IDs of up to three vendors with a similar name, the most similar first."""
    from difflib import get_close_matches

    known = {word.lower(): one.id for one in offered() for word in (*one.aliases, one.name, one.id)}
    return list(dict.fromkeys(known[word] for word in get_close_matches(name.lower(), known, n=3)))


def offered() -> list[Preset]:
    """The vendors whose services have not ended, sorted by ID."""
    return [preset for preset in all() if preset.ended is None]


def ended_at(url: str) -> Preset | None:
    """The vendor whose service at this URL has ended."""
    preset = by_host(urlsplit(url).hostname or "")
    return preset if preset is not None and preset.ended else None


def _letters(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())


def by_host(host: str) -> Preset | None:
    """The vendor of a host. Local servers are looked up by port, as "localhost:1234"."""
    return _built_in_at(host) or _own_at(host)


@cache
def _built_in_at(host: str) -> Preset | None:
    for preset in presets_with(f'"{host}"'):
        if host in preset.hosts:
            return preset
    for preset in presets_with("*"):
        if any(matches(host, pattern) for pattern in preset.hosts if "*" in pattern):
            return preset
    return None


def _own_at(host: str) -> Preset | None:
    presets = _own().presets
    if not presets:
        return None
    try:
        host = ascii_host(host)
    except ValueError:
        return None
    exact = next((preset for preset in presets if host in preset.hosts), None)
    return exact or next((one for one in presets if any(matches(host, pattern) for pattern in one.hosts)), None)


@cache
def by_type(type: str) -> Preset | None:
    """The built-in vendor that a provider type means with any base URL."""
    return next((preset for preset in presets_with(f'"{type}"') if type in preset.types), None)


@cache
def by_models_dev(id: str) -> Preset | None:
    """The built-in vendor with this ID at models.dev."""
    return next((preset for preset in presets_with(f'"{id}"') if id in preset.models_dev), None)


def logins() -> list[tuple[Preset, LoginMethod]]:
    """All ways to log in, the built-in ones first."""
    presets = [*presets_with("[[logins]]"), *_own().presets]
    return [(preset, login) for preset in presets for login in preset.logins]


def _own() -> OwnVendors:
    folder = home() / OWN
    if not os.path.lexists(folder):  # as for most users, for whom the module is not loaded
        return NOTHING
    from modelbay.providers.own_vendors import own_vendors

    return own_vendors(folder)
