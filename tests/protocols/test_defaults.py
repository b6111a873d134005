"""Fields with values that change nothing: no warning names them, and no strict gateway refuses them."""

from itertools import product
from typing import Any

import pytest

from modelbay.dialect import Dialect
from modelbay.protocols.codec import Call, codec
from modelbay.protocols.dispositions import PROTOCOLS
from modelbay.providers.adaptation import Adaptation, adapt
from tests.protocols.provider_rules import ABLE, complaint

CHAT = {"messages": [{"role": "user", "content": "Hi"}]}
MESSAGES = {**CHAT, "max_tokens": 100}
RESPONSES = {"input": "Hi"}
GOOGLE = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
PLAIN: dict[str, dict[str, Any]] = {
    "openai_chat": CHAT,
    "openai_responses": RESPONSES,
    "anthropic": MESSAGES,
    "google": GOOGLE,
}
DEFAULTS: list[tuple[str, dict[str, Any]]] = [
    ("openai_chat", {"n": 1, "logprobs": False, "frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}}),
    ("openai_chat", {"store": False, "service_tier": "auto", "modalities": ["text"], "metadata": {}, "verbosity": "medium"}),
    ("openai_chat", {"parallel_tool_calls": True, "stop": [], "stream_options": {"include_obfuscation": False}}),
    ("openai_chat", {"top_k": -1, "min_p": 0, "repetition_penalty": 1.0, "prompt_cache_retention": "in_memory"}),
    ("openai_responses", {"truncation": "disabled", "store": True, "background": False, "parallel_tool_calls": True}),
    ("openai_responses", {"store": False, "include": ["reasoning.encrypted_content"], "text": {"verbosity": "medium"}}),
    ("openai_responses", {"service_tier": "default", "top_logprobs": 0, "metadata": {}, "text": {}, "include": []}),
    ("anthropic", {"service_tier": "auto", "mcp_servers": [], "stop_sequences": [], "context_management": {}}),
    ("anthropic", {"metadata": {}, "speed": "standard", "output_config": {}}),
    ("google", {"generationConfig": {"candidateCount": 1, "responseLogprobs": False, "frequencyPenalty": 0}}),
    ("google", {"safetySettings": [], "labels": {}, "serviceTier": "standard", "generationConfig": {"presencePenalty": 0}}),
    ("google", {"generationConfig": {"responseModalities": ["TEXT"], "stopSequences": []}}),
]  # fmt: skip
REPORTED: list[tuple[str, dict[str, Any], str]] = [
    ("openai_chat", {"store": True}, "store"),
    ("openai_chat", {"min_p": 0.1}, "min_p"),
    ("openai_responses", {"truncation": "auto"}, "truncation"),
    ("openai_responses", {"include": ["file_search_call.results"]}, "include"),
    ("openai_responses", {"text": {"format": {"type": "text"}, "odd": 1}}, "text.odd"),
    ("anthropic", {"speed": "fast"}, "speed"),
    ("anthropic", {"output_config": {"task_budget": {"type": "tokens"}}}, "output_config.task_budget"),
    ("google", {"safetySettings": [{"category": "HARM"}]}, "safetySettings"),
]


def rendered(protocol: str, body: dict[str, Any], target: str, dialect: Dialect | None = None) -> Call:
    path = "/v1beta/models/m:generateContent" if protocol == "google" else ""
    asked = codec(protocol).parse_request(Call(path, {"model": "m", **PLAIN[protocol], **body}))
    return codec(target).render_request(asked, ABLE, dialect or Dialect())


@pytest.mark.parametrize(
    ("client", "body", "target"),
    [(client, body, to) for (client, body), to in product(DEFAULTS, PROTOCOLS) if to != client],
)
def test_a_default_is_not_named(client: str, body: dict[str, Any], target: str) -> None:
    call = rendered(client, body, target)
    assert [warning.setting for warning in call.warnings] == []
    assert complaint(target, call) is None


@pytest.mark.parametrize(
    ("client", "body", "name", "target"),
    [(client, body, name, to) for (client, body, name), to in product(REPORTED, PROTOCOLS) if to != client],
)
def test_another_value_is_named(client: str, body: dict[str, Any], name: str, target: str) -> None:
    assert [warning.setting for warning in rendered(client, body, target).warnings] == [name]


@pytest.mark.parametrize(
    ("client", "target"), list(product(("openai_chat", "openai_responses"), ("openai_chat", "openai_responses")))
)
def test_verbosity_survives_between_protocols_that_have_it(client: str, target: str) -> None:
    body: dict[str, Any] = {"verbosity": "low"} if client == "openai_chat" else {"text": {"verbosity": "low"}}
    call = rendered(client, body, target, Dialect(verbosity=True))
    assert call.body.get("verbosity") == ("low" if target == "openai_chat" else None)
    assert call.body.get("text") == ({"verbosity": "low"} if target == "openai_responses" else None)
    assert call.warnings == []


def test_verbosity_is_sent_to_no_server_of_which_it_is_unknown() -> None:
    for value, named in (("low", ["verbosity"]), ("medium", [])):
        call = rendered("openai_responses", {"text": {"verbosity": value}}, "openai_chat")
        assert "verbosity" not in call.body
        assert [warning.setting for warning in call.warnings] == named


@pytest.mark.parametrize(("value", "named"), [(True, []), (False, ["parallel_tool_calls"])])
def test_a_default_that_a_provider_rejects_is_removed_silently(value: bool, named: list[str]) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
    body = {"parallel_tool_calls": value, "tools": tools}
    call = rendered("openai_chat", body, "openai_chat", Dialect(unsupported=["parallel_tool_calls"]))
    assert "parallel_tool_calls" not in call.body
    assert [warning.setting for warning in call.warnings] == named
    lesson = Adaptation("parallel_tool_calls")
    assert adapt({"parallel_tool_calls": value}, [lesson], codec("openai_chat").PASS) == ([lesson] if named else [])
