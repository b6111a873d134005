"""Lists of models, in whatever shape a provider has them: bytes in, models and the way to the next page out."""

import re
from typing import TypeAlias
from urllib.parse import parse_qsl, urlsplit

import msgspec
from msgspec import Struct, field

from modelbay.catalog.listed import Kind, Listed
from modelbay.catalog.reading import facts_of, kind_of, protocols_of, status_of, table
from modelbay.conversation import Extra, Json
from modelbay.errors import MalformedReply
from modelbay.protocols.codec import decode
from modelbay.protocols.failures import summary, text_of
from modelbay.protocols.form import WRONG_URL
from modelbay.protocols.openai_errors import error_in

RESOURCE = re.compile(r"^(?:publishers/[^/]+/)?models/")
"""What Google puts before an id."""
OPERATION = re.compile(r"/operations/[^/]+$")
SERIAL = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}|[0-9a-f]{24}|[0-9a-f]{64}")
"""An id that is a database's; the model's is its name."""
Entry: TypeAlias = tuple[str, Extra, Kind | None]
"""An id, what is said of it, and the kind where the shape of the body tells it."""


class Listing(Struct):
    """One page of a list."""

    models: list[Listed]
    next: dict[str, str] = field(default_factory=dict)
    """The parameters that the next page is asked with; none on the last one."""
    shape: str = "list"
    """What the body was, for people: "list", "table", "names", "groups" or "model"."""


def parse_list(body: bytes | Json) -> Listing:
    """The models in a body, bytes or JSON: each once, in its order, with what the list says of it.

    Raises:
        ProviderError: the body is an error.
        MalformedReply: it is no list of models.
    """
    listed = _decoded(body) if isinstance(body, bytes) else body
    shape, entries = _entries(listed)
    models: dict[str, Listed] = {}
    for id, raw, kind in entries:
        if (known := models.get(id)) is not None:
            _add(known, raw)
        else:
            models[id] = listed_model(id, raw, kind)
    return Listing(list(models.values()), _next(listed), shape)


def listed_model(id: str, raw: Extra, kind: Kind | None = None) -> Listed:
    """The model of one entry."""
    return Listed(
        id=id,
        facts=facts_of(raw, id),
        kind=kind or kind_of(raw, id),
        status=status_of(raw),
        protocols=protocols_of(raw),
        extra=raw,
    )


def _decoded(body: bytes) -> Json:
    if not body.strip():
        raise MalformedReply("the list of models is an empty answer", hint=WRONG_URL)
    try:
        return decode(body)
    except msgspec.DecodeError:
        what = summary(text_of(body))
        raise MalformedReply(f"the list of models is not JSON: {what}", hint=WRONG_URL) from None


def _entries(listed: Json) -> tuple[str, list[Entry]]:
    """The shape of a body, and its models."""
    if isinstance(listed, list):
        return _array(listed)
    if not isinstance(listed, dict):
        raise MalformedReply(f"the list of models is no list but {msgspec.json.encode(listed).decode()[:100]}")
    found: list[Entry] = []
    shape = ""
    for key in table().lists:
        value = listed.get(key)
        if isinstance(value, list):
            shape, more = _array(value)
            found += more
        elif isinstance(value, dict) and any(isinstance(value.get(inner), list) for inner in table().lists):
            shape, more = _entries(value)  # in an envelope
            found += more
        elif isinstance(value, dict) and (entries := _table(value)) is not None:
            shape = "table"
            found += entries
    if shape:
        return shape, found
    if (error := error_in(listed)) is not None:
        raise error
    if any(key in listed and listed[key] is None for key in table().lists):
        return "list", []  # what a server in Go says for none
    if groups := _groups(listed):
        return "groups", groups
    if _is_model(listed) and (id := _id(listed)):
        return "model", [(id, listed, None)]
    raise MalformedReply(_no_list(listed))


