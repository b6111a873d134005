"""Refreshing providers without another source, from their own lists of models.

A refresh compares the list with that of the last refresh. That one cannot be fetched again, so it is remembered like the state of
any source. The cache has the facts of the list, for display.
"""

from msgspec import Struct, to_builtins

from modelbay.calling.provider_client import ProviderClient
from modelbay.catalog.facts import Facts
from modelbay.catalog.lists.discovery import Discovery, discover
from modelbay.catalog.lookup import Catalog, Seen
from modelbay.catalog.names import renamed
from modelbay.catalog.summary import dollars
from modelbay.config.edit import Edit
from modelbay.config.schema import Config, ProviderEntry, Table
from modelbay.onboarding.sources import merge as merging
from modelbay.onboarding.sources.merge import Memory, Ownership, WrittenProvider
from modelbay.onboarding.sources.source_update import LIST, SourceUpdate
from modelbay.providers.upstream import Upstream, upstream
from modelbay.secrecy import masked_url

OWNER = Ownership(frozenset(), lambda provider, alias, table: False)
"""A model from a provider's own list has only its ID in the file, so the list sets no keys."""


async def of_list(config: Config, client: ProviderClient, entry: ProviderEntry) -> SourceUpdate:
    """Read a provider's own list of models."""
    found = upstream(config, entry)
    catalog = Catalog()
    before, last = catalog.seen(found), _last(found)
    discovery = await discover(config, entry, client.fetch)
    _add_gaps(discovery, last)

    def write(edit: Edit, agreed: bool) -> list[WrittenProvider]:
        return [_written(edit, found, before, last, discovery)]

    return SourceUpdate(
        kind=LIST,
        providers=[entry.id],
        write=write,
        remember=lambda agreed: remember(found, discovery, catalog),
    )


def remember(found: Upstream, discovery: Discovery, catalog: Catalog) -> None:
    """Store a provider's list: its facts in the catalog, and its models for the next refresh."""
    catalog.remember(found, discovery)
    models: dict[str, Table] = {one.id: {} if one.chats else {"kind": one.kind} for one in discovery.models}
    memory = merging.seen(found.base_url, models, _last(found), discovery.gaps)
    memory.list_url = masked_url(discovery.url)
    merging.remember(found.provider.id, memory)


def _last(found: Upstream) -> Memory | None:
    """The list at the last refresh, if it is from the same base URL."""
    last = merging.recall(found.provider.id)
    return last if last is not None and last.base_url == found.base_url else None


def _written(
    edit: Edit, found: Upstream, before: Seen | None, last: Memory | None, discovery: Discovery
) -> WrittenProvider:
    """Update the user's models from the list. New models are added only if the user had all models of the list before, or has
    none and discovers them.
    """
    id = found.provider.id
    listed = {one.id: one for one in discovery.models if one.chats and one.status != "inactive"}
    mine = {str(table.get("name") or table.get("model")): alias for alias, table in edit.models_of(id).items()}
    had: dict[str, Table] = {
        one: {} for one, table in (last.models if last else {}).items() if not table or one in mine
    }
    former: dict[str, str] = {}
    for ids in (mine, had):
        for wire_id, old in renamed(listed, ids.keys() - discovery.gaps.entries.keys()).items():
            former[wire_id] = old
            ids[wire_id] = ids.pop(old)  # type: ignore[assignment]
    new = [wire_id for wire_id in listed if wire_id not in had and wire_id not in mine]
    unread = last is None and not mine and found.provider.model_source == "discover"  # a list that was never added
    takes_all = unread or (bool(had) and had.keys() <= mine.keys())
    kept: dict[str, Table] = {wire_id: {} for wire_id in listed if wire_id in mine or (takes_all and wire_id in new)}
    written = WrittenProvider(
        provider=id, models=merging.merge(edit, id, kept, OWNER, Memory(models=had), gaps=discovery.gaps)
    )
    written.notes += _default_unlisted(edit, mine, discovery, written.models.kept)
    if before is not None:
        for wire_id, alias in mine.items():
            earlier = before.models.get(former.get(wire_id, wire_id))
            if wire_id in listed and earlier is not None:
                said = _differences(earlier.facts, listed[wire_id].facts)
                if said:
                    written.models.changed.setdefault(alias, []).extend(said)
    if last is not None and new and not takes_all:
        written.notes.append(f"new in the list: {', '.join(new[:5])}{' …' * (len(new) > 5)}")
    return written


def _default_unlisted(edit: Edit, mine: dict[str, str], discovery: Discovery, kept: dict[str, str]) -> list[str]:
    """A note if the default model is not in the list. It is kept, because some providers serve more models than they list."""
    default = edit.get("default_model")
    there = {one.id for one in discovery.models} | discovery.gaps.entries.keys()
    missing = any(alias == default and id not in there for id, alias in mine.items())
    if not missing or default in kept or discovery.gaps.reasons:
        return []
    return [f"kept the default model {default}, which is not in the list"]


def _add_gaps(discovery: Discovery, last: Memory | None) -> None:
    """Mark a list as incomplete if it is empty or has another URL than before: it does not show which models were removed."""
    gaps = discovery.gaps
    gaps.entries |= {one.id: f"its kind is {one.kind}" for one in discovery.models if not one.chats}
    if not discovery.models:
        gaps.reasons.append("the list is empty")
    url = masked_url(discovery.url)
    if last is not None and last.list_url and last.list_url != url:
        gaps.reasons.append(f"the list moved from {last.list_url} to {url}")


def _differences(old: Facts, new: Facts) -> list[str]:
    """The changed facts of a model in the list."""
    said = []
    for name in Facts.__struct_fields__:
        before, after = getattr(old, name), getattr(new, name)
        if name == "capabilities":
            for capability in dict.fromkeys([*before, *after]):
                if before.get(capability) != after.get(capability):
                    said.append(f"{capability} {_word(before.get(capability))} → {_word(after.get(capability))}")
        elif before != after:
            said.append(f"{name} {_word(before)} → {_word(after)}")
    return said


def _word(value: object) -> str:
    match value:
        case None:
            return "unknown"
        case bool():
            return "yes" if value else "no"
        case Struct():
            return ", ".join(f"{name} {dollars(price)}" for name, price in to_builtins(value).items())
    return str(value)
