"""Operations on `config.toml`, each within one `Edit`. The results are names; the face puts them into words.

An operation raises ConfigError, and leaves the file unchanged, if its result would be an entry that cannot be used.
"""

import copy
from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from modelbay.config.edit import Edit
from modelbay.config.schema import Config, ModelEntry, Table
from modelbay.config.toml.scan import Keys
from modelbay.config.toml.values import path_text, same
from modelbay.errors import ConfigError, UnknownModel


class WriteResult(Struct, frozen=True):
    """Entries that were written: added, changed, and unchanged ones."""

    provider: str
    added: list[str] = field(default_factory=list)
    """Models, by alias."""
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    default_model: str | None = None
    """The new default model, if it was set."""


class Changed(Struct, frozen=True):
    """Keys of an entry, dotted: those with a new value and those that were removed."""

    set: list[str]
    removed: list[str]


class Removed(Struct, frozen=True):
    """Removed entries, and the settings that named them."""

    providers: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    default_model: str | None = None
    """The former default model, if it was removed."""
    default_provider: str | None = None
    provider_defaults: list[str] = field(default_factory=list)
    """Providers that remain and whose own default model was removed."""


SINGLE = frozenset({"provider", "provider_id", "aliases"})
"""Keys of a model that a copy does not have: an alias names one model."""


def add_provider(
    edit: Edit,
    id: str,
    provider: Table,
    models: Mapping[str, Table] | None = None,
    *,
    default_model: str | None = None,
    replace: bool = False,
) -> WriteResult:
    """Add a provider and its models by alias. With `replace`, an existing entry is replaced by `provider`.

    Raises:
        ConfigError: the ID exists, or a model's alias belongs to another provider.
    """
    if edit.get("providers", id) is not None and not replace:
        raise ConfigError(
            f'provider "{id}" already exists',
            hint="choose another ID, or edit the existing provider",
            file=str(edit.path),
        )
    edit.set("providers", id, value=provider)
    put = _put_models(edit, id, models or {})
    if default_model is not None:
        edit.set("default_model", value=default_model)
    edit.check()
    return WriteResult(id, put.added, put.changed, put.unchanged, default_model)


def put_models(edit: Edit, provider: str, models: Mapping[str, Table]) -> WriteResult:
    """Write a provider's models by alias. An existing model keeps the keys that its new table does not have.

    Raises:
        ConfigError: an alias belongs to another provider.
    """
    put = _put_models(edit, provider, models)
    edit.check()
    return put


def change_provider(edit: Edit, id: str, changes: Mapping[Keys, object]) -> Changed:
    """Set keys of a provider, each a path within its table, and remove those whose value is None.

    Raises:
        UnknownProvider: no provider has that ID.
    """
    _check_provider(edit, id)
    return _change(edit, ("providers", id), changes)


def change_model(edit: Edit, alias: str, changes: Mapping[Keys, object]) -> Changed:
    """Set keys of a model, each a path within its table, and remove those whose value is None.

    Raises:
        UnknownModel: no model has that alias.
    """
    _check_model(edit, alias)
    return _change(edit, ("models", alias), changes)


def remove_provider(edit: Edit, id: str) -> Removed:
    """Remove a provider, its models, and the default settings that named them.

    Raises:
        UnknownProvider: no provider has that ID.
    """
    _check_provider(edit, id)
    before = _before(edit)
    is_default = edit.get("default_provider") == id
    models = []
    mine = _table(edit, "models") if is_default else edit.models_of(id)
    for alias, model in list(mine.items()):
        named = _named_provider(model)
        if named == id or (named is None and is_default and not _stands_alone(model)):
            models.append(alias)
            edit.delete("models", alias)
    edit.delete("providers", id)
    if is_default:
        edit.delete("default_provider")
    default_model, bereft = _drop_defaults(edit, before, models)
    edit.check()
    return Removed([id], models, default_model, id if is_default else None, bereft)


