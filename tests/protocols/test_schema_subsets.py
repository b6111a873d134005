"""The schemas of tools and output formats, as each protocol's providers accept them."""

import copy
import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelbay.conversation import Conversation, OutputFormat, Settings, Tool, user
from modelbay.dialect import PLAIN, Dialect
from modelbay.errors import Unsupported
from modelbay.protocols.codec import NAMES, Call, codec
from modelbay.protocols.schema import Fitting
from tests.protocols.provider_rules import ABLE, complaint, refusal

every_target = pytest.mark.parametrize("target", NAMES)
URL, TEXT = {"type": "string", "format": "uri"}, {"type": "string"}


def fitted(schema: Any, target: str = "openai_chat", **tool: Any) -> tuple[Tool, list[str]]:
    report: list[Any] = []
    before = copy.deepcopy(schema)
    found = Fitting(target, PLAIN, report).tool(Tool(name="f", schema=schema, **tool))
    assert schema == before, "what goes in stays as it was"
    return found, [warning.message for warning in report]


def asked(schema: Any, *, client: str | None = None, strict: bool | None = None) -> Conversation:
    tool = Tool(name="f", description="d", schema=schema, strict=strict)
    return Conversation([user("Go")], Settings(tools=[tool], max_output_tokens=100), protocol=client)  # type: ignore[arg-type]


class User(msgspec.Struct):
    name: str
    age: int


class Tree(msgspec.Struct):
    left: "Tree | None"
    label: str


MSGSPEC, RECURSIVE = msgspec.json.schema(User), msgspec.json.schema(Tree)
MAP = {"type": "object", "properties": {"env": {"type": "object", "additionalProperties": TEXT}}, "required": ["env"]}
SCHEMAS: dict[str, Any] = {
    "nothing": {},
    "anything": True,
    "none": None,
    "an object that lists nothing": {"type": "object"},
    "no type": {"properties": {"a": TEXT}},
    "perhaps null": {"type": ["object", "null"], "properties": {"a": TEXT}},
    "choices": {"type": "object", "anyOf": [{"properties": {"url": URL}, "required": ["url"]}, {"properties": {"text": TEXT}}]},
    "choices by reference": {"oneOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}], "$defs": {
        "A": {"type": "object", "properties": {"kind": {"const": "a"}, "x": TEXT}, "required": ["kind", "x"]},
        "B": {"type": "object", "properties": {"kind": {"const": "b"}}, "required": ["kind"]}}},
    "parts": {"allOf": [{"properties": {"a": TEXT}, "required": ["a"]}, {"properties": {"b": TEXT}, "required": ["b"]}]},
    "choices in choices": {"anyOf": [{"allOf": [{"properties": {"a": TEXT}}, {"properties": {"b": TEXT}}]}]},
    "forbidden at the top": {"type": "object", "properties": {"a": TEXT}, "not": {"required": ["b"]}},
    "a reference at the top": MSGSPEC,
    "a schema inside itself": RECURSIVE,
    "a reference with siblings": {"type": "object", "$defs": {"K": {"type": "string", "enum": ["x"]}},
        "properties": {"k": {"$ref": "#/$defs/K", "title": "K", "type": "string", "description": "which"}}},
    "a reference into itself with siblings": {"type": "object", "$defs": {"N": {"type": "object", "properties": {
        "n": {"$ref": "#/$defs/N", "title": "next", "description": "more"}}}},
        "properties": {"n": {"$ref": "#/$defs/N", "title": "n"}}},
    "an array of unknown items": {"type": "object", "properties": {"a": {"type": "array"}}},
    "an older draft": {"type": "object", "properties": {"p": {"type": "array", "items": [TEXT, TEXT]},
        "n": {"type": "number", "minimum": 0, "exclusiveMinimum": True}}},
    "a map": MAP,
    "Gemini's words": {"type": "OBJECT", "properties": {"a": {"type": "ARRAY", "items": {"type": "STRING"}}}},
    "no object at all": {"type": "array", "items": TEXT},
    "a text or nothing": {"type": ["string", "null"]},
}  # fmt: skip


@pytest.mark.parametrize("strict", [None, True])
@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
@every_target
def test_no_provider_refuses_a_tool_for_its_schema(target, schema, strict):
    assert refusal(target, asked(schema, strict=strict)) is None


