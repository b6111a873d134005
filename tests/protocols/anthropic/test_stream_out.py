"""The streams that clients of Anthropic Messages get."""

import json
from typing import Any

from inline_snapshot import snapshot

from modelbay.conversation import Annotation, AnyPart, Conversation, Provenance, Refusal, Text, Thinking, ToolCall
from modelbay.errors import Overloaded
from modelbay.events import (
    Failed,
    Finished,
    PartAnnotated,
    PartDelta,
    PartEnded,
    PartStarted,
    Started,
    UsageReported,
    collect,
)
from modelbay.protocols.assembly import Assembly
from modelbay.protocols.codec import codec
from modelbay.protocols.opaque import seal
from modelbay.usage import Usage
from tests.protocols import sse_reference

GEMINI = Provenance("google", "google", "gemini")


def sent(*events: Any) -> list[Any]:
    """The events, but for their type where the rest says it."""
    renderer = codec("anthropic").stream_renderer(Conversation(model="asked"))
    shown: list[Any] = []
    for name, data in sse_reference.decode(b"".join(renderer.feed(event) for event in events), last_unfinished=False):
        event = json.loads(data)
        match name:
            case "content_block_start":
                shown.append((event["index"], event["content_block"]))
            case "content_block_delta":
                shown.append((event["index"], event["delta"]))
            case "content_block_stop":
                shown.append((event["index"], "stop"))
            case _:
                shown.append(event)
    return shown


def reply(*parts: AnyPart, finish: Finished | None = None, usage: Usage | None = None) -> list[Any]:
    assembly = Assembly()
    assembly.start("msg_1", "m")
    for part in parts:
        assembly.whole(part)
    assembly.usage = usage
    assembly.finish("tool_calls" if assembly.has_calls else "stop")
    events = assembly.take()
    return [*events[:-1], finish or events[-1]]


def test_a_text_is_one_block():
    assert sent(*reply(Text(text="Hi"), usage=Usage(input=3, cache_read=2, output=1, reasoning=4))) == snapshot(
        [
            {
                "type": "message_start",
                "message": {
                    "id": "msg_1",
                    "type": "message",
                    "role": "assistant",
                    "model": "m",
                    "content": [],
                    "stop_reason": None,
                    "stop_sequence": None,
                    "usage": {"input_tokens": 0, "output_tokens": 0},
                },
            },
            (0, {"type": "text", "text": ""}),
            (0, {"type": "text_delta", "text": "Hi"}),
            (0, "stop"),
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {
                    "input_tokens": 3,
                    "output_tokens": 5,
                    "cache_read_input_tokens": 2,
                    "output_tokens_details": {"thinking_tokens": 4},
                },
            },
            {"type": "message_stop"},
        ]
    )


def test_usage_that_is_known_early_is_in_the_message_start():
    first, *_ = sent(UsageReported(Usage(input=3)), *reply(Text(text="Hi")))
    assert first["message"]["usage"] == snapshot({"input_tokens": 3, "output_tokens": 0})


def test_thinking_is_closed_by_its_signature():
    assert sent(*reply(Thinking(texts=["Hm"], opaque="sig"), Text(text="Hi")))[1:4] == snapshot(
        [
            (0, {"type": "thinking", "thinking": "", "signature": ""}),
            (0, {"type": "thinking_delta", "thinking": "Hm"}),
            (0, {"type": "signature_delta", "signature": "sig"}),
        ]
    )


def test_thinking_of_another_protocol_keeps_its_state_in_the_signature():
    thinking = Thinking(texts=["Hm"], opaque="sig", origin=GEMINI)
    assert sent(*reply(thinking))[1:4] == snapshot(
        [
            (0, {"type": "thinking", "thinking": "", "signature": ""}),
            (0, {"type": "thinking_delta", "thinking": "Hm"}),
            (
                0,
                {
                    "type": "signature_delta",
                    "signature": "modelbay1.google.google.gemini.eyJraW5kIjoidGhpbmtpbmciLCJvcGFxdWUiOiJzaWcifQ",
                },
            ),
        ]
    )


def test_thinking_without_text_is_redacted():
    assert sent(*reply(Thinking(opaque="data", native="redacted_thinking")))[1:3] == snapshot(
        [(0, {"type": "redacted_thinking", "data": "data"}), (0, "stop")]
    )


ENVELOPE = {
    "type": "redacted_thinking",
    "data": "modelbay1.google.google.gemini.eyJraW5kIjoidGV4dCIsIm9wYXF1ZSI6InNpZyJ9",
}


def blocks(events: list[Any]) -> list[Any]:
    """The blocks of a streamed reply, with their text; those of the same reply in one piece must be equal."""
    found: list[Any] = []
    for index, fields in sent(*events)[1:-2]:
        if fields == "stop":
            continue
        if index == len(found):
            found.append(fields)
        else:
            found[index] = {**found[index], "text": found[index]["text"] + fields["text"]}
    assert json.loads(codec("anthropic").render_reply(collect(events)))["content"] == found
    return found


def test_state_without_text_has_no_block_of_text():
    """Gemini ends a reply with an empty text that has a signature."""
    hi, empty, state = (
        Text(text=text, opaque=opaque, origin=GEMINI) for text, opaque in (("Hi", None), ("", None), ("", "sig"))
    )
    written = {"type": "text", "text": "Hi"}
    of_nothing = {"type": "redacted_thinking", "data": seal(state)}
    assert blocks(reply(hi, state, hi)) == [written, of_nothing, written]
    assert blocks(reply(state, empty, hi)) == [of_nothing, written]
    assert blocks(reply(empty)) == []


