"""Equality of bodies, events and replies: nothing but the listed differences is allowed."""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import msgspec

from modelbay.events import Event, Failed, PartDelta, PartEnded, PartStarted, Reply, collect

Path = tuple[str | int, ...]


def said(value: Any) -> Any:
    """A request body as far as it says something; two bodies that say the same are equal.

    The closed list of what does not matter, for every protocol:
    - null is absent;
    - an empty list is absent;
    - content that is one plain text part is that string;
    - a single stop string is a list of one;
    - an `input` string is a list of one user message;
    - a function tool's `type: function` is the default;
    - the order of keys.
    """
    if isinstance(value, list):
        return [said(item) for item in value]
    if not isinstance(value, dict):
        return value
    body = {name: said(item) for name, item in value.items() if item is not None and item != []}
    for name in ("content", "system"):
        match body.get(name):
            case [{"type": "text", "text": text, **others}] if not others:
                body[name] = text
    if isinstance(body.get("stop"), str):
        body["stop"] = [body["stop"]]
    if isinstance(body.get("input"), str):
        body["input"] = [{"role": "user", "content": body["input"]}]
    if isinstance(body.get("function"), dict) and "parameters" in body["function"]:
        body.setdefault("type", "function")
    return body


def differences(a: Any, b: Any, path: Path = ()) -> Iterator[tuple[Path, Any, Any]]:
    """The places where two bodies differ, each with both values; `...` is absent."""
    if isinstance(a, dict) and isinstance(b, dict):
        for name in {**a, **b}:
            yield from differences(a.get(name, ...), b.get(name, ...), (*path, name))
    elif isinstance(a, list) and isinstance(b, list):
        for index in range(max(len(a), len(b))):
            here = a[index] if index < len(a) else ...
            there = b[index] if index < len(b) else ...
            yield from differences(here, there, (*path, index))
    elif a != b or type(a) is not type(b):
        yield path, a, b


def told(events: Iterable[Event]) -> list[Any]:
    """Events as plain values; an error counts by its class, message and status."""
    return [_told(event) for event in events]


def _told(event: Event) -> Any:
    if isinstance(event, Failed):
        error = event.error
        return {"type": "failed", "error": type(error).__name__, "message": error.message, "status": error.status}
    return msgspec.to_builtins(event)


def sent(events: Iterable[Event]) -> Reply:
    """The reply a client of our stream must see.

    A part that was cut off and never ended does not belong to the reply, but its beginning has been sent and cannot be unsaid.
    """
    events = list(events)
    ended = {event.key for event in events if type(event) is PartEnded}
    for event in [e for e in events if type(e) is PartStarted and e.key not in ended]:
        part = msgspec.structs.replace(event.part)
        text = "".join(e.text for e in events if type(e) is PartDelta and e.key == event.key)
        for field in ("text", "arguments"):
            if field in part.__struct_fields__:
                setattr(part, field, text)
        events.append(PartEnded(event.key, part))
    return collect(events)


def answer(reply: Reply, *, grouped: bool = False) -> dict[str, Any]:
    """The content of a reply, without the provider's own usage object; no arguments are an empty object.

    Neither ids of items, which are made where a provider has none or gives one twice, nor counts of none, which Responses
    cannot leave out, are part of it.

    grouped: as a whole reply of a protocol that groups parts by kind and carries arguments as an object keeps it.
    """
    parts = [msgspec.to_builtins(part) for part in reply.parts]
    for part in parts:
        if part["type"] == "tool_call" and not part.get("arguments"):
            part["arguments"] = "{}"
    for part in parts:
        part.pop("item_id", None)
    if grouped:
        parts.sort(key=lambda part: part["type"] != "thinking")
        for part in parts:
            if part["type"] in ("tool_call", "server_tool_call"):
                with suppress(json.JSONDecodeError):  # free text, or code for the provider to run
                    part["arguments"] = json.loads(part.get("arguments") or "{}")
    counts = {} if reply.usage is None else msgspec.to_builtins(msgspec.structs.replace(reply.usage, raw=None))
    usage = {name: count for name, count in counts.items() if count}
    finish = None if reply.finish is None else reply.finish.reason
    error = None if reply.error is None else f"{type(reply.error).__name__}: {reply.error}"
    return {"id": reply.id, "model": reply.model, "parts": parts, "finish": finish, "usage": usage, "error": error}
