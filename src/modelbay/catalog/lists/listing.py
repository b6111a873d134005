"""Model lists in any provider's format: bytes in; models, and the parameters of the next page, out."""

import re
from typing import TypeAlias
from urllib.parse import parse_qsl, urlsplit

import msgspec
from msgspec import Struct, field

from modelbay.catalog import names as naming
from modelbay.catalog.lists.entry import Gaps, Kind, Listed
from modelbay.catalog.lists.entry_facts import facts_of, kind_of, protocols_of, status_of, table
from modelbay.conversation import Extra, Json
from modelbay.errors import MalformedReply
from modelbay.json_text import decode
from modelbay.protocols.failures import summary, text_of
from modelbay.protocols.openai_errors import error_in

RESOURCE = re.compile(r"^(?:publishers/[^/]+/)?models/")
"""Google's prefix of model names. In other lists it is part of the ID."""
OPERATION = re.compile(r"/operations/[^/]+$")
SERIAL = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}|[0-9a-f]{24}|[0-9a-f]{64}")
"""An ID of a database; the model's ID is its name."""
Entry: TypeAlias = tuple[str, Extra, Kind | None]
"""An ID, its entry, and the purpose if the shape of the body determines it."""


class ListPage(Struct):
    """One page of a list."""

    models: list[Listed]
    next: dict[str, str] = field(default_factory=dict)
    """Query parameters of the next page; None on the last one."""
    shape: str = "list"
    """Shape of the body, for messages: "list", "table", "names", "groups" or "model"."""
    gaps: Gaps = field(default_factory=Gaps)
    """Parts of this page that could not be read."""
    total: int | None = None
    """Number of models on all pages, according to the server."""


def parse_list(body: bytes | Json) -> ListPage:
    """The models in a body (bytes or JSON), each once, in order, with the facts of the list.

    Raises:
        ProviderError: the body is an error.
        MalformedReply: the body is not a model list.
    """
    listed = _decoded(body) if isinstance(body, bytes) else body
    gaps = Gaps()
    shape, entries = _entries(listed, gaps)
    refused = naming.problems(dict.fromkeys(id for id, _, _ in entries))
    gaps.entries |= refused
    models: dict[str, Listed] = {}
    for id, raw, kind in entries:
        if id in refused:
            continue
        if (known := models.get(id)) is not None:
            _add(known, raw)
        else:
            models[id] = listed_model(id, raw, kind)
    following, total = _next(listed), _parts(listed, len(entries), gaps)
    return ListPage(list(models.values()), following, shape, gaps, total)


def reported_gaps(around: Extra, read: int) -> Gaps:
    """The gaps that a document reports itself, in the fields beside its `read` models: an error, further pages, a larger total."""
    gaps = Gaps()
    if (error := error_in(around)) is not None:
        gaps.reasons.append(f"the model list contains an error: {error.message}")
    total = _parts(around, read, gaps)
    if _next(around):
        gaps.reasons.append("it has more pages, which were not read")
    elif total is not None and total > read:
        gaps.reasons.append(f"the list announces {total} models and contains {read}")
    return gaps


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
        raise MalformedReply("the model list is empty (no body)")
    try:
        return decode(body)
    except MalformedReply:
        what = summary(text_of(body))
        raise MalformedReply(f"the model list is not JSON: {what}") from None


def _entries(listed: Json, gaps: Gaps) -> tuple[str, list[Entry]]:
    """The shape of a body, and its models; unreadable parts go to `gaps`."""
    if isinstance(listed, list):
        return _array(listed, gaps)
    if not isinstance(listed, dict):
        raise MalformedReply(f"expected a model list, got {msgspec.json.encode(listed).decode()[:100]}")
    found: list[Entry] = []
    shape = ""
    for key in table().lists:
        value = listed.get(key)
        if isinstance(value, list):
            shape, more = _array(value, gaps)
            found += more
        elif isinstance(value, dict) and any(isinstance(value.get(inner), list) for inner in table().lists):
            shape, more = _entries(value, gaps)  # inside an envelope
            found += more
        elif isinstance(value, dict) and (entries := _table(value)) is not None:
            shape = "table"
            found += entries
    error = error_in(listed)
    if shape:
        if error is not None:
            gaps.reasons.append(f"the model list contains an error: {error.message}")
        return shape, found
    if error is not None:
        raise error
    if any(key in listed and listed[key] is None for key in table().lists):
        return "list", []  # how servers in Go write an empty list
    if groups := _groups(listed):
        return "groups", groups
    if _is_model(listed) and (id := _id(listed)):
        return "model", [(id, listed, None)]
    raise MalformedReply(_no_list(listed))


def _array(items: list[Json], gaps: Gaps) -> tuple[str, list[Entry]]:
    found: list[Entry] = []
    unread = 0
    for item in items:
        id = item.strip() if isinstance(item, str) else _id(item) if isinstance(item, dict) else ""
        if id:
            found.append((id, item if isinstance(item, dict) else {}, None))
        elif not (isinstance(item, dict) and _is_other(item)):
            unread += 1
    if unread:
        gaps.reasons.append(f"{unread} of the {len(items)} entries of the model list cannot be read")
    if items and all(isinstance(item, str) for item in items):
        return "names", found
    if items and not any(isinstance(item, dict) and _id(item) for item in items):
        if (error := error_in(items)) is not None:
            raise error
        raise MalformedReply(_no_list(items))
    return "list", found


