"""Updates models in `config.toml` from their source, and keeps the user's own changes.

`Ownership` names the keys that a source sets. If the value of such a key is not the one that the source wrote last time, the
user changed it, and it is kept. All other keys, such as `overrides`, are always the user's. The written values cannot be fetched
again, so they are stored with the user's data, and not in the cache.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from time import time

import msgspec
from msgspec import Struct, field

from modelbay.catalog.lists.entry import Gaps
from modelbay.catalog.names import folded, renamed
from modelbay.config import changes
from modelbay.config.edit import Edit
from modelbay.config.schema import Table
from modelbay.config.toml.scan import Keys
from modelbay.config.toml.values import path_text, same, text_of
from modelbay.errors import ConfigError, FileError, MalformedReply
from modelbay.json_text import decode_as
from modelbay.logs import LOG
from modelbay.storage import files
from modelbay.storage.cache import file_name
from modelbay.storage.paths import data_dir

FOLDER = "sources"
WAIT = 10.0
"""Seconds to wait for another program's write."""


class Ownership(Struct, frozen=True):
    """The keys of a model's table that its source sets, including nested values."""

    keys: frozenset[str]
    wrote: Callable[[str, str, Table], bool]
    """Whether a source wrote a model, judged by provider ID, alias and table. Used if its last state is unknown."""


class Memory(Struct):
    """The last state of a source."""

    base_url: str = ""
    models: dict[str, Table] = field(default_factory=dict)
    """The values that it wrote for each model, by model ID. The provider's own list writes none: their values are
    empty, or have the `kind` of a model that is not for chat."""
    when: float = 0
    """Unix time of the last successful refresh."""
    tried: float = 0
    """Unix time of the last automatic refresh, successful or not."""
    list_url: str = ""
    """URL of the list, if the source is the provider's own list."""
    name: str = ""
    """The provider's display name in its source."""


class Merged(Struct):
    """The changes of a provider's models, by alias."""

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    changed: dict[str, list[str]] = field(default_factory=dict)
    """The changed values of each model, such as "limit.context 128000 → 200000"."""
    kept: dict[str, str] = field(default_factory=dict)
    """Models, or single values as `alias.key`, that differ from the source, with the reason why they were kept."""
    incomplete: str | None = None
    """Why the source could not be read completely. No model is removed then."""

    @property
    def empty(self) -> bool:
        return not (self.added or self.removed or self.changed)


class WrittenProvider(Struct, kw_only=True):
    """The changes of a provider."""

    provider: str
    models: Merged = field(default_factory=Merged)
    new: bool = False
    gone: bool = False
    """Whether it was removed, because its source no longer has it."""
    moved: bool = False
    """Whether its base URL changed."""
    changed: list[str] = field(default_factory=list)
    """Keys of the provider that its source changed, such as "base_url https://a.example/v1 → https://a.example/v2"."""
    renamed: str = ""
    """The change of its display name, such as "name Acme → Acme Inc"."""
    elsewhere: str | None = None
    """New origin according to the source. It was not written, because the API key was given for another origin."""
    default_model: str | None = None
    """The new default model; None: unchanged."""
    notes: list[str] = field(default_factory=list)

    @property
    def nothing(self) -> bool:
        return self.models.empty and not (self.new or self.gone or self.moved or self.changed or self.renamed)


def recall(provider: str) -> Memory | None:
    """The stored state of a provider's source; None: there is none.

    Raises:
        ConfigError: the file cannot be read, or is damaged. Without it, the user's changes would be overwritten.
    """
    path = path_of(provider)
    data = files.content_of(path)
    try:
        return decode_as(data, Memory) if data else None
    except MalformedReply as error:
        raise FileError(
            f"{path} is damaged: {error.message}",
            hint="remove the file; the next refresh then replaces the values of models that you changed",
            file=str(path),
        ) from None


def remember(provider: str, memory: Memory) -> None:
    """Store the state of a provider's source. The configuration is already written, so a problem is only logged."""
    path = path_of(provider)
    try:
        with files.locked(path, WAIT):
            files.replace(path, files.content_of(path), msgspec.json.encode(memory, enc_hook=str))
    except ConfigError as error:
        LOG.warning("could not store the state of provider %s for its next refresh: %s", provider, error.message)


def forget(provider: str) -> None:
    """Remove the stored state of a provider's source: another provider with its ID starts without it."""
    with suppress(OSError):
        path_of(provider).unlink()


def path_of(provider: str) -> Path:
    """The file with the state of a provider's source."""
    return data_dir() / FOLDER / file_name(f"{provider}.json")


def seen(base_url: str, models: Mapping[str, Table], last: Memory | None = None, gaps: Gaps | None = None) -> Memory:
    """The state of a source after a successful refresh. For models in `gaps`, the values of `last` are kept."""
    now = time()
    earlier = last.models if last and gaps else {}
    kept = {id: table for id, table in earlier.items() if gaps and gaps.covers(id)}
    return Memory(base_url, {**kept, **models}, now, now)


def rename(edit: Edit, provider: str, name: str, last: Memory | None) -> str:
    """Set the display name to that of the source, unless the user changed it. Returns the change, "" for none."""
    now = str(edit.get("providers", provider, "name") or "")
    if last is None or now != last.name or not name or now == name:
        return ""
    changes.change_provider(edit, provider, {("name",): name})
    return f"name {now or '(not set)'} → {name}"


def limited(edit: Edit, provider: str, models: Mapping[str, Table], only: Collection[str]) -> dict[str, Table]:
    """The models of a source that are in `only` or that the provider already has; all if `only` is empty."""
    there = {str(table.get("name") or table.get("model")) for table in edit.models_of(provider).values()}
    return {id: table for id, table in models.items() if not only or id in only or id in there}


