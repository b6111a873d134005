"""Gemini streams: two framings, calls in pieces, signatures on the right part; and those we write."""

import json
from base64 import b64decode

import pytest
from google.genai.types import GenerateContentResponse
from hypothesis import given
from hypothesis import strategies as st

from modelbay.conversation import AnyPart, Provenance, Text, Thinking, ToolCall
from modelbay.dialect import PLAIN
from modelbay.errors import IncompleteReply, MalformedReply, Overloaded, RateLimited
from modelbay.events import (
    Event,
    Failed,
    Finished,
    PartDelta,
    PartEnded,
    PartStarted,
    Reply,
    Started,
    UsageReported,
    collect,
)
from modelbay.protocols import google
from modelbay.protocols.google.stream_in import ArrayDecoder
from modelbay.protocols.opaque import unseal
from modelbay.usage import Usage
from tests.protocols.event_sequences import any_events, replies
from tests.protocols.google.bodies import answer, as_events, chunks_of, events_of, parsed, parts_of, streamed, written
from tests.protocols.invariants import check_google_chunks
from tests.protocols.likeness import told

CLAUDE = Provenance("anthropic", "anthropic", "claude")
CALL = {"functionCall": {"name": "f", "args": {"a": 1}}}

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
)
objects = st.lists(st.dictionaries(st.text(), values, min_size=1), max_size=4)


def as_array(*chunks: object) -> bytes:
    return json.dumps(chunks, indent=2).replace("\n", "\r\n").encode()


# --- in ----------------------------------------------------------------------------------------------------------------


@given(
    chunks=objects,
    indent=st.sampled_from([None, 2]),
    ascii_only=st.booleans(),
    sizes=st.lists(st.integers(1, 9), min_size=1),
)
def test_the_objects_of_an_array_are_found_however_it_is_cut(chunks, indent, ascii_only, sizes):
    data = json.dumps(chunks, indent=indent, ensure_ascii=ascii_only).encode()
    decoder, found, start, turn = ArrayDecoder(), [], 0, 0
    while start < len(data):
        size = sizes[turn % len(sizes)]
        found += decoder.feed(data[start : start + size])
        start, turn = start + size, turn + 1
    assert [json.loads(item) for item in found] == chunks
    assert decoder.ended
    assert not decoder.cut_off


def test_an_endless_object_is_malformed():
    decoder = ArrayDecoder(limit=100)
    with pytest.raises(MalformedReply, match="exceeds 100 bytes"):
        for _ in range(20):
            decoder.feed(b'[{"text": "' + b"x" * 10)


def test_both_framings_tell_the_same():
    chunks = [answer({"text": "a"}, reason=None), answer({"text": "b"}, CALL)]
    assert told(events_of(as_array(*chunks))) == told(events_of(as_events(*chunks)))


def test_an_array_is_over_at_its_bracket():
    parser = google.stream_parser(PLAIN)
    assert type(parser.feed(as_array(answer({"text": "a"})))[-1]) is Finished
    assert parser.close() == []


@pytest.mark.parametrize("framed", [as_events, as_array, lambda *chunks: json.dumps(chunks[-1]).encode()])
def test_an_error_inside_a_stream_is_the_end_of_it(framed):
    error = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    stream = framed(answer({"text": "a"}, reason=None), error)
    reply = collect(events_of(stream))
    assert isinstance(reply.error, Overloaded)
    assert reply.error.message == "The model is overloaded."


@pytest.mark.parametrize("framed", [as_events, as_array])
def test_a_stream_without_a_reason_is_incomplete_and_keeps_what_came(framed):
    reply = collect(events_of(framed(answer({"text": "a"}, reason=None))))
    assert isinstance(reply.error, IncompleteReply)
    assert reply.text == "a"


@pytest.mark.parametrize("stream", [b"", b"\r\n", b"[]", b"<html></html>", b'{"a":'])
def test_a_body_that_is_not_a_stream_fails(stream):
    assert isinstance(collect(events_of(stream)).error, IncompleteReply | MalformedReply)


def test_text_goes_on_over_chunks_until_another_kind_or_a_signature():
    reply = streamed(
        answer({"text": "h", "thought": True}, reason=None), answer({"text": "m", "thought": True}, {"text": "a"}, reason=None),
        answer({"text": "b"}, reason=None), answer({"text": ""}, reason=None), answer({"text": "c"}, reason=None),
        answer({"text": "", "thoughtSignature": "s"}, reason=None), answer({"text": "d"}, {"text": "e"}, reason=None),
        answer({"text": "f", "thoughtSignature": "t"}), {"usageMetadata": {"promptTokenCount": 1}},
    )  # fmt: skip
    assert reply.parts == [
        Thinking(texts=["hm"]), Text(text="abc"), Text(opaque="s"), Text(text="d"), Text(text="ef"), Text(opaque="t"),
    ]  # fmt: skip
    assert reply.finish == Finished("stop", "STOP")


