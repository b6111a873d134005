"""Tools that were fitted before: agents send the same thirty schemas with every turn, and walking through them costs more than
writing the rest of the request.

A result depends on the content of the tools alone, and the SHA-256 of that content is its key: no client can get another
one's result. Nothing of the content itself is kept, and results are bounded in number and size.
"""

from hashlib import sha256
from threading import Lock
from typing import Any

import msgspec
from msgspec import Struct

from modelbay.conversation import Json, Tool
from modelbay.events import Warned

_MOST = 128
"""Results to keep: one for each agent that runs at a time, and for each of its modes."""
_LARGEST = 64 * 1024
"""Bytes of a result that is kept."""


class Fitted(Struct, array_like=True):
    """The changes that fit a list of tools to a target; most lists need none."""

    changes: dict[int, tuple[Json, bool | None]]
    """The schema and the `strict` of each tool that changes, by its place in the list."""
    report: list[Warned]


def content_of(target: tuple[Any, ...], tools: list[Tool]) -> bytes | None:
    """All that a result depends on; None if a program gave something that has no such form.

    MessagePack tells apart what Python finds equal (1, 1.0 and true) and what JSON cannot say (NaN and null).
    """
    try:
        return msgspec.msgpack.encode((target, [(tool.kind, tool.name, tool.strict, tool.schema) for tool in tools]))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None


def schemas_in(content: bytes) -> list[Json]:
    """The schemas of a content. They are fitted instead of those of the request, so that nothing else has a say."""
    return [schema for *_, schema in msgspec.msgpack.decode(content)[1]]


class Known:
    """The results of the contents that were seen last."""

    def __init__(self) -> None:
        self._results: dict[bytes, bytes] = {}
        """Results as bytes: each request gets a copy of its own."""
        self._lock = Lock()

    def get(self, content: bytes) -> Fitted | None:
        key = sha256(content).digest()
        with self._lock:
            if (result := self._results.pop(key, None)) is None:
                return None
            self._results[key] = result  # the first of the dict is the one that was not seen for the longest time
        return _UNCHANGED if result == _NOTHING else msgspec.msgpack.decode(result, type=Fitted)

    def keep(self, content: bytes, fitted: Fitted) -> None:
        result = msgspec.msgpack.encode(fitted)
        if len(result) > _LARGEST:
            return
        with self._lock:
            self._results[sha256(content).digest()] = result
            if len(self._results) > _MOST:
                del self._results[next(iter(self._results))]


_UNCHANGED = Fitted({}, [])
_NOTHING = msgspec.msgpack.encode(_UNCHANGED)
