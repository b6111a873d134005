"""The streams our renderers write: valid for any sequence of events, and telling what the events tell."""

import json
from typing import Any

import pytest
from anthropic.types import RawMessageStreamEvent
from hypothesis import given
from openai.types.chat import ChatCompletionChunk
from pydantic import TypeAdapter

from modelbay.conversation import Conversation, Text, ToolCall
from modelbay.dialect import PLAIN
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
from modelbay.protocols.codec import codec
from modelbay.usage import Usage
from tests.protocols import sse_reference
from tests.protocols.event_sequences import any_events, replies
from tests.protocols.invariants import CHECKERS
from tests.protocols.spoken import BUILT

every_protocol = pytest.mark.parametrize("protocol", BUILT)


def written(protocol: str, events: list[Event]) -> bytes:
    """The stream of these events. What is sent for each is whole: nothing half is left to wait for the next."""
    renderer = codec(protocol).stream_renderer(Conversation(include_usage=True))
    sent = [renderer.feed(event) for event in events]
    assert all(data == b"" or data.endswith(b"\n\n") for data in sent)
    return b"".join(sent)


@every_protocol
@given(events=any_events())
def test_the_stream_of_any_events_is_valid(protocol, events):
    ended = any(type(event) in (Finished, Failed) for event in events)
    CHECKERS[protocol](written(protocol, events), ended)


def portable(reply: Reply) -> dict[str, Any]:
    """The content of a reply that every protocol keeps."""
    return {
        "text": reply.text,
        "thinking": reply.thinking,
        "calls": [(call.id, call.name, json.loads(call.arguments or "{}")) for call in reply.tool_calls],
        "finish": reply.finish and reply.finish.reason,
        "tokens": reply.usage and (reply.usage.input_total, reply.usage.output_total),
        "model": reply.model,
        "error": reply.error,
    }


@every_protocol
@given(events=replies())
def test_a_reply_is_the_same_after_it_was_streamed(protocol, events):
    stream = written(protocol, events)
    CHECKERS[protocol](stream, ended=True)
    parser = codec(protocol).stream_parser(PLAIN)
    told, expected = portable(collect(parser.feed(stream) + parser.close())), portable(collect(events))
    if expected["tokens"] is None:
        told["tokens"] = None  # Anthropic cannot leave its counts out
    assert told == expected


@every_protocol
@given(events=replies(interleaved=False))
def test_a_reply_is_the_same_after_it_was_sent_whole(protocol, events):
    reply = collect(events)
    told = portable(collect(codec(protocol).parse_reply(codec(protocol).render_reply(reply), PLAIN)))
    if reply.usage is None:
        told["tokens"] = None
    assert told == portable(reply)


@given(events=replies())
def test_openai_s_own_types_accept_every_chunk(events):
    stream = written("openai_chat", events)
    for _, data in sse_reference.decode(stream)[:-1]:
        ChatCompletionChunk.model_validate_json(data)


@given(events=replies())
def test_anthropic_s_own_types_accept_every_event(events):
    event_type = TypeAdapter[Any](RawMessageStreamEvent)
    for _, data in sse_reference.decode(written("anthropic", events)):
        event_type.validate_json(data)


@every_protocol
def test_a_call_without_arguments_is_one_with_an_empty_object(protocol):
    reply = Reply(parts=[ToolCall(name="now", id="call_1")], finish=Finished("tool_calls"))
    again = collect(codec(protocol).parse_reply(codec(protocol).render_reply(reply), PLAIN))
    assert [(call.name, call.arguments or "{}") for call in again.tool_calls] == [("now", "{}")]


FINISHING = ("openai_chat", "anthropic", "google")
"""Protocols whose finish reason may be followed by more, such as the token usage."""


@pytest.mark.parametrize("protocol", FINISHING)
def test_a_stream_that_breaks_off_after_its_finish_reason_is_whole(protocol):
    text = Text(text="Hi")
    events: list[Event] = [Started("r1", "m"), PartStarted(0, Text(text="")), PartDelta(0, "Hi"), PartEnded(0, text)]
    stream = written(protocol, [*events, UsageReported(Usage(input=3, output=5)), Finished("stop")])
    if protocol == "google":  # as of servers that send the usage in a chunk of its own
        stream += b'data: {"usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 5}}\n\n'
    ends = {"openai_chat": b'"stop"}]', "anthropic": b'"end_turn"', "google": b'"STOP"'}
    after = stream.index(b"\n\n", stream.index(ends[protocol])) + 2
    for end in range(after, len(stream)):
        parser = codec(protocol).stream_parser(PLAIN)
        found = [*parser.feed(stream[:end]), *parser.close()]
        assert type(found[-1]) is Finished, stream[after:end]