def merge(
    edit: Edit, provider: str, models: Mapping[str, Table], owner: Ownership, last: Memory | None, *, again: bool = False,
    gaps: Gaps | None = None,
) -> Merged:  # fmt: skip
    """Update a provider's models from its source (`models`, by model ID).

    A model that the user removed is not added again, unless `again` is set. A model that the source no longer has is removed,
    unless it has settings of the user or may be in the `gaps` of the source.

    Raises:
        ConfigError: an alias belongs to another provider, or the configuration would be invalid.
    """
    merged = Merged()
    there: dict[str, list[str]] = {}
    gaps = gaps or Gaps()
    known = dict(last.models) if last else {}
    for alias, table in edit.models_of(provider).items():
        there.setdefault(str(table.get("name") or table.get("model")), []).append(alias)
    for wire_id, old in renamed(models, known.keys() - gaps.entries.keys()).items():
        known[wire_id] = known.pop(old)
    for wire_id, old in renamed(models, there.keys() - gaps.entries.keys()).items():
        for alias in there.pop(old):
            edit.set("models", alias, "name" if edit.get("models", alias, "name") else "model", value=wire_id)
            there.setdefault(wire_id, []).append(alias)
            merged.changed[alias] = [f"model {old} → {wire_id}"]
    entries = edit.models_of(provider)
    new: dict[str, Table] = {}
    for wire_id, table in models.items():
        aliases = there.get(wire_id, [])
        for alias in aliases:
            _renew(edit, alias, table, owner, known.get(wire_id), merged)
        if not aliases and (again or wire_id not in known):
            new[f"{provider}/{wire_id}"] = {"model": wire_id, **table}
    merged.added = changes.put_models(edit, provider, new).added
    gone = []
    for wire_id, aliases in there.items():
        for alias in aliases if wire_id not in models else ():
            if wire_id not in known and not owner.wrote(provider, alias, entries[alias]):
                continue
            if wire_id in gaps.entries:
                merged.kept[alias] = f"kept: its source lists it, but {gaps.entries[wire_id]}"
            elif gaps.reasons:
                merged.incomplete = gaps.reasons[0]
            elif why := _users(edit, provider, alias, wire_id, entries[alias], owner):
                merged.kept[alias] = f"no longer listed, but kept: {why}"
            else:
                gone.append(alias)
    if gone:
        merged.removed = changes.remove_models(edit, gone).models
    edit.check()
    return merged


def compared(before: Mapping[str, object], edit: Edit, provider: str) -> Merged:
    """The changes of a provider's models, if they were not written with `merge`."""
    merged = Merged()
    old, new = _entries(before, provider), edit.models_of(provider)
    merged.added = [alias for alias in new if alias not in old]
    merged.removed = [alias for alias in old if alias not in new]
    for alias, table in new.items():
        was, now = dict(_leaves(old.get(alias, table))), dict(_leaves(table))
        said = [
            f"{path_text(_told(keys))} {_shown(was.get(keys))} → {_shown(now.get(keys))}"
            for keys in dict.fromkeys([*was, *now])
            if not same(was.get(keys), now.get(keys))
        ]
        if said:
            merged.changed[alias] = said
    return merged


def _entries(models: Mapping[str, object], provider: str) -> dict[str, Table]:
    return {
        alias: table
        for alias, table in models.items()
        if isinstance(table, dict) and provider in (table.get("provider"), table.get("provider_id"))
    }


def _renew(edit: Edit, alias: str, table: Table, owner: Ownership, last: Table | None, merged: Merged) -> None:
    """Update the source's keys of a model."""
    now = edit.get("models", alias)
    before = dict(_leaves({key: value for key, value in now.items() if key in owner.keys}))
    after = dict(_leaves(table))
    known = dict(_leaves(last)) if last is not None else None
    said = []
    for keys in [*(keys for keys in before if keys not in after), *after]:
        old, new = before.get(keys), after.get(keys)
        if same(old, new):
            continue
        if known is not None and not same(old, known.get(keys)):
            if not same(new, known.get(keys)):
                merged.kept[f"{alias}.{path_text(keys)}"] = f"kept your value; the source has {_shown(new)}"
            continue
        if new is None:
            _take_out(edit, ("models", alias), keys)
        else:
            edit.set("models", alias, *keys, value=new)
        said.append(f"{path_text(_told(keys))} {_shown(old)} → {_shown(new)}")
    if said:
        merged.changed.setdefault(alias, []).extend(said)


def _take_out(edit: Edit, entry: Keys, keys: Keys) -> None:
    """Remove a value, and tables of the entry that are empty then."""
    while edit.delete(*entry, *keys) and len(keys) > 2 and edit.get(*entry, *keys[:-1]) == {}:
        keys = keys[:-1]


def _users(edit: Edit, provider: str, alias: str, wire_id: str, table: Table, owner: Ownership) -> str | None:
    """Why a model must be kept for the user; None: it may be removed."""
    if alias in (edit.get("default_model"), edit.get("providers", provider, "default_model")):
        return "it is your default model"
    if folded(alias) != folded(f"{provider}/{wire_id}"):  # an alias stays when its source writes the ID in another case
        return "you chose its alias"
    own = sorted(table.keys() - owner.keys - {"provider", "provider_id", "model", "name"})
    return f"you set {', '.join(own)}" if own else None


def _leaves(table: Table, above: Keys = ()) -> Iterator[tuple[Keys, object]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _told(keys: Keys) -> Keys:
    return keys[1:] if keys[0] == "listed" and len(keys) > 1 else keys


def _shown(value: object) -> str:
    return "(not set)" if value is None else text_of(value)
