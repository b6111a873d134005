"""A request in the provider's own protocol is passed on as it was written: only named fields change."""

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.errors import BadRequest
from modelbay.gateway.passing import ClientBody, passed_path
from modelbay.json_members import ObjectText
from modelbay.json_text import decode
from modelbay.protocols.codec import NAMES, Call, codec
from modelbay.protocols.opaque import MARK
from modelbay.providers.adaptation import Adaptation
from modelbay.simulator import Simulator
from tests.corpus import exchanges
from tests.gateway.running import RunningGateway, running
from tests.gateway.targets import target_of
from tests.gateway.test_app import call
from tests.test_json_members import objects

FILES = {
    "openai_chat": ("openai_chat", "moonshot_kimi"),
    "openai_responses": ("openai_responses",),
    "anthropic": ("anthropic_messages",),
    "google": ("google_genai", "vertex_genai"),
}
STYLES: tuple[dict[str, Any], ...] = (
    {"separators": (",", ":"), "ensure_ascii": False},  # JavaScript, and most SDKs
    {},  # Python's `json`
    {"indent": 2, "ensure_ascii": False},
)


def passed(text: bytes | str, protocol: str, lessons: list[Adaptation] | None = None, **target: Any) -> Call:
    """The call for a client's body, to a model with the given facts."""
    data = text if isinstance(text, bytes) else text.encode()
    to = target_of(protocol, **target)
    rules = to.codec.PASS
    path = passed_path(rules, "generate", to.model.id)
    return ClientBody(data, rules).call(to, path, generates=True, lessons=lessons or ())


def told(call: Call) -> list[str | None]:
    return [warning.setting for warning in call.warnings]


# --- recorded requests ------------------------------------------------------------------------------------------------


def recorded(protocol: str) -> Iterator[dict[str, Any]]:
    for file in FILES[protocol]:
        for exchange in exchanges(file):
            request = exchange["request"]
            if request and isinstance(request.get("json"), dict):
                yield request["json"]


def with_model(fields: dict[str, Any], protocol: str, name: str) -> dict[str, Any]:
    """The fields as they must be passed on if only the model changes."""
    if protocol != "google":
        return {**fields, "model": name}
    if "requests" in fields:
        fields = {**fields, "requests": [{**one, "model": f"models/{name}"} for one in fields["requests"]]}
    if "generateContentRequest" in fields:
        fields = {**fields, "generateContentRequest": {**fields["generateContentRequest"], "model": f"models/{name}"}}
    return {**fields, "model": f"models/{name}"} if "model" in fields else fields


@pytest.mark.parametrize("style", range(len(STYLES)))
@pytest.mark.parametrize("protocol", NAMES)
def test_of_a_recorded_request_only_the_model_changes(protocol: str, style: int) -> None:
    count = 0
    for fields in recorded(protocol):
        if protocol != "google" and "model" not in fields:
            continue
        written = json.dumps(fields, **STYLES[style])
        expected = json.dumps(with_model(fields, protocol, "maker/model-1"), **STYLES[style])
        if "requests" in fields:
            assert decode(passed(written, protocol).encode()) == decode(expected)
        else:
            assert passed(written, protocol).encode().decode() == expected
        count += 1
    assert count > 30


@pytest.mark.parametrize("protocol", NAMES)
def test_of_a_recorded_request_only_rejected_parameters_are_removed(protocol: str) -> None:
    rejected = ["temperature", "topP", "top_p", "store", "stream_options", "safetySettings"]
    for fields in recorded(protocol):
        if protocol != "google" and "model" not in fields:
            continue
        left = {name: value for name, value in fields.items() if name not in rejected and _camel(name) not in rejected}
        for group in ("generationConfig", "generation_config"):
            if protocol == "google" and isinstance(left.get(group), dict):
                left[group] = {n: v for n, v in left[group].items() if n not in rejected and _camel(n) not in rejected}
        for style in STYLES[:2]:
            expected = json.dumps(with_model(left, protocol, "m"), **style)
            call = passed(json.dumps(fields, **style), protocol, wire_id="m", unsupported=rejected)
            assert call.encode().decode() == expected
            assert set(told(call)) <= set(rejected)


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)


