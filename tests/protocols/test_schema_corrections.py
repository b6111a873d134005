"""Schemas with keywords that no validator of the current draft accepts reach providers with valid ones."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.conversation import Conversation, Settings, Tool, user
from modelbay.dialect import PLAIN, Dialect
from modelbay.protocols.codec import codec
from modelbay.protocols.schema.corrections import TYPES, corrected, is_odd
from modelbay.protocols.schema.words import schemas
from tests.protocols.provider_rules import ABLE


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "int"}, {"type": "integer"}),
        ({"type": "float"}, {"type": "number"}),
        ({"type": "dict"}, {"type": "object"}),
        ({"type": "STRING"}, {"type": "string"}),
        ({"type": "any", "description": "d"}, {"description": "d"}),
        ({"type": None}, {}),
        ({"type": []}, {}),
        ({"type": ["str", "None"]}, {"type": ["string", "null"]}),
        ({"type": ["string", "any"]}, {}),
        ({"type": "object", "properties": []}, {"type": "object", "properties": {}}),
        ({"type": "object", "properties": None}, {"type": "object", "properties": {}}),
        ({"properties": {"a": {"required": True}, "b": {"required": False}, "c": {}}},
         {"properties": {"a": {}, "b": {}, "c": {}}, "required": ["a"]}),
        ({"properties": {"a": {"required": True}}, "required": ["b", "a"]}, {"properties": {"a": {}}, "required": ["b", "a"]}),
        ({"required": True}, {}),
        ({"required": "a"}, {}),
        ({"enum": []}, {}),
        ({"items": [{"type": "int"}]}, {"prefixItems": [{"type": "integer"}]}),
        ({"exclusiveMinimum": True, "minimum": 1}, {"exclusiveMinimum": 1}),
        ({"exclusiveMaximum": False, "maximum": 1}, {"maximum": 1}),
        ({"anyOf": [{"type": "str"}]}, {"anyOf": [{"type": "string"}]}),
    ],
)  # fmt: skip
def test_a_keyword_of_another_draft_or_language_is_corrected(schema, expected):
    assert corrected(schema) == expected
    assert corrected({"properties": {"p": schema}}) == (
        {"properties": {"p": expected}} | ({"required": ["p"]} if schema.get("required") is True else {})
    )
    assert any(map(is_odd, schemas(schema)))
    assert not any(map(is_odd, schemas(expected)))


odd_types = st.none() | st.sampled_from([*TYPES, "str", "Int", "any", "dict", "file"])
nodes = st.recursive(
    st.fixed_dictionaries({}, optional={"type": odd_types | st.lists(odd_types, max_size=2), "enum": st.just([])}),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "type": odd_types,
            "properties": st.just([]) | st.dictionaries(st.sampled_from(["a", "type", "required"]), inner, max_size=3),
            "required": st.booleans() | st.lists(st.sampled_from(["a", "type"]), unique=True),
            "items": inner | st.lists(inner, max_size=2),
            "anyOf": st.lists(inner, max_size=2),
            "default": st.just({"type": "int", "properties": []}),
        },
    ),
    max_leaves=8,
)


@given(nodes)
def test_a_corrected_schema_needs_no_correction(schema: dict[str, Any]):
    before = json.dumps(schema)
    found = corrected(schema)
    assert json.dumps(schema) == before
    assert corrected(found) == found
    assert not any(map(is_odd, schemas(found)))


@pytest.mark.parametrize("dialect", [PLAIN, Dialect(schema="openapi"), Dialect(schema="typed")])
@pytest.mark.parametrize("protocol", ["openai_chat", "openai_responses", "anthropic", "google"])
@given(node=nodes)
def test_no_provider_gets_an_unknown_type(protocol: str, dialect: Dialect, node: dict[str, Any]):
    tool = Tool(name="look", schema={"type": "object", "properties": {"a": node}})
    call = codec(protocol).render_request(Conversation([user("Hi")], Settings(tools=[tool])), ABLE, dialect)
    (sent,) = json.loads(call.encode())["tools"]
    sent = sent.get("functionDeclarations", [sent])[0]
    sent = sent.get("function", sent)
    schema = next(sent[name] for name in ("parameters", "input_schema", "parametersJsonSchema") if name in sent)
    for found in schemas(schema):
        types = found.get("type", [])
        assert TYPES.issuperset(str(one).lower() for one in (types if isinstance(types, list) else [types]))
