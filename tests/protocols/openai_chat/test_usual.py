"""Usual replies and chunks are decoded by type. Only the time shows it: the events are those of the lenient reader."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.dialect import PLAIN, Dialect
from modelbay.events import Event
from modelbay.protocols.openai_chat import reply as replies
from modelbay.protocols.openai_chat import stream_in
from modelbay.protocols.openai_chat.reply import parse_reply
from modelbay.protocols.openai_chat.usual import usual_chunk, usual_reply
from tests.protocols.likeness import told

TOP = {"id": "c1", "created": 7, "model": "m", "service_tier": "default", "system_fingerprint": None}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12, "prompt_tokens_details": {"cached_tokens": 4}}


def reply(finish: str, **message: Any) -> dict[str, Any]:
    said = {"role": "assistant", "refusal": None, "annotations": [], **message}
    choice = {"index": 0, "message": said, "logprobs": None, "finish_reason": finish}
    return {"object": "chat.completion", **TOP, "choices": [choice], "usage": USAGE}


def chunk(**delta: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
    return {"object": "chat.completion.chunk", **TOP, "choices": [choice], "usage": None, "obfuscation": "x7"}


REPLIES = [
    reply("stop", content="Hello"),
    reply("tool_calls", content=None, tool_calls=[CALL, {**CALL, "id": "call_2", "index": 1}]),
    reply("length", content="Hello", tool_calls=[CALL], reasoning_content=None),
]
CHUNKS = [
    chunk(content=" the"),
    chunk(content="The tide. " * 50),
    chunk(role="assistant", content=" bay", refusal=None, reasoning_content=None),
    chunk(content=None, reasoning_content="Hm"),
    chunk(content="", reasoning=" so"),
    chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"a'}}]),
    chunk(content=None, tool_calls=[{"index": 0, "type": "function", "function": {"name": "", "arguments": '":1}'}}]),
]
STARTS = [
    chunk(role="assistant", content=""),
    chunk(tool_calls=[{**CALL, "index": 0, "function": {"name": "f", "arguments": ""}}]),
    chunk(tool_calls=[{"index": 1, "type": "custom", "custom": {"name": "g", "input": "x"}}]),
    chunk(function_call={"name": "h", "arguments": ""}),
]
DIALECTS = [
    PLAIN,
    Dialect(think_tags=True, merge_choices=True, reasoning_in_output=False, ends_without_finish=True),
    Dialect(reasoning_field="thoughts"),
    Dialect(reasoning_field="reasoning"),
]
ODD = [
    b"null", b"true", b"false", b"0", b"-1", b"0.0", b"1.5", b"1e400", b"9007199254740993", b"9" * 30, b'""', b'" "', b'"x"',
    b'"</think>"', rb'"\ud83d"', b'"a\tb"', b'"\xff"', b"[]", b"[null]", b'["x"]', b"[{}]", b"{}", b'{"a":{"b":[]}}', b"NaN",
    b"[" * 201 + b"]" * 201, b'{"message":"no"}', b'{"prompt_tokens":true}', b'{"usage":{"prompt_tokens":1}}',
]  # fmt: skip
NAMES = [
    "a", "audio", "base_resp", "content", "choices", "custom", "delta", "error", "extra_content", "finish_reason", "function",
    "function_call", "id", "images", "index", "input", "message", "name", "reasoning", "reasoning_content",
    "reasoning_details", "reasoning_text", "refusal", "stop_reason", "thinking_blocks", "thoughts", "tool_calls", "type",
    "usage", "x_groq",
]  # fmt: skip


def variants(value: Any) -> Iterator[Any]:
    """The value with one change: a member that is wrong, missing, unknown or repeated."""
    yield from map(msgspec.Raw, ODD)
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield [*value, item]
            yield from ([*value[:index], changed, *value[index + 1 :]] for changed in variants(item))
    if isinstance(value, dict):
        for name, item in value.items():
            yield {other: kept for other, kept in value.items() if other != name}
            yield from ({**value, name: changed} for changed in variants(item))
        for name in NAMES:
            text = msgspec.json.encode(value)[:-1]
            yield from (msgspec.Raw(b'%b,"%b":%b}' % (text, name.encode(), odd)) for odd in ODD[:: len(ODD) // 5])


@cache
def nearly(kind: str) -> list[bytes]:
    """The JSON of all usual replies or chunks with one change."""
    usual = REPLIES if kind == "replies" else [*CHUNKS, *STARTS]
    return [msgspec.json.encode(changed) for value in usual for changed in [value, *variants(value)]]


def streamed(payloads: list[bytes], dialect: Dialect) -> list[Any]:
    parser, found = stream_in.stream_parser(dialect), list[Any]()
    for payload in payloads:
        found += [*told(parser.feed(b"data: " + payload + b"\n\n")), parser.finishing]
    return [*found, *told(parser.close())]


@pytest.mark.parametrize("usual", REPLIES)
def test_a_usual_reply_is_decoded_by_type(usual: dict[str, Any]) -> None:
    assert usual_reply(json.dumps(usual).encode()) is not None


@pytest.mark.parametrize("usual", CHUNKS)
def test_a_usual_chunk_is_decoded_by_type(usual: dict[str, Any]) -> None:
    assert usual_chunk(json.dumps(usual).encode()) is not None


@pytest.mark.parametrize("share", range(len(DIALECTS)))
def test_a_reply_has_the_events_of_the_lenient_reader(share: int) -> None:
    dialect = DIALECTS[share]
    for body in nearly("replies")[share :: len(DIALECTS)]:
        found: list[Event] = parse_reply(body, dialect)
        with patch.object(replies, "usual_reply", lambda body: None):
            assert told(found) == told(parse_reply(body, dialect)), body


@given(st.lists(st.sampled_from(range(10**6)), min_size=20, max_size=20), st.sampled_from(DIALECTS))
def test_a_stream_has_the_events_of_the_lenient_reader(places: list[int], dialect: Dialect) -> None:
    chunks = nearly("chunks")
    payloads = [json.dumps(STARTS[places[0] % len(STARTS)]).encode(), *[chunks[at % len(chunks)] for at in places]]
    found = streamed(payloads, dialect)
    with patch.object(stream_in, "usual_chunk", lambda payload: None):
        assert found == streamed(payloads, dialect)


@pytest.mark.parametrize("share", range(len(STARTS) * len(DIALECTS)))
def test_a_chunk_after_a_start_has_the_events_of_the_lenient_reader(share: int) -> None:
    start, dialect = STARTS[share % len(STARTS)], DIALECTS[share // len(STARTS)]
    for payload in nearly("chunks")[share :: len(STARTS) * len(DIALECTS)]:
        payloads = [json.dumps(start).encode(), payload, json.dumps(CHUNKS[0]).encode()]
        found = streamed(payloads, dialect)
        with patch.object(stream_in, "usual_chunk", lambda payload: None):
            assert found == streamed(payloads, dialect), payload


def test_a_chunk_that_is_nested_too_deeply_is_rejected_although_nothing_reads_its_field() -> None:
    deep = msgspec.Raw(b"[" * 300 + b"]" * 300)
    payload = msgspec.json.encode({**CHUNKS[0], "unknown": deep})
    found = streamed([json.dumps(STARTS[0]).encode(), payload], PLAIN)
    assert "nested more than 200 levels deep" in str(found)
