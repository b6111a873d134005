"""What the faces do to `config.toml`, each within one `Edit`. The results are names, for the face to put into words.

An operation raises ConfigError, and so leaves the file as it is, where its result would be an entry that cannot be used.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct, field

from modelbay.config.edit import Edit
from modelbay.config.load import parse
from modelbay.config.scan import Keys
from modelbay.config.schema import Table
from modelbay.config.values import path_text
from modelbay.errors import ConfigError


class Put(Struct, frozen=True):
    """Entries that were written: new ones, those that were there and are another now, and those that were so already."""

    provider: str
    added: list[str] = field(default_factory=list)
    """Models, by alias."""
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    default_model: str | None = None
    """What the default model is now, where that was set."""


class Changed(Struct, frozen=True):
    """Keys of an entry, dotted: those that have a new value, and those that are gone."""

    set: list[str]
    removed: list[str]


class Removed(Struct, frozen=True):
    """What is gone: entries, and what named them."""

    providers: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    default_model: str | None = None
    """What the default model was, where it is no more."""
    default_provider: str | None = None
    provider_defaults: list[str] = field(default_factory=list)
    """Providers that stay and whose own default model is no more."""


def add_provider(
    edit: Edit,
    id: str,
    provider: Table,
    models: Mapping[str, Table] | None = None,
    *,
    default_model: str | None = None,
    replace: bool = False,
) -> Put:
    """Adds a provider with its models by alias. With `replace` an entry that is there becomes `provider`.

    Raises:
        ConfigError: there is one of that id, or a model's alias belongs to another provider.
    """
    if edit.get("providers", id) is not None and not replace:
        raise ConfigError(
            f'there is a provider "{id}" already',
            hint="choose another id, or change that one",
            file=str(edit.path),
        )
    edit.set("providers", id, value=provider)
    put = put_models(edit, id, models or {})
    if default_model is not None:
        edit.set("default_model", value=default_model)
    check(edit)
    return Put(id, put.added, put.changed, put.unchanged, default_model)


def put_models(edit: Edit, provider: str, models: Mapping[str, Table]) -> Put:
    """Writes a provider's models by alias. One that is there keeps the keys that its new table does not have.

    Raises:
        ConfigError: an alias belongs to another provider.
    """
    known: dict[str, Any] = _table(edit, "models")
    after = next((alias for alias in reversed(known) if _named_provider(known[alias]) == provider), None)
    put = Put(provider)
    for alias, table in models.items():
        old = known.get(alias)
        new = {"provider": provider, **table}
        if old is None:
            edit.set("models", alias, value=new, after=after)
            put.added.append(alias)
            after = alias
            continue
        if (owner := _named_provider(old)) not in (provider, None):
            raise ConfigError(
                f'the model "{alias}" belongs to provider "{owner}"',
                hint="give the new one another alias",
                file=str(edit.path),
            )
        if "provider_id" in old:
            del new["provider"]
        before = edit.text
        for key, value in new.items():
            edit.set("models", alias, key, value=value)
        (put.unchanged if edit.text == before else put.changed).append(alias)
    check(edit)
    return put


def change_provider(edit: Edit, id: str, changes: Mapping[Keys, object]) -> Changed:
    """Sets keys of a provider, each a path within its table, and removes those whose value is None.

    Raises:
        UnknownProvider: there is none of that id.
    """
    if edit.get("providers", id) is None:
        parse(edit.text, edit.path).provider(id)
    return _change(edit, ("providers", id), changes)


def change_model(edit: Edit, alias: str, changes: Mapping[Keys, object]) -> Changed:
    """Sets keys of a model, each a path within its table, and removes those whose value is None.

    Raises:
        UnknownModel: there is none of that alias.
    """
    if edit.get("models", alias) is None:
        raise parse(edit.text, edit.path)._no_model(alias)
    return _change(edit, ("models", alias), changes)


def remove_provider(edit: Edit, id: str) -> Removed:
    """Removes a provider, its models, and what named it or them as a default.

    Raises:
        UnknownProvider: there is none of that id.
    """
    if edit.get("providers", id) is None:
        parse(edit.text, edit.path).provider(id)
    is_default = edit.get("default_provider") == id
    own = []
    for alias, model in _table(edit, "models").items():
        named = _named_provider(model)
        alone = isinstance(model, dict) and model.get("base_url")
        if named == id or (named is None and is_default and not alone):
            own.append(alias)
    edit.delete("providers", id)
    if is_default:
        edit.delete("default_provider")
    gone = _remove_models(edit, own, id)
    check(edit)
    return Removed([id], own, gone.default_model, id if is_default else None, gone.provider_defaults)


def remove_models(edit: Edit, aliases: Iterable[str]) -> Removed:
    """Removes models, and what named them as a default.

    Raises:
        UnknownModel: there is none of an alias.
    """
    wanted = list(aliases)
    known = _table(edit, "models")
    for alias in wanted:
        if alias not in known:
            raise parse(edit.text, edit.path)._no_model(alias)
    removed = _remove_models(edit, wanted, None)
    check(edit)
    return removed


def set_default_model(edit: Edit, name: str | None) -> str | None:
    """Makes a model the default, or none; what it was before."""
    before = edit.get("default_model")
    if name is None:
        edit.delete("default_model")
    else:
        edit.set("default_model", value=name)
    return before if isinstance(before, str) else None


def check(edit: Edit) -> None:
    """
    Raises:
        ConfigError: something cannot be used that was not there, or could be used, before the edit.
    """
    if not edit.changed:
        return
    known = {(problem.where, problem.message) for problem in parse(edit.before, edit.path).problems}
    for problem in parse(edit.text, edit.path).problems:
        if (problem.where, problem.message) not in known:
            raise ConfigError(f"{problem.where}: {problem.message}", hint=problem.hint, file=str(edit.path))


def _change(edit: Edit, entry: Keys, changes: Mapping[Keys, object]) -> Changed:
    changed = Changed([], [])
    for keys, value in changes.items():
        before = edit.text
        if value is None:
            edit.delete(*entry, *keys)
        else:
            edit.set(*entry, *keys, value=value)
        if edit.text != before:
            (changed.removed if value is None else changed.set).append(path_text(keys))
    check(edit)
    return changed


def _remove_models(edit: Edit, aliases: list[str], provider: str | None) -> Removed:
    """Removes models that are there; `provider` is gone, and with it the models that were named after it."""
    models = _table(edit, "models")
    names = set(aliases)
    for alias in aliases:
        also = models[alias].get("aliases") if isinstance(models[alias], dict) else None
        names |= {name for name in also if isinstance(name, str)} if isinstance(also, list) else set()
        edit.delete("models", alias)

    def dangling(name: object) -> bool:
        if not isinstance(name, str) or name in models.keys() - aliases:
            return False
        stem = name.rpartition(":")[0]
        return name in names or stem in names or (provider is not None and name.startswith(f"{provider}/"))

    default = edit.get("default_model")
    if gone := dangling(default):
        edit.delete("default_model")
    providers = _table(edit, "providers")
    bereft = [id for id, table in providers.items() if isinstance(table, dict) and dangling(table.get("default_model"))]
    for id in bereft:
        edit.delete("providers", id, "default_model")
    return Removed([], aliases, default if gone else None, None, bereft)


def _table(edit: Edit, name: str) -> Table:
    """A table of entries; what is not one has none."""
    table = edit.get(name)
    return table if isinstance(table, dict) else {}


def _named_provider(model: object) -> str | None:
    """The provider that a model's table names."""
    if not isinstance(model, dict):
        return None
    named = model.get("provider_id") or model.get("provider")
    return named if isinstance(named, str) else None
