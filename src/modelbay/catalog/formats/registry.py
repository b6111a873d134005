"""A registry: one JSON document that has several providers with their models, Kimi Code's `api.json`.

Read leniently: an entry that cannot be used is left out with its reason, and the others come.
"""

import re
from collections.abc import Iterator

from msgspec import Struct, field

from modelbay.catalog import names as naming
from modelbay.catalog.lists.entry import Gaps
from modelbay.catalog.models_dev.models import registry_table
from modelbay.catalog.models_dev.providers import wire
from modelbay.config.schema import Table
from modelbay.conversation import Extra, Json
from modelbay.errors import MalformedReply
from modelbay.json_text import decode
from modelbay.origin import is_open, origin
from modelbay.protocols.failures import summary, text_of
from modelbay.protocols.form import WRONG_URL
from modelbay.providers import urls

NAME = re.compile(r"\w[\w .-]{0,99}")
"""What a provider may be called: it becomes a key of the file and the first part of its models' names."""


class Provider(Struct, kw_only=True):
    """A provider of a registry."""

    id: str
    name: str
    type: str
    api: str
    guessed: bool = False
    """Nothing tells which protocol it speaks: the usual one is assumed."""
    key_names: list[str] = field(default_factory=list)
    """What its makers call the variable that has its key."""
    models: dict[str, Table] = field(default_factory=dict)
    """By wire id."""
    names: dict[str, str] = field(default_factory=dict)
    """What those are called in the file whose key is not their wire id."""
    gaps: Gaps = field(default_factory=Gaps)
    """Its models that could not be read."""


class Left(Struct, frozen=True):
    """An entry that is left out: the provider's id, for a model with its key behind a slash, and why."""

    where: str
    why: str


class Registry(Struct):
    """What a document says; `named` are the ids of all its providers, those left out too."""

    providers: list[Provider]
    left: list[Left] = field(default_factory=list)
    named: set[str] = field(default_factory=set)
    ids: dict[str, str] = field(default_factory=dict)
    """The first of its ids, by what those have in common that differ in case only."""
    incomplete: str | None = None
    """Why an entry may be a provider of any id: none is known to be gone then."""


def parse_registry(document: bytes | Json, url: str | None = None) -> Registry:
    """The providers of a document. `url` is where it came from, by which their addresses are judged.

    Raises:
        MalformedReply: it is no registry, or none of its providers can be used.
    """
    content = _decoded(document) if isinstance(document, bytes) else document
    if not isinstance(content, dict):
        raise MalformedReply("that is no registry: it is no object of providers", hint=WRONG_URL)
    found = Registry([])
    for key, entry in content.items():
        _read(key, entry, found, url)
    if not found.providers:
        first = f": {found.left[0].where}: {found.left[0].why}" if found.left else ""
        hint = "each entry has `id`, `name`, `api`, where it is, and `models`" if found.left else WRONG_URL
        raise MalformedReply(f"the registry contains no usable providers{first}", hint=hint)
    return found


def why_refused(api: str, url: str | None) -> str | None:
    """Why an address that a registry names is not taken; None where it is.

    Nobody else's document may lead into this machine or its network: such an address counts only where the registry
    itself is on the same host. Names are not looked up, as nothing is sent there when it is added.
    """
    try:
        where = origin(api)
    except ValueError as error:
        return str(error)
    if "${" in api:
        return "its address has a placeholder in it"
    if urls.without_user(api)[1]:
        return "its address has a user and a password in it"
    if is_open(where):
        return None
    if url is not None:
        home = origin(url)
        if home.host == where.host or (home.loopback and where.loopback):
            return None
    return f"{where} is in a private network, and only a list on that host may name it"


def _read(key: str, entry: Json, found: Registry, url: str | None) -> None:
    """Takes one provider into what was found."""
    if not isinstance(entry, dict):
        found.left.append(Left(key, "it is no object"))
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
        why: str | None = "there are two of that id"
    elif other != id:
        why = f"its id differs from {other} in case only"
    elif not NAME.fullmatch(id) or naming.problem(id):
        why = "its id has characters that none may have: letters, digits, blanks, dots, hyphens and underscores do"
    elif api is None:
        why = "it has no `api`, the address of its models"
    elif made.refused:
        why = made.why
    elif not models:
        why = "it has no `models`"
    else:
        why = why_refused(api, url)
    if why is not None or api is None:
        found.left.append(Left(id, why or ""))
        return
    listed = Provider(
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
        found.left.append(Left(id, "none of its models can be used"))


def _models(listed: Provider, models: Extra, found: Registry) -> Iterator[tuple[str, str, Table]]:
    """Its models: what each is called in the file, its wire id, its table."""
    ids: dict[str, str] = {}
    for key, model in models.items():
        where = f"{listed.id}/{key}"
        id = key
        if not isinstance(model, dict):
            why: str | None = "it is no object"
            listed.gaps.reasons.append(f"the entry {where} cannot be read")  # it may have another id than its key
        elif (why := naming.problem(key)) is not None:
            why = f"its name cannot be used: {why}"
        elif (why := naming.problem(id := _text(model, "id") or key)) is not None:
            why = f"its id cannot be used: {why}"
        elif (other := ids.setdefault(naming.folded(id), id)) != id:
            why = f'it differs from "{other}" in case only'
        else:
            why = f'it is "{id}" a second time' if id in listed.models else None
        if why is not None:
            found.left.append(Left(where, why))
            listed.gaps.entries |= {key: why, id: why}
        elif isinstance(model, dict):
            yield where, id, registry_table(id, model, listed.type)


def _by_key(models: Json, gaps: Gaps) -> Extra:
    """The models of a provider, of which some write a list instead."""
    if isinstance(models, dict):
        return models
    items = _list(models)
    found = {id: model for model in items if isinstance(model, dict) and (id := _text(model, "id"))}
    unread = sum(not (isinstance(model, dict) and _text(model, "id")) for model in items)
    if unread:
        gaps.reasons.append(f"{unread} of its {len(items)} models have no id")
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
        raise MalformedReply(f"that is no registry but {summary(text_of(body[:2000]))}", hint=WRONG_URL) from None