def rename_provider(edit: Edit, old: str, new: str) -> WriteResult:
    """Rename a provider: its models follow, and what names it or them as a default. Aliases that begin with its ID get the
    new one.

    Raises:
        UnknownProvider: there is no such provider.
        ConfigError: the new ID or an alias exists already.
    """
    _check_provider(edit, old)
    _check_free(edit, "providers", new)
    mine = {alias: _renamed(alias, old, new) for alias in edit.models_of(old)}
    for alias, name in mine.items():
        if name != alias:
            _check_free(edit, "models", name)
    for alias, table in list(edit.models_of(old).items()):
        for key in ("provider", "provider_id"):
            if isinstance(named := table.get(key), str) and named.strip() == old:
                edit.set("models", alias, key, value=new)
    edit.rename({("providers", old): new, **{("models", alias): name for alias, name in mine.items() if name != alias}})
    if edit.get("default_provider") == old:
        edit.set("default_provider", value=new)
    for keys in [("default_model",), *(("providers", id, "default_model") for id in _table(edit, "providers"))]:
        named = edit.get(*keys)
        if isinstance(named, str) and named not in _table(edit, "models"):
            after = mine.get(named) or _renamed(named, old, new)
            if after != named:
                edit.set(*keys, value=after)
    edit.check()
    return WriteResult(new, changed=list(mine.values()))


def copy_provider(edit: Edit, old: str, new: str, provider: Table) -> WriteResult:
    """Add `provider`, a copy of another one's table, with copies of the other's models.

    Raises:
        UnknownProvider: there is no such provider.
        ConfigError: the new ID or an alias exists already.
    """
    _check_provider(edit, old)
    models: dict[str, Table] = {}
    for alias, table in edit.models_of(old).items():
        name = _renamed(alias, old, new)
        name = f"{new}/{table.get('name') or table.get('model')}" if name == alias else name
        _check_free(edit, "models", name)
        models[name] = {key: copy.deepcopy(value) for key, value in table.items() if key not in SINGLE}
    return add_provider(edit, new, provider, models)


def remove_models(edit: Edit, aliases: Iterable[str]) -> Removed:
    """Remove models, and the default settings that named them.

    Raises:
        UnknownModel: no model has one of the aliases.
    """
    before = _before(edit)
    models = list(dict.fromkeys(aliases))
    for alias in models:
        _check_model(edit, alias)
    for alias in models:
        edit.delete("models", alias)
    default_model, bereft = _drop_defaults(edit, before, models)
    edit.check()
    return Removed([], models, default_model, None, bereft)


def set_default_model(edit: Edit, name: str | None) -> str | None:
    """Set or remove the default model. Returns the former one."""
    before = edit.get("default_model")
    if name is None:
        edit.delete("default_model")
    else:
        edit.set("default_model", value=name)
    return before if isinstance(before, str) else None


def _put_models(edit: Edit, provider: str, models: Mapping[str, Table]) -> WriteResult:
    known = _table(edit, "models")
    after = next(reversed(edit.models_of(provider)), None)
    put = WriteResult(provider)
    for alias, table in models.items():
        old = copy.deepcopy(known.get(alias))
        if old is None:
            edit.set("models", alias, value={"provider": provider, **table}, after=after)
            put.added.append(alias)
            after = alias
            continue
        if (owner := _owner(edit, old)) not in (provider, None):
            raise ConfigError(
                f'the model "{alias}" belongs to provider "{owner}"' if owner else f'the model "{alias}" is standalone',
                hint="choose another alias for the new model",
                file=str(edit.path),
            )
        naming = {} if _named_provider(old) else {"provider": provider}
        for key, value in {**naming, **table}.items():
            edit.set("models", alias, key, value=value)
        (put.unchanged if same(edit.get("models", alias), old) else put.changed).append(alias)
    return put


