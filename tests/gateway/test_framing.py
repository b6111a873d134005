"""Streams that are passed on: whole events only, and failures in the client's protocol."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.dialect import PLAIN
from modelbay.errors import IncompleteReply
from modelbay.events import Failed
from modelbay.gateway.framing import HELD, PassedStream, WholeEvents, before_failure, failure_event, is_failure
from modelbay.protocols.codec import NAMES, codec

EVENTS = [
    b'data: {"a":1}\n\n', b": keep-alive\n\n", b'event: x\r\ndata: {"b":"\\n\\n"}\r\n\r\n', b"data: [DONE]\n\n",
    b"data: 1\r\r", b"data: 2\n\r\n",
]  # fmt: skip
BARE = b'{"error":{"message":"exploded","type":"server_error","code":503}}'
OWN_FAILURES = {
    "openai_chat": b"data: " + BARE + b"\n\n",
    "openai_responses": b'data: {"type":"error","code":"server_error","message":"exploded","sequence_number":3}\n\n',
    "anthropic": b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"exploded"}}\n\n',
    "google": b'data: {"error":{"code":503,"message":"exploded","status":"UNAVAILABLE"}}\n\n',
}
BEGUN = {
    "openai_chat": b'data: {"choices":[{"index":0,"delta":{"content":"You"}}]}\n\n',
    "openai_responses": b'event: response.created\ndata: {"type":"response.created","response":{"id":"resp_1"}}\n\n',
    "anthropic": b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1"}}\n\n',
    "google": b'data: {"candidates":[{"content":{"role":"model","parts":[{"text":"You"}]}}]}\n\n',
}


@given(st.lists(st.sampled_from(EVENTS), max_size=8), st.data())
def test_pieces_end_between_two_events_and_nothing_is_lost(events: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(events)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    frames = WholeEvents()
    pieces = [frames.feed(stream[begin:end]) for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert b"".join(pieces) + frames.close() == stream
    for piece in pieces:
        assert not piece or piece.endswith((b"\n\n", b"\n\r\n", b"\r\r"))


def test_the_end_of_a_stream_may_lack_its_blank_line() -> None:
    frames = WholeEvents()
    assert frames.feed(b"data: 1\n\ndata: 2\n") == b"data: 1\n\n"
    assert frames.close() == b"data: 2\n"


def test_an_event_that_is_very_long_is_passed_on_in_pieces() -> None:
    frames = WholeEvents()
    assert frames.feed(b"data: " + b"x" * HELD)
    assert frames.feed(b"y\n\n") == b"y\n\n"


@pytest.mark.parametrize("protocol", NAMES)
def test_a_failure_is_one_event_that_the_protocol_s_clients_read(protocol: str) -> None:
    event = failure_event(protocol, IncompleteReply("the connection broke"))
    assert event.count(b"\n\n") == 1
    json.loads(event.partition(b"data: ")[2])
    last = codec(protocol).stream_parser(PLAIN).feed(event)[-1]
    assert isinstance(last, Failed)
    assert "the connection broke" in last.error.message


def test_the_events_before_a_failure_are_passed_on() -> None:
    good = b'data: {"choices":[{"index":0,"delta":{"content":"You"}}]}\n\n'
    assert before_failure("openai_chat", good + good + b'data: {"choices":[{"in\n\n' + good) == good + good
    finish = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"network_error"}]}\n\n'
    assert before_failure("openai_chat", good + finish + b"data: [DONE]\n\n") == good + finish, "without the last event"


def test_the_events_before_a_failure_are_found_in_a_long_piece_at_once() -> None:
    good, long = BEGUN["openai_chat"], b"data: " + b"x" * 4_000_000  # minutes, if each byte is tried as a beginning
    assert before_failure("openai_chat", good + long) == good


def passed(protocol: str, *pieces: bytes) -> bytes:
    """The bytes that the client gets of a provider's stream."""
    parser, stream = codec(protocol).stream_parser(PLAIN), PassedStream(protocol)
    sent = [stream.feed(piece, parser.feed(piece)) for piece in pieces]
    return b"".join([*sent, stream.feed(b"", parser.close()), stream.close()])


@pytest.mark.parametrize("protocol", NAMES)
def test_an_error_event_in_the_protocol_s_form_is_passed_on_unchanged(protocol: str) -> None:
    assert passed(protocol, BEGUN[protocol], OWN_FAILURES[protocol]) == BEGUN[protocol] + OWN_FAILURES[protocol]


@pytest.mark.parametrize("protocol", NAMES)
@pytest.mark.parametrize(
    "error",
    [
        BARE, BARE + b"\n\n", b"data: " + BARE, b"data: " + BARE + b"\n\n", b'data: {"error":"exploded"}\n\n',
        *OWN_FAILURES.values(),
    ],
)  # fmt: skip
def test_an_error_in_another_form_becomes_an_event_that_the_client_reads(protocol: str, error: bytes) -> None:
    sent = passed(protocol, BEGUN[protocol], error)
    assert sent.startswith(BEGUN[protocol])
    assert is_failure(protocol, sent.removeprefix(BEGUN[protocol]))
    assert sent.count(b"exploded") == 1


def test_a_failure_inside_a_long_event_that_was_passed_on_in_part_is_an_event_of_its_own() -> None:
    long = b"data: " + b"x" * HELD
    parser, stream = codec("openai_chat").stream_parser(PLAIN), PassedStream("openai_chat")
    sent = (
        stream.feed(long, parser.feed(long)) + stream.feed(b"", [Failed(IncompleteReply("it broke"))]) + stream.close()
    )
    begun, event = sent.split(b"\n\n", 1)
    assert begun == long
    assert is_failure("openai_chat", event)


def test_a_choice_that_failed_becomes_an_event_that_the_client_reads() -> None:
    error = b'{"choices":[{"index":0,"delta":{},"finish_reason":"error","error":{"code":502,"message":"exploded"}}]}'
    sent = passed("openai_chat", BEGUN["openai_chat"], b"data: " + error + b"\n\n", b"data: [DONE]\n\n")
    assert is_failure("openai_chat", sent[sent.rstrip().rindex(b"data: ") :])
    assert b"DONE" not in sent


def test_a_failure_that_the_last_text_of_gemini_names_is_not_reported_again() -> None:
    content = b'"content":{"role":"model","parts":[{"text":" are"}]}'
    end = b'data: {"candidates":[{%b,"finishReason":"MALFORMED_FUNCTION_CALL"}]}\n\n' % content
    assert passed("google", BEGUN["google"], end) == BEGUN["google"] + end