@pytest.mark.parametrize("protocol", NAMES)
def test_a_session_of_twenty_turns_has_a_stable_prefix(protocol: str) -> None:
    texts = [
        passed(turn, protocol, unsupported=["top_p"], max_output_tokens=100).encode() for turn in session(protocol)
    ]
    for text, following in pairwise(texts):
        end = text.rindex(b"]")
        assert following[:end] == text[:end], "the next request begins with all messages of this one"


def session(protocol: str) -> Iterator[str]:
    """Twenty requests, each with one exchange more, as SDKs write them: settings, then the messages."""
    turns: list[dict[str, Any]] = []
    for number in range(20):
        for role in ("user", "assistant") if number else ("user",):
            content = f'{number} é "quoted"\n{{"a":1.0}}'
            if protocol == "google":
                turns.append({"role": role.replace("assistant", "model"), "parts": [{"text": content}]})
            else:
                turns.append({"role": role, "content": content})
        settings: dict[str, dict[str, Any]] = {
            "openai_chat": {"model": "x", "max_tokens": 4096, "top_p": 0.90, "messages": turns},
            "openai_responses": {"model": "x", "max_output_tokens": 4096, "top_p": 0.9, "input": turns},
            "anthropic": {"model": "x", "max_tokens": 4096, "top_p": 0.9, "messages": turns},
            "google": {"generationConfig": {"maxOutputTokens": 4096, "topP": 0.9}, "contents": turns},
        }
        yield json.dumps(settings[protocol], ensure_ascii=False)


# --- any JSON ---------------------------------------------------------------------------------------------------------


@given(objects(), st.sampled_from(NAMES))
def test_any_object_keeps_all_other_bytes(text: str, protocol: str) -> None:
    fields = decode(text)
    if not isinstance(fields.get("model"), str | None):
        return
    before, after = ObjectText(text.encode()), ObjectText(passed(text, protocol).encode())
    names = [name for name in before if name != "model"]
    assert [name for name in after if name != "model"] == names
    assert all(after.raw(name) == before.raw(name) for name in names)
    if protocol != "google":
        assert after.value("model") == "maker/model-1"


@pytest.mark.parametrize("protocol", NAMES)
def test_a_body_that_needs_no_change_is_the_same_object(protocol: str) -> None:
    text = b'{ "model":"maker/model-1", "unknown" : 1.50 }' if protocol != "google" else b'{ "contents" : [] }'
    assert passed(text, protocol).encode() is text


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        (b'\xef\xbb\xbf{"model":"x"}', {"model": "m"}),
        (b'{"model":"x","a":"\\ud83d!"}', {"model": "m", "a": "\ufffd!"}),
        (b'{"model":"x","a":"tab\there"}', {"model": "m", "a": "tab\there"}),
        (b'{"model":"x","a":NaN}', {"model": "m", "a": None}),
        (b'{"model":"x","\xff":1}', {"model": "m", "\ufffd": 1}),
        (b'{"model":"x","a":1,"a":2}', {"model": "m", "a": 2}),
        (b'{"model":"x","mod\\u0065l":"y"}', {"model": "m"}),
        (b'{"model":"x","stream_options":{"include_usage":true,"include_usage":false}}', {"model": "m"}),
    ],
)
def test_a_text_that_is_not_quite_json_is_written_again(text: bytes, sent: dict[str, Any]) -> None:
    assert decode(passed(text, "openai_chat", wire_id="m", include_usage=False).encode()) == sent


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not valid JSON"),
        (b"model=x", "not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b'"model"', "must be a JSON object"),
        (b'{"model":"x","a":' + b"[" * 100_000, "not valid JSON"),
        (b'{"model":"x","a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "levels deep"),
        (b'{"model":["x"]}', "`model` must be a string"),
        (b'{"model":' + b"[" * 300 + b"]" * 300 + b"}", "`model` must be a string"),
    ],
)
def test_another_body_is_refused_with_a_reason(text: bytes, message: str) -> None:
    with pytest.raises(BadRequest, match=message) as refused:
        ClientBody(text, codec("openai_chat").PASS)
    assert refused.value.status == 400


