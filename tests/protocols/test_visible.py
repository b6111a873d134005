"""Any shape in place of a reply's content it is shown, kept as it came, or an error: it never just vanishes."""

import json
from typing import Any

import msgspec
import pytest

from modelbay.conversation import Conversation
from modelbay.dialect import PLAIN
from modelbay.errors import ReplyError
from modelbay.events import Reply, collect
from modelbay.protocols.codec import NAMES, codec
from tests.protocols import reading

MARK = "marked-42"
SHAPES: list[Any] = [
    MARK,
    {"answer": MARK},
    {"type": "odd", "x": MARK},
    {"text": MARK},
    [MARK],
    [{"answer": MARK}],
    [[MARK]],
    4242,
    [4242],
]
"""Each says 42."""


def chat(field: str, value: Any) -> dict[str, Any]:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    match field:
        case "name" | "arguments":
            return {
                "content": None,
                "tool_calls": [{**call, "function": {"name": "f", "arguments": "{}", field: value}}],
            }
        case "function":
            return {"content": None, "tool_calls": [{**call, "function": value}]}
        case "text":
            return {"content": [{"type": "text", "text": value}]}
        case _:
            return {"content": "Hi", field: value}


CHAT = ("content", "text", "refusal", "reasoning_content", "tool_calls", "function", "name", "arguments")


def anthropic(field: str, value: Any) -> Any:
    match field:
        case "content":
            return value
        case "block":
            return [value]
        case "text" | "thinking":
            return [{"type": field, field: value}]
        case _:
            return [{"type": "tool_use", "id": "a", "name": "f", "input": {}, field: value}]


ANTHROPIC = ("content", "block", "text", "thinking", "name", "input")


def responses(field: str, value: Any) -> Any:
    message = {"type": "message", "role": "assistant", "id": "m"}
    match field:
        case "output":
            return value
        case "item":
            return [value]
        case "content":
            return [{**message, "content": value}]
        case "part":
            return [{**message, "content": [value]}]
        case "text":
            return [{**message, "content": [{"type": "output_text", "text": value}]}]
        case "refusal":
            return [{**message, "content": [{"type": "refusal", "refusal": value}]}]
        case "summary":
            return [{"type": "reasoning", "summary": value}]
        case _:
            return [{"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}", field: value}]


RESPONSES = ("output", "item", "content", "part", "text", "refusal", "summary", "name", "arguments")


def google(field: str, value: Any) -> Any:
    match field:
        case "content":
            return value
        case "parts":
            return {"parts": value}
        case "part":
            return {"parts": [value]}
        case "text" | "functionCall":
            return {"parts": [{field: value}]}
        case _:
            return {"parts": [{"functionCall": {"name": "f", "args": {}, field: value}}]}


GOOGLE = ("content", "parts", "part", "text", "functionCall", "name", "args")

FIELDS = [
    (protocol, field)
    for protocol, fields in zip(NAMES, (CHAT, RESPONSES, ANTHROPIC, GOOGLE), strict=True)
    for field in fields
]


def sse(*chunks: Any) -> bytes:
    return b"".join(b"data: " + (c if isinstance(c, str) else json.dumps(c)).encode() + b"\n\n" for c in chunks)


def read(protocol: str, field: str, value: Any, streamed: bool) -> Reply:
    match protocol:
        case "openai_chat":
            choice = {"index": 0, "finish_reason": "stop", "delta" if streamed else "message": chat(field, value)}
            body: Any = {"id": "c", "choices": [choice]}
            data = sse(body, "[DONE]")
        case "openai_responses":
            body = {"id": "r", "object": "response", "status": "completed", "output": responses(field, value)}
            data = sse({"type": "response.completed", "response": body})
        case "anthropic":
            content = anthropic(field, value)
            body = {"id": "m", "type": "message", "content": content, "stop_reason": "end_turn"}
            blocks = content if isinstance(content, list) else [content]
            data = sse(
                {"type": "message_start", "message": {"id": "m"}},
                *[
                    event
                    for index, block in enumerate(blocks)
                    for event in (
                        {"type": "content_block_start", "index": index, "content_block": block},
                        {"type": "content_block_stop", "index": index},
                    )
                ],
                {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
                {"type": "message_stop"},
            )
        case _:
            body = {"candidates": [{"content": google(field, value), "finishReason": "STOP"}]}
            data = sse(body)
    return (
        reading.read(protocol, data)
        if streamed
        else collect(codec(protocol).parse_reply(json.dumps(body).encode(), PLAIN))
    )


def is_shown(reply: Reply) -> bool:
    return isinstance(reply.error, ReplyError) or "42" in json.dumps(msgspec.to_builtins(reply.parts))


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("protocol", "field"), FIELDS)
def test_nothing_that_a_reply_shows_vanishes(protocol: str, field: str, streamed: bool) -> None:
    lost = [shape for shape in SHAPES if not is_shown(read(protocol, field, shape, streamed))]
    assert lost == []


@pytest.mark.parametrize("client", NAMES)
@pytest.mark.parametrize(("protocol", "field"), FIELDS)
def test_every_client_gets_an_answer_of_it(protocol: str, field: str, client: str) -> None:
    for shape in SHAPES:
        reply = read(protocol, field, shape, streamed=False)
        if reply.error is None:
            assert json.loads(codec(client).render_reply(reply))
        renderer = codec(client).stream_renderer(Conversation(stream=True))
        parser = codec(protocol).stream_parser(PLAIN)
        assert [renderer.feed(event) for event in parser.close()]


@pytest.mark.parametrize("value", [None, "", [], {}])
@pytest.mark.parametrize(("protocol", "field"), FIELDS)
def test_nothing_is_shown_where_there_is_nothing(protocol: str, field: str, value: Any) -> None:
    reply = read(protocol, field, value, streamed=False)
    assert reply.text in ("", "Hi")


JSON_MODE = {"answer": "yes", "score": 7}


@pytest.mark.parametrize("client", NAMES)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_an_object_as_the_content_is_its_json(client: str, streamed: bool) -> None:
    """Cloudflare's JSON mode."""
    reply = read("openai_chat", "content", JSON_MODE, streamed)
    assert reply.text == '{"answer":"yes","score":7}'
    assert reply.error is None
    again = collect(codec(client).parse_reply(codec(client).render_reply(reply), PLAIN))
    assert again.text == reply.text
