"""Every vendor's row does what it says: each is used to write a conversation that tries all of its fields."""

import re
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from modelbay.conversation import (
    Conversation,
    Media,
    Provenance,
    Reasoning,
    Settings,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
    user,
)
from modelbay.dialect import Dialect
from modelbay.model import Model
from modelbay.protocols.codec import Call, codec
from modelbay.providers import presets
from modelbay.replay import replay

ROWS = [(preset.id, protocol) for preset in presets.all() for protocol in preset.protocols]
PLACES = {"type": "object", "properties": {"at": {"enum": ["a", "b"]}}, "required": ["at"]}
TOOL = Tool(name="look", strict=True, schema=PLACES)
PNG = Media(kind="image", data="aGk=", media_type="image/png")


def conversation(protocol: str, vendor: str) -> Conversation:
    """A tool loop with thinking, cache marks, an image, and every tuning parameter."""
    thinking = Thinking(texts=["I look."], native="reasoning_content" if protocol == "openai_chat" else None)
    thinking.origin = Provenance(protocol, vendor)
    return Conversation(
        [
            Turn("system", [Text(text="Be brief.", cache={"type": "ephemeral", "ttl": "1h"})]),
            Turn("developer", [Text(text="Very brief.")]),
            user("Look", PNG),
            Turn("assistant", [thinking, ToolCall(name="look", arguments='{"at":"a"}', id="functions.look:0")]),
            Turn("tool", [ToolResult(call_id="functions.look:0", name="look", parts=[Text(text="seen"), PNG])]),
            user("So?"),
        ],
        Settings(
            tools=[TOOL],
            max_output_tokens=4000,
            temperature=0.5,
            seed=7,
            frequency_penalty=0.1,
            presence_penalty=0.1,
            logit_bias={"1": 1},
            reasoning=Reasoning(enabled=True, effort="high"),
            cache_key="key",
        ),
        stream=True,
        include_usage=True,
    )


def body_of(id: str, protocol: str) -> tuple[dict[str, Any], Dialect, Call]:
    preset = presets.by_id(id)
    assert preset is not None
    dialect = preset.dialect_of(protocol)  # type: ignore[arg-type]
    model = Model(id="m", max_output_tokens=8000, capabilities={"thinking": True})
    call = codec(protocol).render_request(conversation(protocol, dialect.vendor), model, dialect)
    return msgspec.json.decode(call.encode()), dialect, call


@pytest.mark.parametrize(("id", "protocol"), ROWS)
def test_a_row_writes_what_its_vendor_takes(id: str, protocol: str) -> None:
    body, dialect, call = body_of(id, protocol)
    text = call.encode().decode()
    assert not set(dialect.unsupported) & body.keys()
    assert all(warning.message and (warning.setting or not warning.dropped) for warning in call.warnings)
    if not dialect.cache_ttl:
        assert '"ttl"' not in text
    assert dialect.body.items() <= body.items()
    if protocol == "openai_chat":
        _check_chat(body, dialect)
    if protocol == "anthropic":
        assert all(re.fullmatch(r"[a-zA-Z0-9_-]+", found) for found in re.findall(r'"tool_use_id":"([^"]*)"', text))