# --- what the gateway decides by --------------------------------------------------------------------------------------


def test_the_fields_that_the_gateway_decides_by_are_read() -> None:
    rules = codec("openai_responses").PASS
    body = ClientBody(b'{"model":"a\\/b","stream":true,"store":false,"thread":null}', rules)
    assert (body.model, body.stream, body.unstored) == ("a/b", True, True)
    assert not body.threaded
    assert not body.sealed
    plain = ClientBody(b'{"thread":{"type":"create"},"encoding_format":"base64"}', rules)
    assert (plain.model, plain.stream, plain.unstored) == (None, False, False)
    assert plain.threaded
    assert plain.encoding_format == "base64"


def test_an_envelope_of_another_provider_is_found() -> None:
    envelope = f"{MARK}anthropic.x.claude.e30"
    for protocol in ("openai_responses", "anthropic"):
        assert ClientBody(f'{{"a":[{{"b":"{envelope}"}}]}}'.encode(), codec(protocol).PASS).sealed
        turns = codec(protocol).PASS.turns
        assert ClientBody(f'{{"system":"","{turns}":[{{"b":"{envelope}"}}]}}'.encode(), codec(protocol).PASS).sealed
        assert not ClientBody(f'{{"system":"{envelope}","{turns}":[]}}'.encode(), codec(protocol).PASS).sealed
    in_signature = b64encode(envelope.encode()).decode()
    assert ClientBody(f'{{"thoughtSignature":"{in_signature}"}}'.encode(), codec("google").PASS).sealed


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "text", "sent"),
    [
        ("openai_chat", '{"max_tokens" : 128000}', '{"max_tokens" : 8192}'),
        ("openai_chat", '{"max_completion_tokens":1e6}', '{"max_completion_tokens":8192}'),
        ("openai_responses", '{"max_output_tokens":"9000"}', '{"max_output_tokens":"8192"}'),
        ("openai_chat", '{"max_tokens":8192.0}', '{"max_tokens":8192.0}'),
        ("openai_chat", '{"max_tokens":true}', '{"max_tokens":true}'),
        ("openai_chat", '{"max_tokens":null}', '{"max_tokens":null}'),
        (
            "anthropic",
            '{"max_tokens":64000,"thinking":{"type":"enabled", "budget_tokens":32000}}',
            '{"max_tokens":8192,"thinking":{"type":"enabled", "budget_tokens":7168}}',
        ),
        (
            "anthropic",  # the budget was within the limit
            '{"max_tokens":64000,"thinking":{"budget_tokens":8191}}',
            '{"max_tokens":8192,"thinking":{"budget_tokens":8191}}',
        ),
        (
            "anthropic",  # with interleaved thinking, the budget may be above
            '{"max_tokens":9000,"thinking":{"budget_tokens":32000}}',
            '{"max_tokens":8192,"thinking":{"budget_tokens":32000}}',
        ),
        (
            "openai_chat",
            '{"reasoning":{"max_tokens":8192},"max_tokens":9000}',
            '{"reasoning":{"max_tokens":7168},"max_tokens":8192}',
        ),
        ("openai_chat", '{"thinking_budget":8500,"max_tokens":9000}', '{"thinking_budget":7168,"max_tokens":8192}'),
        (
            "google",
            '{"generationConfig":{"maxOutputTokens":65536, "thinkingConfig":{"thinkingBudget":24576}}}',
            '{"generationConfig":{"maxOutputTokens":8192, "thinkingConfig":{"thinkingBudget":7168}}}',
        ),
        (
            "google",
            '{"generation_config":{"thinking_config":{"thinking_budget":-1},"max_output_tokens":65536}}',
            '{"generation_config":{"thinking_config":{"thinking_budget":-1},"max_output_tokens":8192}}',
        ),
    ],
)  # fmt: skip
def test_maximum_tokens_above_the_limit_are_clamped(protocol: str, text: str, sent: str) -> None:
    call = passed(text, protocol, max_output_tokens=8192, id="")
    assert call.encode().decode() == sent
    assert told(call) == (["max_output_tokens"] if text != sent else [])