def _table(models: Extra) -> list[Entry] | None:
    """Models by ID, as in models.dev and extended lists; None if it is a table of something else."""
    if not all(isinstance(entry, dict) for entry in models.values()):
        return None
    ids = {key: entry["id"] if isinstance(entry.get("id"), str) else key for key, entry in models.items()}
    return [(id, models[key], None) for key, written in ids.items() if (id := written.strip() or key.strip())]


def _groups(listed: Extra) -> list[Entry]:
    """Lists by purpose of their models, as speech services have them."""
    found: list[Entry] = []
    kinds = {word: kind for kind, words in table().kinds.words.items() for word in words}
    for key, items in listed.items():
        if (kind := kinds.get(key)) is not None and isinstance(items, list):
            found += [(id, item, kind) for item in items if isinstance(item, dict) and (id := _id(item))]
    return found


def _is_model(entry: Extra) -> bool:
    """Whether a single object is a model, rather than another object with an ID."""
    facts = facts_of(entry)
    known = facts.max_context_tokens or facts.max_output_tokens or facts.cost or facts.capabilities
    word = entry.get("object") == "model" or entry.get("type") == "model"
    return bool(known or word or "inferenceProviderMapping" in entry or "supportedGenerationMethods" in entry)


def _is_other(entry: Extra) -> bool:
    """Whether an entry is not a model, such as a provider with its own models or an operation."""
    found = _written(entry)
    return bool(entry.keys() & {"models", "models_data_source", "baseUrl"} or (found and OPERATION.search(found[0])))


def _written(entry: Extra) -> list[str]:
    """Candidates for an entry's ID, likeliest first."""
    return [value for key in table().ids if isinstance(value := entry.get(key), str) and value.strip()]


def _id(entry: Extra) -> str:
    """The ID of an entry; "" if it is not a model: it has no ID, or is a provider with its own models."""
    found = _written(entry)
    if not found or _is_other(entry):
        return ""
    named = entry.get("name")
    if SERIAL.fullmatch(found[0]) and isinstance(named, str) and named.strip():
        return named.strip()
    resource = found[0] == named and not any(isinstance(entry.get(key), str) for key in table().ids if key != "name")
    return RESOURCE.sub("", found[0].strip()) if resource else found[0].strip()


def _add(known: Listed, raw: Extra) -> None:
    """Add the facts of a second entry for the same model: llama.cpp lists each model in two shapes."""
    merged = {**raw, **known.extra}
    again = listed_model(known.id, merged)
    known.facts, known.extra, known.status = again.facts, merged, again.status
    if known.kind == "chat":
        known.kind = again.kind


def _envelopes(listed: Json) -> list[Extra]:
    """The objects around a list, outermost first."""
    found: list[Extra] = []
    while isinstance(listed, dict):
        found.append(listed)
        inner = [value for key in table().lists if isinstance(value := found[-1].get(key), dict)]
        within = [value for value in inner if any(isinstance(value.get(key), list | dict) for key in table().lists)]
        listed = within[0] if within else None
    return found


def _parts(listed: Json, read: int, gaps: Gaps) -> int | None:
    """Total number of models, if the list gives it. A partial list without a way to the next page is a gap."""
    rules = table().parts
    totals = []
    for around in _envelopes(listed):
        leads_on = bool(_following(around))
        totals += [value for key in rules.totals if type(value := around.get(key)) is int]
        inner = [value for key, value in around.items() if isinstance(value, dict) and key not in table().lists]
        more = any(value and _plain(key) in rules.more for one in (around, *inner) for key, value in one.items())
        if not leads_on and (more or any(around.get(key) is True for key in rules.flags)):
            gaps.reasons.append("the list says that it is incomplete, without a way to get the rest")
        pages = [value for key in rules.pages if type(value := around.get(key)) is int]
        page = [value for key in rules.page if type(value := around.get(key)) is int]
        if not leads_on and pages and max(pages) > max([1, *page]):
            gaps.reasons.append(f"the list has {max(pages)} pages, without a way to get the others")
    return max(totals, default=None)


def _plain(key: str) -> str:
    return "".join(char for char in key.lower() if char.isalnum())


def _next(listed: Json) -> dict[str, str]:
    """Query parameters of the next page."""
    return next((found for around in _envelopes(listed) if (found := _following(around))), {})


def _following(listed: Extra) -> dict[str, str]:
    if listed.get("has_more") is True:
        last = listed.get("last_id")
        if not isinstance(last, str) and isinstance(data := listed.get("data"), list) and data:
            last = data[-1].get("id") if isinstance(data[-1], dict) else None
        return {"after_id": last} if isinstance(last, str) and last else {}
    for key, parameter in table().pages.items():
        if isinstance(value := listed.get(key), str) and value:
            return {parameter: value}
    following = listed.get("next")
    # of a URL, only the parameters are used: it cannot lead to another host
    if isinstance(following, str) and following:
        return dict(parse_qsl(urlsplit(following).query))
    return {}


def _no_list(listed: Json) -> str:
    """Description of a body that is not a model list."""
    first = listed[0] if isinstance(listed, list) else listed
    if isinstance(first, dict):
        if "models_data_source" in first or "baseUrl" in first:
            return "this is a provider manifest, not a list of models"
        if any(isinstance(entry, dict) and "models" in entry for entry in first.values()):
            return "this is a provider registry, not a list of models"
        return f"it contains no model list, only {', '.join(list(first)[:5]) or 'an empty object'}"
    return "the list contains no models"
