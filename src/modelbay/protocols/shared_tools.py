"""Tools that requests share. Agents send the same tools with each request, and they are often half of its bytes: a list of tools is
decoded and parsed once for all requests with the same text of it, and each step keeps its result for it.

So no code may change a tool, or a value inside of it, in place. Tools are found by their whole text, so they are always those that
the client sent.
"""

from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, TypeVar

from modelbay.conversation import Json
from modelbay.json_text import decode

T = TypeVar("T")

MOST_BYTES = 1024 * 1024
"""Maximum bytes of all texts whose tools are kept. With the results of all steps, the tools need about six times as much. The
text of an agent's tools has 20 to 100 KB, with several MCP servers 300 KB."""


class SharedTools(list[Any]):
    """A list of tools, decoded or parsed, that requests share."""

    __slots__ = ("_results",)

    def __init__(self, tools: list[Any]) -> None:
        super().__init__(tools)
        self._results: dict[Hashable, Any] = {}

    def result(self, step: Callable[..., T], *about: Hashable) -> T:
        """The result of a step, made once. Raises what `step` raises."""
        key = (step, *about)
        if key not in self._results:
            self._results[key] = step(self, *about)
        found: T = self._results[key]
        return found


class ToolTexts:
    """The tools in the most recently used texts."""

    def __init__(self) -> None:
        self._tools: dict[bytes, SharedTools] = {}
        """By their text. The first one is the least recently used."""
        self._bytes = 0
        self._lock = Lock()

    def read(self, text: bytes) -> Json:
        """The value of a JSON text. Raises what `json_text.decode` raises."""
        with self._lock:
            if (known := self._tools.pop(text, None)) is not None:
                self._tools[text] = known
                return known
        value = decode(text)
        if type(value) is not list or len(text) > MOST_BYTES:
            return value
        tools = SharedTools(value)
        with self._lock:
            if text not in self._tools:
                self._bytes += len(text)
            self._tools[text] = tools
            while self._bytes > MOST_BYTES:
                oldest = next(iter(self._tools))
                del self._tools[oldest]
                self._bytes -= len(oldest)
        return tools


TEXTS = ToolTexts()


def derived(tools: list[Any], step: Callable[..., list[T]], *about: Hashable) -> list[T]:
    """The result of `step(tools, *about)`, which depends on nothing else; for shared tools, it is made once and shared, too. Raises
    what `step` raises."""
    if type(tools) is not SharedTools:
        return step(tools, *about)
    return tools.result(_shared, step, *about)


def _shared(tools: list[Any], step: Callable[..., list[T]], *about: Hashable) -> list[T]:
    # a new list, too, if nothing changed: one that refers to itself would stay in memory
    return SharedTools(step(tools, *about))


def copied(rendered: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A list of objects for one body, in which cache control may be set."""
    return [dict(item) for item in rendered]