def test_the_context_window_limits_output_too() -> None:
    assert (
        passed('{"max_tokens":200000}', "anthropic", id="", max_context_tokens=4096).encode() == b'{"max_tokens":4096}'
    )
    assert passed('{"max_tokens":200000}', "anthropic", id="").encode() == b'{"max_tokens":200000}'


def test_a_budget_below_a_tiny_limit_stays_below_it() -> None:
    text = '{"max_tokens":4000,"thinking":{"budget_tokens":2000}}'
    for limit, budget in ((1500, 1024), (1000, 999)):
        sent = decode(passed(text, "anthropic", max_output_tokens=limit).encode())
        assert sent["thinking"]["budget_tokens"] == budget


@pytest.mark.parametrize(
    ("protocol", "text", "sent"),
    [
        ("openai_chat", "{}", '{"max_completion_tokens":50}'),
        ("openai_responses", "{}", '{"max_output_tokens":50}'),
        ("anthropic", '{"max_tokens":7}', '{"max_tokens":7}'),
        ("google", "{}", '{"generationConfig":{"maxOutputTokens":50}}'),
        ("google", '{"generation_config":{"top_k":1}}', '{"generation_config":{"top_k":1,"maxOutputTokens":50}}'),
    ],
)
def test_a_configured_maximum_is_sent_if_the_client_sends_none(protocol: str, text: str, sent: str) -> None:
    facts: dict[str, Any] = {
        "max_output_tokens": 50,
        "output_tokens_explicit": True,
        "max_tokens_parameter": "max_completion_tokens",
    }
    assert passed(text, protocol, id="", **facts).encode().decode() == sent


# --- the dialect, the entry's settings and lessons --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dialect", "text", "sent"),
    [
        ({"max_tokens_parameter": "max_completion_tokens"}, '{"max_tokens" : 5.0}', '{"max_completion_tokens" : 5.0}'),
        ({"max_tokens_parameter": "max_tokens"}, '{"max_tokens":5, "max_completion_tokens":6}', '{"max_tokens":5}'),
        ({"seed_parameter": "random_seed"}, '{"seed": 7}', '{"random_seed": 7}'),
        ({"include_usage": False}, '{"stream_options":{"include_usage":true},"n":1}', '{"n":1}'),
        ({"include_usage": False}, '{"stream_options":{"include_usage":true,"a":1}}', '{"stream_options":{"a":1}}'),
        ({"body": {"reasoning_split": True}}, '{"n":1}', '{"n":1,"reasoning_split":true}'),
        ({"unsupported": ["seed"]}, '{"seed":null,"n":1}', '{"n":1}'),
        ({"model_in_body": False}, '{"n":1,"model":"x"}', '{"n":1}'),
    ],
)
def test_parameters_are_named_as_the_provider_names_them(dialect: dict[str, Any], text: str, sent: str) -> None:
    id = "m" if "model" in text else ""
    assert passed(text, "openai_chat", id=id, **dialect).encode().decode() == sent