@pytest.mark.parametrize("name", ["nothing", "choices", "parts", "no type"])
@pytest.mark.parametrize("target", ["openai_chat", "openai_responses", "anthropic"])
def test_not_even_for_what_every_provider_refuses_of_its_own_clients(target, name):
    assert refusal(target, asked(SCHEMAS[name], client=target)) is None


def test_choices_at_the_top_are_joined():
    tool, report = fitted(SCHEMAS["choices"])
    assert tool.schema == {"type": "object", "properties": {"url": URL, "text": TEXT}}
    assert report == ["the schema of `f` has `anyOf` at its root: sent as one object"]


def test_properties_that_all_choices_require_are_required_and_constants_become_an_enum():
    tool, _ = fitted(SCHEMAS["choices by reference"])
    assert tool.schema["required"] == ["kind"]
    assert tool.schema["properties"] == {"kind": {"type": "string", "enum": ["a", "b"]}, "x": TEXT}


def test_parts_at_the_top_are_all_required():
    tool, _ = fitted(SCHEMAS["parts"])
    assert tool.schema == {"type": "object", "properties": {"a": TEXT, "b": TEXT}, "required": ["a", "b"]}


@pytest.mark.parametrize("schema", [{}, True, None])
def test_no_arguments_are_an_object_without_properties(schema):
    assert fitted(schema, "anthropic")[0].schema == {"type": "object", "properties": {}}


def test_a_reference_at_the_top_is_written_out_for_whom_it_is_strict():
    tool, report = fitted(MSGSPEC, strict=True)
    assert (tool.strict, report) == (True, [])
    assert tool.schema["type"] == "object"
    assert tool.schema["additionalProperties"] is False
    assert "$ref" not in tool.schema


def test_an_object_that_lists_its_properties_is_closed_where_strict_demands_it():
    inner = {"type": "object", "properties": {"b": TEXT}, "required": ["b"]}
    open_one = {"type": "object", "properties": {"a": inner}, "required": ["a"]}
    tool, report = fitted(open_one, strict=True)
    assert (tool.schema["additionalProperties"], tool.schema["properties"]["a"]["additionalProperties"]) == (
        False,
        False,
    )
    assert (tool.strict, report) == (True, [])
    assert fitted(open_one)[0].schema is open_one


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (MAP, "allows properties that it does not name"),
        ({"type": "object", "properties": {"a": TEXT}}, "has optional properties: a"),
        ({"type": "object", "properties": {"a": {}}, "required": ["a"]}, "allows any value somewhere"),
        ({"type": "object", "properties": {"a": {"oneOf": [TEXT]}}, "required": ["a"]}, "has `oneOf`"),
    ],
)
def test_strict_is_left_out_where_the_schema_would_mean_something_else(schema, why):
    tool, report = fitted(schema, strict=True)
    assert (tool.schema, tool.strict) == (schema, None)
    assert report == [f"`strict` is not sent for `f`: its schema {why}"]


def test_a_property_that_may_be_missing_is_strict_at_anthropic():
    tool, report = fitted({"type": "object", "properties": {"a": TEXT}}, "anthropic", strict=True)
    assert (tool.strict, tool.schema["additionalProperties"], report) == (True, False, [])
    assert fitted(RECURSIVE, "anthropic", strict=True)[0].strict is None


def test_a_schema_that_needs_no_change_is_sent_byte_for_byte():
    schema = {"required": ["b"], "properties": {"b": TEXT, "a": {"minimum": 1.0, "type": "number"}}, "type": "object"}
    for target in NAMES:
        assert fitted(schema, target)[0].schema is schema
        sent = codec(target).render_request(asked(schema), ABLE, PLAIN).encode()
        assert json.dumps(schema, separators=(",", ":")).encode() in sent


def test_a_reference_of_gemini_s_has_nothing_beside_it():
    tool, _ = fitted(SCHEMAS["a reference with siblings"], "google")
    assert tool.schema["properties"]["k"] == {
        "type": "string", "enum": ["x"], "title": "K", "description": "which",
    }  # fmt: skip


@pytest.mark.parametrize("target", ["openai_chat", "openai_responses", "anthropic"])
def test_an_output_format_is_fitted_as_a_tool_is(target):
    form = OutputFormat("json_schema", schema=MSGSPEC, name="user", strict=True)
    conversation = Conversation([user("Go")], Settings(output_format=form))
    assert refusal(target, conversation) is None


