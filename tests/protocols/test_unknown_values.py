"""Values that are not known, of settings with a list of values: refused by name, named in a warning, or sent."""

from copy import deepcopy
from typing import Any

import pytest

from modelbay.conversation import Conversation
from modelbay.dialect import Dialect
from modelbay.errors import Unsupported
from modelbay.model import Model
from modelbay.protocols.codec import Call, codec

CHAT, RESPONSES, ANTHROPIC, GOOGLE = PROTOCOLS = ("openai_chat", "openai_responses", "anthropic", "google")
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"model": "m", "messages": [{"role": "user", "content": "Hi"}]},
    RESPONSES: {"model": "m", "input": "Hi"},
    ANTHROPIC: {"model": "m", "max_tokens": 2000, "messages": [{"role": "user", "content": "Hi"}]},
    GOOGLE: {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
}
TOOLS: dict[str, dict[str, Any]] = {
    CHAT: {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},
    RESPONSES: {"type": "function", "name": "f", "parameters": {"type": "object"}},
    ANTHROPIC: {"name": "f", "input_schema": {"type": "object"}},
    GOOGLE: {"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]},
}
ALLOWED = {"mode": "maybe", "tools": [{"type": "function", "name": "f", "function": {"name": "f"}}]}

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    (CHAT, {"response_format": {"type": "xml"}}, "response_format.type"),
    (CHAT, {"response_format": {"type": "json_schema"}}, "response_format"),
    (CHAT, {"response_format": {}}, "response_format"),
    (RESPONSES, {"text": {"format": {"type": "grammar", "syntax": "lark"}}}, "text.format.type"),
    (RESPONSES, {"text": {"format": "json"}}, "text.format"),
    (ANTHROPIC, {"output_config": {"format": {"type": "xml"}}}, "output_config.format"),
    (ANTHROPIC, {"output_format": {"type": "xml"}}, "output_format"),
    (GOOGLE, {"generationConfig": {"responseMimeType": "text/x.enum"}}, "generationConfig.responseMimeType"),
    (GOOGLE, {"generationConfig": {"responseSchema": "city"}}, "generationConfig.responseSchema"),
    (CHAT, {"tool_choice": {"type": "allowed_tools", "allowed_tools": ALLOWED}}, "tool_choice.mode"),
    (RESPONSES, {"tool_choice": {"type": "allowed_tools", **ALLOWED}}, "tool_choice.mode"),
    (GOOGLE, {"toolConfig": {"functionCallingConfig": {"mode": "MAYBE"}}}, "toolConfig.functionCallingConfig.mode"),
    (CHAT, {"messages": [{"role": "wizard", "content": "Hi"}]}, "role"),
    (RESPONSES, {"input": [{"role": "wizard", "content": "Hi"}]}, "role"),
    (ANTHROPIC, {"messages": [{"role": "wizard", "content": "Hi"}]}, "role"),
    (GOOGLE, {"contents": [{"role": "wizard", "parts": [{"text": "Hi"}]}]}, "role"),
    (CHAT, {"thinking": {"type": "maybe"}}, "thinking.type"),
    (ANTHROPIC, {"thinking": {"type": "maybe"}}, "thinking.type"),
    (
        GOOGLE,
        {"generationConfig": {"thinkingConfig": {"thinkingLevel": 3}}},
        "generationConfig.thinkingConfig.thinkingLevel",
    ),
]
"""Client's protocol, fields of its request, and the field that the error names."""

NAMED: list[tuple[str, dict[str, Any], str]] = [
    (ANTHROPIC, {"service_tier": "standard_only"}, "service_tier"),
    (GOOGLE, {"serviceTier": "golden"}, "service_tier"),
    (RESPONSES, {"reasoning": {"summary": "poem"}}, "reasoning.visibility"),
    (ANTHROPIC, {"thinking": {"type": "adaptive", "display": "loud"}}, "reasoning.visibility"),
    (RESPONSES, {"reasoning": {"effort": "low", "context": "all"}}, "reasoning.context"),
    (RESPONSES, {"truncation": "sideways"}, "truncation"),
    (
        CHAT,
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "smell", "smell": "x"}]}]},
        "smell",
    ),
    (RESPONSES, {"input": [{"role": "user", "content": "Hi"}, {"type": "dream", "x": 1}]}, "dream"),
    (
        ANTHROPIC,
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "smell", "smell": "x"}]}]},
        "smell",
    ),
    (GOOGLE, {"contents": [{"role": "user", "parts": [{"text": "Hi"}, {"smell": "x"}]}]}, "smell"),
    (CHAT, {"tools": [TOOLS[CHAT], {"type": "telepathy"}]}, "telepathy"),
    (GOOGLE, {"tools": [TOOLS[GOOGLE], {"telepathy": {}}]}, "telepathy"),
]