def test_the_settings_of_a_variant_are_added() -> None:
    text = '{"generation_config": {"temperature": 1.0}, "contents":[]}'
    call = passed(
        text,
        "google",
        variant='generationConfig = { thinkingConfig = { thinkingLevel = "low" } }, labels = { a = "b" }',
    )
    assert call.encode().decode() == (
        '{"generation_config": {"temperature": 1.0,"thinkingConfig":{"thinkingLevel":"low"}}, "contents":[],"labels":{"a":"b"}}'
    )
    call = passed('{"model":"x","reasoning_effort":"low", "n":1}', "openai_chat", variant='reasoning_effort = "high"')
    assert call.encode() == b'{"model":"maker/model-1","reasoning_effort":"high", "n":1}'


def test_a_limit_that_was_learned_applies_where_it_is_below_the_model_s() -> None:
    text = '{"model":"m", "max_tokens" : 9000,"thinking":{"type":"enabled", "budget_tokens" : 5000}}'
    lessons = [Adaptation("max_output_tokens", most=most) for most in (8000, 4000)]
    call = passed(text, "anthropic", lessons, wire_id="m", max_output_tokens=8500)
    assert call.encode().decode() == text.replace("9000", "4000").replace("5000", "2976")
    assert told(call) == ["max_output_tokens"]
    call = passed(text, "anthropic", [Adaptation("max_output_tokens", most=10_000)], wire_id="m")
    assert call.encode().decode() == text


def test_lessons_about_the_endpoint_apply() -> None:
    lessons = [
        Adaptation("max_tokens", "max_completion_tokens"),
        Adaptation("seed"),
        Adaptation("top_p", beside="temperature"),
        Adaptation("logprobs", beside="gone"),
        Adaptation("role:developer"),
        Adaptation("content:list"),
    ]
    messages = '[{"role":"developer","content":"Hi"}],"logprobs":true'
    text = f'{{"model":"m", "max_tokens" : 5,"seed":1, "messages": {messages},"top_p":0.5,"temperature":1.0}}'
    call = passed(text, "openai_chat", lessons, wire_id="m")
    messages = messages.replace("developer", "system")
    assert (
        call.encode().decode()
        == f'{{"model":"m", "max_completion_tokens" : 5,"messages": {messages},"temperature":1.0}}'
    )
    assert told(call) == [None, "seed", "top_p", None], "a new name and a new role lose nothing"