def _array(items: list[Json]) -> tuple[str, list[Entry]]:
    if items and all(isinstance(item, str) for item in items):
        return "names", [(id, {}, None) for item in items if (id := _bare(item))]
    found: list[Entry] = [(id, item, None) for item in items if isinstance(item, dict) and (id := _id(item))]
    if items and not found:
        if (error := error_in(items)) is not None:
            raise error
        raise MalformedReply(_no_list(items))
    return "list", found


def _table(models: Extra) -> list[Entry] | None:
    """Models by id, as models.dev and extended lists have them; None where it is a table of something else."""
    if not all(isinstance(entry, dict) for entry in models.values()):
        return None
    ids = {key: entry["id"] if isinstance(entry.get("id"), str) else key for key, entry in models.items()}
    return [(id, models[key], None) for key, written in ids.items() if (id := _bare(written) or _bare(key))]


def _groups(listed: Extra) -> list[Entry]:
    """Lists under the names of what their models are for, as speech services have them."""
    found: list[Entry] = []
    kinds = {word: kind for kind, words in table().kinds.words.items() for word in words}
    for key, items in listed.items():
        if (kind := kinds.get(key)) is not None and isinstance(items, list):
            found += [(id, item, kind) for item in items if isinstance(item, dict) and (id := _id(item))]
    return found


def _is_model(entry: Extra) -> bool:
    """Whether an object that stands alone is a model, rather than something else that has an id."""
    facts = facts_of(entry)
    known = facts.max_context_tokens or facts.max_output_tokens or facts.cost or facts.capabilities
    word = entry.get("object") == "model" or entry.get("type") == "model"
    return bool(known or word or "inferenceProviderMapping" in entry or "supportedGenerationMethods" in entry)


def _id(entry: Extra) -> str:
    """The id of an entry; "" for one that is no model: it has none, or is a provider with models of its own."""
    if entry.keys() & {"models", "models_data_source", "baseUrl"}:
        return ""
    found = [value for key in table().ids if isinstance(value := entry.get(key), str) and value.strip()]
    if not found or OPERATION.search(found[0]):
        return ""
    named = entry.get("name")
    if SERIAL.fullmatch(found[0]) and isinstance(named, str) and named.strip():
        return _bare(named)
    return _bare(found[0])


def _bare(id: str) -> str:
    return RESOURCE.sub("", id.strip())


def _add(known: Listed, raw: Extra) -> None:
    """Adds what a second entry for the same model says: llama.cpp lists each in two shapes."""
    merged = {**raw, **known.extra}
    again = listed_model(known.id, merged)
    known.facts, known.extra, known.status = again.facts, merged, again.status
    if known.kind == "chat":
        known.kind = again.kind


def _next(listed: Json) -> dict[str, str]:
    """How to ask for the page after this one."""
    if not isinstance(listed, dict):
        return {}
    if listed.get("has_more") is True:
        last = listed.get("last_id")
        if not isinstance(last, str) and isinstance(data := listed.get("data"), list) and data:
            last = data[-1].get("id") if isinstance(data[-1], dict) else None
        return {"after_id": last} if isinstance(last, str) and last else {}
    for key, parameter in table().pages.items():
        if isinstance(value := listed.get(key), str) and value:
            return {parameter: value}
    following = listed.get("next")
    if isinstance(following, str) and following:  # a URL, of which only the parameters count: it cannot lead elsewhere
        return dict(parse_qsl(urlsplit(following).query))
    return {}


def _no_list(listed: Json) -> str:
    """What a body is instead."""
    first = listed[0] if isinstance(listed, list) else listed
    if isinstance(first, dict):
        if "models_data_source" in first or "baseUrl" in first:
            return "this is a provider's manifest, not a list of models"
        if any(isinstance(entry, dict) and "models" in entry for entry in first.values()):
            return "this is a registry of providers, not a list of models"
        return f"no list of models is in it, only {', '.join(list(first)[:5]) or 'an empty object'}"
    return "no model is in the list"
