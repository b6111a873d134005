"""`[gateway] cache_ttl`: prompt caches that live for an hour instead of five minutes.

Agents do not know which provider a gateway calls, so they never ask for an hour. An hour is set for the cache marks of a request
that has no time of their own, if the provider is known to accept it.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from modelbay.calling.target import Target
from modelbay.conversation import Json
from modelbay.protocols.codec import Call
from modelbay.providers.adaptation import Adaptation
from modelbay.providers.unknown_fields import ANYWHERE, MARK

REJECTED = f"{ANYWHERE}{MARK}.ttl"
"""The place in the lesson of a provider that rejected a time."""


def accepted(target: Target, lessons: list[Adaptation]) -> bool:
    """Whether a target is known to accept the time to live of a cache mark."""
    to = target.upstream
    known = to.protocol == "anthropic" and to.dialect.cache_marks and to.dialect.cache_ttl
    return known and all(lesson.place != REJECTED for lesson in lessons)


def lengthen(call: Call, ttl: str) -> None:
    """Set the time to live of the cache marks in a call."""
    if call.text is None or b'"' + MARK.encode() + b'"' in call.text:
        call.edit(partial(_lengthen, ttl=ttl))


def _lengthen(body: dict[str, Any], ttl: str) -> None:
    for holder in _marked(body):
        mark = holder[MARK]
        if mark.get("ttl") is None:
            holder[MARK] = {**mark, "ttl": ttl}
        elif mark["ttl"] != ttl:
            return  # providers reject a longer time after a shorter one


def _marked(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The objects with a cache mark, in the order of the prompt."""
    yield from _within(body.get("tools"))
    yield from _within(body.get("system"))
    for message in _objects(body.get("messages")):
        yield from _within(message.get("content"))
    if isinstance(body.get(MARK), dict):  # for the last block
        yield body


def _within(blocks: Json) -> Iterator[dict[str, Any]]:
    for block in _objects(blocks):
        yield from _within(block.get("content"))
        if isinstance(block.get(MARK), dict):
            yield block


def _objects(value: Json) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
