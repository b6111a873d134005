"""Replies that the gateway may pass on unparsed: the parser must find nothing in them but text, and their end."""

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.conversation import Text
from modelbay.dialect import PLAIN, Dialect
from modelbay.events import Failed, Warned, collect
from modelbay.protocols.codec import codec
from tests.corpus import exchanges
from tests.protocols.spoken import RECORDED

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


@pytest.mark.parametrize("protocol", USUAL)
def test_recorded_replies_that_are_plain_have_nothing_but_text(protocol: str) -> None:
    plain = 0
    for file in RECORDED[protocol]:
        for exchange in exchanges(file):
            response = exchange["response"] or {}
            if response.get("json") is None or (response.get("status") or 200) >= 400:
                continue
            body = json.dumps(response["json"]).encode()
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
    if is_plain(protocol, body):
        check(protocol, body)


def test_thinking_between_tags_is_not_plain() -> None:
    body = json.dumps(USUAL["openai_chat"]).encode()
    assert not is_plain("openai_chat", body, Dialect(think_tags=True))


@pytest.mark.parametrize("protocol", USUAL)
def test_a_reply_that_is_cut_is_not_plain(protocol: str) -> None:
    body = json.dumps(USUAL[protocol]).encode()
    assert not any(is_plain(protocol, body[:end]) for end in range(len(body)))
