"""Tool calls of a stream, in all the ways that providers tell which call a delta belongs to (reference: dialects.md §0.7-9)."""

import pytest

from modelbay.conversation import Text, UnknownPart
from tests.protocols.openai_chat.chunks import call, chunk, read


def calls(*deltas, **options) -> list[tuple[str | None, str, str]]:
    """(id, name, arguments) of the calls in these deltas."""
    reply = read(*(chunk(delta) for delta in deltas), **options)
    assert reply.finish is not None
    assert reply.finish.reason == ("tool_calls" if reply.tool_calls else "stop")
    return [(found.id, found.name, found.arguments) for found in reply.tool_calls]


def test_openai_gives_id_and_name_once_and_then_the_index():
    assert calls(
        call("", index=0, id="a", type="function", name="f"), call('{"x"', index=0), call(":1}", index=0),
        call("", index=1, id="b", type="function", name="g"), call("{}", index=1),
    ) == [("a", "f", '{"x":1}'), ("b", "g", "{}")]  # fmt: skip


def test_parallel_calls_may_interleave():
    assert calls(
        call("", index=0, id="a", name="f"), call("", index=1, id="b", name="g"),
        call("[1", index=0), call("[2", index=1), call(",3]", index=0), call(",4]", index=1),
    ) == [("a", "f", "[1,3]"), ("b", "g", "[2,4]")]  # fmt: skip


def test_ollama_sends_every_parallel_call_as_index_0():
    assert calls(
        call("{}", index=0, id="a", name="f"), call('{"x":1}', index=0, id="b", name="f"),
    ) == [("a", "f", "{}"), ("b", "f", '{"x":1}')]  # fmt: skip


def test_one_delta_may_have_two_calls_of_index_0():
    both = {
        "tool_calls": call("{}", index=0, id="a", name="f")["tool_calls"]
        + call("{}", index=0, id="b", name="g")["tool_calls"]
    }
    assert calls(both) == [("a", "f", "{}"), ("b", "g", "{}")]


def test_without_an_index_an_id_opens_a_call_and_its_absence_goes_on():
    assert calls(
        call('{"x"', id="a", name="f"), call(":1}"), call("{}", id="b", name="g"), call(" "),
    ) == [("a", "f", '{"x":1}'), ("b", "g", "{} ")]  # fmt: skip


def test_without_index_and_id_a_name_after_whole_arguments_is_a_new_call():
    assert calls(call('{"x":1}', name="f"), call("{}", name="f")) == [(None, "f", '{"x":1}'), (None, "f", "{}")]


def test_without_index_and_id_a_name_in_the_midst_of_arguments_goes_on():
    assert calls(call('{"x"', name="f"), call(":1}", name="f")) == [(None, "f", '{"x":1}')]


def test_an_index_counted_up_without_id_and_name_goes_on():
    assert calls(call('{"x"', index=0, id="a", name="f"), call(":1}", index=1), call(" ", index=2)) == [
        ("a", "f", '{"x":1} ')
    ]


def test_the_first_index_may_be_1():
    assert calls(call("{", index=1, id="a", name="f"), call("}", index=1)) == [("a", "f", "{}")]


@pytest.mark.parametrize("blank", ["", None])
def test_a_blank_id_goes_on(blank):
    assert calls(call("{", index=0, id="a", name="f"), call("}", index=0, id=blank)) == [("a", "f", "{}")]


@pytest.mark.parametrize("blank", ["", None])
def test_a_blank_name_goes_on(blank):
    assert calls(call("{", id="a", name="f"), call("}", name=blank)) == [("a", "f", "{}")]


def test_id_and_name_may_be_repeated_in_every_delta():
    assert calls(*[call(piece, index=0, id="a", name="f") for piece in ("", "{", "}")]) == [("a", "f", "{}")]


def test_a_call_whose_name_comes_late_is_held_until_then():
    assert calls(call("{", index=0, id="a"), call(None, index=0, name="f"), call("}", index=0)) == [("a", "f", "{}")]


def test_an_id_that_comes_late_is_known_in_the_end():
    assert calls(call("{", index=0, name="f"), call("}", index=0, id="a")) == [("a", "f", "{}")]


def test_a_call_whose_name_never_comes_is_still_told():
    assert calls(call("{}", index=0, id="a")) == [("a", "", "{}")]


