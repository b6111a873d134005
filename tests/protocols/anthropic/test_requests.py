"""Requests that clients of Anthropic Messages may send, and the errors for others."""

import json
from typing import Any

import pytest

from modelbay.conversation import AnyPart, Conversation, Provenance, Text, Thinking, ToolCall, Turn
from modelbay.dialect import PLAIN
from modelbay.errors import Unsupported
from modelbay.events import Finished, Reply
from modelbay.model import Model
from modelbay.protocols.codec import Call, codec

HI: dict[str, Any] = {"max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
GEMINI = Provenance("google", "google", "gemini")
OF_GPT = Provenance("openai_responses", "openai", "gpt")

OPEN = {"type": "object"}


def parsed(**body: Any) -> Conversation:
    return codec("anthropic").parse_request(Call("", {**HI, **body}))


def again(**body: Any) -> Any:
    """The body that is sent on to a provider of the same protocol."""
    return json.loads(codec("anthropic").render_request(parsed(**body), Model(id=""), PLAIN).encode())


@pytest.mark.parametrize(
    ("body", "setting", "words"),
    [
        ({"messages": "Hi"}, "messages", "`messages`: expected `array`, got `str`"),
        ({"messages": [None]}, "messages", "`messages[0]`: expected `object`, got `null`"),
        ({"system": 7}, "system", "`system`: expected `str | array | null`, got `int`"),
        ({"max_tokens": "many"}, "max_tokens", "`max_tokens`: expected `int | null`, got `str`"),
        ({"thinking": True}, "thinking", "`thinking`: expected `object | null`, got `bool`"),
        ({"stop_sequences": "END"}, "stop_sequences", "`stop_sequences`: expected `array | null`, got `str`"),
    ],
)
def test_a_body_of_another_shape_is_refused_with_the_place_of_the_fault(body, setting, words):
    with pytest.raises(Unsupported) as refusal:
        parsed(**body)
    assert refusal.value.setting == setting
    assert words in refusal.value.message


@pytest.mark.parametrize(
    "body",
    [
        {"thinking": {"type": "enabled", "budget_tokens": 2048}}, {"thinking": {"type": "disabled"}},
        {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "high"}},
        {"output_config": {"format": {"type": "json_schema", "schema": {}}, "other": 1}},
        {"output_format": {"type": "json_schema", "schema": {}}}, {"metadata": {"user_id": "u", "more": 1}},
        {"tools": [{"name": "f", "input_schema": {"type": "object"}, "type": "custom", "defer_loading": True}]},
        {"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}]},
        {"tools": [{"name": "f", "input_schema": OPEN}], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        {"system": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
        {"container": "c", "context_management": {"edits": []}, "mcp_servers": []}, {"service_tier": "standard_only"},
        {"temperature": 1, "top_k": 5, "stop_sequences": [" "]},
    ],
    ids=" ".join,
)  # fmt: skip
def test_fields_of_anthropic_are_written_back_unchanged(body):
    assert again(**body) == {**HI, **body}


@pytest.mark.parametrize(
    "part",
    [
        Thinking(texts=["Hm"], opaque="sig", origin=GEMINI),
        Thinking(texts=["Hm", "m"], summary=True, opaque="sig", item_id="rs_1", origin=OF_GPT),
        Thinking(opaque="hidden", origin=GEMINI),
        Text(text="Hi", opaque="sig", origin=GEMINI),
        ToolCall(name="f", id="toolu_1", arguments="{}", opaque="sig", origin=GEMINI),
    ],
    ids=["thinking", "thinking in several texts", "thinking without text", "a text", "a call"],
)  # fmt: skip
def test_state_that_a_client_kept_for_another_provider_is_restored(part: AnyPart):
    others: list[AnyPart] = [Text(text="before"), part, Text(text="after")]
    body = codec("anthropic").render_reply(Reply(parts=others, finish=Finished("stop")))
    message = {"role": "assistant", "content": json.loads(body)["content"]}
    assert parsed(messages=[{"role": "user", "content": "Hi"}, message]).turns[1].parts == others


@pytest.mark.parametrize("signature", ["EqQB", "modelbay1.", "modelbay1.google.google.gemini.broken", ""])
def test_a_signature_without_envelope_is_unchanged(signature):
    block = {"type": "thinking", "thinking": "Hm", "signature": signature}
    assert again(messages=[{"role": "assistant", "content": [block]}])["messages"][0]["content"] == [block]


def test_a_conversation_that_begins_with_the_assistant_begins_with_a_user_message_for_claude():
    """Anthropic answers 400: first message must use the "user" role. Its own clients get this answer."""
    greeted = [Turn("assistant", [Text(text="Welcome!")]), Turn("user", [Text(text="Hi")])]
    call = codec("anthropic").render_request(Conversation(greeted, protocol="openai_chat"), Model(id="m"), PLAIN)
    assert [message["role"] for message in call.body["messages"]] == ["user", "assistant", "user"]
    assert call.body["messages"][1]["content"] == [{"type": "text", "text": "Welcome!"}]
    own = [{"role": "assistant", "content": "Welcome!"}, *HI["messages"]]
    assert again(messages=own)["messages"] == own
