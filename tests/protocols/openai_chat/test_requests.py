"""What clients of Chat Completions may send, and what is said to those who send something else."""

import json
from typing import Any

import pytest

from modelbay.conversation import Conversation, Origin, Thinking, ToolCall
from modelbay.dialect import PLAIN
from modelbay.errors import Unsupported
from modelbay.events import Finished, Reply
from modelbay.model import Model
from modelbay.protocols.codec import Call, codec

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
def test_what_vendors_write_in_their_own_ways_is_written_back_in_the_same(body):
    assert again(**body) == {**HI, **body}


def test_state_that_a_client_kept_for_another_provider_is_restored():
    origin = Origin("anthropic", "anthropic", "claude")
    call = ToolCall(name="f", id="a", arguments="{}")
    reply = Reply(parts=[Thinking(texts=["Hm"], opaque="sig", origin=origin), call], finish=Finished("tool_calls"))
    message = json.loads(codec("openai_chat").render_reply(reply))["choices"][0]["message"]
    thinking, called = parsed(messages=[*HI["messages"], message]).turns[1].parts
    assert (thinking.origin, thinking.opaque) == (origin, "sig")
    assert called == call
