"""Fields and previews that an endpoint does not know, as its error names them.

Clients gain fields with each release, and servers that are compatible with a protocol reject what they do not know: a field by its
place, as in `tools.3.custom.defer_loading: Extra inputs are not permitted`, or a preview by its name in the header
`anthropic-beta`. A lesson about a field has its place for all requests: `*` is any item of a list, and `**` any object that may
have a cache mark.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from operator import is_
from typing import Any

from modelbay.conversation import Json

HEADER = "anthropic-beta"
PREVIEW = f"{HEADER}: "
"""The beginning of the name of a lesson about a preview."""
MARK = "cache_control"
ANYWHERE = "**."
_HOLDERS = ("tools", "system", "messages", "content")
"""Members with blocks that may have a cache mark."""
_BLOCKS = frozenset((*_HOLDERS, "*"))
_PLACE = re.compile(r"(?<![\w.])([a-z_]\w*(?:\.\w+)*): extra inputs are not permitted", re.IGNORECASE)
_PREVIEWS = re.compile(rf"unexpected value\(s\) (.{{1,2000}}?) for the [`'\"]?{HEADER}", re.IGNORECASE | re.DOTALL)
_NAME = re.compile(r"[\w.-]+")
_CONTENT = frozenset(
    ("content", "input", "input_schema", "name", "text", "source", "data", "format", "schema", "role", "type", "id", "tool_use_id",
     "thinking", "signature")
)  # fmt: skip
"""Members whose loss changes the meaning of a request."""


def unknown_place(message: str, body: dict[str, Any]) -> str | None:
    """The place of the field inside a member of `body` that an error reports as unknown; None if there is none, or if the request
    means something else without it. Errors name the kinds of blocks, too, such as `custom`."""
    found = _PLACE.search(message)
    if found is None:
        return None
    value: Json = body
    place: list[str] = []
    *outer, last = found[1].split(".")
    for step in outer:
        if isinstance(value, list):
            if not step.isdecimal() or int(step) >= len(value):
                return None
            value = value[int(step)]
            place.append("*")
        elif isinstance(value, dict) and isinstance(value.get(step), dict | list):
            value = value[step]
            place.append(step)
        elif not isinstance(value, dict):
            return None
    if not isinstance(value, dict) or last not in value or last in _CONTENT:
        return None
    if not place:
        return f"{last}.effort" if last == "output_config" and set(value[last] or ()) == {"effort"} else None
    place.append(last)
    if MARK in place and _BLOCKS.issuperset(place[: place.index(MARK)]):
        return ANYWHERE + ".".join(place[place.index(MARK) :])
    return ".".join(place)


def remove(body: dict[str, Any], place: str) -> bool:
    """Remove the fields at a place from `body`. Returns whether there were any. The values in `body` are not changed but replaced:
    requests share some of them."""
    steps = place.removeprefix(ANYWHERE).split(".")
    changed = (_without_anywhere if place.startswith(ANYWHERE) else _without)(body, steps)
    if changed is body:
        return False
    body.clear()
    body.update(changed)
    return True


def _without(value: Json, steps: list[str]) -> Json:
    """The value without the fields at a place; the value itself if there are none."""
    first, *rest = steps
    if first == "*":
        return _each(value, lambda item: _without(item, rest)) if isinstance(value, list) else value
    if not isinstance(value, dict) or first not in value:
        return value
    inner = _without(value[first], rest) if rest else {}
    if inner is value[first]:
        return value
    if inner == {}:  # after a field in it was removed, it is unknown, too, or has no meaning
        return {name: item for name, item in value.items() if name != first}
    return {**value, first: inner}


def _without_anywhere(value: Json, steps: list[str]) -> Json:
    """The value without the fields at a place in any object of it that may have a cache mark."""
    if isinstance(value, list):
        return _each(value, lambda item: _without_anywhere(item, steps))
    if not isinstance(value, dict):
        return value
    found: dict[str, Any] = _without(value, steps)
    for name in _HOLDERS:
        if name in found and (inner := _without_anywhere(found[name], steps)) is not found[name]:
            found = {**found, name: inner}
    return found


def _each(items: list[Json], change: Callable[[Json], Json]) -> list[Json]:
    """The items with a change applied to each; the same list if nothing changes."""
    found = [change(item) for item in items]
    return items if all(map(is_, found, items)) else found


def unknown_previews(message: str, headers: Mapping[str, str]) -> list[str]:
    """The previews in the headers of a call that an error reports as unknown."""
    found = _PREVIEWS.search(message)
    named = set(_NAME.findall(found[1])) if found else set()
    return [preview for preview in previews(headers.get(HEADER, "")) if preview in named]


def previews(value: str) -> list[str]:
    """The previews in a value of the header, each once."""
    return list(dict.fromkeys(preview for preview in map(str.strip, value.split(",")) if preview))


def previews_of(names: Iterable[str], fields: Collection[str], betas: Mapping[str, tuple[str, ...]]) -> set[str]:
    """The previews in `names` that belong to `fields` of the body, which are not sent. `betas`: `PassRules.betas`."""
    found = tuple(beta for beta, belonging in betas.items() if not set(belonging).isdisjoint(fields))
    return {name for name in names if name.startswith(found)}


def without_previews(headers: dict[str, str], unknown: set[str]) -> None:
    """Remove previews from the headers of a call."""
    if HEADER in headers:
        kept = [preview for preview in previews(headers.pop(HEADER)) if preview not in unknown]
        headers |= {HEADER: ",".join(kept)} if kept else {}
