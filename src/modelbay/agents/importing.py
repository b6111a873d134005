"""Imports providers of an agent into `config.toml`: skips unusable ones, chooses free IDs, and keeps existing entries."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit, urlunsplit

from msgspec import Struct, field
from msgspec.structs import replace

from modelbay.agents.agent import ImportedConfig, ImportedProvider
from modelbay.agents.findings import MergedConfig
from modelbay.config import changes
from modelbay.config.edit import Edit
from modelbay.config.entries import Unusable, model_entry, provider_entry
from modelbay.config.provider_types import PROTOCOLS, TYPE_OF
from modelbay.config.schema import Config, Table
from modelbay.config.toml.scan import Keys
from modelbay.config.toml.values import path_text, plain, same
from modelbay.credentials.approval import Approval
from modelbay.errors import ConfigError
from modelbay.onboarding.references import wanted_by
from modelbay.onboarding.sources.imported import origin_of
from modelbay.origin import Origin, origin

ConflictAction: TypeAlias = Literal["rename", "replace", "skip"]
"""The action for a provider with an ID that already exists."""

KEYS = ("api_key", "api_key_env")
"""The two settings for a provider's key. An entry has one of them."""


class ProviderImport(Struct):
    """The result for one provider."""

    provider: ImportedProvider
    id: str
    """The provider's ID in modelbay."""
    action: Literal["added", "replaced", "already exists", "skipped"]
    models: list[str] = field(default_factory=list)
    """The aliases of its models in modelbay."""
    models_without_key: list[str] = field(default_factory=list)
    """Models whose own keys were removed, because the provider has another URL now."""


class ImportSummary(Struct):
    providers: list[ProviderImport]
    default_model: str | None = None
    """The new default model, if there was none."""
    unchanged: list[Keys] = field(default_factory=list)
    """Other settings that already exist with another value."""
    other_default: str | None = None
    """The existing default model, if the agent has another one."""


def may_run(file: Path | None, own: Iterable[Path]) -> bool:
    """Whether programs that a file names may be run: only if the file is one of the agent's own, which the user wrote."""
    return file is None or file.resolve() in [path.resolve() for path in own]


def check(provider: ImportedProvider, merged: MergedConfig, at: Callable[[str], Keys]) -> str:
    """Remove models that cannot be used. Returns why the provider cannot be used, or "".

    `at` returns the path of a model in the agent's configuration, by its alias.
    """
    try:
        provider_entry(provider.id, plain(provider.table, ("providers", provider.id)))
    except Unusable as unusable:
        return f"{path_text(unusable.keys)}: {unusable}" if unusable.keys else str(unusable)
    except (ConfigError, TypeError) as error:
        return str(error)
    for alias, table in list(provider.models.items()):
        try:
            model_entry(alias, plain({"provider": provider.id, **table}, ("models", alias)), {}, None)
        except (Unusable, ConfigError, TypeError) as error:
            del provider.models[alias]
            merged.override_unsupported(*at(alias), why=f"the model cannot be used: {error}")
    return ""


def add_usable(
    result: ImportedConfig, providers: Iterable[ImportedProvider], merged: MergedConfig, at: Callable[[str], Keys]
) -> None:
    """Add the providers of a list of models to the result, and skip those that cannot be used. `at`: see `check`."""
    for provider in providers:
        if why := check(provider, merged, at):
            result.skipped[provider.id] = why
            for alias in provider.models:
                merged.override_unsupported(*at(alias), why=why)
        else:
            result.providers.append(provider)