@pytest.mark.parametrize(
    ("signed", "parts"),
    [
        (0, [Text(text='{"a": 1}', opaque="s")]),
        (1, [Text(text='{"a": 1}'), Text(opaque="s")]),
        (2, [Text(text='{"a": 1}'), Text(opaque="s")]),
    ],
    ids=["first", "in the middle", "last"],
)
def test_a_signed_chunk_does_not_divide_a_text(signed: int, parts: list[AnyPart]):
    pieces: list[dict[str, object]] = [{"text": '{"a'}, {"text": '": '}, {"text": "1}"}]
    pieces[signed]["thoughtSignature"] = "s"
    reply = streamed(*(answer(piece, reason=None) for piece in pieces), answer({"text": ""}))
    assert reply.parts == parts


def test_an_end_in_the_manner_of_openai_is_an_end():
    assert collect(events_of(as_events(answer({"text": "a"})) + b"data: [DONE]\n\n")).finish == Finished("stop", "STOP")


def piece(**call: object) -> dict[str, object]:
    return answer({"functionCall": call}, reason=None)


def test_arguments_that_come_in_pieces_are_put_together():
    reply = streamed(
        answer(
            {"functionCall": {"name": "cook", "id": "1", "willContinue": True}, "thoughtSignature": "s"}, reason=None
        ),
        piece(
            partialArgs=[{"jsonPath": "$.recipe.name", "stringValue": "La", "willContinue": True}], willContinue=True
        ),
        piece(partialArgs=[{"jsonPath": "$.recipe.name", "stringValue": "sagne"}], willContinue=True),
        piece(partialArgs=[{"jsonPath": "$.recipe.steps[0].n", "numberValue": 1}], willContinue=True),
        piece(partialArgs=[{"jsonPath": "$.recipe.steps[1]", "nullValue": "NULL_VALUE"}], willContinue=True),
        piece(partialArgs=[{"jsonPath": "$['a b'][\"c.d\"]", "boolValue": True}], willContinue=True),
        piece(willContinue=True),
        piece(),
        piece(name="wait", willContinue=True),
        answer({"functionCall": {}}),
    )
    expected = {"recipe": {"name": "Lasagne", "steps": [{"n": 1}, None]}, "a b": {"c.d": True}}
    arguments = json.dumps(expected, separators=(",", ":"))
    assert reply.parts == [
        ToolCall(name="cook", id="1", arguments=arguments, opaque="s"),
        ToolCall(name="wait", arguments="{}"),
    ]
    assert reply.finish == Finished("tool_calls", "STOP")


def test_a_call_in_pieces_ends_with_what_follows():
    first = piece(name="f", willContinue=True)
    argument = piece(partialArgs=[{"jsonPath": "$.a", "numberValue": 1}], willContinue=True)
    reply = streamed(first, argument, answer({"text": "so"}))
    assert reply.parts == [ToolCall(name="f", arguments='{"a":1}'), Text(text="so")]
    assert streamed(first, argument, answer()).parts == [ToolCall(name="f", arguments='{"a":1}')]


def test_a_call_that_was_cut_off_is_dropped():
    reply = streamed(answer({"text": "a"}, reason=None), piece(name="rm", willContinue=True))
    assert isinstance(reply.error, IncompleteReply)
    assert reply.parts == [Text(text="a")]


@pytest.mark.parametrize("path", ["$.a[99999999]", "nonsense", "$[1]"])
def test_a_path_that_fits_nothing_is_malformed(path):
    reply = streamed(piece(name="f", partialArgs=[{"jsonPath": path, "numberValue": 1}], willContinue=True))
    assert isinstance(reply.error, MalformedReply)


# --- out ---------------------------------------------------------------------------------------------------------------


@given(events=any_events())
def test_the_array_of_any_events_is_valid(events):
    ended = any(type(event) in (Finished, Failed) for event in events)
    stream = written(events, framing="array")
    if ended:
        check_google_chunks(json.loads(stream), ended)
    elif stream:
        check_google_chunks(json.loads(stream + b"]"), ended)


@given(events=replies())
def test_google_s_own_types_accept_every_chunk(events):
    for chunk in chunks_of(written(events)):
        GenerateContentResponse.model_validate(chunk)


@given(events=replies())
def test_a_reply_is_the_same_in_both_framings(events):
    assert told(events_of(written(events, "array"))) == told(events_of(written(events)))


def test_a_client_that_did_not_ask_for_events_gets_an_array():
    conversation = parsed({"contents": "Hi"}, "/v1beta/models/m:streamGenerateContent")
    renderer = google.stream_renderer(conversation)
    stream = renderer.feed(Started("r")) + renderer.feed(Finished("stop"))
    assert json.loads(stream)[0]["modelVersion"] == "m"


def test_every_chunk_has_the_response_id_and_the_last_one_the_usage():
    events: list[Event] = [
        Started("r", "m"), PartStarted(0, Text()), PartDelta(0, "a"), Started("other"), PartDelta(0, "b"),
        PartEnded(0, Text(text="ab")), UsageReported(Usage(input=1, output=2)), Finished("stop"),
    ]  # fmt: skip
    chunks = chunks_of(written(events))
    assert [chunk["responseId"] for chunk in chunks] == ["r"] * 3
    assert [chunk.get("usageMetadata", {}).get("totalTokenCount") for chunk in chunks] == [None, None, 3]


