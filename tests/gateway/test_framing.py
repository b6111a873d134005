"""Streams that are passed on: whole events only, and failures in the client's protocol."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.dialect import PLAIN
from modelbay.errors import IncompleteReply
from modelbay.events import Failed
from modelbay.gateway.framing import HELD, WholeEvents, before_failure, failure_event
from modelbay.protocols.codec import NAMES, codec

EVENTS = [b'data: {"a":1}\n\n', b": keep-alive\n\n", b'event: x\r\ndata: {"b":"\\n\\n"}\r\n\r\n', b"data: [DONE]\n\n"]


@given(st.lists(st.sampled_from(EVENTS), max_size=8), st.data())
def test_pieces_end_between_two_events_and_nothing_is_lost(events: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(events)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    frames = WholeEvents()
    pieces = [frames.feed(stream[begin:end]) for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert b"".join(pieces) + frames.close() == stream
    for piece in pieces:
        assert not piece or piece.endswith((b"\n\n", b"\r\n\r\n"))


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
