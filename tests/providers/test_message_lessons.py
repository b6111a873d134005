"""Lessons from a 400 about roles and content, in the wording of servers and chat templates."""

import copy
from typing import Any

import pytest

from modelbay.errors import BadRequest
from modelbay.protocols.anthropic.pass_rules import PASS as ANTHROPIC
from modelbay.protocols.openai_chat.pass_rules import PASS
from modelbay.providers.adaptation import Adaptation, adapt, adaptation

PARTS = [{"type": "text", "text": "Hi"}]
SYSTEM = {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]}
DEVELOPER = {"messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}]}
LIST = {"messages": [{"role": "user", "content": PARTS}]}
GEMMA = {
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
}
ROLE = "messages[0].role"


def learned(message: str, body: dict[str, Any], param: str | None = None) -> tuple[Adaptation | None, dict[str, Any]]:
    body = copy.deepcopy(body)
    found = adaptation(BadRequest(message, status=400, param=param), body, PASS)
    if found is not None:
        assert adapt(body, [found], PASS) == [found]
        assert adapt(body, [found], PASS) == [], "what was changed once is as it should be"
    return found, body


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ("Unsupported value: 'messages[0].role' does not support 'system' with this model.", ROLE),
        ("System role not supported", None),
        ("role 'system' is not supported on this model", None),
        ("Only user and assistant roles are supported!", None),
        ("messages.0.role: Input should be 'user' or 'assistant'", None),
    ],
)
def test_a_refused_system_message_goes_into_the_user_s_first_one(message, param):
    found, body = learned(message, SYSTEM, param)
    assert str(found) == "system messages are sent as part of user messages"
    assert body["messages"] == [{"role": "user", "content": "Be brief.\n\nHi"}]


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ("Unsupported value: 'messages[0].role' does not support 'developer' with this model.", ROLE),
        (
            "Invalid value: 'developer'. Supported values are: 'system', 'assistant', 'user', 'function', and 'tool'.",
            ROLE,
        ),
        ("messages[0].role: unknown variant `developer`, expected one of `system`, `user`, `assistant`, `tool`", None),
        ("Unexpected message role: developer", None),
        ("developer role not supported", None),
    ],
)
def test_a_refused_developer_message_becomes_a_system_message(message, param):
    _, body = learned(message, DEVELOPER, param)
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}


def test_gemma_s_refusal_is_learned_in_gemini_s_protocol_too():
    _, body = learned("Developer instruction is not enabled for models/gemma-3-27b-it", GEMMA)
    assert body == {"contents": [{"role": "user", "parts": [{"text": "Be brief."}, {"text": "Hi"}]}]}


@pytest.mark.parametrize(
    "message",
    [
        "messages[0].content: invalid type: sequence, expected a string at line 1 column 9",
        "'messages.0' : for 'role:user' the following must be satisfied[('messages.0.content' : value must be a string)]",
        "content must be a string",
        "messages.0.content: Input should be a valid string",
    ],
)
def test_content_that_must_be_a_string_becomes_one(message):
    assert learned(message, LIST)[1]["messages"] == [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    "message",
    [
        "thinking is enabled but reasoning_content is missing in assistant tool call message at index 1",
        "The `reasoning_content` in the thinking mode must be passed back to the API.",
    ],
)
def test_reasoning_that_is_missing_in_replies_of_other_models_is_empty(message):
    own = {"role": "assistant", "content": "a", "reasoning_content": "b"}
    other = {"role": "assistant", "content": "", "tool_calls": [{"id": "c"}]}
    asked = {"role": "user", "content": "Hi"}
    found, body = learned(message, {"messages": [asked, other, asked, own]})
    assert str(found) == "empty reasoning is sent with earlier replies that have none"
    assert body["messages"] == [asked, {**other, "reasoning_content": ""}, asked, own]
    assert learned(message, {"messages": [asked, own]})[0] is None
    assert found is not None
    of_anthropic = {"messages": [asked, {"role": "assistant", "content": "a"}]}
    assert adapt(of_anthropic, [found], ANTHROPIC) == [], "an origin can have endpoints of several protocols"


SCHEMA: dict[str, Any] = {
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "city", "schema": {"type": "object"}}},
}


