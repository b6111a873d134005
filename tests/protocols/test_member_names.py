"""Dropped settings are named as the client wrote them."""

from typing import Any

import pytest

from modelbay.protocols.codec import Call, codec
from modelbay.protocols.member_names import member_passed, member_sent
from tests.protocols.spoken import BUILT

BODIES: dict[str, dict[str, Any]] = {
    "openai_chat": {"messages": [{"role": "user", "content": "Hi"}]},
    "openai_responses": {"input": "Hi"},
    "anthropic": {"max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]},
    "google": {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
}
SCHEMA = {"type": "object"}
WRITTEN: list[tuple[str, str, str, dict[str, Any]]] = [
    ("openai_chat", "max_output_tokens", "max_tokens", {"max_tokens": 5}),
    ("openai_chat", "max_output_tokens", "max_completion_tokens", {"max_completion_tokens": 5}),
    ("openai_chat", "seed", "random_seed", {"random_seed": 1}),
    ("openai_chat", "user", "safety_identifier", {"safety_identifier": "u"}),
    ("openai_chat", "reasoning", "reasoning_effort", {"reasoning_effort": "low"}),
    ("openai_chat", "reasoning", "thinking", {"thinking": {"type": "enabled"}}),
    ("openai_chat", "reasoning", "enable_thinking", {"enable_thinking": True}),
    ("openai_chat", "cache_key", "prompt_cache_key", {"prompt_cache_key": "k"}),
    ("openai_chat", "tool_choice.parallel", "parallel_tool_calls", {"parallel_tool_calls": False}),
    ("openai_responses", "output_format", "text.format", {"text": {"format": {"type": "json_object"}}}),
    ("openai_responses", "cache_retention", "prompt_cache_retention", {"prompt_cache_retention": "24h"}),
    ("openai_responses", "user", "user", {"user": "u"}),
    ("anthropic", "cache", "cache_control", {"cache_control": {"type": "ephemeral"}}),
    ("anthropic", "stop", "stop_sequences", {"stop_sequences": ["END"]}),
    ("anthropic", "reasoning", "thinking", {"thinking": {"type": "adaptive"}}),
    ("anthropic", "reasoning", "output_config.effort", {"output_config": {"effort": "low"}}),
    ("anthropic", "output_format", "output_format", {"output_format": {"type": "json_schema", "schema": SCHEMA}}),
    (
        "anthropic", "output_format", "output_config.format",
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    ),
    ("google", "top_k", "generationConfig.topK", {"generationConfig": {"topK": 5}}),
    ("google", "reasoning", "generationConfig.thinkingConfig", {"generationConfig": {"thinkingConfig": {"thinkingLevel": "LOW"}}}),
    ("google", "output_format", "generationConfig.responseSchema", {"generationConfig": {"responseSchema": SCHEMA}}),
    (
        "google", "output_format", "generationConfig.responseMimeType",
        {"generationConfig": {"responseMimeType": "application/json"}},
    ),
    ("google", "metadata", "labels", {"labels": {"job": "1"}}),
]  # fmt: skip


@pytest.mark.parametrize(("protocol", "setting", "name", "fields"), WRITTEN)
def test_a_setting_has_the_name_of_the_member_that_was_sent(
    protocol: str, setting: str, name: str, fields: dict[str, Any]
) -> None:
    conversation = codec(protocol).parse_request(Call("/", BODIES[protocol] | fields))
    if setting != "tool_choice.parallel":
        assert getattr(conversation.settings, setting) is not None
    for upstream in BUILT:
        assert member_sent(setting, conversation, upstream) == name


@pytest.mark.parametrize(
    ("upstream", "rejected", "name"),
    [
        ("openai_chat", "reasoning_effort", "thinking"),
        ("openai_responses", "text.verbosity", "verbosity"),
        ("google", "topK", "top_k"),
        ("openai_chat", "vendor_field", "vendor_field"),
    ],
)
def test_a_parameter_that_the_provider_rejects_has_the_name_of_the_member_it_came_from(
    upstream: str, rejected: str, name: str
) -> None:
    body = BODIES["anthropic"] | {"thinking": {"type": "adaptive"}, "top_k": 5}
    conversation = codec("anthropic").parse_request(Call("/", body))
    assert member_sent(rejected, conversation, upstream) == name


def test_a_setting_that_the_protocol_does_not_have_keeps_its_name() -> None:
    conversation = codec("anthropic").parse_request(Call("/", BODIES["anthropic"]))
    assert member_sent("logit_bias", conversation, "openai_chat") == "logit_bias"


@pytest.mark.parametrize(
    ("protocol", "name", "body", "written"),
    [
        ("openai_chat", "max_output_tokens", b'{"max_tokens":5}', "max_tokens"),
        ("openai_chat", "max_output_tokens", b'{"max_completion_tokens":5}', "max_completion_tokens"),
        ("anthropic", "reasoning_state", b"{}", "thinking"),
        ("openai_chat", "reasoning", b'{"reasoning":{}}', "reasoning"),
    ],
)
def test_the_members_of_a_passed_request_keep_their_names(protocol: str, name: str, body: bytes, written: str) -> None:
    assert member_passed(name, protocol, body) == written