@pytest.mark.parametrize(
    ("dialect", "text", "field"),
    [
        ({"system_role": False}, '{"messages":[{"role":"system"}]}', "system_role"),
        ({"system_role": False}, '{"systemInstruction":{}}', "system_role"),
        ({"developer_role": False}, '{"messages":[{"role" : "developer"}]}', "developer_role"),
        ({"cache_ttl": False}, '{"system":[{"cache_control":{"type":"ephemeral","ttl":"1h"}}]}', "cache_ttl"),
        ({"cache_control": False}, '{"system":[{"cache_control":{"type":"ephemeral"}}]}', "cache_control"),
        ({"strict_tools": False}, '{"tools":[{"function":{"strict":true}}]}', "strict_tools"),
        ({"namespaces": False}, '{"tools":[{"type":"namespace"}]}', "namespaces"),
        ({"namespaces": False}, '{"tools":[{"type":"tool_search"}]}', "namespaces"),
        ({"namespaces": False}, '{"input":[{"type":"tool_search_call"},{"type":"tool_search_output"}]}', "namespaces"),
        ({"json_schema": False}, '{"response_format":{"type": "json_schema"}}', "json_schema"),
        ({"json_schema": False}, '{"generationConfig":{"responseJsonSchema":{}}}', "json_schema"),
        ({"json_mode": False}, '{"response_format":{"type": "json_object"}}', "json_mode"),
        ({"json_mode": False}, '{"generationConfig":{"responseMimeType":"application/json"}}', "json_mode"),
        ({"tool_choices": ["auto", "tool"]}, '{"tool_choice":"required"}', "tool_choices"),
        ({"tool_choices": ["auto"]}, '{"tool_choice":{"type":"any"}}', "tool_choices"),
        ({"tool_choices": ["auto"]}, '{"toolConfig":{"functionCallingConfig":{"mode":"ANY"}}}', "tool_choices"),
        ({"tool_choices": ["auto"]}, '{"tool_choice":"auto"}', None),
        ({"parallel_tool_calls": False}, '{"tools":[{"type":"function"}]}', "parallel_tool_calls"),
        ({"parallel_call_history": False}, '{"messages":[{"tool_calls":[{"id":"a"}]}]}', "parallel_call_history"),
        (
            {"parallel_call_history": False},
            '{"messages":[{"content":[{"type":"function_call"}]}]}',
            "parallel_call_history",
        ),
        ({"schema": "typed"}, '{"tools":[{"parameters":{"$ref":"#/a"}}]}', "schema"),
        ({"media_by_url": False}, '{"messages":[{"image_url":{"url":"https://a/b.png"}}]}', "media_by_url"),
        ({"text_only_content": True}, '{"messages":[{"content": []}]}', "text_only_content"),
        ({"omit_empty_content": True}, '{"messages":[{"content":""}]}', "omit_empty_content"),
        ({"required_word": "any"}, '{"tool_choice":"required"}', "required_word"),
        ({"reasoning_echo": "never"}, '{"messages":[{"reasoning_content":"hm"}]}', "reasoning_echo"),
        ({"reasoning_echo": "always"}, '{"messages":[{"tool_calls":[]}]}', "reasoning_echo"),
        ({"reasoning_control": "thinking"}, '{"reasoning_effort":"low"}', "reasoning_control"),
        ({"reasoning_control": "thinking+reasoning_effort"}, '{"reasoning_effort":"low"}', None),
        ({"reasoning_echo": "always"}, '{"messages":[{"tool_calls":[],"reasoning_content":""}]}', None),
        ({"media_by_url": False}, '{"messages":[{"image_url":{"url":"data:image/png;base64,"}}]}', None),
        ({"cache_ttl": False}, json.dumps({"messages": [{"content": '{"ttl": 1, "role": "developer"}'}]}), None),
    ],
)
def test_changes_inside_messages_are_left_to_translation(dialect: dict[str, Any], text: str, field: str | None) -> None:
    body = ClientBody(text.encode(), codec("openai_chat").PASS)
    assert body.to_repair(target_of("openai_chat")) is None
    assert body.to_repair(target_of("openai_chat", **dialect)) == field


@pytest.mark.parametrize(
    ("protocol", "text", "field"),
    [
        ("openai_chat", '{"tools":[{"type": "custom"}]}', "freeform_tools"),
        ("openai_chat", '{"messages":[{"tool_calls":[{"type":"custom"}]}]}', "freeform_tools"),
        ("openai_responses", '{"tools":[{"type":"custom"}]}', "freeform_tools"),
        ("openai_responses", '{"input":[{"type":"custom_tool_call"}]}', "freeform_tools"),
        ("openai_responses", '{"input":[{"type":"custom_tool_call_output"}]}', "freeform_tools"),
        ("anthropic", '{"tools":[{"type":"custom"}]}', None),  # the usual type of a function
        ("openai_chat", json.dumps({"messages": [{"content": '{"type":"custom"}'}]}), None),
    ],
)
def test_freeform_tools_are_passed_on_only_to_providers_that_have_them(
    protocol: str, text: str, field: str | None
) -> None:
    body = ClientBody(text.encode(), codec(protocol).PASS)
    assert body.to_repair(target_of(protocol, freeform_tools=True)) is None
    assert body.to_repair(target_of(protocol)) == field