def _check_chat(body: dict[str, Any], dialect: Dialect) -> None:
    messages = body["messages"]
    if dialect.max_tokens_parameter:
        assert body.keys() & {"max_tokens", "max_completion_tokens"} == {dialect.max_tokens_parameter}
    assert ("stream_options" in body) is dialect.include_usage
    assert ("strict" in body["tools"][0]["function"]) is dialect.strict_tools
    if dialect.schema == "typed":
        assert body["tools"][0]["function"]["parameters"]["properties"]["at"]["type"] == "string"
    if not dialect.developer_role:
        assert all(message["role"] != "developer" for message in messages)
    if dialect.tool_id:
        assert all(re.fullmatch(dialect.tool_id, call["id"]) for m in messages for call in m.get("tool_calls", ()))
    [assistant] = [message for message in messages if message["role"] == "assistant"]
    if dialect.reasoning_echo == "never":
        assert not assistant.keys() & {"reasoning_content", "reasoning", "reasoning_details"}
    if dialect.reasoning_echo == "always":
        assert assistant[dialect.reasoning_field or "reasoning_content"] == "I look."
    if dialect.merge_turns:
        roles = [message["role"] for message in messages if message["role"] != "tool"]
        assert all(a != b or a == "user" for a, b in pairwise(roles))
    [result] = [message for message in messages if message["role"] == "tool"]
    assert isinstance(result["content"], list) is dialect.tool_result_media
    if dialect.text_only_content:
        assert all(
            isinstance(m.get("content", ""), str) for m in messages if m["role"] in ("system", "assistant", "tool")
        )
    assert ("prompt_cache_key" in body) is dialect.prompt_cache_key
    marked = any("cache_control" in str(message.get("content")) for message in messages)
    assert marked is dialect.cache_marks
    ways = {
        "reasoning": "reasoning",
        "thinking": "thinking",
        "thinking.effort": "thinking",
        "enable_thinking": "enable_thinking",
    }
    if dialect.reasoning_control in ways:
        assert ways[dialect.reasoning_control] in body


@pytest.mark.parametrize("id", ["openai", "azure", "github-copilot", "openrouter"])
def test_an_id_that_is_too_long_for_openai_is_shortened_in_the_call_and_in_its_result(id: str) -> None:
    long = "call_0f0e50a1476a6c35006912c58dc9f8819192c25864eb16f07f"
    preset = presets.by_id(id)
    assert preset is not None
    calls = Turn("assistant", [ToolCall(name="look", id=long), ToolCall(name="look", id=long[:40])])
    results = Turn("tool", [ToolResult(call_id=long[:40]), ToolResult(call_id=long)])
    asked = Conversation([user("Look"), calls, results], protocol="anthropic")
    call = codec("openai_chat").render_request(asked, Model(id="m"), preset.dialect_of("openai_chat"))
    _, assistant, *answers = msgspec.json.decode(call.encode())["messages"]
    first, second = (item["id"] for item in assistant["tool_calls"])
    assert [len(first) <= 40, second] == [True, long[:40]]
    assert [answer["tool_call_id"] for answer in answers] == [second, first]


def test_openrouter_gets_kimi_s_own_ids_however_long_they_are() -> None:
    preset = presets.by_id("openrouter")
    assert preset is not None
    id = "functions.mcp__github__create_pull_request_review:12"
    asked = Conversation([user("Look"), Turn("assistant", [ToolCall(name="look", id=id)])], protocol="anthropic")
    call = codec("openai_chat").render_request(asked, Model(id="kimi-k2"), preset.dialect_of("openai_chat"))
    assert msgspec.json.decode(call.encode())["messages"][1]["tool_calls"][0]["id"] == id


THINKS = '{"id":"x","choices":[{"message":{"content":"<think>Hm.</think>Yes."},"finish_reason":"stop"}],"usage":%s}'
USAGE = '{"prompt_tokens":10,"completion_tokens":20,"completion_tokens_details":{"reasoning_tokens":5}}'


@pytest.mark.parametrize("id", [preset.id for preset in presets.all() if "openai_chat" in preset.protocols])
def test_a_row_reads_what_its_vendor_sends(id: str) -> None:
    preset = presets.by_id(id)
    assert preset is not None
    dialect = preset.dialect_of("openai_chat")
    host = next((host for host in preset.hosts if "*" not in host), "unknown.example")
    answer = msgspec.json.decode(THINKS % USAGE)
    recorded = {
        "protocol": "openai_chat",
        "request": {"method": "POST", "url": f"https://{host}/v1/chat/completions"},
        "response": {"status": 200, "headers": {}, "json": answer},
    }
    row = replay(recorded, id)
    if presets.by_host(host) == preset:
        assert row["thinking"] == ("Hm." if dialect.think_tags else "")
        assert row["usage"]["output"] == (15 if dialect.reasoning_in_output else 20)
    assert row["text"].endswith("Yes.")