def test_a_whole_call_may_come_in_one_chunk():
    assert calls(call('{"x":1}', index=0, id="a", type="function", name="f")) == [("a", "f", '{"x":1}')]


@pytest.mark.parametrize("type_given", [{}, {"type": None}, {"type": ""}])
def test_the_type_may_be_missing(type_given):
    assert calls(call("{}", index=0, id="a", name="f", **type_given)) == [("a", "f", "{}")]


@pytest.mark.parametrize("arguments", ["", None])
def test_a_call_may_have_no_arguments(arguments):
    item = call("", index=0, id="a", name="now")
    item["tool_calls"][0]["function"]["arguments"] = arguments
    assert calls(item) == [("a", "now", "")]
    assert calls(call(None, index=0, id="a", name="now")) == [("a", "now", "")]


def test_arguments_that_are_an_object_become_text():
    item = call("", index=0, id="a", name="f")
    item["tool_calls"][0]["function"]["arguments"] = {"b": 1.0, "a": "é"}
    assert calls(item) == [("a", "f", '{"b":1.0,"a":"é"}')]


def test_arguments_are_kept_as_they_were_spelled():
    spelled = '{ "b": 1.0, "a": 12345678901234567890, "c": "\\u00e9" }'
    assert calls(call(spelled, index=0, id="a", name="f")) == [("a", "f", spelled)]


@pytest.mark.parametrize("id", ["functions.get_weather:0", "D681PevKs", "call_0", "tool_0_f", "0"])
def test_ids_are_kept_as_they_came(id):
    assert calls(call("{}", index=0, id=id, name="f")) == [(id, "f", "{}")]


@pytest.mark.parametrize("nothing", [[], None])
def test_an_empty_list_of_calls_opens_nothing(nothing):
    reply = read(*[chunk({"content": text, "tool_calls": nothing}) for text in ("Hel", "lo")])
    assert reply.parts == [Text(text="Hello")]


def test_text_and_a_call_may_share_a_chunk():
    reply = read(chunk({"content": "Let me see.", **call("{}", index=0, id="a", name="f")}))
    assert reply.text == "Let me see."
    assert [found.name for found in reply.tool_calls] == ["f"]


def test_a_call_may_stand_between_texts():
    reply = read(chunk({"content": "a"}), chunk(call("{}", index=0, id="a", name="f")), chunk({"content": "b"}))
    assert [type(part).__name__ for part in reply.parts] == ["Text", "ToolCall", "Text"]
    assert reply.text == "ab"


def test_a_gemini_signature_stays_with_its_call():
    signed = call("{}", index=0, id="a", name="f", extra_content={"google": {"thought_signature": "sig"}, "other": 1})
    (found,) = read(chunk(signed)).tool_calls
    assert found.opaque == "sig"
    assert found.extra == {"extra_content": {"other": 1}}


def test_a_signature_may_come_after_its_call():
    later = call(None, index=0, extra_content={"google": {"thought_signature": "sig"}})
    (found,) = read(chunk(call("{}", index=0, id="a", name="f")), chunk(later)).tool_calls
    assert (found.opaque, found.arguments) == ("sig", "{}")


def test_a_freeform_call_holds_text():
    begin = {"tool_calls": [{"index": 0, "id": "a", "type": "custom", "custom": {"name": "patch", "input": "*** Be"}}]}
    more = {"tool_calls": [{"index": 0, "custom": {"input": "gin"}}]}
    (found,) = read(chunk(begin), chunk(more)).tool_calls
    assert (found.name, found.arguments, found.format) == ("patch", "*** Begin", "text")


def test_the_older_function_call_is_a_call_without_an_id():
    deltas = [{"function_call": {"name": "f", "arguments": ""}}, {"function_call": {"arguments": "{}"}}]
    reply = read(*map(chunk, deltas), finish="function_call")
    assert [(found.id, found.name, found.arguments) for found in reply.tool_calls] == [(None, "f", "{}")]
    assert reply.finish is not None
    assert reply.finish.reason == "tool_calls"


@pytest.mark.parametrize("junk", ["x", None, 7, []])
def test_an_entry_that_is_not_a_call_is_kept_unchanged(junk):
    text, *rest = read(chunk({"content": "a", "tool_calls": [junk]})).parts
    assert text == Text(text="a")
    assert rest == ([UnknownPart(native="tool_calls", raw=junk)] if junk else [])
