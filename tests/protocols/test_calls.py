"""However a provider cuts up a tool call, the same call arrives: name, id and arguments; and half a call looks like one."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.conversation import Conversation, ToolCall
from modelbay.dialect import PLAIN
from modelbay.errors import IncompleteReply, MalformedReply
from modelbay.events import PartDelta, PartEnded, Reply, collect
from modelbay.protocols.arguments import Arguments, is_cut, normal
from modelbay.protocols.codec import NAMES, codec
from tests.protocols import reading
from tests.protocols.openai_chat.chunks import call, chunk, read

BERN = '{"city":"Bern"}'


def joined(*fragments: Any) -> str:
    arguments = Arguments()
    return "".join([arguments.feed(fragment) for fragment in fragments]) + arguments.close()


@pytest.mark.parametrize(
    ("fragments", "expected"),
    [
        ((BERN,), BERN),
        (('{"ci', 'ty":"Be', 'rn"}'), BERN),
        ((None, "", BERN, None), BERN),
        (("{}", BERN), BERN),  # Bedrock behind gateways
        (("{}", '{"city":', '"Bern"}'), BERN),
        (("{", "}", BERN), BERN),
        (("{}" + BERN,), BERN),
        (("{ }\n", BERN), BERN),
        (("null", BERN), BERN),
        (('""', BERN), BERN),
        (({}, BERN), BERN),
        ((BERN, BERN), BERN),
        ((BERN, '{"city"', ':"Bern"}'), BERN),
        ((BERN, '{"city": "Bern"}'), BERN),
        ((BERN, BERN, BERN), BERN),
        ((BERN + BERN,), BERN),
        ((BERN, '{"ci'), BERN),  # said again, and cut off
        ((BERN, {"city": "Bern"}), BERN),
        (({"city": "Bern"},), BERN),
        (({}, {"city": "Bern"}), BERN),
        (({"city": "Bern"}, {"unit": "C"}), '{"city":"Bern","unit":"C"}'),
        (({"city": "Bern"}, {"city": "Bern", "unit": "C"}), '{"city":"Bern","unit":"C"}'),
        (({"city": "Bern"}, BERN), BERN),
        (("{}",), "{}"),
        (("{}", "{}"), "{}"),
        (("{}", "\n"), "{}\n"),
        (({},), "{}"),
        ((), ""),
        ((BERN, "\n"), BERN + "\n"),
        (('{"a":"}{\\"}"', "}"), '{"a":"}{\\"}"}'),
        (('{"a":"\\', '""}'), '{"a":"\\""}'),
        (('{"a":{"a":1}}',), '{"a":{"a":1}}'),
        (("[1", ",2]"), "[1,2]"),
        (("12", "3"), "123"),
        (('{"a":1}', '{"a":2}'), '{"a":1}{"a":2}'),  # two values: not silently one of them
        (('{"a":1}', "</tool>"), '{"a":1}'),  # the end of a chat template
        (('{"a":1}}',), '{"a":1}'),
        (('{"a":1}', "}", "\n```"), '{"a":1}'),
        (('{"city":"Be',), '{"city":"Be'),
        (("null",), ""),
        (('""',), ""),
        (('"{}"',), "{}"),
        (('"Bern"',), '"Bern"'),
        (('"{\\"city',), '"{\\"city'),
        (('{"a":', '{"a":1}}'), '{"a":{"a":1}}'),  # an object inside, not the beginning again
        (('{"a":[', '{"a":[]}]}'), '{"a":[{"a":[]}]}'),
        (('{"', '{":1}'), '{"{":1}'),
        (('{"', '{"', ":1}"), '{"{":1}'),
        (('{"', '{"a', '{"a', '{"a":1}'), '{"a":1}'),
        (('{"a":"x\ny"}',), '{"a":"x\\ny"}'),
        (("{\n", '"a": "\t', '\\"\x01"\n}'), '{\n"a": "\\t\\"\\u0001"\n}'),
    ],
)
def test_arguments_in_every_cut(fragments: tuple[Any, ...], expected: str) -> None:
    assert joined(*fragments) == expected


json_objects = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=6),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=6,
    ),
    min_size=1,
    max_size=4,
)


def cut(text: str, draw: st.DataObject) -> list[str]:
    places = sorted(draw.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    return [text[start:end] for start, end in pairwise([0, *places, len(text)])]


@given(json_objects, st.booleans(), st.booleans(), st.booleans(), st.data())
def test_any_split_gives_the_same_arguments(
    value: dict[str, Any], compact: bool, empty_first: bool, twice: bool, draw: st.DataObject
) -> None:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":") if compact else None)
    fragments = (["{}"] if empty_first else []) + cut(text, draw) + (cut(text, draw) if twice else [])
    assert joined(*fragments) == text


@given(json_objects, st.data())
def test_fragments_that_each_repeat_all_before_them_give_the_arguments_once(
    value: dict[str, Any], draw: st.DataObject
) -> None:
    text = json.dumps(value)
    places = [1, *sorted(draw.draw(st.sets(st.integers(2, len(text)), max_size=6))), len(text)]
    assert joined(*[text[:end] for end in places]) == text


@given(json_objects, st.data())
def test_any_split_of_an_object_encoded_twice_gives_the_object(value: dict[str, Any], draw: st.DataObject) -> None:
    text = json.dumps(value)
    assert joined(*cut(json.dumps(text), draw)) == text
    assert normal(json.dumps(text)) == text


texts = st.text('ab {}[]:,"\\\n\t\0\x1f', max_size=9)


@given(st.dictionaries(texts, texts, min_size=1), st.data())
def test_any_split_with_control_characters_in_strings_is_valid(value: dict[str, str], draw: st.DataObject) -> None:
    escaped = {text: text.replace("\\", "\\\\").replace('"', '\\"') for item in value.items() for text in item}
    raw = ",\n".join(f'"{escaped[name]}":\t"{escaped[text]}"' for name, text in value.items())
    assert json.loads(joined(*cut(f"{{{raw}}}", draw))) == value


@given(json_objects, st.booleans())
def test_usual_arguments_are_not_changed(value: dict[str, Any], compact: bool) -> None:
    text = json.dumps(value, separators=(",", ":") if compact else None)
    assert normal(text) == text


names = st.text("abcdef_", min_size=2, max_size=12)


@given(names, st.booleans(), st.booleans(), st.data())
def test_any_split_of_a_call_gives_the_same_call(
    name: str, named_again: bool, with_index: bool, draw: st.DataObject
) -> None:
    pieces = [piece for piece in cut(name, draw) if piece]
    if any("".join(pieces[:n]) == pieces[n] for n in range(1, len(pieces))):
        return  # "la", "la" is a name in two pieces or a name said twice: it is ambiguous
    index = {"index": 0} if with_index else {}
    deltas = [call("", id="k1" if n == 0 else ..., name=piece, **index) for n, piece in enumerate(pieces)]
    again = {"name": name} if named_again else {}
    deltas += [call(piece, **again, **index) for piece in cut(BERN, draw)]
    for delta in deltas:
        item = delta["tool_calls"][0]
        if item.get("id") is ...:
            del item["id"]
    reply = read(*(chunk(delta) for delta in deltas), finish="tool_calls")
    assert [(c.id, c.name, c.arguments) for c in reply.tool_calls] == [("k1", name, BERN)]


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        # a name in pieces
        ([call("", index=0, id="a", name="edit_ex"), call("", index=0, name="isting_file"), call(BERN, index=0)],
         [("a", "edit_existing_file", BERN)]),
        # the whole name again, before and beside the arguments
        ([call("", index=0, id="a", name="f"), call("", index=0, name="f"), call(BERN, index=0, name="f")],
         [("a", "f", BERN)]),
        # and in the last delta
        ([call("", index=0, id="a", name="f"), call(BERN, index=0), call("", index=0, id="a", name="f")],
         [("a", "f", BERN)]),
        # a name in pieces, then whole
        ([call("", index=0, id="a", name="ge"), call("", index=0, name="t"), call(BERN, index=0, name="get")],
         [("a", "get", BERN)]),
        # an ID invented for every delta
        ([call('{"city"', index=0, id="a", name="f"), call(':"Bern"}', index=0, id="b")], [("a", "f", BERN)]),
        # arguments as an object, and again
        ([call(None, index=0, id="a", name="f"), {"tool_calls": [{"index": 0, "function": {"arguments": {"city": "Bern"}}}]}],
         [("a", "f", BERN)]),
        # two calls named before their arguments come
        ([call("", index=0, id="a", name="f"), call("", index=1, id="b", name="g"), call(BERN, index=1), call("{}", index=0)],
         [("a", "f", "{}"), ("b", "g", BERN)]),
        # no IDs, and one index for all calls
        ([call(BERN, index=0, name="f"), call("{}", index=0, name="g")], [(None, "f", BERN), (None, "g", "{}")]),
        ([call("{}", index=0, name="f"), call(BERN, index=0, name="g")], [(None, "f", "{}"), (None, "g", BERN)]),
        ([call(BERN, index=0, name="f"), call('{"city":"Rome"}', index=0, name="f")],
         [(None, "f", BERN), (None, "f", '{"city":"Rome"}')]),
        ([call(BERN, index=0, name="f"), call(json.dumps(BERN), index=0, name="g")], [(None, "f", BERN), (None, "g", BERN)]),
        ([call(json.dumps(BERN), index=0, name="f"), call("{}", index=0, name="g")], [(None, "f", BERN), (None, "g", "{}")]),
        # one ID for two calls: clients could not tell their results apart
        ([call(BERN, id="a", name="f"), call("{}", id="a", name="g")], [("a", "f", BERN), (None, "g", "{}")]),
        ([call(BERN, index=0, id="a", name="f"), call(BERN, index=1, id="a", name="f")],
         [("a", "f", BERN), (None, "f", BERN)]),
        ([call(BERN, index=0, id="a", name="f"), call("", index=1, name="f"), call("{}", index=1, id="a")],
         [("a", "f", BERN), (None, "f", "{}")]),
        # fragments with the ID of their call, without an index or with the same one
        ([call("", id="a", name="f"), call("", id="b", name="g"), call('{"city"', id="a"), call("{", id="b"),
          call(':"Bern"}', id="a"), call("}", id="b")], [("a", "f", BERN), ("b", "g", "{}")]),
        ([call("", index=0, id="a", name="f"), call("", index=0, id="b", name="g"), call(BERN, index=0, id="a"),
          call("{}", index=0, id="b")], [("a", "f", BERN), ("b", "g", "{}")]),
        # the form of Responses
        ([{"tool_calls": [{"index": 0, "id": "a", "name": "f", "arguments": BERN}]}], [("a", "f", BERN)]),
        ([{"tool_calls": [{"name": "f", "arguments": BERN}]}], [(None, "f", BERN)]),
        # a call without arguments before a text
        ([call("", index=0, id="a", name="f"), {"content": "Wait"}], [("a", "f", "")]),
    ],
)  # fmt: skip
def test_calls_of_chat_completions_in_every_cut(deltas: list[Any], expected: list[tuple[str, str, str]]) -> None:
    reply = read(*(chunk(delta) for delta in deltas), finish="tool_calls")
    assert [(c.id, c.name, c.arguments) for c in reply.tool_calls] == expected


def sse(*events: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def anthropic(*fragments: Any, start: Any = None, reason: str = "tool_use") -> Reply:
    block = {"type": "tool_use", "id": "a", "name": "f", "input": {} if start is None else start}
    return reading.read(
        "anthropic",
        sse(
            {"type": "message_start", "message": {"id": "m", "content": []}},
            {"type": "content_block_start", "index": 0, "content_block": block},
            *[
                {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": text}}
                for text in fragments
            ],
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": reason}},
            {"type": "message_stop"},
        ),
    )


@pytest.mark.parametrize(
    ("fragments", "start"),
    [
        (('{"city"', ':"Bern"}'), None), (("{}", BERN), None), ((BERN, BERN), None), (({"city": "Bern"},), None),
        ((), {"city": "Bern"}),
        ((BERN,), {"city": "Bern"}), (("{}",), {"city": "Bern"}), ((), BERN), ((json.dumps(BERN),), None),
    ],
)  # fmt: skip
def test_anthropic_inputs_in_every_cut(fragments: tuple[Any, ...], start: Any) -> None:
    assert [c.arguments for c in anthropic(*fragments, start=start).tool_calls] == [BERN]


def responses(*fragments: Any, done: Any = None, item: Any = BERN, status: str = "completed") -> Reply:
    call = {"type": "function_call", "id": "fc", "call_id": "a", "name": "f", "arguments": ""}
    kind = "response.function_call_arguments"
    final = {**call, "arguments": item, "status": status}
    return reading.read(
        "openai_responses",
        sse(
            {"type": "response.created", "response": {"id": "r", "model": "m"}},
            {"type": "response.output_item.added", "output_index": 0, "item": call},
            *[{"type": f"{kind}.delta", "output_index": 0, "item_id": "fc", "delta": text} for text in fragments],
            *([{"type": f"{kind}.done", "output_index": 0, "item_id": "fc", "arguments": done}] if done else []),
            {"type": "response.output_item.done", "output_index": 0, "item": final},
            {"type": f"response.{status}", "response": {"id": "r", "status": status, "output": [final]}},
        ),
    )


@pytest.mark.parametrize(
    ("fragments", "done", "item"),
    [
        (('{"city"', ':"Bern"}'), BERN, BERN), ((), BERN, BERN), ((), None, BERN), (("{}",), BERN, BERN),
        (("{}", BERN), BERN, BERN), ((BERN,), "{}", ""), ((BERN,), '{"city": "Bern"}', BERN), ((BERN, BERN), None, BERN),
        (({"city": "Bern"},), None, BERN), ((), {"city": "Bern"}, {"city": "Bern"}), ((json.dumps(BERN),), None, BERN),
        ((), None, json.dumps(BERN)),
    ],
)  # fmt: skip
def test_responses_arguments_in_every_cut(fragments: tuple[Any, ...], done: Any, item: Any) -> None:
    assert [c.arguments for c in responses(*fragments, done=done, item=item).tool_calls] == [BERN]


def test_arguments_that_contradict_the_streamed_ones_fail_the_call() -> None:
    reply = responses('{"city":"Bern"}', item='{"city":"Rome"}')
    assert isinstance(reply.error, MalformedReply)
    assert reply.tool_calls == []


def test_a_gemini_call_that_comes_again_is_one_call() -> None:
    part = {"functionCall": {"id": "a", "name": "f", "args": {"city": "Bern"}}}
    chunks = [{"candidates": [{"content": {"parts": [part]}}]}] * 2
    reply = reading.read("google", sse(*chunks, {"candidates": [{"finishReason": "STOP"}]}))
    assert len(reply.tool_calls) == 1


def test_the_streamed_arguments_equal_those_of_the_finished_call() -> None:
    """Clients of a stream add up deltas: they must not differ from the finished part."""
    parser = codec("openai_chat").stream_parser(PLAIN)
    data = b"".join(
        b"data: " + json.dumps(item).encode() + b"\n\n"
        for item in [
            chunk(call("{}", index=0, id="a", name="f")), chunk(call(BERN, index=0)), chunk(call(BERN, index=0)),
            chunk(finish="tool_calls"),
        ]
    )  # fmt: skip
    events = parser.feed(data) + parser.close()
    written = "".join(event.text for event in events if isinstance(event, PartDelta))
    ended = [event.part for event in events if isinstance(event, PartEnded)]
    assert [written] == [part.arguments for part in ended if isinstance(part, ToolCall)] == [BERN]


# --- calls that are cut off ---


@pytest.mark.parametrize(
    ("arguments", "cut_off"),
    [
        ("", False),
        ("{}", False),
        (BERN, False),
        ('{"city":"Be', True),
        ("{", True),
        ('{"a":[1,', True),
        ('{"a"}', False),
    ],
)
def test_half_of_the_arguments_is_seen(arguments: str, cut_off: bool) -> None:
    assert is_cut(ToolCall(name="f", arguments=arguments)) is cut_off
    assert not is_cut(ToolCall(name="f", arguments=arguments, format="text"))


HALF = '{"city":"Be'


@pytest.mark.parametrize(
    "reply",
    [
        read(chunk(call(HALF, index=0, id="a", name="f")), finish="length"),
        anthropic(HALF, reason="max_tokens"),
        responses(HALF, item=HALF, status="incomplete"),
    ],
    ids=["openai_chat", "anthropic", "openai_responses"],
)
def test_a_call_that_the_length_limit_cut_is_whole_for_no_client(reply: Reply) -> None:
    assert reply.finish is not None
    assert reply.finish.reason == "length"
    reply.parts[0].origin = None
    gemini = json.loads(codec("google").render_reply(reply))["candidates"][0]
    assert (gemini["content"]["parts"], gemini["finishReason"]) == ([], "MAX_TOKENS")
    response = json.loads(codec("openai_responses").render_reply(reply))
    assert (response["status"], [item["status"] for item in response["output"]]) == ("incomplete", ["incomplete"])
    chat = json.loads(codec("openai_chat").render_reply(reply))["choices"][0]
    assert chat["finish_reason"] == "length"
    message = json.loads(codec("anthropic").render_reply(reply))
    assert message["stop_reason"] == "max_tokens"


def streamed_to(client: str, finish: str) -> bytes:
    parser = codec("openai_chat").stream_parser(PLAIN)
    renderer = codec(client).stream_renderer(Conversation(stream=True))
    chunks = [chunk(call(HALF, index=0, id="a", name="f")), chunk(finish=finish)]
    data = b"".join(b"data: " + json.dumps(item).encode() + b"\n\n" for item in chunks)
    return b"".join(renderer.feed(event) for event in [*parser.feed(data), *parser.close()])


def test_nor_in_a_stream() -> None:
    assert b"functionCall" not in streamed_to("google", "length")
    assert b"MAX_TOKENS" in streamed_to("google", "length")
    assert b"MALFORMED_FUNCTION_CALL" in streamed_to("google", "tool_calls")
    written = streamed_to("openai_responses", "length")
    assert b"function_call_arguments.done" not in written
    assert b'"status":"completed"' not in written


@pytest.mark.parametrize("finish", [None, ""])
def test_a_call_that_stops_in_the_middle_without_a_reason_is_none(finish: str | None) -> None:
    reply = read(chunk(call(HALF, index=0, id="a", name="f")), finish=finish)
    assert isinstance(reply.error, IncompleteReply)
    assert reply.tool_calls == []


@pytest.mark.parametrize("protocol", NAMES)
def test_a_reply_without_calls_has_none(protocol: str) -> None:
    assert collect(codec(protocol).parse_reply(b"{}", PLAIN)).tool_calls == []
