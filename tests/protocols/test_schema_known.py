"""Tools that were fitted before are not fitted again, with the same result."""

import copy
import json
from typing import Any

import pytest

from modelbay.conversation import Conversation, Settings, Tool, user
from modelbay.dialect import PLAIN, Dialect
from modelbay.protocols.codec import NAMES, codec
from modelbay.protocols.schema import Fitting, known
from modelbay.protocols.schema.known import Fitted, FittingCache, content_of
from tests.protocols.provider_rules import ABLE

TEXT = {"type": "string"}
NESTED = {"type": "object", "properties": {"a": {"$ref": "#/$defs/a", "minLength": 1}}, "$defs": {"a": TEXT}}
CHOICES = {"anyOf": [{"properties": {"a": TEXT}, "required": ["a"]}, {"properties": {"b": {"type": "array"}}}]}
CLOSABLE = {"type": "object", "properties": {"a": TEXT}, "required": ["a"]}
OPEN = {"type": "object", "properties": {"m": {"type": "object", "additionalProperties": TEXT}}, "required": ["m"]}


def tools() -> list[Tool]:
    schemas = [NESTED, CHOICES, OPEN, {"type": "object"}, None, {"type": "object", "properties": {"a": TEXT}}]
    found = [Tool(name=f"t{place}", schema=copy.deepcopy(schema)) for place, schema in enumerate(schemas)]
    return [*found, Tool(name="s", schema=copy.deepcopy(OPEN), strict=True), Tool("freeform", name="patch")]


def sent(target: str, offered: list[Tool], dialect: Dialect = PLAIN) -> tuple[str, list[str]]:
    """The tools of a request as they are written, and its warnings."""
    call = codec(target).render_request(Conversation([user("Go")], Settings(tools=offered)), ABLE, dialect)
    return json.dumps(json.loads(call.encode())["tools"]), [warning.message for warning in call.warnings]


@pytest.mark.parametrize("form", ["full", "typed", "openapi"])
@pytest.mark.parametrize("target", NAMES)
def test_the_second_request_is_written_as_the_first_one(target, form):
    dialect = Dialect(schema=form)
    report: list[Any] = []
    one_by_one = [Fitting(target, dialect, report).tool(tool) for tool in tools()]
    fitting = Fitting(target, dialect, [])
    assert fitting.tools(tools()) == fitting.tools(tools()) == one_by_one
    assert fitting.report == report * 2
    assert sent(target, tools(), dialect) == sent(target, tools(), dialect)


def test_tools_that_fit_are_the_same_list():
    offered = [Tool(name="f", schema={"type": "object", "properties": {"a": TEXT}, "required": ["a"]})]
    fitting = Fitting("openai_chat", PLAIN, [])
    assert fitting.tools(offered) is fitting.tools(offered) is offered


def test_every_target_has_its_own_result():
    first = {target: sent(target, tools()) for target in NAMES}
    assert {target: sent(target, tools()) for target in reversed(NAMES)} == first
    plain, typed = sent("openai_chat", tools()), sent("openai_chat", tools(), Dialect(schema="typed"))
    assert plain != typed
    assert sent("openai_chat", tools()) == plain
    assert sent("openai_chat", tools(), Dialect(schema="typed")) == typed


def test_a_strict_tool_is_not_taken_for_the_same_tool_without_strict():
    for strict in (None, True):
        found = Fitting("openai_chat", PLAIN, []).tools([Tool(name="f", schema=CLOSABLE, strict=strict)])[0]
        assert (found.strict, found.schema.get("additionalProperties")) == (strict, False if strict else None)


ALIKE = {
    "a number and a truth": ({"default": 1}, {"default": True}),
    "an integer and a fraction": ({"default": 1}, {"default": 1.0}),
    "zeros": ({"default": 0.0}, {"default": -0.0}),
    "the order of names": ({"title": "t", "description": "d"}, {"description": "d", "title": "t"}),
    "text and number": ({"default": "1"}, {"default": 1}),
    "nothing and null": ({}, {"default": None}),
}


@pytest.mark.parametrize(("one", "other"), ALIKE.values(), ids=ALIKE)
def test_schemas_that_python_finds_alike_are_told_apart(one, other):
    def with_words(words: dict[str, Any]) -> str:
        schema = {"anyOf": [{"properties": {"a": {"type": "string", **words}}}]}
        return sent("openai_chat", [Tool(name="f", schema=schema)])[0]

    assert with_words(one) != with_words(other)
    assert json.dumps(one)[1:-1] in with_words(one)
    assert json.dumps(other)[1:-1] in with_words(other)


def test_a_schema_with_a_tuple_does_not_affect_one_with_a_list():
    for choices in (({"type": "null"}, {"type": "array"}), [{"type": "null"}, {"type": "array"}]):
        schema = {"type": "object", "properties": {"a": {"anyOf": choices}}}
        assert '{"type": "array", "items": {}}' in sent("openai_chat", [Tool(name="f", schema=schema)])[0]


def test_a_schema_that_cannot_be_cached_is_still_fitted():
    schema = {"type": "object", "properties": {"a": {"type": "array", "maxItems": 2**70}}}
    found = Fitting("openai_chat", PLAIN, []).tools([Tool(name="f", schema=schema)])[0]
    assert found.schema["properties"]["a"] == {"type": "array", "maxItems": 2**70, "items": {}}


def test_a_change_in_one_request_is_not_in_the_next_one():
    fitting = Fitting("openai_chat", PLAIN, [])
    before = copy.deepcopy(fitting.tools(tools()))
    for tool in fitting.tools(tools()):
        if isinstance(tool.schema, dict):
            tool.schema.clear()
    assert fitting.tools(tools()) == before


def content(number: int) -> bytes:
    found = content_of(("openai_chat",), [Tool(name=f"t{number}")])
    assert found is not None
    return found


def test_only_the_latest_results_are_kept_and_no_large_one():
    kept = FittingCache()
    unchanged = Fitted({}, [])
    kept.keep(content(0), unchanged)
    for number in range(1, known._MOST + 50):
        kept.keep(content(number), unchanged)
        assert kept.get(content(0)) is not None, "what is asked for again stays"
    found = [number for number in range(known._MOST + 50) if kept.get(content(number)) is not None]
    assert found == [0, *range(51, known._MOST + 50)]
    kept.keep(content(-1), Fitted({0: ({"description": "x" * known._LARGEST}, None)}, []))
    assert kept.get(content(-1)) is None