@pytest.mark.parametrize(
    ("protocol", "tools", "field"),
    [
        ("openai_chat", [{"type": "function", "function": {"name": "a" * 64}}], None),
        ("openai_chat", [{"type": "function", "function": {"name": "a" * 65}}], "tool_name"),
        ("openai_chat", [{"type": "function", "function": {"name": "weather.now"}}], "tool_name"),
        ("openai_responses", [{"type": "function", "name": "a" * 65}], "tool_name"),
        ("openai_responses", [{"type": "namespace", "name": "mcp", "tools": [{"name": "a" * 65}]}], "tool_name"),
        ("anthropic", [{"name": "a" * 128}], None),
        ("anthropic", [{"name": "a" * 129}], "tool_name"),
        ("google", [{"functionDeclarations": [{"name": "weather.now"}]}], None),
        ("google", [{"functionDeclarations": [{"name": "2nd"}]}], "tool_name"),
        ("google", [{"functionDeclarations": [{"name": "a", "parameters": {"properties": {"name": {}}}}]}], None),
    ],
)
def test_names_of_tools_that_the_provider_rejects_are_left_to_translation(
    protocol: str, tools: list[dict[str, Any]], field: str | None
) -> None:
    text = json.dumps({"tools": tools, "metadata": {"name": "not a tool"}})
    body = ClientBody(text.encode(), codec(protocol).PASS)
    assert body.to_repair(target_of(protocol, tool_name=None, namespaces=True)) == field


def test_the_names_of_tools_may_be_those_of_the_dialect() -> None:
    body = ClientBody(b'{"tools":[{"function":{"name":"weather.now"}}]}', codec("openai_chat").PASS)
    assert body.to_repair(target_of("openai_chat", tool_name="[a-z.]+|x")) is None
    assert body.to_repair(target_of("openai_chat", tool_name="[a-z]+|x")) == "tool_name"


def test_one_body_can_be_passed_on_to_several_targets() -> None:
    rules = codec("openai_chat").PASS
    body = ClientBody(b'{"model":"x", "seed":1}', rules)
    first, second = target_of("openai_chat", "a", unsupported=["seed"]), target_of("openai_chat", "b")
    assert body.call(first, "/chat/completions", generates=True).encode() == b'{"model":"a"}'
    assert body.call(second, "/chat/completions", generates=True).encode() == b'{"model":"b", "seed":1}'


def test_of_other_calls_only_the_model_changes() -> None:
    to = target_of("openai_chat", "embed-1", "seed = 1", unsupported=["user"], max_output_tokens=1)
    text = b'{"input":"a","user":"u", "model" :"x","max_tokens":9}'
    call = ClientBody(text, to.codec.PASS).call(to, "/embeddings", generates=False)
    assert call.encode() == text.replace(b'"x"', b'"embed-1"')
    assert call.path == "/embeddings"


def test_gemini_names_its_model_in_all_bodies() -> None:
    to = target_of("google", "gemini-1")
    rules = to.codec.PASS

    def sent(text: str) -> str:
        return ClientBody(text.encode(), rules).call(to, "", generates=False).encode().decode()

    assert sent('{"model":"models/x", "content":{}}') == '{"model":"models/gemini-1", "content":{}}'
    assert (
        sent('{"generateContentRequest":{"model" : "models/x"}}')
        == '{"generateContentRequest":{"model" : "models/gemini-1"}}'
    )
    assert (
        sent('{"requests":[{"model":"models/x","content":{}}]}')
        == '{"requests":[{"model":"models/gemini-1","content":{}}]}'
    )


