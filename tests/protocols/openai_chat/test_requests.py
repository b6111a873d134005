"""Requests that clients of Chat Completions may send, and the errors for others."""

import json
from typing import Any

import pytest

from modelbay.conversation import AnyPart, Conversation, Provenance, Text, Thinking, ToolCall
from modelbay.dialect import PLAIN
from modelbay.errors import Unsupported
from modelbay.events import Finished, Reply
from modelbay.model import Model
from modelbay.protocols.assembly import Assembly
from modelbay.protocols.codec import Call, codec
from tests.protocols import sse_reference

HI = {"messages": [{"role": "user", "content": "Hi"}]}


def parsed(**body: Any) -> Conversation:
    return codec("openai_chat").parse_request(Call("", {**HI, **body}))


def again(**body: Any) -> dict[str, Any]:
    """The body that is sent on to a provider of the same protocol."""
    return codec("openai_chat").render_request(parsed(**body), Model(id=""), PLAIN).body


@pytest.mark.parametrize(
    ("body", "setting", "words"),
    [
        ({"messages": None}, "messages", "`messages`: expected `array`, got `null`"),
        ({"messages": ["Hi"]}, "messages", "`messages[0]`: expected `object`, got `str`"),
        ({"messages": [{"role": 1}]}, "messages", "`messages[0].role`: expected `str`, got `int`"),
        ({"temperature": "hot"}, "temperature", "`temperature`: expected `float | null`, got `str`"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools", "`tools[0].function`: object missing required field `name`"),
        ({"tools": {"type": "function"}}, "tools", "`tools`: expected `array | null`, got `object`"),
        ({"stop": [1]}, "stop", "`stop[0]`: expected `str`, got `int`"),
        ({"max_tokens": 1.5}, "max_tokens", "`max_tokens`: expected `int | null`, got `float`"),
    ],
)  # fmt: skip
def test_a_body_of_another_shape_is_refused_with_the_place_of_the_fault(body, setting, words):
    with pytest.raises(Unsupported) as refusal:
        parsed(**body)
    assert refusal.value.setting == setting
    assert words in refusal.value.message
    assert refusal.value.status == 400


def test_a_body_without_messages_is_refused():
    with pytest.raises(Unsupported, match="missing required field `messages`") as refusal:
        codec("openai_chat").parse_request(Call("", {"model": "m"}))
    assert refusal.value.setting == "messages"


@pytest.mark.parametrize(
    "body",
    [
        {"max_tokens": 5}, {"max_completion_tokens": 5}, {"seed": 1}, {"random_seed": 1}, {"user": "u"},
        {"safety_identifier": "u"}, {"functions": [{"name": "f"}], "function_call": {"name": "f"}},
        {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "any"},
        {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": {"type": "custom", "custom": {"name": "f"}}},
        {"tools": [{"type": "builtin_function", "function": {"name": "$web_search"}}]},
        {"response_format": {"type": "json_object", "schema": {"type": "object"}}}, {"response_format": {"type": "text"}},
        {"response_format": {"type": "grammar", "value": "root ::= 'a'"}},
        {"reasoning_effort": "low"}, {"reasoning": {"effort": "low", "exclude": True}}, {"thinking": {"type": "disabled"}},
        {"thinking": {"type": "enabled", "effort": "low", "keep": "all"}}, {"enable_thinking": True, "thinking_budget": 5},
        {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}, {"top_a": 0.5, "provider": {"order": ["x"]}},
        {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}},
        {"n": 2}, {"temperature": 1}, {"temperature": 0.5}, {"logit_bias": {"1": -100}},
    ],
    ids=" ".join,
)  # fmt: skip
def test_fields_in_a_vendors_own_form_are_written_back_in_that_form(body):
    assert again(**body) == {**HI, **body}


def test_state_that_a_client_kept_for_another_provider_is_restored():
    origin = Provenance("anthropic", "anthropic", "claude")
    call = ToolCall(name="f", id="a", arguments="{}")
    reply = Reply(parts=[Thinking(texts=["Hm"], opaque="sig", origin=origin), call], finish=Finished("tool_calls"))
    message = json.loads(codec("openai_chat").render_reply(reply))["choices"][0]["message"]
    thinking, called = parsed(messages=[*HI["messages"], message]).turns[1].parts
    assert (thinking.origin, thinking.opaque) == (origin, "sig")
    assert called == call


GEMINI = Provenance("google", "google", "gemini")


def whole(reply: Reply) -> dict[str, Any]:
    """The message that a client gets in one piece."""
    message: dict[str, Any] = json.loads(codec("openai_chat").render_reply(reply))["choices"][0]["message"]
    return message


def streamed(reply: Reply) -> dict[str, Any]:
    """The message that a client puts together from a stream."""
    renderer = codec("openai_chat").stream_renderer(Conversation())
    assembly = Assembly()
    assembly.start(reply.id, "m")
    for part in reply.parts:
        assembly.whole(part)
    assembly.finish("tool_calls")
    data = b"".join(renderer.feed(event) for event in assembly.take())
    message: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": [], "reasoning_details": []}
    for _, chunk in sse_reference.decode(data, last_unfinished=False):
        for choice in json.loads(chunk)["choices"] if chunk != b"[DONE]" else ():
            delta = choice["delta"]
            message["reasoning_details"] += delta.get("reasoning_details", [])
            for call in delta.get("tool_calls", []):
                if call["index"] == len(message["tool_calls"]):
                    message["tool_calls"].append(call)
                else:
                    message["tool_calls"][call["index"]]["function"]["arguments"] += call["function"]["arguments"]
    return message


@pytest.mark.parametrize("told", [whole, streamed])
@pytest.mark.parametrize("id", ["a", None])
@pytest.mark.parametrize("replaced", [False, True])
def test_the_signature_of_a_call_returns_to_it_even_without_an_id_or_under_a_new_one(told, id, replaced):
    calls = [
        ToolCall(name="f", arguments="{}", id=id, opaque="U0lH", origin=GEMINI),
        ToolCall(name="g", arguments="{}", id=id and "b", origin=GEMINI),
    ]
    message = told(Reply(id="r9", parts=[Text(text="So."), *calls], finish=Finished("tool_calls")))
    if replaced:
        message["tool_calls"] = [call | {"id": f"mine-{n}"} for n, call in enumerate(message["tool_calls"])]
    parts = parsed(messages=[*HI["messages"], message]).turns[1].parts
    signed = [(part.name, part.opaque, part.origin) for part in parts if isinstance(part, ToolCall)]
    assert signed == [("f", "U0lH", GEMINI), ("g", None, None)]
    assert not any(part.opaque for part in parts if isinstance(part, Text))


@pytest.mark.parametrize("told", [whole, streamed])
def test_no_two_states_share_an_index_by_which_clients_would_merge_them(told):
    parts: list[AnyPart] = [
        Thinking(texts=["Hm"], opaque="s1", origin=GEMINI),
        Text(text="So.", opaque="s2", origin=GEMINI),
        ToolCall(name="f", arguments="{}", opaque="s3", origin=GEMINI),
        ToolCall(name="f", arguments="{}", opaque="s4", origin=GEMINI),
    ]
    details = told(Reply(id="r9", parts=parts, finish=Finished("tool_calls")))["reasoning_details"]
    sealed = [detail["index"] for detail in details if detail.get("data") or detail.get("signature")]
    assert len(set(sealed)) == len(sealed) == 4