def test_the_last_block_of_a_reply_is_its_text():
    """Claude Code prints nothing if the last block is the state of a text."""
    signed, state = (Text(text=text, opaque="sig", origin=GEMINI) for text in ("Hi", ""))
    written = {"type": "text", "text": "Hi"}
    assert blocks(reply(signed)) == [written]
    assert blocks(reply(signed, state)) == [written]
    assert blocks(reply(signed, signed)) == [written, ENVELOPE, written]
    assert blocks(reply(Thinking(opaque="data", native="redacted_thinking")))[-1]["type"] == "redacted_thinking"


def test_a_citation_before_the_text_of_another_protocol_is_kept():
    citation = Annotation("url", url="https://e.com")
    part = Text(text="High.", annotations=[citation], origin=GEMINI)
    text = (
        PartStarted(0, Text(origin=GEMINI)),
        PartAnnotated(0, citation),
        PartDelta(0, "High."),
        PartEnded(0, part),
    )
    shown = sent(Started("msg_1", "m"), *text, Finished("stop"))[1:-2]
    assert [fields if fields == "stop" else fields["type"] for _, fields in shown] == [
        "text",
        "citations_delta",
        "text_delta",
        "stop",
    ]


def test_an_empty_text_of_its_own_provider_stays():
    assert sent(*reply(Text(origin=Provenance("anthropic"))))[1:-2] == [(0, {"type": "text", "text": ""}), (0, "stop")]


def test_a_signed_call_of_another_protocol_is_preceded_by_its_state():
    call = ToolCall(name="f", id="toolu_1", arguments="{}", opaque="sig", origin=GEMINI)
    assert sent(*reply(call))[1:-2] == snapshot(
        [
            (
                0,
                {
                    "type": "redacted_thinking",
                    "data": "modelbay1.google.google.gemini.eyJraW5kIjoidG9vbF9jYWxsIiwib3BhcXVlIjoic2lnIn0",
                },
            ),
            (0, "stop"),
            (1, {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}),
            (1, {"type": "input_json_delta", "partial_json": "{}"}),
            (1, "stop"),
        ]
    )


def test_calls_that_overlap_come_one_after_the_other():
    a, b = ToolCall(name="f", id="a"), ToolCall(name="g", id="b")
    events = [Started("msg_1", "m"), PartStarted(0, a), PartStarted(1, b), PartDelta(1, '{"y"'), PartDelta(0, '{"x"'),
              PartDelta(1, ":2}"), PartDelta(0, ":1}"), PartEnded(1, b), PartEnded(0, a), Finished("tool_calls")]  # fmt: skip
    assert sent(*events)[1:-2] == snapshot(
        [
            (0, {"type": "tool_use", "id": "a", "name": "f", "input": {}}),
            (0, {"type": "input_json_delta", "partial_json": '{"x"'}),
            (0, {"type": "input_json_delta", "partial_json": ":1}"}),
            (0, "stop"),
            (1, {"type": "tool_use", "id": "b", "name": "g", "input": {}}),
            (1, {"type": "input_json_delta", "partial_json": '{"y"'}),
            (1, {"type": "input_json_delta", "partial_json": ":2}"}),
            (1, "stop"),
        ]
    )


def test_a_call_without_arguments():
    assert sent(*reply(ToolCall(name="now", id="toolu_1")))[1:-2] == snapshot(
        [(0, {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {}}), (0, "stop")]
    )


def test_citations_of_a_text():
    text = Text(text="High.", annotations=[Annotation("url", url="https://e.com", title="E", text="high")])
    assert sent(*reply(text))[1:-2] == snapshot(
        [
            (0, {"type": "text", "text": ""}),
            (0, {"type": "text_delta", "text": "High."}),
            (
                0,
                {
                    "type": "citations_delta",
                    "citation": {
                        "type": "web_search_result_location",
                        "url": "https://e.com",
                        "title": "E",
                        "cited_text": "high",
                        "encrypted_index": "",
                    },
                },
            ),
            (0, "stop"),
        ]
    )


def test_a_refusal_is_a_text():
    assert sent(*reply(Refusal(text="No."), finish=Finished("refusal")))[1:] == snapshot(
        [
            (0, {"type": "text", "text": ""}),
            (0, {"type": "text_delta", "text": "No."}),
            (0, "stop"),
            {
                "type": "message_delta",
                "delta": {"stop_reason": "refusal", "stop_sequence": None},
                "usage": {"input_tokens": 0, "output_tokens": 0},
            },
            {"type": "message_stop"},
        ]
    )


def test_the_stop_sequence_is_told():
    assert sent(*reply(finish=Finished("stop", "stop", "END")))[1:] == snapshot(
        [
            {
                "type": "message_delta",
                "delta": {"stop_reason": "stop_sequence", "stop_sequence": "END"},
                "usage": {"input_tokens": 0, "output_tokens": 0},
            },
            {"type": "message_stop"},
        ]
    )


def test_a_failure_is_the_end_and_what_it_cut_off_is_not_closed():
    call = ToolCall(name="rm", id="toolu_1")
    events = [Started("msg_1", "m"), PartStarted(0, call), PartDelta(0, '{"pa'), Failed(Overloaded("busy", status=529))]
    assert sent(*events, Finished("stop"))[1:] == snapshot(
        [
            (0, {"type": "tool_use", "id": "toolu_1", "name": "rm", "input": {}}),
            (0, {"type": "input_json_delta", "partial_json": '{"pa'}),
            {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}},
        ]
    )
