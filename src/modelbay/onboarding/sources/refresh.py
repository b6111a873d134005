"""Asking again where providers came from, and writing what is another now.

    answers = await ask(config, chosen(config))
    outcomes = [write(config, answer, agreed=False) for answer in answers]

`rows` has a row for each kind of source; it asks once for all the providers that share a source. Asking writes nothing. What
is written leaves the user's own alone, and takes no key where nobody has agreed to: `Answer.moves` is to be asked about.
"""

from asyncio import gather
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

from msgspec import Struct, field, to_builtins

from modelbay.catalog.discovery import Discovery, discover
from modelbay.catalog.facts import Facts
from modelbay.catalog.sources import Catalog, Seen
from modelbay.config import changes
from modelbay.config.edit import Edit
from modelbay.config.edit import apply as edited
from modelbay.config.origin import origin
from modelbay.config.schema import MANIFEST, Config, ProviderEntry, Table
from modelbay.errors import ConfigError, MissingCredential, ModelbayError
from modelbay.line import Line
from modelbay.onboarding import managed
from modelbay.onboarding.sources import manifests, merging
from modelbay.onboarding.sources.merging import Memory, Merged, Ownership
from modelbay.providers import logins
from modelbay.providers.endpoint import Endpoint, endpoint_at, models_endpoint
from modelbay.providers.upstream import Upstream, upstream

STATIC = "static"
"""The `model_source` of a provider that nobody refreshes."""
LIST, LOGIN = "list", "login"
"""The kinds of those that came from no other place: they are asked for their own lists."""
PLAIN = Ownership(frozenset(), lambda provider, alias, table: False)
"""Of a model that was chosen from its provider's list, the file has nothing but its name."""


class Move(Struct, frozen=True):
    """A source says that its provider is somewhere else now. It stays where it is until somebody agrees."""

    old: str
    new: str


class Changed(Struct, kw_only=True):
    """What became of one provider."""

    provider: str
    models: Merged = field(default_factory=Merged)
    new: bool = False
    gone: bool = False
    """It vanished from its source, with all its models."""
    moved: bool = False
    """Its base URL is another now."""
    notes: list[str] = field(default_factory=list)

    @property
    def nothing(self) -> bool:
        return self.models.empty and not (self.new or self.gone or self.moved)


class Answer(Struct, kw_only=True):
    """What a source said. `error`: it could not be asked, and nothing is to be written."""

    kind: str
    providers: list[str]
    write: Callable[[Edit, bool], list[Changed]] | None = None
    """Writes it; the switch says whether its move is agreed to."""
    remember: Callable[[bool], None] = lambda agreed: None
    """To be called once it is written."""
    move: Move | None = None
    error: ModelbayError | None = None


class Outcome(Struct, kw_only=True):
    """What became of an answer."""

    answer: Answer
    changed: list[Changed] = field(default_factory=list)
    diff: str = ""
    error: ModelbayError | None = None


class Row(Struct, frozen=True):
    """How providers of one kind are asked."""

    title: str
    ask: Callable[[Config, Line, list[ProviderEntry]], Awaitable[list[Answer]]]


def rows() -> dict[str, Row]:
    """By the kind of the source."""
    from modelbay.onboarding.sources import catalogs, registries, renewals

    return {
        MANIFEST: Row("manifest", _each(_manifest)),
        catalogs.KIND: Row("catalog", renewals.of_catalogs),
        registries.KIND: Row("registry", renewals.of_registries),
        LOGIN: Row("login", _each(_login)),
        LIST: Row("its own list", _each(_own_list)),
    }


def kind_of(entry: ProviderEntry) -> str | None:
    """What a provider is refreshed from; None where that is nothing."""
    if entry.model_source == STATIC:
        return None
    kind = (entry.source or {}).get("kind")
    if entry.by_manifest and not entry.imported:
        return None  # embedded JSON
    if isinstance(kind, str) and kind in rows():
        return kind
    return LOGIN if logins.managing(entry) else LIST


