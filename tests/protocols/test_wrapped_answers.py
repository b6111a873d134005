"""Answers that are not objects, at providers whose output format must be an object."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.conversation import Conversation, OutputFormat, Protocol, Settings, Text, user
from modelbay.dialect import PLAIN
from modelbay.events import Event, Finished, PartDelta, PartEnded, PartStarted, Started, collect
from modelbay.json_text import decode
from modelbay.model import Model
from modelbay.protocols.codec import Call, codec
from modelbay.protocols.wrapped_answers import Unwrapper

LIST: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["}", '{"value":', " } "]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["value", "a"]), inner, max_size=2),
    max_leaves=6,
)


def sent(schema: Any, target: str = "openai_chat", source: Protocol | None = "google") -> tuple[Call, Any]:
    form = OutputFormat("json_schema", schema=schema, name="answer")
    conversation = Conversation([user("Hi")], Settings(output_format=form), protocol=source)
    call = codec(target).render_request(conversation, Model(id="m"), PLAIN)
    body = call.body
    return call, body["response_format"]["json_schema"]["schema"] if target == "openai_chat" else body["text"]["format"]


@pytest.mark.parametrize("target", ["openai_chat", "openai_responses"])
@pytest.mark.parametrize("source", ["google", "anthropic", None])
@pytest.mark.parametrize(
    "schema",
    [LIST, {"type": "string", "enum": ["a"]}, {"enum": ["a", 1]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}],
    ids=["a list", "a word", "an enum", "alternatives"],
)
def test_the_value_is_the_only_property_of_an_object(target: str, source: Protocol | None, schema: Any) -> None:
    call, written = sent(schema, target, source)
    written = written.get("schema", written)
    assert call.wrapped
    assert (written["type"], written["required"], written["properties"]) == ("object", ["value"], {"value": schema})
    assert call.warnings == []


@pytest.mark.parametrize("schema", [{"type": "object", "properties": {"a": LIST}}, {"type": ["object", "null"]}, {}])
def test_an_object_is_sent_as_it_is(schema: Any) -> None:
    call, written = sent(schema)
    assert not call.wrapped
    assert "value" not in written["properties"]


def test_references_still_find_what_they_refer_to() -> None:
    inner = {"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/Leaf"}, {"$ref": "#"}, {"$ref": "#/items"}]}}
    _, written = sent({**inner, "$defs": {"Leaf": {"type": "string"}}})
    assert written["$defs"] == {"Leaf": {"type": "string"}}
    places = ["#/$defs/Leaf", "#/properties/value", "#/properties/value/items"]
    assert written["properties"]["value"]["items"]["anyOf"] == [{"$ref": place} for place in places]


def unwrapped(pieces: list[str]) -> list[Event]:
    whole = "".join(pieces)
    events: list[Event] = [Started("r"), PartStarted(0, Text()), *[PartDelta(0, piece) for piece in pieces]]
    events += [PartEnded(0, Text(text=whole)), Finished("stop")]
    unwrapper = Unwrapper()
    return [found for event in events for found in unwrapper.feed([event])]


def split(data: st.DataObject, text: str) -> list[str]:
    cuts = sorted({0, len(text), *data.draw(st.lists(st.integers(0, len(text)), max_size=6))})
    return [text[start:end] for start, end in pairwise(cuts)]


@given(JSON, st.sampled_from([(",", ":"), (", ", " : "), (",\n ", ":\n ")]), st.data())
def test_the_value_is_taken_out_however_the_answer_is_split(
    value: Any, separators: tuple[str, str], data: st.DataObject
) -> None:
    text = f"{data.draw(st.sampled_from(['', ' ']))}{json.dumps({'value': value}, separators=separators)}\n"
    events = unwrapped(split(data, text))
    found = collect(events).text
    assert decode(found) == value
    assert "".join(event.text for event in events if type(event) is PartDelta) == found


@given(st.text(st.sampled_from('{}[]" :valuex,1\n'), max_size=14), st.data())
def test_an_answer_in_another_form_is_complete(text: str, data: st.DataObject) -> None:
    events = unwrapped(split(data, text))
    found = collect(events).text
    assert "".join(event.text for event in events if type(event) is PartDelta) == found
    if '"value"' not in text:
        assert found == text


def test_an_answer_that_was_cut_off_is_the_beginning_of_its_value() -> None:
    assert collect(unwrapped(['{"val', 'ue": ["a", "b'])).text == '["a", "b'