def test_parts_are_written_one_after_the_other_and_calls_whole():
    events: list[Event] = [
        Started("r"), PartStarted(0, ToolCall(name="f", id="1")), PartStarted(1, Text()), PartDelta(1, "later"),
        PartDelta(0, '{"a":'), PartEnded(1, Text(text="later")), PartDelta(0, "1}"),
        PartEnded(0, ToolCall(name="f", id="1", arguments='{"a":1}')), Finished("tool_calls"),
    ]  # fmt: skip
    assert parts_of(written(events)) == [
        {"functionCall": {"name": "f", "args": {"a": 1}, "id": "1"}},
        {"text": "later"},
    ]


def test_a_call_that_never_ended_is_not_sent():
    events: list[Event] = [
        Started("r"), PartStarted(0, Text()), PartStarted(1, ToolCall(name="rm")), PartDelta(1, '{"a":'),
        PartStarted(2, ToolCall(name="ls")), PartEnded(2, ToolCall(name="ls")), Failed(IncompleteReply("cut off")),
    ]  # fmt: skip
    calls = [part for chunk in chunks_of(written(events))[:-1] for part in chunk["candidates"][0]["content"]["parts"]]
    assert calls == [{"functionCall": {"name": "ls", "args": {}}}]


def test_texts_that_follow_each_other_stay_apart():
    events: list[Event] = [
        Started("r"), PartStarted(0, Text()), PartDelta(0, "a"), PartEnded(0, Text(text="a")),
        PartStarted(1, Text()), PartDelta(1, "b"), PartDelta(1, "c"), PartEnded(1, Text(text="bc")), Finished("stop"),
    ]  # fmt: skip
    assert collect(events_of(written(events))).parts == [Text(text="a"), Text(text="bc")]


def test_a_failure_is_an_error_chunk():
    error = RateLimited("slow down", status=429, type="RESOURCE_EXHAUSTED")
    (chunk,) = chunks_of(written([Started("r"), Failed(error)]))
    assert chunk == {"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}


def test_another_provider_s_thinking_carries_its_state_and_so_does_the_call_after_it():
    thinking = Thinking(texts=["one two"], opaque="s", origin=CLAUDE)
    call = ToolCall(name="f", id="1", arguments="{}", origin=CLAUDE)
    events: list[Event] = [
        Started("r"), PartStarted(0, Thinking(origin=CLAUDE)), PartDelta(0, "one "), PartDelta(0, "two"),
        PartEnded(0, thinking), PartStarted(1, ToolCall(name="f", id="1", origin=CLAUDE)), PartEnded(1, call),
        Finished("tool_calls"),
    ]  # fmt: skip
    parts = parts_of(written(events))
    assert [part.get("text") for part in parts] == ["one ", "two", "", None]
    for part in parts[2:]:
        found = unseal(b64decode(part["thoughtSignature"]).decode())
        assert found is not None
        origin, sealed = found
        assert (origin, sealed.kind, sealed.opaque, sealed.texts) == (CLAUDE, "thinking", "s", ["one two"])
    turns = parsed({"contents": [{"role": "model", "parts": parts}]}).turns
    assert turns[0].parts == [thinking, ToolCall(name="f", id="1", arguments="{}")]


def test_a_whole_reply_carries_the_same_state():
    thinking = Thinking(texts=["hm"], opaque="s", origin=CLAUDE)
    call = ToolCall(name="f", id="1", arguments="{}", opaque="c", origin=CLAUDE)
    body = json.loads(google.render_reply(Reply(parts=[thinking, call], finish=Finished("tool_calls"))))
    turns = parsed({"contents": [body["candidates"][0]["content"]]}).turns
    assert turns[0].parts == [thinking, call]


ODD_CALL = (
    b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"job":%b}}}]},"finishReason":"STOP"}]}'
)


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        (b'"\\ud800"', "\ufffd"), (b'"a\\udc00b"', "a\ufffdb"), (b'"caf\xe9"', "caf\ufffd"), (b'"a\x00b"', "a\x00b"),
        (b'"a\tb"', "a\tb"), (b"NaN", None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("framing", ["sse", "array", "whole", "whole array"])
def test_text_that_is_not_quite_right_is_read_in_every_framing(job: bytes, expected: str | None, framing: str) -> None:
    body = ODD_CALL % job
    if framing.startswith("whole"):
        whole = b"[" + body + b"]" if "array" in framing else b"\xef\xbb\xbf" + body
        reply = collect(google.parse_reply(whole, PLAIN))
    else:
        parser = google.stream_parser(PLAIN)
        stream = b"data: " + body + b"\r\n\r\n" if framing == "sse" else b"[" + body + b"\r\n]\0"
        events = [event for byte in stream for event in parser.feed(bytes([byte]))]
        reply = collect(events + parser.close())
    assert reply.error is None
    assert [json.loads(call.arguments) for call in reply.tool_calls] == [{"job": expected}]
