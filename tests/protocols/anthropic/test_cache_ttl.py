"""Hosts that refuse a time to live in a cache mark get none, wherever a mark may be."""

from collections.abc import Iterator

import pytest

from modelbay import Conversation, Media, Settings, Text, Tool, ToolCall, ToolResult, Turn
from modelbay.conversation import Json
from modelbay.dialect import Dialect
from modelbay.model import Model
from modelbay.protocols import anthropic

HOUR = {"type": "ephemeral", "ttl": "1h"}
PICTURE = Media(kind="image", data="aGk=", media_type="image/png", cache=HOUR)
TALK = Conversation(
    [
        Turn("system", [Text(text="Be brief.", cache=HOUR)]),
        Turn("user", [Text(text="Look", cache=HOUR), PICTURE]),
        Turn("assistant", [ToolCall(id="1", name="look", arguments="{}", cache=HOUR)]),
        Turn("tool", [ToolResult(call_id="1", parts=[Text(text="A cat", cache=HOUR), PICTURE], cache=HOUR)]),
    ],
    Settings(tools=[Tool(name="look", schema={"type": "object"}, cache=HOUR)], cache=HOUR, max_output_tokens=9),
)


def marks(value: Json) -> Iterator[Json]:
    if isinstance(value, dict):
        if "cache_control" in value:
            yield value["cache_control"]
        for inner in value.values():
            yield from marks(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from marks(inner)


@pytest.mark.parametrize("taken", [True, False])
def test_a_time_to_live_is_sent_only_where_it_is_taken(taken: bool) -> None:
    body = anthropic.render_request(TALK, Model(id="m"), Dialect(cache_marks=True, cache_ttl=taken)).body
    found = list(marks(body))
    assert len(found) >= 4
    assert found == [HOUR if taken else {"type": "ephemeral"}] * len(found)
    assert TALK.turns[0].parts[0].cache == HOUR  # the caller's object is not changed
