"""Any request of any client: each target gets what was said, or it is reported, or refused by name."""

import json
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from modelbay.conversation import (
    AnyPart,
    Conversation,
    Media,
    OutputFormat,
    Reasoning,
    Role,
    Settings,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from modelbay.dialect import PLAIN
from modelbay.errors import BadRequest, Unsupported
from modelbay.protocols.codec import Call, codec
from modelbay.protocols.dispositions import TABLE
from tests.protocols.spoken import BUILT
from tests.protocols.test_translation import MODEL, NAMES, missing

TEXTS = st.sampled_from(["Hi", "b c", "  begun", "ended \n", "é漢", "", "\n", "<x>", '{"j":1}', "one\ntwo"])
WORDS = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True)
OBJECTS = st.dictionaries(WORDS, st.sampled_from([1, "x", None, True, 1.5, [1, "a"], {"k": "v"}]), max_size=3)
FILES = st.sampled_from(
    [
        Media(kind="image", data="iVBORw0KGgo=", media_type="image/png"),
        Media(kind="image", url="https://example.com/a.png"),
        Media(kind="document", data="JVBERi0=", media_type="application/pdf", name="a.pdf"),
    ]
)
LATER: st.SearchStrategy[Role] = st.sampled_from(["system", "developer"])
"""Roles of messages that are not the user's."""
CHOICES = st.builds(
    ToolChoice,
    st.sampled_from(["auto", "none", "required", "tool", "allowed"]),
    parallel=st.none() | st.booleans(),
    required=st.booleans(),
)
OPTIONAL: dict[str, st.SearchStrategy[Any]] = {
    "max_output_tokens": st.sampled_from([16, 8000]),
    "temperature": st.sampled_from([0.0, 0.5]),
    "top_p": st.sampled_from([0.1, 1.0]),
    "top_k": st.just(5),
    "seed": st.just(7),
    "stop": st.sampled_from([["x"], ["a", "b"]]),
    "frequency_penalty": st.just(0.5),
    "presence_penalty": st.just(0.5),
    "user": st.just("u"),
    "service_tier": st.sampled_from(["auto", "flex"]),
    "output_format": st.sampled_from(
        [
            OutputFormat("json"),
            OutputFormat("json_schema", schema={"type": "object", "properties": {"a": {"type": "string"}}}, name="x"),
            OutputFormat("json_schema", schema={"type": "array", "items": {"type": "string"}}, name="x"),
        ]
    ),
    "reasoning": st.sampled_from([Reasoning(effort="high"), Reasoning(enabled=True, budget=2048)]),
}


@st.composite
def _steps(draw: st.DrawFn, names: list[str], number: int) -> list[Turn]:
    """A reply with calls, and their results in any order."""
    made: list[AnyPart] = [
        ToolCall(name=draw(st.sampled_from(names)), id=f"call_{number}_{at}", arguments=json.dumps(draw(OBJECTS)))
        for at in range(draw(st.integers(1, 2)))
    ]
    results = []
    for call in draw(st.permutations(made)):
        assert isinstance(call, ToolCall)
        parts: list[AnyPart] = [Text(text=text) for text in draw(st.lists(TEXTS, max_size=2))]
        parts += [replace(file) for file in draw(st.lists(FILES, max_size=1))]
        answer = ToolResult(call_id=call.id, name=call.name, parts=parts, is_error=draw(st.none() | st.booleans()))
        results.append(Turn("tool", [answer]))
    said: list[AnyPart] = [Text(text=text) for text in draw(st.lists(TEXTS, max_size=1))]
    return [Turn("assistant", said + made), *results]


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    names = draw(st.lists(WORDS, min_size=1, max_size=3, unique=True))
    turns = [Turn("system", [Text(text=text)]) for text in draw(st.lists(TEXTS, max_size=1))]
    for number in range(draw(st.integers(1, 3))):
        asked: list[AnyPart] = [Text(text=text) for text in draw(st.lists(TEXTS, max_size=2))]
        turns.append(Turn("user", [Text(text="Go on"), *asked, *map(replace, draw(st.lists(FILES, max_size=1)))]))
        turns += [Turn(draw(LATER), [Text(text=text)]) for text in draw(st.lists(TEXTS, max_size=1))]
        turns += draw(_steps(names, number)) if draw(st.booleans()) else []
        turns += [Turn("assistant", [Text(text=text)]) for text in draw(st.lists(TEXTS, max_size=1))]
    settings = Settings(**{name: draw(value) for name, value in OPTIONAL.items() if draw(st.booleans())})
    if draw(st.booleans()):
        schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
        settings.tools = [Tool(name=name, schema=schema, strict=draw(st.none() | st.booleans())) for name in names]
        settings.tool_choice = draw(CHOICES)
        settings.tool_choice.names = names[:1] if settings.tool_choice.mode in ("tool", "allowed") else []
    return Conversation(turns, settings, stream=draw(st.booleans()))


@pytest.mark.parametrize(("source", "target"), list(permutations(BUILT, 2)))
@given(conversations())
def test_nothing_of_a_request_is_lost_in_silence(source: str, target: str, conversation: Conversation) -> None:
    try:
        body = codec(source).render_request(conversation, MODEL, PLAIN).body
    except Unsupported:
        return  # no client of this protocol can say it
    path = "/v1beta/models/m:generateContent" if source == "google" else "/v1/m"
    asked = codec(source).parse_request(Call(path, msgspec.json.decode(msgspec.json.encode(body))))
    try:
        call = codec(target).render_request(asked, MODEL, PLAIN)
    except BadRequest as refusal:
        assert isinstance(refusal, Unsupported)
        assert refusal.setting in {*TABLE, *NAMES[source]}
        return
    assert missing(asked, msgspec.json.decode(call.encode()), call, target) == []