@pytest.mark.parametrize(
    "message",
    [
        "1 validation error:\n  {'type': 'literal_error', 'loc': ('body', 'response_format', 'type'), 'msg': \"Input should "
        "be 'text' or 'json_object'\", 'input': 'json_schema', 'ctx': {'expected': \"'text' or 'json_object'\"}}",
        "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
        "This model does not support response format `json_schema`.",
        "This response_format type is unavailable now",
    ],
)
@pytest.mark.parametrize("system", [True, False])
def test_a_refused_schema_goes_into_the_system_prompt(message: str, system: bool):
    request = 'Answer with JSON that matches this JSON Schema:\n{"type":"object"}'
    user = SCHEMA["messages"][1]
    found, body = learned(message, SCHEMA if system else {**SCHEMA, "messages": [user]})
    assert str(found) == "the schema of the answer is sent in the system prompt, with JSON mode"
    assert body["response_format"] == {"type": "json_object"}
    text = f"Be brief.\n\n{request}" if system else request
    assert body["messages"] == [{"role": "system", "content": text}, user]


@pytest.mark.parametrize(
    "message",
    [
        "'response_format.type' must be 'json_schema' or 'text'",
        "Invalid schema for response_format 'city': unsupported",
    ],
)
def test_a_schema_that_is_refused_for_its_content_is_not_moved(message: str):
    assert learned(message, SCHEMA)[0] is None


EITHER = {"oneOf": [{"properties": {"a": {"type": "array"}}}, {"properties": {"b": {"type": "string"}}}]}
PLAIN = {"type": "object", "properties": {"a": {"type": "string"}}}


@pytest.mark.parametrize(
    ("message", "tools", "places"),
    [
        (
            "Invalid schema for function 'odd': schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' "
            "at the top level.",
            lambda schema: {"type": "function", "function": {"name": "f", "parameters": schema}},
            ("function", "parameters"),
        ),
        (
            "Invalid schema for function 'odd': In context=('properties', 'a'), array schema missing items.",
            lambda schema: {"type": "function", "name": "f", "parameters": schema},
            ("parameters",),
        ),
        (
            "tools.1.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level",
            lambda schema: {"name": "f", "input_schema": schema},
            ("input_schema",),
        ),
    ],
)
def test_a_refused_schema_of_a_tool_is_sent_as_one_object(message, tools, places):
    found, body = learned(message, {"tools": [tools(PLAIN), tools({**EITHER})]})
    assert str(found) == "the schemas of tools are sent in a simpler form"
    schemas = body["tools"]
    for place in places:
        schemas = [one[place] for one in schemas]
    assert schemas[0] == PLAIN
    assert schemas[1]["type"] == "object" and "oneOf" not in schemas[1]
    assert schemas[1]["properties"].keys() == {"a", "b"}


def test_schemas_of_tools_that_a_translation_would_not_change_are_not_the_cause():
    body = {"tools": [{"type": "function", "function": {"name": "f", "parameters": PLAIN}}]}
    assert learned("Invalid schema for function 'f': unknown keyword", body)[0] is None


def test_content_with_a_picture_does_not():
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    body = {"messages": [{"role": "user", "content": [*PARTS, picture]}]}
    assert adapt(copy.deepcopy(body), [Adaptation("content:list")], PASS) == []


def test_roles_that_must_alternate_do():
    twice = {"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": PARTS}]}
    _, body = learned("Conversation roles must alternate user/assistant/user/assistant/...", twice)
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "a"}, *PARTS]}]


@pytest.mark.parametrize("mark", ["`", ""])
def test_of_temperature_and_top_p_the_latter_is_left_out_where_both_are_sent(mark):
    message = (
        f"{mark}temperature{mark} and {mark}top_p{mark} cannot both be specified for this model. Please use only one."
    )
    found, body = learned(message, {"temperature": 0.3, "top_p": 0.9})
    assert (str(found), body) == ("`top_p` is omitted when `temperature` is set", {"temperature": 0.3})
    assert found is not None
    assert adapt({"top_p": 0.9}, [found], PASS) == []


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 8192 tokens",
        "The system is overloaded. Unsupported region",
        "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
        "Image URLs are only allowed for messages with role 'user', but this message with role 'system' contains an image URL.",
    ],
)
def test_other_words_teach_nothing(message):
    assert learned(message, SYSTEM)[0] is None


def test_a_parameter_that_was_not_sent_is_not_the_cause():
    assert learned("System role not supported", LIST)[0] is None
    assert learned("content must be a string", SYSTEM)[0] is None