# --- paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "action", "query", "path"),
    [
        ("openai_chat", "stream", "beta=true", "/chat/completions"),
        ("openai_chat", "embed", "", "/embeddings"),
        ("openai_responses", "count", "", "/responses/input_tokens"),
        ("anthropic", "generate", "beta=true", "/v1/messages"),
        ("anthropic", "count", "beta=true", "/v1/messages/count_tokens"),
        ("google", "generate", "", "/models/a/b%20c:generateContent"),
        ("google", "stream", "alt=sse&key=sk-1", "/models/a/b%20c:streamGenerateContent?alt=sse"),
        ("google", "stream", "key=sk-1", "/models/a/b%20c:streamGenerateContent"),
        ("google", "stream", "%24alt=json%3B&KEY=a&k%65y=b&access_token=c", "/models/a/b%20c:streamGenerateContent?%24alt=json%3B"),
        ("google", "embed_batch", "key=x&fields=a", "/models/a/b%20c:batchEmbedContents?fields=a"),
    ],
)  # fmt: skip
def test_the_path_has_the_model_and_no_key(protocol: str, action: str, query: str, path: str) -> None:
    assert passed_path(codec(protocol).PASS, action, "a/b c", query) == path


async def test_a_request_that_needs_a_repair_is_translated(tmp_path: Path) -> None:
    tool = {
        "type": "function",
        "function": {"name": "f", "strict": True, "parameters": {"type": "object", "properties": {}}},
    }
    body: dict[str, Any] = {
        "model": "old",
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": [tool],
        "unknown": 1,
    }
    with Simulator(key="sk-provider") as upstream:
        config = tmp_path / "config.toml"
        provider = f'[providers.old]\ntype = "openai"\nbase_url = "{upstream.url}/v1"\napi_key = "sk-provider"\n'
        model = '[models.old]\nprovider = "old"\nmodel = "sim-1"\n'
        config.write_text(f"{provider}dialect = {{ strict_tools = false }}\n{model}")
        with RunningGateway(config) as gateway:
            status, _, _ = await call(gateway.url, "/v1/chat/completions", body)
        assert status == 200
        del tool["function"]["strict"]  # type: ignore[attr-defined]
        assert json.loads(upstream.journal.last.body) == {**body, "model": "sim-1", "stream": False}


def test_tools_are_checked_again_when_they_change() -> None:
    target = target_of("openai_chat", hosted_search=False)

    def found(*tools: Any) -> str | None:
        return ClientBody(json.dumps({"tools": tools}).encode(), codec("openai_chat").PASS).to_repair(target)

    short, long = ({"type": "function", "function": {"name": "a" * size}} for size in (64, 65))
    assert [found(short), found(short), found(short, long), found(short)] == [None, None, "tool_name", None]
    assert found({"type": "web_search"}) == "hosted_search"
    assert found(short) is None


async def test_a_tool_with_a_long_name_is_called_by_a_provider_of_the_same_protocol(tmp_path: Path) -> None:
    # opencode and Kilo Code send the names of MCP tools in full length
    name = "server_a_tool_that_has_such_a_long_name_that_the_provider_does_not_accept_it"
    tool = {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    body = {"model": "openai_chat", "messages": [{"role": "user", "content": f"Call {name}"}], "tools": [tool]}
    with running(tmp_path, key="sk-provider") as (gateway, _):
        status, _, reply = await call(gateway.url, "/v1/chat/completions", body)
    assert status == 200
    assert json.loads(reply)["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == name


def test_a_parameter_inside_another_one_is_removed_if_the_provider_rejects_it() -> None:
    call = passed(
        '{"model":"m","reasoning":{"effort":"low","x":1}}', "openai_responses", unsupported=["reasoning.effort"]
    )
    assert call.encode() == b'{"model":"maker/model-1","reasoning":{"x":1}}'
    assert told(call) == ["reasoning.effort"]


@pytest.mark.parametrize("protocol", NAMES)
def test_a_limit_of_thousands_of_digits_is_an_error_of_the_client(protocol: str) -> None:
    name = codec(protocol).PASS.limits[0]
    digits = "9" * 5_000
    text = (
        f'{{"generationConfig":{{"maxOutputTokens":{digits}}}}}'
        if "." in name
        else f'{{"{name}":{digits},"model":"m"}}'
    )
    with pytest.raises(BadRequest, match="not valid JSON"):
        passed(text, protocol, max_output_tokens=100)
