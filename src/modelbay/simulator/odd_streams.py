"""Unusual streams with the same content: tool calls and finish reasons as some providers send them."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from modelbay.conversation import ToolCall
from modelbay.events import Event, PartDelta, PartEnded, PartStarted
from modelbay.json_text import decode
from modelbay.simulator.responses import Step

CALL = ToolCall(name="get_weather", arguments='{"city": "Paris", "days": 2}', id="call_odd")
"""The tool call of the faults of tool calls, for every prompt."""
_DATA = re.compile(rb"data: (\{.*\})")


def empty_first(events: Iterator[Event]) -> Iterator[Event]:
    """Arguments that begin with an empty object (Bedrock behind gateways)."""
    for event in events:
        yield event
        if type(event) is PartStarted and type(event.part) is ToolCall:
            yield PartDelta(event.key, "{}")


def twice(events: Iterator[Event]) -> Iterator[Event]:
    """Arguments that are repeated as a whole at the end."""
    for event in events:
        if type(event) is PartEnded and type(event.part) is ToolCall:
            yield PartDelta(event.key, event.part.arguments)
        yield event


def name_in_pieces(chunk: dict[str, Any]) -> list[dict[str, Any]]:
    """A chunk of Chat Completions with the name of the call split into two pieces. Other protocols send names whole."""
    call = _call_in(chunk)
    name = (call or {}).get("function", {}).get("name")
    if not name:
        return [chunk]
    rest = decode(msgspec.json.encode(chunk))
    call["function"]["name"] = name[:3]  # type: ignore[index]
    again = _call_in(rest) or {}
    again["function"] = {"name": name[3:]}
    return [chunk, rest]


def object_fragments(chunk: dict[str, Any]) -> list[dict[str, Any]]:
    """A chunk of Chat Completions with arguments as an object instead of text. The first chunk has one property, the last chunk
    has the others, and the chunks between them are empty."""
    call = _call_in(chunk)
    if call is None:
        return [chunk]
    function, (first, *others) = call["function"], decode(CALL.arguments).items()
    said = function.get("arguments", "")
    if "name" in function or said.endswith("}"):
        function["arguments"] = dict([first] if "name" in function else others)
        return [chunk]
    return []


def _call_in(chunk: dict[str, Any]) -> dict[str, Any] | None:
    for choice in chunk.get("choices") or ():
        for call in choice.get("delta", {}).get("tool_calls") or ():
            return call  # type: ignore[no-any-return]
    return None


def ending_in(word: str, path: tuple[str | int, ...]) -> Callable[[dict[str, Any]], list[dict[str, Any]]]:
    """Change the finish reason at `path`."""

    def change(chunk: dict[str, Any]) -> list[dict[str, Any]]:
        value: Any = chunk
        try:
            for step in path[:-1]:
                value = value[step]
            if value[path[-1]] not in (None, "in_progress"):
                value[path[-1]] = word
        except (KeyError, IndexError, TypeError):
            pass  # not the last chunk
        return [chunk]

    return change


def rewritten(steps: Iterator[Step], change: Callable[[dict[str, Any]], list[dict[str, Any]]]) -> Iterator[Step]:
    """The steps of a stream with each event changed."""
    for step in steps:
        yield rewritten_bytes(step, change) if isinstance(step, bytes) else step


def rewritten_bytes(data: bytes, change: Callable[[dict[str, Any]], list[dict[str, Any]]]) -> bytes:
    """Whole events of a stream, each changed."""

    def written(found: re.Match[bytes]) -> bytes:
        return b"\n\n".join([b"data: " + msgspec.json.encode(chunk) for chunk in change(decode(found[1]))])

    return _DATA.sub(written, data)
