"""Replies as clients read them, if the provider's values would mislead them or get lost."""

import json
from typing import Any

import pytest

from modelbay.conversation import Conversation, Text, ToolCall
from modelbay.dialect import PLAIN
from modelbay.events import Event, Finished, PartEnded, PartStarted, Reply, Started, collect
from modelbay.protocols.codec import codec
from tests.protocols import sse_reference


def chunks(protocol: str, events: list[Event], **conversation: Any) -> list[dict[str, Any]]:
    renderer = codec(protocol).stream_renderer(Conversation(**conversation))
    stream = b"".join(renderer.feed(event) for event in events)
    return [json.loads(data) for _, data in sse_reference.decode(stream) if data != b"[DONE]"]


NO_CALL: list[Event] = [
    Started("r"),
    PartStarted(0, Text()),
    PartEnded(0, Text(text="Hello.")),
    Finished("tool_calls", "tool_calls"),
]
CALL = ToolCall(name="f", arguments="{}", id="a")


def test_the_finish_reason_is_tool_calls_only_if_there_is_a_call():
    whole = json.loads(codec("anthropic").render_reply(collect(NO_CALL)))
    assert whole["stop_reason"] == "end_turn"
    (delta,) = [chunk["delta"] for chunk in chunks("anthropic", NO_CALL) if chunk["type"] == "message_delta"]
    assert delta["stop_reason"] == "end_turn"
    assert json.loads(codec("openai_chat").render_reply(collect(NO_CALL)))["choices"][0]["finish_reason"] == "stop"
    assert chunks("openai_chat", NO_CALL)[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("native", ["tool_calls", None])
def test_the_finish_reason_is_tool_calls_if_there_are_calls(native):
    events: list[Event] = [Started("r"), PartStarted(0, CALL), PartEnded(0, CALL), Finished("tool_calls", native)]
    assert json.loads(codec("anthropic").render_reply(collect(events)))["stop_reason"] == "tool_use"
    assert chunks("anthropic", events)[-2]["delta"]["stop_reason"] == "tool_use"
    assert chunks("openai_chat", events)[-1]["choices"][0]["finish_reason"] == "tool_calls"


USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 20,
    "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 4},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 12,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 1,
    },
}
CHAT_REPLY = {
    "id": "c",
    "model": "m",
    "service_tier": "flex",
    "system_fingerprint": "fp",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": USAGE,
}


def test_a_chat_client_keeps_the_service_tier_and_every_count_of_a_chat_provider():
    reply: Reply = collect(codec("openai_chat").parse_reply(json.dumps(CHAT_REPLY).encode(), PLAIN))
    whole = json.loads(codec("openai_chat").render_reply(reply))
    assert (whole["service_tier"], whole["system_fingerprint"], whole["usage"]) == ("flex", "fp", USAGE)
    events = codec("openai_chat").parse_reply(json.dumps(CHAT_REPLY).encode(), PLAIN)
    streamed = chunks("openai_chat", events, include_usage=True)
    assert {chunk["service_tier"] for chunk in streamed} == {"flex"}
    assert streamed[-1]["usage"] == USAGE
