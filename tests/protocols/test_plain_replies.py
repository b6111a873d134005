"""Replies that have nothing but text, and their end. The gateway passes them on unparsed, or reads them without events."""

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.conversation import Provenance, Text
from modelbay.dialect import PLAIN, Dialect
from modelbay.events import Failed, Reply, Warned, collect
from modelbay.protocols.codec import codec
from tests.corpus import exchanges
from tests.protocols.spoken import RECORDED

ORIGIN = Provenance("openai_chat", "acme", "m")
USUAL: dict[str, Any] = {
    "openai_chat": {
        "id": "c1", "object": "chat.completion", "created": 1, "model": "m", "service_tier": "default",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "logprobs": None, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
    },
    "anthropic": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 3, "output_tokens": 1},
    },
    "google": {
        "candidates": [{"content": {"parts": [{"text": "Hi"}], "role": "model"}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 4}, "modelVersion": "m", "responseId": "r",
    },
}  # fmt: skip
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        "",
        "x",
        "error",
        0,
        1,
        True,
        [],
        {},
        [None],
        [{}],
        {"message": "no"},
        {"text": "a"},
        [{"text": "a", "thought": True}],
        "<think>a</think>b",
    ]
)
NAMES = st.sampled_from(
    ["error", "content", "text", "thoughtSignature", "thought", "reasoning_content", "reasoning", "tool_calls", "finish_reason",
     "stop_reason", "finishReason", "type", "role", "parts", "choices", "candidates", "message", "refusal", "promptFeedback",
     "signature", "citations", "annotations", "logprobs", "function_call", "index", "usage", "groundingMetadata", "x"]
)  # fmt: skip


def is_plain(protocol: str, body: bytes, dialect: Dialect = PLAIN) -> bool:
    found = codec(protocol).PASS.is_plain
    assert found is not None
    return found(body, dialect)


def read(protocol: str, body: bytes, dialect: Dialect = PLAIN) -> Reply | None:
    """The result of `plain_reply`, which must be that of the parser."""
    found = codec(protocol).plain_reply
    reply = None if found is None else found(body, dialect, ORIGIN)
    assert reply is None or reply == collect(codec(protocol).parse_reply(body, dialect, ORIGIN)), body
    return reply


def check(protocol: str, body: bytes) -> None:
    """Check that the parser finds a complete reply with nothing but text."""
    events = codec(protocol).parse_reply(body, PLAIN)
    reply = collect(events)
    assert reply.finish is not None
    assert all(type(part) is Text and part.opaque is None and not part.annotations for part in reply.parts)
    assert not any(isinstance(event, Failed | Warned) for event in events)


@pytest.mark.parametrize("protocol", USUAL)
def test_the_usual_reply_is_plain(protocol: str) -> None:
    body = json.dumps(USUAL[protocol]).encode()
    assert is_plain(protocol, body)
    check(protocol, body)


@pytest.mark.parametrize("protocol", ["openai_chat", "anthropic"])
def test_the_usual_reply_is_read_without_events(protocol: str) -> None:
    reply = read(protocol, json.dumps(USUAL[protocol]).encode())
    assert reply is not None
    assert (reply.text, reply.parts[0].origin) == ("Hi", ORIGIN)
    assert reply.usage is not None
    assert (reply.usage.input, reply.usage.output) == (3, 1)


@pytest.mark.parametrize("content", ["", None])
def test_a_reply_without_text_and_names_is_read_without_events(content: str | None) -> None:
    body = json.loads(json.dumps(USUAL["openai_chat"] | {"id": "", "model": ""}))
    body["choices"][0]["message"]["content"] = content
    assert read("openai_chat", json.dumps(body).encode()) is not None


@pytest.mark.parametrize("reason", ["end_turn", "max_tokens", "stop_sequence"])
def test_the_end_of_a_reply_that_is_read_without_events_is_kept(reason: str) -> None:
    body = json.dumps(USUAL["anthropic"] | {"stop_reason": reason, "stop_sequence": "END"}).encode()
    assert read("anthropic", body) is not None


@pytest.mark.parametrize("protocol", USUAL)
def test_recorded_replies_that_are_plain_have_nothing_but_text(protocol: str) -> None:
    plain = 0
    for file in RECORDED[protocol]:
        for exchange in exchanges(file):
            response = exchange["response"] or {}
            if response.get("json") is None or (response.get("status") or 200) >= 400:
                continue
            body = json.dumps(response["json"]).encode()
            read(protocol, body)
            if is_plain(protocol, body):
                plain += 1
                check(protocol, body)
    if RECORDED[protocol]:
        assert plain > 20


@given(st.data())
def test_an_odd_reply_is_not_plain_or_read_as_text(data: st.DataObject) -> None:
    protocol = data.draw(st.sampled_from(sorted(USUAL)))
    reply = json.loads(json.dumps(USUAL[protocol]))
    for _ in range(data.draw(st.integers(1, 3))):
        holder = reply
        while inner := [
            one
            for one in (holder.values() if isinstance(holder, dict) else holder)
            if one and isinstance(one, dict | list)
        ]:
            if not data.draw(st.booleans()):
                break
            holder = data.draw(st.sampled_from(inner))
        if isinstance(holder, list):
            holder.append(deepcopy(data.draw(ODD)))
        elif data.draw(st.booleans()):
            holder[data.draw(NAMES)] = deepcopy(data.draw(ODD))
        elif holder:
            del holder[data.draw(st.sampled_from(sorted(holder)))]
    body = json.dumps(reply).encode()
    read(protocol, body)
    if is_plain(protocol, body):
        check(protocol, body)


def test_thinking_between_tags_is_not_plain() -> None:
    body = json.dumps(USUAL["openai_chat"]).encode()
    assert not is_plain("openai_chat", body, Dialect(think_tags=True))
    assert read("openai_chat", body, Dialect(think_tags=True)) is None


@pytest.mark.parametrize("protocol", USUAL)
def test_a_reply_that_is_cut_is_not_plain(protocol: str) -> None:
    body = json.dumps(USUAL[protocol]).encode()
    assert not any(is_plain(protocol, body[:end]) for end in range(len(body)))