def without_query(url: str) -> str:
    """A URL without user, password, query and fragment, which may be secret."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def references(config: Config, imported: ImportedConfig) -> list[Approval]:
    """The references in imported entries, each with the origins that would get its value."""
    wanted: dict[Approval, None] = {}
    for provider in imported.providers:
        wanted |= dict.fromkeys(wanted_by(config, provider.id, provider.table, provider.models))
    for keys, value in imported.settings.items():
        if keys[0] == "models" and isinstance(value, dict):
            alone = {"type": TYPE_OF[PROTOCOLS[value["protocol"]]]} if value.get("protocol") else {}
            table = {**alone, "base_url": value["base_url"]}
            wanted |= dict.fromkeys(wanted_by(config, keys[1], table, {keys[1]: value}))
    return list(wanted)


def conflicts(edit: Edit, imported: ImportedConfig) -> list[str]:
    """The IDs of imported providers that already exist."""
    return [
        provider.id
        for provider in imported.providers
        if edit.get("providers", provider.id) is not None and not _exists(edit, provider)
    ]


def add(edit: Edit, imported: ImportedConfig, agent: str, actions: Mapping[str, ConflictAction]) -> ImportSummary:
    """Add imported providers and settings to the configuration. `actions` has the action for each ID that already exists.

    A new ID ends with the agent's name.

    Raises:
        ConfigError: the result would not be valid.
    """
    summary = ImportSummary([])
    for keys, value in imported.settings.items():
        if edit.get(*keys) is None:
            edit.set(*keys, value=value)
        elif not same(edit.get(*keys), value):
            summary.unchanged.append(keys)
    default = imported.default_model
    for provider in imported.providers:
        result = _add_provider(edit, provider, agent, actions.get(provider.id, "rename"))
        summary.providers.append(result)
        if default in provider.models:
            names = dict(zip(provider.models, result.models, strict=False))
            default = names.get(default)
        elif default and default.startswith(f"{provider.id}/"):
            default = None if result.action == "skipped" else result.id + default.removeprefix(provider.id)
    now = edit.get("default_model")
    if default and not now:
        edit.set("default_model", value=default)
        summary.default_model = default
    elif default and now != default:
        summary.other_default = str(now)
    edit.check()
    return summary


def _add_provider(edit: Edit, provider: ImportedProvider, agent: str, action: ConflictAction) -> ProviderImport:
    used = edit.get("providers", provider.id) is not None
    if used and action != "replace":
        for id in (provider.id, *_names(provider.id, agent)):
            renamed = _renamed(edit, provider, id)
            if _exists(edit, renamed):
                return ProviderImport(provider, id, "already exists", list(renamed.models))
            if edit.get("providers", id) is None:
                break
        if action == "skip":
            return ProviderImport(provider, provider.id, "skipped")
    else:
        renamed = _renamed(edit, provider, provider.id)
    replaces = used and action == "replace"
    before = edit.get("providers", renamed.id)
    table = _with_own_key(edit, renamed) if replaces else renamed.table
    changes.add_provider(edit, renamed.id, table, renamed.models, replace=replaces)
    changed_models = _remove_moved_keys(edit, renamed, before)
    return ProviderImport(
        provider, renamed.id, "replaced" if replaces else "added", list(renamed.models), changed_models
    )


def _names(id: str, agent: str) -> list[str]:
    return [f"{id}-{agent}", *(f"{id}-{agent}-{number}" for number in range(2, 100))]


def _renamed(edit: Edit, provider: ImportedProvider, id: str) -> ImportedProvider:
    """The provider with another ID, and its models with aliases that are free or belong to this ID."""
    models: dict[str, Table] = {}
    for alias, table in provider.models.items():
        wanted = id + alias.removeprefix(provider.id) if alias.startswith(f"{provider.id}/") else alias
        if _taken(edit, wanted, id):
            wanted = f"{id}/{table.get('model', alias)}"
        number = 1
        while _taken(edit, wanted, id) or wanted in models:
            number += 1
            wanted = f"{id}/{table.get('model', alias)}-{number}"
        models[wanted] = table
    return replace(provider, id=id, models=models)


def _taken(edit: Edit, alias: str, id: str) -> bool:
    there = edit.get("models", alias)
    return isinstance(there, dict) and (there.get("provider_id") or there.get("provider")) != id


def _exists(edit: Edit, provider: ImportedProvider) -> bool:
    """Whether the configuration already has this provider with all of its models."""
    table = edit.get("providers", provider.id)
    if not isinstance(table, dict) or not same(_without_key(provider.table), _without_key(table)):
        return False
    if any(key in provider.table and provider.table[key] != table.get(key) for key in KEYS):
        return False
    for alias, model in provider.models.items():
        there = edit.get("models", alias)
        if not isinstance(there, dict) or any(not same(there.get(key), value) for key, value in model.items()):
            return False
    return True


def _without_key(table: Table) -> Table:
    return {key: value for key, value in table.items() if key not in KEYS}


def _with_own_key(edit: Edit, provider: ImportedProvider) -> Table:
    """The provider's table. If it has no key, it keeps the key of the entry that it replaces, if the origin is the same."""
    old = edit.get("providers", provider.id)
    own = {key: old[key] for key in KEYS if old.get(key)} if isinstance(old, dict) else {}
    if not own or {*KEYS, "oauth"} & provider.table.keys():
        return provider.table
    here = origin_of(edit, provider.id, provider.table)
    if (
        here is None
        or here != origin_of(edit, provider.id, old)
        or not all(_has_origin(model, here) for model in provider.models.values())
    ):
        return provider.table
    return {**provider.table, **own}


def _has_origin(model: Table, here: Origin) -> bool:
    """Whether a model has the same origin as its provider."""
    try:
        return "base_url" not in model or origin(model["base_url"]) == here
    except ValueError:
        return False


def _remove_moved_keys(edit: Edit, provider: ImportedProvider, before: object) -> list[str]:
    """Remove own keys of models that get another origin with a new URL. Returns the aliases of these models."""
    old = origin_of(edit, provider.id, before) if isinstance(before, dict) else None
    new = origin_of(edit, provider.id, edit.get("providers", provider.id))
    changed = []
    for alias, model in (edit.view("models") or {}).items():
        if not isinstance(model, dict) or provider.id not in (model.get("provider"), model.get("provider_id")):
            continue
        written = provider.models.get(alias, {})
        moved = "base_url" in written or (not model.get("base_url") and (new is None or new != old))
        keys = [key for key in ("api_key", "oauth") if model.get(key) and key not in written]
        if moved and keys:
            for key in keys:
                edit.delete("models", alias, key)
            changed.append(alias)
    return changed