def _change(edit: Edit, entry: Keys, changes: Mapping[Keys, object]) -> Changed:
    changed = Changed([], [])
    if ("api_key",) in changes and edit.delete(*entry, "api_key_env"):  # a provider has either a key or a login
        changed.removed.append("api_key_env")
    for keys, value in changes.items():
        before = edit.get(*entry, *keys)
        if value is None:
            if edit.delete(*entry, *keys):
                changed.removed.append(path_text(keys))
            continue
        edit.set(*entry, *keys, value=value)
        if not same(edit.get(*entry, *keys), before):
            changed.set.append(path_text(keys))
    edit.check()
    return changed


def _before(edit: Edit) -> Config | None:
    """The configuration before a removal; None if it is not needed because every default is an alias."""
    names = [edit.view("default_model"), *(table.get("default_model") for table in _dicts(_table(edit, "providers")))]
    models = _table(edit, "models")
    return None if all(not isinstance(name, str) or name in models for name in names) else edit.config


def _drop_defaults(edit: Edit, before: Config | None, gone: list[str]) -> tuple[str | None, list[str]]:
    """Remove the default models, global and per provider, that named a removed model.

    Returns the former global default and the providers.
    """
    missing = set(gone)

    def dangling(name: object) -> bool:
        if not isinstance(name, str) or not name.strip():
            return False
        was = _model(before, name) if before is not None else None
        return name in missing or (was is not None and (was.alias in missing or _model(edit.config, name) is None))

    default = edit.get("default_model")
    default = default if dangling(default) else None
    if default:
        edit.delete("default_model")
    providers = _table(edit, "providers")
    bereft = [id for id, table in providers.items() if isinstance(table, dict) and dangling(table.get("default_model"))]
    for id in bereft:
        edit.delete("providers", id, "default_model")
    return default, bereft


def _model(config: Config, name: str) -> ModelEntry | None:
    try:
        return config.model(name.strip())
    except UnknownModel:
        return None


def _renamed(alias: str, old: str, new: str) -> str:
    """An alias as it is under another provider ID."""
    return f"{new}/{alias.removeprefix(f'{old}/')}" if alias.startswith(f"{old}/") else alias


def _check_free(edit: Edit, table: str, name: str) -> None:
    if edit.get(table, name) is not None:
        what = "provider" if table == "providers" else "model"
        raise ConfigError(
            f'{what} "{name}" already exists',
            hint="choose another ID" if what == "provider" else f"remove or rename that model first: {name}",
        )


def _check_provider(edit: Edit, id: str) -> None:
    if edit.get("providers", id) is None:
        edit.config.provider(id)  # raises UnknownProvider with the nearest ID


def _check_model(edit: Edit, alias: str) -> None:
    if edit.get("models", alias) is None:
        found = edit.config.model(alias)  # raises UnknownModel if no model has that name
        hint = f'its alias is "{found.alias}"' if found.configured else "add it as a model first"
        raise UnknownModel(f'no entry "{alias}" in {edit.path}', hint=hint, file=str(edit.path))


def _table(edit: Edit, name: str) -> Table:
    """A table of entries; callers must not change it. Empty if the key is missing or not a table."""
    table = edit.view(name)
    return table if isinstance(table, dict) else {}


def _dicts(table: Table) -> list[Table]:
    return [entry for entry in table.values() if isinstance(entry, dict)]


def _stands_alone(model: object) -> bool:
    """Whether a model without a provider is complete on its own."""
    return isinstance(model, dict) and bool(str(model.get("base_url") or "").strip())


def _owner(edit: Edit, model: object) -> str | None:
    """ID of the provider that serves a model; "" if it is standalone, or its provider is not known yet; None if it has none."""
    if (named := _named_provider(model)) is not None or not isinstance(model, dict):
        return named
    if _stands_alone(model):
        return ""
    default = edit.get("default_provider")
    keyed = model.get("api_key") or model.get("oauth")
    return default if isinstance(default, str) and default.strip() else "" if keyed else None


def _named_provider(model: object) -> str | None:
    """The provider named in a model's table."""
    if not isinstance(model, dict):
        return None
    named = model.get("provider_id") or model.get("provider")
    return named.strip() or None if isinstance(named, str) else None
