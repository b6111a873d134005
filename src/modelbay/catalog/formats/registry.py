"""Registries: one JSON document with several providers and their models, such as Kimi Code's `api.json`.

Reading is lenient: an unusable entry is skipped with its reason, and the others are used.
"""

import re
from collections.abc import Iterator

from msgspec import Struct, field

from modelbay.catalog import names as naming
from modelbay.catalog.lists.entry import Gaps
from modelbay.catalog.lists.entry_facts import too_cheap
from modelbay.catalog.models_dev.models import registry_table
from modelbay.catalog.models_dev.providers import wire
from modelbay.config.schema import Table
from modelbay.conversation import Extra, Json
from modelbay.errors import MalformedReply
from modelbay.json_text import decode
from modelbay.origin import is_open, origin
from modelbay.protocols.failures import summary, text_of
from modelbay.providers import urls

NOT_A_REGISTRY = "check the URL or file: a registry is a JSON object of providers"
NAME = re.compile(r"\w[\w .-]{0,99}")
"""Valid provider IDs: an ID becomes a key of the file and the first part of its models' names."""


class RegistryProvider(Struct, kw_only=True):
    """A provider of a registry."""

    id: str
    name: str
    type: str
    api: str
    guessed: bool = False
    """Whether its protocol is unknown, so that Chat Completions is assumed."""
    key_names: list[str] = field(default_factory=list)
    """Names that the vendor uses for the environment variable with the key."""
    models: dict[str, Table] = field(default_factory=dict)
    """By model ID."""
    names: dict[str, str] = field(default_factory=dict)
    """Keys in the document of models whose key is not their model ID."""
    gaps: Gaps = field(default_factory=Gaps)
    """Models that could not be read."""


class SkippedEntry(Struct, frozen=True):
    """A skipped entry: the provider's ID, for a model followed by a slash and its key, and the reason."""

    where: str
    why: str


class Registry(Struct):
    """The content of a document; `named` has the IDs of all its providers, skipped ones included."""

    providers: list[RegistryProvider]
    skipped: list[SkippedEntry] = field(default_factory=list)
    named: set[str] = field(default_factory=set)
    ids: dict[str, str] = field(default_factory=dict)
    """The first ID of each group that differs only in case, by its case-folded form."""
    incomplete: str | None = None
    """Reason why an entry may be a provider with any ID: then none is known to be removed."""


def parse_registry(document: bytes | Json, url: str | None = None) -> Registry:
    """The providers of a document. `url` is its source, by which the addresses in it are checked.

    Raises:
        MalformedReply: it is not a registry, or none of its providers can be used.
    """
    content = _decoded(document) if isinstance(document, bytes) else document
    if not isinstance(content, dict):
        raise MalformedReply("not a registry: expected an object of providers", hint=NOT_A_REGISTRY)
    found = Registry([])
    for key, entry in content.items():
        _read(key, entry, found, url)
    if not found.providers:
        first = f": {found.skipped[0].where}: {found.skipped[0].why}" if found.skipped else ""
        hint = "each entry needs `id`, `name`, `api` (its base URL) and `models`" if found.skipped else NOT_A_REGISTRY
        raise MalformedReply(f"the registry contains no usable providers{first}", hint=hint)
    return found


def why_refused(api: str, url: str | None) -> str | None:
    """Reason why an address in a registry is not used; None if it is.

    A document from elsewhere must not lead to this machine or its network: such an address is used only if the registry itself
    is on the same host. Names are not resolved, because nothing is sent there when it is added.
    """
    try:
        where = origin(api)
    except ValueError as error:
        return str(error)
    if "${" in api:
        return "its address contains a placeholder"
    if urls.without_user(api)[1]:
        return "its address contains a user name or password"
    if is_open(where):
        return None
    if url is not None:
        home = origin(url)
        if home.host == where.host or (home.loopback and where.loopback):
            return None
    return f"{where} is in a private network; only a registry on that host may contain it"