def _why_not(entry: ProviderEntry) -> str:
    if entry.model_source == STATIC:
        return f'it has model_source = "{STATIC}"; without that, `modelbay provider refresh {entry.id}` asks again'
    again = f"`modelbay provider manifest URL --id {entry.id}`"
    return f"it was added from embedded JSON; once its manifest is hosted, {again} adds it by that"


def chosen(config: Config, id: str | None = None) -> list[ProviderEntry]:
    """The providers to refresh: the one that is named, else all that can be.

    Raises:
        UnknownProvider: there is none of that id.
        ConfigError: it cannot be refreshed.
    """
    if id is None:
        return [entry for entry in config.providers.values() if kind_of(entry) is not None and _is_asked(config, entry)]
    entry = config.provider(id)
    if kind_of(entry) is None:
        raise ConfigError(f'provider "{id}" is not refreshed', hint=_why_not(entry), provider=id)
    return [entry]


def _is_asked(config: Config, entry: ProviderEntry) -> bool:
    """Whether there is anything to ask a provider for: some vendors have no list of their models."""
    if kind_of(entry) != LIST:
        return True
    try:
        preset = upstream(config, entry).preset
    except ConfigError:
        return True  # asking says what is wrong with it
    return preset is None or preset.lists_models or bool(preset.lists)


async def ask(config: Config, entries: Sequence[ProviderEntry]) -> list[Answer]:
    """What the sources of providers say now. One that fails leaves the others alone."""
    kinds: dict[str, list[ProviderEntry]] = {}
    for entry in entries:
        kinds.setdefault(kind_of(entry) or LIST, []).append(entry)
    known = rows()
    line = Line(config)
    try:
        found = await gather(*(known[kind].ask(config, line, group) for kind, group in kinds.items()))
    finally:
        await line.aclose()
    return [answer for group in found for answer in group]


def write(config: Config, answer: Answer, *, agreed: bool = False, dry_run: bool = False) -> Outcome:
    """Writes an answer, all of it or, where it cannot be used, nothing. `agreed`: its provider may move, key and all."""
    if answer.write is None:
        return Outcome(answer=answer, error=answer.error)
    writes = answer.write
    try:
        done = edited(lambda edit: writes(edit, agreed), config.path, dry_run=dry_run)
    except ModelbayError as error:
        return Outcome(answer=answer, error=error)
    if not dry_run:
        answer.remember(agreed)
    return Outcome(answer=answer, changed=done.result, diff=done.diff)


def _each(
    one: Callable[[Config, Line, ProviderEntry], Awaitable[Answer]],
) -> Callable[[Config, Line, list[ProviderEntry]], Awaitable[list[Answer]]]:
    """Asks for each provider by itself."""

    async def safely(config: Config, line: Line, entry: ProviderEntry) -> Answer:
        try:
            return await one(config, line, entry)
        except ModelbayError as error:
            error.provider = error.provider or entry.id
            return Answer(kind=kind_of(entry) or LIST, providers=[entry.id], error=error)

    async def asked(config: Config, line: Line, entries: list[ProviderEntry]) -> list[Answer]:
        return await gather(*(safely(config, line, entry) for entry in entries))

    return asked


# A manifest


async def _manifest(config: Config, line: Line, entry: ProviderEntry) -> Answer:
    source = entry.source or {}
    url, base = str(source["url"]), upstream(config, entry).base_url
    trusted = [manifests.typed(url), origin(base)]
    manifest = await manifests.manifest_at(url, trusted)
    if manifest.source == "models_dev":
        await Catalog().models_dev.refresh(line.exchange)
    try:
        said = await manifests.said_by(manifest, trusted, partial(_keyed, config, entry), line.exchange)
    except ModelbayError as error:
        raise manifests.refused(error) from None
    if not said.models:
        raise ModelbayError(manifests.NO_MODELS, hint=manifests.HAVE_MODELS)
    last, tables = merging.recall(entry.id), said.tables
    before = last.base_url if last and last.base_url else base
    elsewhere = manifest.base_url.rstrip("/") not in (before.rstrip("/"), base.rstrip("/"))

    def write(edit: Edit, agreed: bool) -> list[Changed]:
        moves = elsewhere and agreed
        if moves:
            changes.change_provider(edit, entry.id, {("base_url",): manifest.base_url})
        dev_id = manifest.models_dev_id
        if source.get("models_dev_provider_id") != dev_id:
            changes.change_provider(edit, entry.id, {("source", "models_dev_provider_id"): dev_id})
        merged = merging.merge(edit, entry.id, tables, manifests.OWNER, last)
        return [Changed(provider=entry.id, models=merged, moved=moves, notes=said.notes)]

    def remember(agreed: bool) -> None:
        settled = manifest.base_url if agreed or not elsewhere else before
        merging.remember(entry.id, merging.seen(settled, tables))

    return Answer(
        kind=MANIFEST,
        providers=[entry.id],
        write=write,
        remember=remember,
        move=Move(base, manifest.base_url) if elsewhere else None,
    )