def parse(protocol: str, fields: dict[str, Any]) -> Conversation:
    body = {**BODIES[protocol], "tools": [TOOLS[protocol]], **deepcopy(fields)}
    path = "/v1beta/models/m:generateContent" if protocol == GOOGLE else "/v1/any"
    return codec(protocol).parse_request(Call(path, body))


def render(conversation: Conversation, protocol: str) -> Call:
    return codec(protocol).render_request(conversation, Model("m"), Dialect())


@pytest.mark.parametrize(("client", "fields", "field"), REFUSED, ids=[f"{row[0]} {row[1]}" for row in REFUSED])
def test_an_unknown_value_that_must_not_be_lost_is_refused_with_the_known_ones(client, fields, field):
    for target in PROTOCOLS:
        if target != client:
            with pytest.raises(Unsupported, match=f"`{field}` is .*cannot be expressed in {target}") as caught:
                render(parse(client, fields), target)
            assert caught.value.setting == field
            assert (caught.value.hint or "").startswith("use ")


@pytest.mark.parametrize(("client", "fields", "field"), REFUSED, ids=[f"{row[0]} {row[1]}" for row in REFUSED])
def test_a_provider_of_the_same_protocol_gets_the_unknown_value_unchanged(client, fields, field):
    body = render(parse(client, fields), client).fields
    for name, value in fields.items():
        assert body[name] == value


@pytest.mark.parametrize(("client", "fields", "field"), NAMED, ids=[f"{row[0]} {row[1]}" for row in NAMED])
def test_an_unknown_value_that_only_tunes_or_adds_is_named(client, fields, field):
    for target in PROTOCOLS:
        if target != client:
            call = render(parse(client, fields), target)
            assert field in [warning.setting for warning in call.warnings if warning.dropped]
            assert "service_tier" not in call.fields


@pytest.mark.parametrize(
    "fields",
    [
        {"generationConfig": {"thinkingConfig": {"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}}},
        {"toolConfig": {"functionCallingConfig": {"mode": "MODE_UNSPECIFIED"}}},
        {"generationConfig": {"responseModalities": ["MODALITY_UNSPECIFIED"]}},
    ],
)
def test_a_value_that_means_the_default_is_not_refused(fields):
    for target in PROTOCOLS:
        render(parse(GOOGLE, fields), target)


@pytest.mark.parametrize(
    ("client", "fields", "target", "name"),
    [
        (GOOGLE, {"generationConfig": {"candidateCount": 2}}, CHAT, "generationConfig.candidateCount"),
        (CHAT, {"logprobs": True}, ANTHROPIC, "logprobs"),
    ],
)  # fmt: skip
def test_a_refused_setting_has_the_name_of_the_client_s_request(client, fields, target, name):
    with pytest.raises(Unsupported, match=f"`{name}` cannot be expressed in {target}") as caught:
        render(parse(client, fields), target)
    assert caught.value.setting == name
    assert f"remove `{name}`" in (caught.value.hint or "")


def test_a_tier_that_two_protocols_have_is_sent():
    assert render(parse(GOOGLE, {"serviceTier": "flex"}), CHAT).fields["service_tier"] == "flex"
    assert render(parse(CHAT, {"service_tier": "flex"}), GOOGLE).fields["serviceTier"] == "flex"
    assert render(parse(CHAT, {"service_tier": "on_demand"}), RESPONSES).fields["service_tier"] == "on_demand"


def test_reasoning_that_one_protocol_omits_is_hidden_in_another():
    asked = parse(ANTHROPIC, {"thinking": {"type": "adaptive", "display": "omitted"}})
    assert "summary" not in render(asked, RESPONSES).fields.get("reasoning", {})


def test_thinking_auto_of_some_vendors_is_adaptive_and_stays_auto_there():
    asked = parse(CHAT, {"thinking": {"type": "auto"}})
    assert render(asked, CHAT).fields["thinking"] == {"type": "auto"}
    assert [warning.setting for warning in render(asked, ANTHROPIC).warnings if warning.dropped] == []


def test_an_effort_that_is_not_a_text_is_refused():
    with pytest.raises(Unsupported, match=r"`reasoning.effort` must be a string"):
        parse(RESPONSES, {"reasoning": {"effort": 5}})