def _read(key: str, entry: Json, found: Registry, url: str | None) -> None:
    """Add one provider to the registry."""
    if not isinstance(entry, dict):
        found.skipped.append(SkippedEntry(key, "it is not an object"))
        found.named.add(key)
        found.incomplete = f"its entry {key} cannot be read"
        return
    id = _text(entry, "id") or key
    found.named.add(id)
    api = _text(entry, "api")
    gaps = Gaps()
    models = _by_key(entry.get("models"), gaps)
    made = wire({**entry, "id": id})
    other = found.ids.setdefault(naming.folded(id), id)
    if any(one.id == id for one in found.providers):
        why: str | None = "duplicate ID"
    elif other != id:
        why = f"its ID differs only in case from {other}"
    elif not NAME.fullmatch(id) or naming.problem(id):
        why = "its ID contains invalid characters; allowed are letters, digits, spaces, dots, hyphens and underscores"
    elif api is None:
        why = "it has no `api` (its base URL)"
    elif made.refused:
        why = made.why
    elif not models:
        why = "it has no `models`"
    else:
        why = why_refused(api, url)
    if why is not None or api is None:
        found.skipped.append(SkippedEntry(id, why or ""))
        return
    listed = RegistryProvider(
        id=id,
        name=naming.shown(_text(entry, "name") or "") or id,
        type=made.type or "",
        api=api,
        guessed=made.guessed,
        key_names=[name for name in _list(entry.get("env")) if isinstance(name, str)],
        gaps=gaps,
    )
    for where, wire_id, table in _models(listed, models, found):
        listed.models[wire_id] = table
        if where != f"{listed.id}/{wire_id}":
            listed.names[wire_id] = where
    if listed.models:
        found.providers.append(listed)
    else:
        found.skipped.append(SkippedEntry(id, "none of its models can be used"))


def _models(listed: RegistryProvider, models: Extra, found: Registry) -> Iterator[tuple[str, str, Table]]:
    """The models of a provider: the key in the file, the model ID and the table of each."""
    ids: dict[str, str] = {}
    for key, model in models.items():
        where = f"{listed.id}/{key}"
        id = key
        if not isinstance(model, dict):
            why: str | None = "it is not an object"
            listed.gaps.reasons.append(f"the entry {where} cannot be read")  # its ID may differ from its key
        elif (why := naming.problem(key)) is not None:
            why = f"its name cannot be used: {why}"
        elif (why := naming.problem(id := _text(model, "id") or key)) is not None:
            why = f"its ID cannot be used: {why}"
        elif (other := ids.setdefault(naming.folded(id), id)) != id:
            why = f'it differs only in case from "{other}"'
        else:
            why = f'duplicate of "{id}"' if id in listed.models else None
        if why is not None:
            found.skipped.append(SkippedEntry(where, why))
            listed.gaps.entries |= {key: why, id: why}
        elif isinstance(model, dict):
            if isinstance(cost := model.get("cost"), dict) and (cheap := too_cheap(cost)) is not None:
                found.skipped.append(SkippedEntry(f"{where}: cost", cheap))
            yield where, id, registry_table(id, model, listed.type)


def _by_key(models: Json, gaps: Gaps) -> Extra:
    """The models of a provider; some registries write a list instead of an object."""
    if isinstance(models, dict):
        return models
    items = _list(models)
    found = {id: model for model in items if isinstance(model, dict) and (id := _text(model, "id"))}
    unread = sum(not (isinstance(model, dict) and _text(model, "id")) for model in items)
    if unread:
        gaps.reasons.append(f"{unread} of its {len(items)} models have no ID")
    return found


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _text(entry: Extra, key: str) -> str | None:
    value = entry.get(key)
    return value.strip() or None if isinstance(value, str) else None


def _decoded(body: bytes) -> Json:
    try:
        return decode(body)
    except MalformedReply:
        raise MalformedReply(f"not a registry: {summary(text_of(body[:2000]))}", hint=NOT_A_REGISTRY) from None
