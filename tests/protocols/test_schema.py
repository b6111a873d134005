"""JSON Schema for those who take only part of it."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.conversation import Conversation, Settings, Tool, user
from modelbay.dialect import PLAIN, Dialect
from modelbay.errors import Unsupported
from modelbay.model import Model
from modelbay.protocols.codec import codec
from modelbay.protocols.schema import inlined, json_schema, openapi, typed

NODE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}


# --- $ref --------------------------------------------------------------------------------------------------------------


def test_a_local_reference_is_written_out_and_its_definition_goes():
    schema = {
        "$defs": {"path": {"type": "string", "description": "any"}},
        "properties": {"a": {"$ref": "#/$defs/path"}, "b": {"$ref": "#/$defs/path", "description": "the second"}},
    }
    assert inlined(schema) == {
        "properties": {
            "a": {"type": "string", "description": "any"},
            "b": {"type": "string", "description": "the second"},
        }
    }


def test_references_into_references_lists_and_escaped_names_are_followed():
    schema = {
        "definitions": {"a/b~c": {"$ref": "#/definitions/d"}, "d": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
        "items": {"$ref": "#/definitions/a~1b~0c"},
        "contains": {"$ref": "#/definitions/d/anyOf/0"},
    }
    assert inlined(schema) == {
        "items": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "contains": {"type": "string"},
    }


@pytest.mark.parametrize("number", ["²", "9" * 5000])
def test_a_number_that_python_does_not_read_is_text(number):
    lost = {"anyOf": [{"type": "string"}], "properties": {"a": {"$ref": f"#/anyOf/{number}"}}}
    inlined(lost)
    assert json_schema({"type": "ARRAY", "minItems": number})["minItems"] == number


def test_a_schema_inside_itself_keeps_its_reference_and_definition():
    schema = {"$defs": {"node": NODE}, "properties": {"tree": {"$ref": "#/$defs/node"}}}
    assert inlined(schema) == {"$defs": {"node": {**NODE, "properties": {"next": NODE}}}, "properties": {"tree": NODE}}


def test_a_value_that_only_resembles_a_reference_is_kept():
    schema = {
        "properties": {
            "$ref": {"type": "string"},
            "far": {"$ref": "https://example.com/s"},
            "gone": {"$ref": "#/$defs/no"},
        },
        "default": {"$ref": "#/properties/far"},
    }
    assert inlined(schema) == schema


def test_definitions_that_double_each_other_do_not_grow_without_end():
    definitions: dict[str, object] = {f"d{n}": {"items": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(60)}
    schema = {"$defs": {**definitions, "d60": {"type": "string"}}, "items": {"$ref": "#/$defs/d0"}}
    assert len(str(inlined(schema))) < 20_000_000


# --- typed -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ({"enum": ["a", "b"]}, "string"), ({"enum": [1, 2]}, "integer"), ({"enum": [1, 2.5]}, "number"),
        ({"const": 2.0}, "integer"),
        ({"const": True}, "boolean"), ({"const": None}, "null"), ({"enum": [{"a": 1}]}, "object"), ({"const": []}, "array"),
        ({"properties": {}}, "object"), ({"required": ["a"], "items": {"type": "string"}}, "object"),
        ({"items": {"type": "string"}}, "array"), ({"minItems": 1, "pattern": "x"}, "array"), ({"pattern": "x"}, "string"),
        ({"format": "uri", "minimum": 1}, "string"), ({"minimum": 1}, "number"), ({"description": "?"}, "string"), ({}, "string"),
    ],
)  # fmt: skip
def test_a_schema_without_a_type_gets_the_one_its_words_tell(words, kind):
    assert typed({"properties": {"p": words}})["properties"]["p"] == {**words, "type": kind}


@pytest.mark.parametrize("word", ["anyOf", "oneOf", "allOf", "not", "if", "$ref"])
def test_a_schema_whose_type_is_defined_elsewhere_gets_no_type(word):
    node = {word: "https://example.com" if word == "$ref" else {} if word in ("not", "if") else []}
    schema = {"properties": {"p": node}}
    assert "type" not in typed(schema)["properties"]["p"]


def test_types_are_found_at_every_depth_and_not_at_the_root():
    schema = {
        "properties": {"a": {"items": {"properties": {"b": {"enum": [1]}}}}},
        "anyOf": [{"additionalProperties": {"minimum": 1}}],
        "$defs": {"kept": {"properties": {"x": {"$ref": "#/$defs/kept"}}}},
        "items": {"$ref": "#/$defs/kept"},
    }
    found = typed(schema)
    assert "type" not in found
    assert found["properties"]["a"]["type"] == "array"
    assert found["properties"]["a"]["items"]["properties"]["b"]["type"] == "integer"
    assert found["anyOf"][0]["additionalProperties"]["type"] == "number"
    assert found["$defs"]["kept"]["type"] == "object"


def test_a_property_called_type_is_a_property():
    schema = {"properties": {"type": {"enum": ["a"]}, "properties": {"description": "?"}}}
    assert typed(schema)["properties"] == {
        "type": {"enum": ["a"], "type": "string"},
        "properties": {"description": "?", "type": "string"},
    }


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"type": "object", "enum": ["a"], "properties": {}, "required": []}, {"type": "string", "enum": ["a"]}),
        ({"type": "string", "const": 1}, {"type": "integer", "const": 1}),
        ({"type": "number", "enum": [1, 2]}, {"type": "number", "enum": [1, 2]}),
        ({"type": "string", "enum": ["a", 1]}, {"type": "string", "enum": ["a", 1]}),
        ({"type": ["string", "null"], "enum": ["a", None]}, {"type": ["string", "null"], "enum": ["a", None]}),
    ],
)
def test_a_type_that_its_values_contradict_gives_way(node, expected):
    assert typed({"properties": {"p": node}})["properties"]["p"] == expected


def test_values_of_several_types_without_a_type_are_refused():
    with pytest.raises(Unsupported, match="integer, string") as caught:
        typed({"properties": {"p": {"enum": ["auto", 1]}}})
    assert caught.value.setting == "tools"


# --- openapi -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "subset"),
    [
        ({"type": "string", "format": "uri", "minLength": 1}, {"type": "STRING", "minLength": 1}),
        ({"type": "string", "format": "date-time"}, {"type": "STRING", "format": "date-time"}),
        ({"const": "a"}, {"type": "STRING", "enum": ["a"]}),
        ({"const": 5}, {"type": "INTEGER", "enum": ["5"], "format": "enum"}),
        ({"const": True}, {"type": "BOOLEAN"}),
        ({"enum": ["a", None]}, {"type": "STRING", "enum": ["a"], "nullable": True}),
        ({"type": ["string", "null"]}, {"type": "STRING", "nullable": True}),
        ({"type": ["string", "integer"], "minimum": 1, "description": "d"},
         {"description": "d", "anyOf": [{"type": "STRING"}, {"type": "INTEGER", "minimum": 1}]}),
        ({"anyOf": [{"type": "string"}, {"type": "null"}], "description": "d"},
         {"type": "STRING", "description": "d", "nullable": True}),
        ({"oneOf": [{"type": "string"}, {"type": "number"}], "default": 1}, {"anyOf": [{"type": "STRING"}, {"type": "NUMBER"}]}),
        ({"allOf": [{"properties": {"a": {"type": "string"}}, "required": ["a"]}, {"properties": {"b": True}}], "type": "object"},
         {"type": "OBJECT", "properties": {"a": {"type": "STRING"}, "b": {"type": "STRING"}}, "required": ["a"]}),
        ({"type": "object", "properties": {"a": {}}, "required": ["a", "gone"], "additionalProperties": False},
         {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}, "required": ["a"]}),
        ({"type": "object", "properties": {"a": {}}, "anyOf": [{"required": ["a"]}]},
         {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}),
        ({"type": "object"}, {"type": "OBJECT"}),
        ({"type": "array"}, {"type": "ARRAY", "items": {"type": "STRING"}}),
        ({"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}]},
         {"type": "ARRAY", "items": {"anyOf": [{"type": "STRING"}, {"type": "NUMBER"}]}}),
        ({"$schema": "x", "type": "integer", "exclusiveMinimum": 1, "minimum": 0}, {"type": "INTEGER", "minimum": 0}),
    ],
)  # fmt: skip
def test_a_schema_is_written_in_gemini_s_subset(schema, subset):
    assert openapi(schema) == subset


def test_references_are_written_out_and_a_loop_ends_in_an_object():
    schema = {"$defs": {"node": NODE}, "$ref": "#/$defs/node"}
    assert openapi(schema) == {
        "type": "OBJECT",
        "properties": {"next": {"type": "OBJECT"}},
    }


# --- json_schema -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subset", "schema"),
    [
        ({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "STRING", "format": "enum", "enum": ["a"], "nullable": True}, {"type": ["string", "null"], "enum": ["a", None]}),
        ({"type": "INTEGER", "enum": ["1", "-2"]}, {"type": "integer", "enum": [1, -2]}),
        ({"any_of": [{"type": "STRING"}], "nullable": True}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"type": "ARRAY", "minItems": "1", "items": {"type": "OBJECT"}},
         {"type": "array", "minItems": 1, "items": {"type": "object"}}),
        ({"type": "OBJECT", "properties": {"any_of": {"type": "STRING"}}, "propertyOrdering": ["any_of"]},
         {"type": "object", "properties": {"any_of": {"type": "string"}}}),
        ({"type": "STRING", "example": "x"}, {"type": "string", "examples": ["x"]}),
        (None, None),
    ],
)  # fmt: skip
def test_gemini_s_subset_is_read_as_json_schema(subset, schema):
    assert json_schema(subset) == schema


def test_json_schema_itself_is_read_as_it_is():
    schema = {"type": "object", "properties": {"a": {"anyOf": [{"$ref": "#/$defs/x"}]}}, "$defs": {"x": {"const": 1}}}
    assert json_schema(schema) == schema


# --- all of them -------------------------------------------------------------------------------------------------------

types = st.sampled_from(["string", "number", "integer", "boolean", "object", "array", "null"])
schemas = st.recursive(
    st.fixed_dictionaries(
        {}, optional={"type": types, "const": st.text(max_size=3), "description": st.text(max_size=3)}
    )
    | st.just({"$ref": "#/$defs/a"})
    | st.just({"$ref": "#"}),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "type": types,
            "properties": st.dictionaries(st.text(max_size=3), inner, max_size=3),
            "items": inner,
            "anyOf": st.lists(inner, max_size=2),
            "$defs": st.fixed_dictionaries({"a": inner}),
            "required": st.just(["x"]),
        },
    ),
    max_leaves=8,
)


@given(schemas)
def test_the_schema_itself_is_never_changed(schema):
    before = copy.deepcopy(schema)
    for change in (inlined, typed, openapi, json_schema):
        change(schema)
    assert schema == before


@given(schemas)
def test_every_schema_of_the_subset_has_a_type_or_alternatives(schema):
    def check(node):
        assert ("type" in node) != ("anyOf" in node)
        for child in (*node.get("properties", {}).values(), *node.get("anyOf", ())):
            check(child)
        if node.get("type") == "ARRAY":
            check(node["items"])

    check(openapi(schema))


@given(schemas)
def test_typing_a_typed_schema_changes_nothing(schema):
    once = typed(schema)
    assert typed(once) == once or "$ref" in str(once)


# --- strict ------------------------------------------------------------------------------------------------------------


def strict_of(target: str, strict: bool | None, dialect: Dialect = PLAIN) -> tuple[list[Any], list[str | None]]:
    """`strict` of two tools of a client of Responses, as another provider gets them, and the settings that are reported."""
    tools = [Tool(name=name, schema={"type": "object", "properties": {}}, strict=strict) for name in "ab"]
    conversation = Conversation([user("Hi")], Settings(tools=tools), protocol="openai_responses")
    call = codec(target).render_request(conversation, Model(id="m"), dialect)
    sent = [tool.get("function", tool).get("strict") for tool in call.body["tools"]]
    return sent, [warning.setting for warning in call.warnings if warning.dropped]


@pytest.mark.parametrize("target", ["openai_chat", "anthropic"])
def test_strict_is_sent_only_if_it_says_more_than_the_default(target: str) -> None:
    """Codex says `false` of every tool, and older servers reject the field."""
    assert strict_of(target, None) == strict_of(target, False) == ([None, None], [])
    assert strict_of(target, True)[0] == [True, True]


@pytest.mark.parametrize("target", ["openai_chat", "anthropic"])
def test_strict_is_reported_once_if_the_provider_does_not_accept_it(target: str) -> None:
    assert strict_of(target, True, Dialect(strict_tools=False)) == ([None, None], ["tools.strict"])
