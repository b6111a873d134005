"""Tools that many requests have are read once, and each request is written as if it had been the only one."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from modelbay.dialect import PLAIN, Dialect
from modelbay.errors import MalformedReply, ModelbayError
from modelbay.gateway.cache_ttl import lengthen
from modelbay.gateway.passing import ClientBody
from modelbay.json_text import DEPTH, decode
from modelbay.protocols.codec import NAMES, Call, codec
from modelbay.protocols.shared_tools import MOST_BYTES, SharedTools, ToolTexts
from modelbay.providers.adaptation import Adaptation, adapt
from tests.protocols.provider_rules import ABLE
from tests.protocols.test_client_requests import FOLDERS, GEMINI, requests

MARK = {"type": "ephemeral", "scope": "global", "ttl": "5m"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string", "minLength": 1}}, "required": ["a"]}
OPEN = {"type": "object", "properties": {"m": {"type": "object", "additionalProperties": {"type": "string"}}}}
OLD = {"type": "object", "properties": {"l": {"type": "array", "items": [{"type": "string"}]}}, "$schema": "draft-07"}
SCHEMAS: tuple[Any, ...] = (SCHEMA, OPEN, OLD, {"type": "object"}, {}, None, {"anyOf": [SCHEMA, OPEN]})
FUNCTIONS = [
    {"name": f"t{place}", "description": f"It does {place}.", "schema": schema} for place, schema in enumerate(SCHEMAS)
]
TOOLS: dict[str, list[dict[str, Any]]] = {
    "anthropic": [
        *({"name": f["name"], "description": f["description"], "input_schema": f["schema"] or {}} for f in FUNCTIONS),
        {"name": "s", "input_schema": OPEN, "strict": True, "cache_control": MARK},
        {"type": "custom", "name": "late", "input_schema": SCHEMA, "defer_loading": True},
        {"type": "custom", "name": "found", "input_schema": SCHEMA, "defer_loading": True},
        {"type": "bash_20250124", "name": "bash", "cache_control": MARK},
    ],
    "openai_chat": [
        *(
            {"type": "function", "function": {"name": f["name"], "description": f["description"], "parameters": f["schema"]}}
            for f in FUNCTIONS
        ),
        {"type": "function", "function": {"name": "s", "parameters": OPEN, "strict": True}, "cache_control": MARK},
        {"type": "custom", "custom": {"name": "patch", "format": {"type": "text"}}},
    ],
    "openai_responses": [
        *({"type": "function", "name": f["name"], "parameters": f["schema"], "strict": False} for f in FUNCTIONS),
        {"type": "function", "name": "s", "parameters": OPEN, "strict": True},
        {"type": "custom", "name": "patch", "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}},
        {"type": "namespace", "name": "mcp", "tools": [{"type": "function", "name": "in", "parameters": SCHEMA}]},
    ],
    "google": [
        {"functionDeclarations": [{"name": f["name"], "parametersJsonSchema": f["schema"]} for f in FUNCTIONS]},
        {"function_declarations": [{"name": "s", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}}]},
    ],
}  # fmt: skip
REST: dict[str, dict[str, Any]] = {
    "anthropic": {
        "max_tokens": 9,
        "messages": [
            {"role": "user", "content": "Go"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "found", "input": {"a": "b"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "d"}]},
        ],
    },
    "openai_chat": {"messages": [{"role": "user", "content": "Go"}]},
    "openai_responses": {"input": [{"role": "user", "content": "Go"}]},
    "google": {"contents": [{"role": "user", "parts": [{"text": "Go"}]}]},
}
DIALECTS = [
    PLAIN,
    replace(PLAIN, schema="typed", strict_tools=False, cache_marks=True),
    replace(PLAIN, schema="openapi", cache_control=False),
    replace(PLAIN, cache_marks=True, cache_ttl=False, namespaces=False, freeform_tools=False),
]
LESSONS = [
    Adaptation("**.cache_control.scope"),
    Adaptation("tools.*.function.strict"),
    Adaptation("tools.*.function.parameters.properties"),
    Adaptation("tools.*.strict"),
    Adaptation("tools.*.input_schema.properties.a.minLength"),
    Adaptation("tools.*.parameters.required"),
]
"""Changes of a body after an error of its provider; some of places that no error changes, too."""


def body_of(client: str, tools: Any = None) -> bytes:
    return json.dumps({"model": "m", **REST[client], "tools": TOOLS[client] if tools is None else tools}).encode()


def sent(client: str, target: str, fields: dict[str, Any], dialect: Dialect = PLAIN) -> tuple[Any, ...]:
    """A request as it is written, changed after errors and with longer-lived caches, and its warnings; or its refusal."""
    try:
        asked = codec(client).parse_request(Call(GEMINI if client == "google" else "", fields))
        call = codec(target).render_request(asked, ABLE, dialect)
        written = [call.encode()]
        adapt(call.body, LESSONS, codec(target).PASS)
        lengthen(call, "1h")
        return *written, call.encode(), *[str(warning) for warning in call.warnings]
    except ModelbayError as error:
        return type(error), error.message


def shared(client: str, body: bytes) -> dict[str, Any]:
    return ClientBody(body, codec(client).PASS).fields()


@pytest.mark.parametrize("target", NAMES)
@pytest.mark.parametrize("client", NAMES)
def test_requests_with_shared_tools_are_written_as_requests_with_their_own(client: str, target: str) -> None:
    body = body_of(client)
    for dialect in [*DIALECTS, *DIALECTS]:
        assert sent(client, target, shared(client, body), dialect) == sent(client, target, decode(body), dialect)


@pytest.mark.parametrize("client", NAMES)
def test_a_request_to_one_provider_does_not_change_the_tools_for_another(client: str) -> None:
    body = body_of(client)
    alone = {target: sent(client, target, decode(body)) for target in NAMES}
    tools = shared(client, body)["tools"]
    assert type(tools) is SharedTools
    before = json.dumps(tools)
    for target in (*NAMES, *reversed(NAMES)):
        assert sent(client, target, shared(client, body)) == alone[target]
    assert json.dumps(tools) == before


@given(st.data())
def test_any_choice_of_tools_is_written_as_without_sharing(data: st.DataObject) -> None:
    client, target = data.draw(st.sampled_from(NAMES)), data.draw(st.sampled_from(NAMES))
    tools = data.draw(st.lists(st.sampled_from(TOOLS[client]), max_size=4))
    body = body_of(client, tools)
    for dialect in data.draw(st.lists(st.sampled_from(DIALECTS), min_size=1, max_size=3)):
        assert sent(client, target, shared(client, body), dialect) == sent(client, target, decode(body), dialect)


@pytest.mark.parametrize("folder", FOLDERS)
def test_recorded_requests_are_written_as_without_sharing(folder: str) -> None:
    for name, client, fields in requests(folder):
        if "tools" not in fields:
            continue
        body = json.dumps(fields).encode()
        for target in NAMES:
            given = [sent(client, target, shared(client, body)) for _ in range(2)]
            assert given == [sent(client, target, decode(body))] * 2, name


def test_a_tool_that_a_search_found_later_is_sent_from_then_on() -> None:
    tools = [{"name": "late", "input_schema": SCHEMA, "defer_loading": True}, {"name": "t", "input_schema": SCHEMA}]

    def names(*messages: dict[str, Any]) -> list[str]:
        body = json.dumps({"messages": [{"role": "user", "content": "Go"}, *messages], "tools": tools}).encode()
        asked = codec("anthropic").parse_request(Call("", shared("anthropic", body)))
        call = codec("openai_chat").render_request(asked, ABLE, PLAIN)
        return [tool["function"]["name"] for tool in json.loads(call.encode())["tools"]]

    result = {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "tool_reference", "tool_name": "late"}]}
    search = {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "t", "input": {}}]}
    assert names() == ["t"]
    assert names(search, {"role": "user", "content": [result]}) == ["late", "t"]
    assert names() == ["t"]


@pytest.mark.parametrize("value", [[], {}, None, "x", [1], [None], [[]], {"functionDeclarations": 1}], ids=json.dumps)
@pytest.mark.parametrize("client", NAMES)
def test_odd_tools_are_read_or_refused_as_without_sharing(client: str, value: Any) -> None:
    body = body_of(client, value)
    for _ in range(2):
        found = []
        for fields in (shared(client, body), decode(body)):
            try:
                found.append(sent(client, "openai_chat", fields))
            except (AttributeError, TypeError) as error:  # as the gateway reports it
                found.append((type(error), str(error)))
        assert found[0] == found[1]


def text_of(number: int, size: int = 1000) -> bytes:
    return json.dumps([{"name": f"t{number}", "description": "x" * size}]).encode()


def texts_of(count: int, size: int) -> Iterator[bytes]:
    return (text_of(number, size) for number in range(count))


def test_equal_texts_have_the_same_tools_and_other_texts_have_others() -> None:
    texts = ToolTexts()
    assert texts.read(text_of(1)) is texts.read(text_of(1))
    assert texts.read(text_of(2)) == json.loads(text_of(2))
    assert texts.read(text_of(1) + b" ") is not texts.read(text_of(1))


def test_the_least_recently_used_tools_are_removed_above_the_limit() -> None:
    texts = ToolTexts()
    first, second = texts.read(text_of(-1)), texts.read(text_of(-2))
    for text in texts_of(40, MOST_BYTES // 20):
        texts.read(text)
        assert texts.read(text_of(-1)) is first  # in use
    assert texts.read(text_of(-2)) == second
    assert texts.read(text_of(-2)) is not second


def test_tools_above_the_limit_are_read_and_not_kept() -> None:
    texts = ToolTexts()
    small, large = texts.read(text_of(1)), texts.read(text_of(2, MOST_BYTES))
    assert large == json.loads(text_of(2, MOST_BYTES))
    assert type(large) is list
    assert texts.read(text_of(1)) is small


def test_tools_that_are_not_quite_json_are_repaired_as_in_any_body() -> None:
    text = b'[{"name": "t", "description": "\\ud83d"}]'
    assert ToolTexts().read(text) == decode(text) == [{"name": "t", "description": "\ufffd"}]


def test_tools_that_are_nested_too_deeply_are_refused_each_time() -> None:
    texts, deep = ToolTexts(), b"[" * (DEPTH + 1) + b" " * 400 + b"]" * (DEPTH + 1)
    for _ in range(2):
        with pytest.raises(MalformedReply, match="levels deep"):
            texts.read(deep)
