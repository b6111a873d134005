"""Models that a source writes into `config.toml` again and again: its own word is renewed, and the user's stays.

What a source owns is in a table (`Ownership`). A value of its keys that is not what the source wrote the last time is the
user's, and is left alone. What was written is remembered in the cache folder; where that is cleared, such a value is the
source's again. Whatever stands beside those keys, `overrides` above all, is the user's for good.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
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
from modelbay.errors import MalformedReply
from modelbay.json_text import decode_as
from modelbay.storage.cache import Cache

FOLDER = "sources"


class Ownership(Struct, frozen=True):
    """What of a model's table is its source's: these keys with all that is in them."""

    keys: frozenset[str]
    wrote: Callable[[str, str, Table], bool]
    """Whether a source wrote a model, where nobody remembers: by the provider's id, the alias and the table."""


class Memory(Struct):
    """What a source said when it was last asked."""

    base_url: str = ""
    models: dict[str, Table] = field(default_factory=dict)
    """What it wrote of each, by wire id."""
    when: float = 0
    """When it was last asked and answered, in seconds since 1970."""
    tried: float = 0
    """When it was last asked by itself, whatever came of it."""


class Merged(Struct):
    """What became of a provider's models, by alias."""

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    changed: dict[str, list[str]] = field(default_factory=dict)
    """What is another now of each, as "limit.context 128000 → 200000"."""
    kept: dict[str, str] = field(default_factory=dict)
    """What is not as the source has it, and why: for models, and for single values as `alias.key`."""
    incomplete: str | None = None
    """Why the source was not read to its end; models that it seems to lack stay then."""

    @property
    def empty(self) -> bool:
        return not (self.added or self.removed or self.changed)


class WrittenProvider(Struct, kw_only=True):
    """What became of a provider."""

    provider: str
    models: Merged = field(default_factory=Merged)
    new: bool = False
    gone: bool = False
    """It vanished from its source, with all its models."""
    moved: bool = False
    """Its base URL is another now."""
    changed: list[str] = field(default_factory=list)
    """Keys of the provider that its source changed, as "base_url https://a.example/v1 → https://a.example/v2"."""
    elsewhere: str | None = None
    """Where its source says that it is now. That was not followed: its key was given for another place."""
    default_model: str | None = None
    """What the default model is now, where that was set."""
    notes: list[str] = field(default_factory=list)

    @property
    def nothing(self) -> bool:
        return self.models.empty and not (self.new or self.gone or self.moved or self.changed)


def recall(provider: str, cache: Cache | None = None) -> Memory | None:
    """What is remembered of a provider's source."""
    data = (cache or Cache()).read(FOLDER, f"{provider}.json")
    try:
        return decode_as(data, Memory) if data else None
    except MalformedReply:
        return None


def remember(provider: str, memory: Memory, cache: Cache | None = None) -> None:
    (cache or Cache()).write(msgspec.json.encode(memory, enc_hook=str), FOLDER, f"{provider}.json")


def forget(provider: str, cache: Cache | None = None) -> None:
    (cache or Cache()).drop(FOLDER, f"{provider}.json")


def seen(base_url: str, models: Mapping[str, Table], last: Memory | None = None, gaps: Gaps | None = None) -> Memory:
    """What is to be remembered of a source that has just answered; of what is in `gaps`, what it said `last`."""
    now = time()
    earlier = last.models if last and gaps else {}
    kept = {id: table for id, table in earlier.items() if gaps and gaps.covers(id)}
    return Memory(base_url, {**kept, **models}, now, now)


def limited(edit: Edit, provider: str, models: Mapping[str, Table], only: Collection[str]) -> dict[str, Table]:
    """The models of a source whose IDs are in `only`, and those that the provider has already; without `only`, all."""
    there = {str(table.get("name") or table.get("model")) for table in edit.models_of(provider).values()}
    return {id: table for id, table in models.items() if not only or id in only or id in there}


def merge(
    edit: Edit, provider: str, models: Mapping[str, Table], owner: Ownership, last: Memory | None, *, again: bool = False,
    gaps: Gaps | None = None,
) -> Merged:  # fmt: skip
    """Makes a provider's models what its source says they are, by wire id.

    One that the user took out stays out, unless it is added `again`; one that the source has no more goes, unless the
    user's own word is in it, or it may be in the `gaps` of what was read.

    Raises:
        ConfigError: an alias belongs to another provider; something would not be usable.
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
                merged.kept[alias] = f"it stays: its source lists it, but {gaps.entries[wire_id]}"
            elif gaps.reasons:
                merged.incomplete = gaps.reasons[0]
            elif why := _users(edit, provider, alias, wire_id, entries[alias], owner):
                merged.kept[alias] = f"it is listed no more, and stays, as {why}"
            else:
                gone.append(alias)
    if gone:
        merged.removed = changes.remove_models(edit, gone).models
    edit.check()
    return merged


def compared(before: Mapping[str, object], edit: Edit, provider: str) -> Merged:
    """What became of a provider's models, where another than `merge` has written them."""
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
    """Makes what the source owns of a model what it says now."""
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
                merged.kept[f"{alias}.{path_text(keys)}"] = f"it is yours; its source says {_shown(new)}"
            continue
        if new is None:
            _take_out(edit, ("models", alias), keys)
        else:
            edit.set("models", alias, *keys, value=new)
        said.append(f"{path_text(_told(keys))} {_shown(old)} → {_shown(new)}")
    if said:
        merged.changed.setdefault(alias, []).extend(said)


def _take_out(edit: Edit, entry: Keys, keys: Keys) -> None:
    """Removes a value, and the tables within the entry that it was the last of."""
    while edit.delete(*entry, *keys) and len(keys) > 2 and edit.get(*entry, *keys[:-1]) == {}:
        keys = keys[:-1]


def _users(edit: Edit, provider: str, alias: str, wire_id: str, table: Table, owner: Ownership) -> str | None:
    """Why a model is the user's and not only its source's; None where it is not."""
    if alias in (edit.get("default_model"), edit.get("providers", provider, "default_model")):
        return "it is your default model"
    if folded(alias) != folded(f"{provider}/{wire_id}"):  # an alias stays when its source writes the ID in another case
        return "the alias is yours"
    own = sorted(table.keys() - owner.keys - {"provider", "provider_id", "model", "name"})
    return f"you wrote {', '.join(own)}" if own else None


def _leaves(table: Table, above: Keys = ()) -> Iterator[tuple[Keys, object]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _told(keys: Keys) -> Keys:
    return keys[1:] if keys[0] == "listed" and len(keys) > 1 else keys


def _shown(value: object) -> str:
    return "nothing" if value is None else text_of(value)