def test_limits_that_anthropic_cannot_enforce_are_said_in_words():
    age = {"type": "integer", "minimum": 0, "description": "Years"}
    form = OutputFormat("json_schema", schema={"type": "object", "properties": {"age": age}})
    call = codec("anthropic").render_request(Conversation([user("Go")], Settings(output_format=form)), ABLE, PLAIN)
    properties = call.body["output_config"]["format"]["schema"]["properties"]
    assert properties == {"age": {"type": "integer", "description": "Years (minimum: 0)"}}
    assert [warning.message for warning in call.warnings] == [
        "limits in the output format are sent as part of its descriptions"
    ]


LOOKAROUND = r"^(?!-)[0-9]+$"


@pytest.mark.parametrize("limit", [
    {"format": "uri-reference"}, {"format": "decimal"}, {"pattern": LOOKAROUND}, {"contentEncoding": "base64"},
    {"minLength": 1}, {"maxLength": 10},
])  # fmt: skip
@pytest.mark.parametrize("target", ["openai_chat", "openai_responses", "anthropic"])
def test_a_limit_that_strict_does_not_allow_is_said_in_words(target, limit):
    schema = {"type": "object", "properties": {"a": {**TEXT, **limit}}, "required": ["a"]}
    [(word, value)] = limit.items()
    tool, report = fitted(schema, target, strict=True)
    assert tool.strict is True
    assert tool.schema["properties"] == {"a": {**TEXT, "description": f"{word}: {value}"}}
    assert report == ["limits in `f` are sent as part of its descriptions"]
    assert refusal(target, asked(schema, strict=True)) is None
    form = OutputFormat("json_schema", schema=schema, name="f", strict=True)
    assert refusal(target, Conversation([user("Go")], Settings(output_format=form))) is None
    assert fitted(schema, target)[0].schema is schema, "without `strict`, every keyword is allowed"


@pytest.mark.parametrize("limit", [{"format": "date-time"}, {"format": "uuid"}, {"pattern": "^a|(?:b)$"}])
@pytest.mark.parametrize("target", ["openai_chat", "openai_responses", "anthropic"])
def test_a_limit_that_strict_allows_stays(target, limit):
    schema = {
        "type": "object",
        "properties": {"a": {**TEXT, **limit}},
        "required": ["a"],
        "additionalProperties": False,
    }
    assert fitted(schema, target, strict=True) == (Tool(name="f", schema=schema, strict=True), [])


def test_an_output_format_that_anthropic_cannot_express_is_part_of_the_system_prompt():
    form = OutputFormat("json_schema", schema=MAP, strict=True)
    call = codec("anthropic").render_request(Conversation([user("Go")], Settings(output_format=form)), ABLE, PLAIN)
    assert "output_config" not in call.body
    assert call.body["system"].startswith("Answer with JSON that matches this JSON Schema:\n{")
    assert [warning.message for warning in call.warnings] == [
        "`output_format` is sent as part of the system prompt: its schema allows properties that it does not name"
    ]


def test_limits_in_an_output_format_do_not_move_it_into_the_system_prompt():
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}, "required": ["a"]}
    form = OutputFormat("json_schema", schema=schema)
    call = codec("anthropic").render_request(Conversation([user("Go")], Settings(output_format=form)), ABLE, PLAIN)
    assert "system" not in call.body
    assert call.body["output_config"]["format"]["schema"]["properties"]["a"] == {
        "type": "integer",
        "description": "minimum: 1",
    }


def test_a_schema_that_is_missing_is_json_of_any_kind():
    form = OutputFormat("json_schema", name="answer")
    assert Fitting("openai_responses", PLAIN, []).format(form) == OutputFormat("json")
    conversation = Conversation([user("Go")], Settings(output_format=form))
    call = codec("anthropic").render_request(conversation, ABLE, PLAIN)
    assert call.body["system"] == "Answer with one JSON object and nothing else."


def test_moonshot_s_rule_holds_for_output_formats_too():
    form = OutputFormat("json_schema", schema={"type": "object", "properties": {"a": {"enum": ["x"]}}}, name="n")
    conversation = Conversation([user("Go")], Settings(output_format=form))
    call = codec("openai_chat").render_request(conversation, ABLE, Dialect(schema="typed"))
    assert call.body["response_format"]["json_schema"]["schema"]["properties"]["a"]["type"] == "string"


