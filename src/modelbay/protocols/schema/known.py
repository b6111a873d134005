"""Cache of fitted tools: agents send the same schemas with every request, and traversing them costs more than the rest
of rendering.

A result depends only on the content of the tools. Its key is the SHA-256 of that content, so no client can get another
one's result. The content itself is not kept, and results are limited in number and size.
"""

from hashlib import sha256
from threading import Lock
from typing import Any

import msgspec
from msgspec import Struct

from modelbay.conversation import Json, Tool
from modelbay.conversion import convert
from modelbay.events import Warned

_MOST = 128
"""Maximum number of results: enough for each agent that runs at a time, and each of its modes."""
_LARGEST = 64 * 1024
"""Maximum bytes of a cached result."""


class Fitted(Struct, array_like=True):
    """The changes that fit a list of tools to a target; most lists need none."""

    changes: dict[int, tuple[Json, bool | None]]
    """Schema and `strict` of each tool that changes, by its index in the list."""
    report: list[Warned]


def content_of(target: tuple[Any, ...], tools: list[Tool]) -> bytes | None:
    """Everything that a result depends on; None if a program passed a value that cannot be encoded.

    MessagePack distinguishes values that Python treats as equal (1, 1.0 and true) and values that JSON cannot represent
    (NaN).
    """
    try:
        return msgspec.msgpack.encode((target, [(tool.kind, tool.name, tool.strict, tool.schema) for tool in tools]))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None


def schemas_in(content: bytes) -> list[Json]:
    """The schemas decoded from a content. They are fitted instead of those of the request, so that nothing else can
    affect the result."""
    return [schema for *_, schema in msgspec.msgpack.decode(content)[1]]


class FittingCache:
    """Results for the most recently used contents."""

    def __init__(self) -> None:
        self._results: dict[bytes, bytes] = {}
        """Results as bytes: each request gets its own copy."""
        self._lock = Lock()

    def get(self, content: bytes) -> Fitted | None:
        key = sha256(content).digest()
        with self._lock:
            if (result := self._results.pop(key, None)) is None:
                return None
            self._results[key] = result  # the first key of the dict is the least recently used one
        return _UNCHANGED if result == _NOTHING else convert(msgspec.msgpack.decode(result), Fitted)

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