def _keyed(config: Config, entry: ProviderEntry) -> Endpoint | None:
    """Where the provider's key goes already; None where it has none."""
    with suppress(MissingCredential):
        return endpoint_at(config, upstream(config, entry), "/chat/completions")
    return None


# A vendor's login


async def _login(config: Config, line: Line, entry: ProviderEntry) -> Answer:
    login, endpoint = logins.managing(entry), models_endpoint(config, entry)
    if login is None or endpoint is None:
        raise ConfigError(f'no service lists the models of provider "{entry.id}"', provider=entry.id)
    models = managed.models_of(await line.fetch(endpoint), login)

    def write(edit: Edit, agreed: bool) -> list[Changed]:
        before = edit.get("models") or {}
        managed.write(edit, login, edit.get("providers", entry.id), models, new=False)
        return [Changed(provider=entry.id, models=merging.compared(before, edit, entry.id))]

    def remember(agreed: bool) -> None:
        merging.remember(entry.id, merging.seen(str(entry.base_url), {}))

    return Answer(kind=LOGIN, providers=[entry.id], write=write, remember=remember)


# Its own list


async def _own_list(config: Config, line: Line, entry: ProviderEntry) -> Answer:
    found = upstream(config, entry)
    catalog = Catalog()
    before = catalog.seen(found)
    discovery = await discover(config, entry, line.fetch)

    def write(edit: Edit, agreed: bool) -> list[Changed]:
        return [_chosen_of(edit, found, before, discovery)]

    def remember(agreed: bool) -> None:
        catalog.remember(found, discovery)
        merging.remember(entry.id, merging.seen(found.base_url, {}))

    return Answer(kind=LIST, providers=[entry.id], write=write, remember=remember)


def _chosen_of(edit: Edit, found: Upstream, before: Seen | None, discovery: Discovery) -> Changed:
    """The models of a list that the user has, renewed. New ones come where all that there were had been taken."""
    id = found.provider.id
    listed = {one.id: one for one in discovery.models if one.chats and one.status != "inactive"}
    seen = before.models.values() if before else ()
    had: dict[str, Table] = {one.id: {} for one in seen if one.chats}
    mine = {
        str(table.get("name") or table.get("model")): alias
        for alias, table in (edit.get("models") or {}).items()
        if isinstance(table, dict) and table.get("provider") == id
    }
    new = [wire_id for wire_id in listed if wire_id not in had and wire_id not in mine]
    takes_all = bool(had) and had.keys() <= mine.keys()
    kept: dict[str, Table] = {wire_id: {} for wire_id in listed if wire_id in mine or (takes_all and wire_id in new)}
    changed = Changed(provider=id, models=merging.merge(edit, id, kept, PLAIN, Memory(models=had)))
    if before is not None:
        for wire_id, alias in mine.items():
            if wire_id in listed and wire_id in before.models:
                said = _differences(before.models[wire_id].facts, listed[wire_id].facts)
                if said:
                    changed.models.changed[alias] = said
        if new and not takes_all:
            changed.notes.append(f"it also lists {', '.join(new[:5])}{' …' * (len(new) > 5)} now")
    return changed


def _differences(old: Facts, new: Facts) -> list[str]:
    """What a list says otherwise now of a model."""
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
            return ", ".join(f"{name} {price:g}" for name, price in to_builtins(value).items())
    return str(value)