def test_a_gemini_client_s_own_schema_is_not_touched():
    declaration = {"name": "f", "parametersJsonSchema": SCHEMAS["a reference with siblings"]}
    contents = [{"role": "user", "parts": [{"text": "Go"}]}]
    body = {"contents": contents, "tools": [{"functionDeclarations": [declaration]}]}
    conversation = codec("google").parse_request(Call("/v1beta/models/m:generateContent", body))
    assert codec("google").render_request(conversation, ABLE, PLAIN).body["tools"] == body["tools"]


def test_the_numbers_of_gemini_s_types_are_words_elsewhere():
    declaration = {"name": "f", "parameters": {"type": 6, "properties": {"a": {"type": 1}}}}
    body = {"contents": [{"parts": [{"text": "Go"}]}], "tools": [{"functionDeclarations": [declaration]}]}
    conversation = codec("google").parse_request(Call("/v1beta/models/m:generateContent", body))
    (tool,) = codec("anthropic").render_request(conversation, ABLE, PLAIN).body["tools"]
    assert tool["input_schema"] == {"type": "object", "properties": {"a": {"type": "string"}}}


@pytest.mark.parametrize("target", NAMES)
def test_definitions_that_double_each_other_take_no_time(target):
    """Forty of them would be a million million schemas."""
    uses = [{"$ref": f"#/$defs/d{number + 1}", "title": "t"} for number in range(40)]
    defs: dict[str, Any] = {
        f"d{number}": {"anyOf": [use, use], "properties": {"a": use, "b": use}} for number, use in enumerate(uses)
    }
    schema = {"$ref": "#/$defs/d0", "$defs": {**defs, "d40": TEXT}}
    assert fitted(schema, target, strict=True)[0].schema["type"] == "object"


# --- any schema --------------------------------------------------------------------------------------------------------

leaves = st.sampled_from(
    [{}, TEXT, {"type": "array"}, {"enum": ["a", "b"]}, {"$ref": "#/$defs/d"}, {"$ref": "#/$defs/d", "title": "t"},
     {"type": "integer", "minimum": 1}, {"$ref": "#"}, {"const": "c"}]
)  # fmt: skip
names = st.sampled_from(["a", "b", "c"])


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {},
        optional={
            "type": st.just("object"),
            "properties": st.dictionaries(names, inner, max_size=3),
            "required": st.lists(names, max_size=2),
            "additionalProperties": st.booleans(),
            "anyOf": st.lists(inner, min_size=1, max_size=3),
            "oneOf": st.lists(inner, min_size=1, max_size=2),
            "allOf": st.lists(inner, min_size=1, max_size=2),
            "items": inner,
            "$ref": st.just("#/$defs/d"),
        },
    )


tops = objects(st.recursive(leaves, objects, max_leaves=6)).map(
    lambda schema: {**schema, "$defs": {"d": {"type": "object", "properties": {"e": TEXT}}}}
)


@given(schema=tops, target=st.sampled_from(NAMES), strict=st.sampled_from([None, True]))
def test_no_provider_refuses_any_schema(schema, target, strict):
    call = codec(target).render_request(asked(schema, strict=strict), ABLE, PLAIN)
    assert complaint(target, call) is None
    again = Fitting(target, PLAIN, []).tool(fitted(schema, target)[0])
    assert again.schema == fitted(schema, target)[0].schema


words = st.sampled_from(
    ["type", "properties", "required", "anyOf", "allOf", "items", "$ref", "$defs", "additionalProperties", "enum", "const",
     "prefixItems", "description", "exclusiveMinimum", "minimum"]
)  # fmt: skip
garbage = st.recursive(
    st.sampled_from([None, True, 3, "object", "array", "#/$defs/a", "#"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words | st.just("a"), inner, max_size=4),
    max_leaves=8,
)


@example(schema={"allOf": [], "required": [[]]}, target="anthropic", form="openapi")
@example(schema={"allOf": [{"required": 3}], "required": ["a"]}, target="anthropic", form="openapi")
@example(schema={"allOf": [{"properties": 3}], "properties": {"a": {}}}, target="anthropic", form="openapi")
@given(
    schema=st.dictionaries(words, garbage, max_size=5),
    target=st.sampled_from(NAMES),
    form=st.sampled_from(["full", "typed", "openapi"]),
)
def test_an_invalid_schema_does_not_fail(schema, target, form):
    fitting = Fitting(target, Dialect(schema=form), [])
    with suppress(Unsupported):
        fitting.tool(Tool(name="f", schema=schema, strict=True))
    with suppress(Unsupported):
        fitting.format(OutputFormat("json_schema", schema=schema, strict=True))
