"""The streams that clients of Chat Completions get."""

import json
from typing import Any

from inline_snapshot import snapshot

from modelbay.conversation import AnyPart, Conversation, Media, Provenance, Refusal, Text, Thinking, ToolCall
from modelbay.errors import Overloaded
from modelbay.events import Failed, Finished, PartDelta, PartEnded, PartStarted, Started
from modelbay.protocols.assembly import Assembly
from modelbay.protocols.codec import codec
from modelbay.usage import Usage
from tests.protocols import sse_reference


def sent(*events: Any, include_usage: bool = False) -> list[Any]:
    """The chunks, of which only what differs is shown: deltas, a reason to finish, usage, errors."""
    renderer = codec("openai_chat").stream_renderer(Conversation(model="asked", include_usage=include_usage))
    shown: list[Any] = []
    for _, data in sse_reference.decode(b"".join(renderer.feed(event) for event in events), last_unfinished=False):
        if data == b"[DONE]":
            shown.append("[DONE]")
            continue
        chunk = json.loads(data)
        (choice,) = chunk.get("choices") or [None]
        match choice:
            case {"delta": delta, "finish_reason": None}:
                shown.append(delta)
            case {"delta": {}, "finish_reason": reason}:
                shown.append(reason)
            case _:
                shown.append({name: chunk[name] for name in ("usage", "error") if name in chunk})
    return shown


def reply(*parts: AnyPart, usage: Usage | None = None) -> list[Any]:
    assembly = Assembly()
    assembly.start("c1", "m")
    for part in parts:
        assembly.whole(part)
    assembly.usage = usage
    assembly.finish("tool_calls" if assembly.has_calls else "stop")
    return assembly.take()


def test_a_text_is_sent_between_the_role_and_the_finish_reason():
    assert sent(*reply(Text(text="Hi"))) == snapshot([{"role": "assistant"}, {"content": "Hi"}, "stop", "[DONE]"])


def test_usage_comes_in_a_last_chunk_to_who_asked_for_it():
    events = reply(Text(text="Hi"), usage=Usage(input=3, cache_read=2, output=1, reasoning=4))
    assert sent(*events, include_usage=True)[2:] == snapshot(
        [
            "stop",
            {
                "usage": {
                    "prompt_tokens": 5,
                    "completion_tokens": 5,
                    "total_tokens": 10,
                    "prompt_tokens_details": {"cached_tokens": 2},
                    "completion_tokens_details": {"reasoning_tokens": 4},
                }
            },
            "[DONE]",
        ]
    )
    assert sent(*events, include_usage=False)[2:] == snapshot(["stop", "[DONE]"])


def test_usage_that_is_not_known_is_null():
    assert sent(*reply(Text(text="Hi")), include_usage=True)[2:] == snapshot(["stop", {"usage": None}, "[DONE]"])


def test_thinking_is_written_to_the_field_in_which_it_was_received():
    parts: list[AnyPart] = [Thinking(texts=["Hm"]), Thinking(texts=["Hm"], native="reasoning"), Text(text="Hi")]
    assert sent(*reply(*parts))[1:] == snapshot(
        [{"reasoning_content": "Hm"}, {"reasoning": "Hm"}, {"content": "Hi"}, "stop", "[DONE]"]
    )


def test_thinking_of_another_protocol_brings_its_state_along():
    thinking = Thinking(texts=["Hm"], opaque="sig", origin=Provenance("anthropic", "anthropic", "claude"))
    assert sent(*reply(thinking, Text(text="Hi")))[1:] == snapshot(
        [
            {
                "reasoning_content": "Hm",
                "reasoning_details": [{"type": "reasoning.text", "format": "modelbay", "index": 0, "text": "Hm"}],
            },
            {
                "reasoning_details": [
                    {
                        "type": "reasoning.text",
                        "format": "modelbay",
                        "index": 0,
                        "signature": "modelbay1.anthropic.anthropic.claude.eyJraW5kIjoidGhpbmtpbmciLCJvcGFxdWUiOiJzaWcifQ",
                    }
                ]
            },
            {"content": "Hi"},
            "stop",
            "[DONE]",
        ]
    )


def test_calls_say_who_they_are_once():
    calls = [ToolCall(name="f", id="a", arguments='{"x":1}'), ToolCall(name="g", id="b", arguments="{}")]
    assert sent(*reply(*calls))[1:] == snapshot(
        [
            {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"x":1}'}}]},
            {"tool_calls": [{"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": ""}}]},
            {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
            "tool_calls",
            "[DONE]",
        ]
    )


def test_parallel_calls_interleave():
    call = ToolCall(name="f", id="a")
    other = ToolCall(name="g", id="b")
    events = [Started("c1", "m"), PartStarted(0, call), PartStarted(1, other), PartDelta(1, "{"), PartDelta(0, "{"),
              PartDelta(1, "}"), PartDelta(0, "}"), PartEnded(0, call), PartEnded(1, other)]  # fmt: skip
    assert sent(*events)[3:] == snapshot(
        [
            {"tool_calls": [{"index": 1, "function": {"arguments": "{"}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]},
            {"tool_calls": [{"index": 1, "function": {"arguments": "}"}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]},
        ]
    )


def test_a_call_without_arguments_has_an_empty_object():
    assert sent(*reply(ToolCall(name="now", id="a")))[1:] == snapshot(
        [
            {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "now", "arguments": ""}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
            "tool_calls",
            "[DONE]",
        ]
    )


def test_a_call_without_an_id_gets_one():
    (_, first, *_) = sent(*reply(ToolCall(name="f", arguments="{}")))
    assert first["tool_calls"][0]["id"].startswith("call_")


def test_texts_that_overlap_come_one_after_the_other():
    events = [Started("c1", "m"), PartStarted(0, Text()), PartStarted(1, Text()), PartDelta(1, "b"), PartDelta(0, "a"),
              PartEnded(1, Text(text="b")), PartEnded(0, Text(text="a")), Finished("stop")]  # fmt: skip
    assert sent(*events)[1:] == snapshot([{"content": "a"}, {"content": "b"}, "stop", "[DONE]"])


def test_a_refusal_and_an_image():
    image = Media(kind="image", data="AAAA", media_type="image/png")
    assert sent(*reply(Refusal(text="No."), image))[1:] == snapshot(
        [
            {"refusal": "No."},
            {"images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]},
            "stop",
            "[DONE]",
        ]
    )


def test_a_failure_is_the_end_and_no_done_follows():
    events = [Started("c1", "m"), PartStarted(0, Text()), PartDelta(0, "Hi"), Failed(Overloaded("busy", status=503))]
    assert sent(*events, Finished("stop"))[1:] == snapshot(
        [
            {"content": "Hi"},
            {"error": {"message": "busy", "type": "server_error", "param": None, "code": "server_error"}},
        ]
    )


def test_the_model_is_the_one_that_was_asked_for_where_none_is_known():
    renderer = codec("openai_chat").stream_renderer(Conversation(model="asked"))
    assert json.loads(renderer.feed(Started())[6:])["model"] == "asked"
