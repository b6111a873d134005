"""Anthropic accepts four cache marks in a request, wherever a client of any protocol set its own."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest

from modelbay.conversation import (
    Conversation,
    Protocol,
    Provenance,
    Settings,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
    UnknownPart,
)
from modelbay.dialect import Dialect
from modelbay.model import Model
from modelbay.protocols import anthropic
from modelbay.protocols.codec import NAMES

MARK = {"type": "ephemeral"}
PLACES = ("tools", "system", "text", "field", "call", "inside a result", "result", "unknown part")
CLAUDE = Provenance("anthropic")
STEPS = 6


def marks(value: Any) -> Iterator[dict[str, Any]]:
    """The objects with a cache mark, in the order of the prompt."""
    if isinstance(value, list):
        for item in value:
            yield from marks(item)
    elif isinstance(value, dict):
        if "cache_control" in value:
            yield value
        yield from marks(value.get("content"))


def conversation(protocol: Protocol | None, marked: tuple[str, ...]) -> Conversation:
    """A conversation with cache marks in some kinds of places, in each step."""

    def mark(place: str) -> dict[str, Any] | None:
        return dict(MARK) if place in marked else None

    turns = [Turn("system", [Text(text="s", cache=mark("system"))])]
    for number in range(STEPS):
        field = {"cache_control": MARK} if "field" in marked else None  # in a protocol without cache marks
        unknown = UnknownPart(native="n", raw={"type": "n", "cache_control": MARK}, origin=CLAUDE)
        inner = Text(text="r", cache=mark("inside a result"))
        turns += [
            Turn("user", [Text(text="u", cache=mark("text"), extra=field)]),
            Turn("assistant", [unknown] if "unknown part" in marked else []),
            Turn("assistant", [ToolCall(name="t0", id=f"c{number}", arguments="{}", cache=mark("call"))]),
            Turn("user", [ToolResult(call_id=f"c{number}", parts=[inner], cache=mark("result"))]),
        ]
    tools = [Tool(name=f"t{place}", schema={"type": "object"}, cache=mark("tools")) for place in range(STEPS)]
    return Conversation(turns, Settings(tools=tools, max_output_tokens=9), protocol=protocol)


@pytest.mark.parametrize("sets", [True, False], ids=["with our own marks", "as marked"])
@pytest.mark.parametrize("protocol", [*NAMES, None])
def test_no_more_than_the_last_four_cache_marks_are_sent(protocol: Protocol | None, sets: bool) -> None:
    for marked in [(), *((place,) for place in PLACES), *combinations(PLACES, 2)]:
        call = anthropic.render_request(conversation(protocol, marked), Model(id="m"), Dialect(cache_marks=sets))
        sent = [*marks(call.body.get("tools")), *marks(call.body.get("system")), *marks(call.body["messages"])]
        assert len(sent) <= 4, marked
        reported = any("cache marks are sent" in warning.message for warning in call.warnings)
        assert not reported or len(sent) == 4, marked
