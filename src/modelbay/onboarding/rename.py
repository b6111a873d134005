"""Renames and copies providers, including stored API keys and the cached state of their sources."""

from collections.abc import Callable
from contextlib import suppress

from msgspec import Struct, field

from modelbay.catalog.lookup import Catalog
from modelbay.config import changes
from modelbay.config.changes import WriteResult
from modelbay.config.edit import Edit, Edited, apply
from modelbay.config.schema import CATALOG, REGISTRY, Config, ProviderEntry, Table
from modelbay.config.toml.scan import Keys
from modelbay.credentials import storage
from modelbay.errors import ConfigError, InvalidValue
from modelbay.onboarding.fields import id_problem
from modelbay.onboarding.sources import merge as merging
from modelbay.storage.cache import Cache


class Moved(Struct):
    """The result of renaming or copying a provider."""

    edited: Edited[WriteResult]
    notes: list[str] = field(default_factory=list)


def rename(config: Config, old: str, new: str, *, dry_run: bool = False) -> Moved:
    """Rename a provider: all of it, or nothing.

    Raises:
        UnknownProvider: there is no such provider.
        ConfigError: the new ID, an alias or a stored key exists already; the ID is not the user's to choose.
    """
    entry = _checked(config, old, new)
    if (entry.source or {}).get("kind") == REGISTRY:
        raise ConfigError(
            f'provider "{old}" cannot be renamed: its registry decides its ID',
            hint=f"copy it: modelbay provider copy {old} {new}",
        )

    def change(edit: Edit, references: dict[Keys, str]) -> WriteResult:
        for keys, value in {**_entry_of_catalog(entry), **references}.items():
            edit.set("providers", old, *keys, value=value)
        return changes.rename_provider(edit, old, new)

    moved = _carried(config, entry, new, change, moves=True, dry_run=dry_run)
    if not dry_run:
        _remembered(old, new, moves=True)
    return moved


def copy(config: Config, old: str, new: str, *, dry_run: bool = False) -> Moved:
    """Add a copy of a provider with its models. A copy of a registry's provider is not updated from the registry.

    Raises:
        UnknownProvider: there is no such provider.
        ConfigError: the new ID, an alias or a stored key exists already.
    """
    entry = _checked(config, old, new)

    def change(edit: Edit, references: dict[Keys, str]) -> WriteResult:
        table: Table = edit.get("providers", old)
        if (entry.source or {}).get("kind") == REGISTRY:
            table.pop("source", None)
        put = changes.copy_provider(edit, old, new, table)
        for keys, value in {**_entry_of_catalog(entry), **references}.items():
            edit.set("providers", new, *keys, value=value)
        return put

    moved = _carried(config, entry, new, change, moves=False, dry_run=dry_run)
    if (entry.source or {}).get("kind") == REGISTRY:
        moved.notes.append(f"{new} is not updated from the registry")
    elif not dry_run:
        _remembered(old, new, moves=False)
    return moved


def _checked(config: Config, old: str, new: str) -> ProviderEntry:
    entry = config.provider(old)
    if problem := id_problem(new, [id for id in config.providers if id != old]):
        kind = ConfigError if new in config.providers else InvalidValue
        raise kind(f'"{new}" cannot be the new ID: {problem}', hint="choose another ID")
    if old == new:
        raise ConfigError(f'"{new}" cannot be the new ID: That provider ID already exists', hint="choose another ID")
    merging.recall(old)  # raises before anything is written: the new ID needs the state of its source
    return entry


def _carried(
    config: Config,
    entry: ProviderEntry,
    new: str,
    change: Callable[[Edit, dict[Keys, str]], WriteResult],
    *,
    moves: bool,
    dry_run: bool,
) -> Moved:
    if dry_run:
        return Moved(apply(lambda edit: change(edit, {}), config.path, dry_run=True))
    with storage.carried(config, entry, new, moves=moves) as references:
        edited = apply(lambda edit: change(edit, references), config.path)
    return Moved(edited)


def _entry_of_catalog(entry: ProviderEntry) -> dict[Keys, str]:
    """The catalog's ID of a provider that is about to have another one."""
    source = entry.source or {}
    named = source.get("models_dev_provider_id") or source.get("entry")
    return {("source", "entry"): entry.id} if source.get("kind") == CATALOG and not named else {}


def _remembered(old: str, new: str, *, moves: bool) -> None:
    """Give what is remembered of a provider's list, source and tests to another ID."""
    cache = Cache()
    catalog = Catalog(cache)
    with suppress(ConfigError):  # a test can be repeated
        catalog.probes.copy(old, new)
        if moves:
            catalog.probes.forget(old)
    if (data := cache.read("lists", f"{old}.json")) is not None:
        cache.write(data, "lists", f"{new}.json")
    if (memory := merging.recall(old)) is not None:
        merging.remember(new, memory)
    if moves:
        catalog.forget(old)
        merging.forget(old)
