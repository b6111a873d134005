"""Every recorded exchange, through the codec of its protocol and back."""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from modelbay.conversation import Conversation, Text, user
from modelbay.dialect import PLAIN, Dialect
from modelbay.errors import ProviderError
from modelbay.events import Event, collect
from modelbay.model import Model
from modelbay.protocols.codec import Call, codec
from tests.corpus import exchanges
from tests.protocols.invariants import check_events
from tests.protocols.likeness import answer, differences, said, sent, told
from tests.protocols.spoken import RECORDED

SHARES = 6
"""The recordings of a protocol are shared among so many tests, which run in parallel."""
QUIRKY = Dialect(think_tags=True, merge_choices=True, reasoning_in_output=False, ends_without_finish=True)
"""A dialect that turns every tolerance on."""

share_of_recordings = pytest.mark.parametrize(
    ("protocol", "share"), [(protocol, share) for protocol in RECORDED for share in range(SHARES)]
)
every_dialect = pytest.mark.parametrize("dialect", [PLAIN, QUIRKY], ids=["plain", "quirky"])


@contextmanager
def about(exchange: dict[str, Any]) -> Iterator[None]:
    """A failure inside names its exchange."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"in the exchange {exchange['name']}")
        raise


def recorded(protocol: str, share: int) -> Iterator[dict[str, Any]]:
    for file in RECORDED[protocol]:
        yield from exchanges(file)[share::SHARES]


def requests(protocol: str, share: int) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Exchanges that ask for a reply, with the body of their request."""
    for exchange in recorded(protocol, share):
        request = exchange["request"] or {}
        body = request.get("json")
        if isinstance(body, dict) and body.keys() & {"messages", "contents", "input"} and "count" not in request["url"]:
            yield exchange, body


def whole_body(response: dict[str, Any]) -> bytes:
    if response.get("json") is not None:
        return json.dumps(response["json"]).encode()
    return (response.get("text") or "").encode()


def events_of(protocol: str, response: dict[str, Any], dialect: Dialect) -> list[Event] | None:
    """The events of a recorded reply; None for an answer that is an error by its status."""
    if response.get("sse") is not None:
        parser = codec(protocol).stream_parser(dialect)
        return parser.feed(response["sse"].encode()) + parser.close()
    if response["status"] >= 400:
        return None
    return codec(protocol).parse_reply(whole_body(response), dialect)


@every_dialect
@share_of_recordings
def test_every_recorded_reply_becomes_events_in_valid_order(protocol, share, dialect):
    for exchange in recorded(protocol, share):
        with about(exchange):
            events = events_of(protocol, exchange["response"], dialect)
            if events is not None:
                check_events(events)


@share_of_recordings
def test_every_recorded_error_becomes_an_error_with_a_message(protocol, share):
    for exchange in recorded(protocol, share):
        response = exchange["response"]
        if response["status"] >= 400:
            with about(exchange):
                error = codec(protocol).parse_error(response["status"], response["headers"] or {}, whole_body(response))
                assert isinstance(error, ProviderError)
                assert error.status == response["status"]
                assert error.message.strip()
                assert "{" not in error.message[:1], "a body was not understood"


@every_dialect
@share_of_recordings
def test_a_stream_cut_anywhere_gives_the_same_events(protocol, share, dialect):
    randomly = random.Random(share)
    for position, exchange in enumerate(recorded(protocol, share)):
        if exchange["response"].get("sse") is None:
            continue
        data = exchange["response"]["sse"].encode()
        sizes = [1] if position % 8 == 0 and len(data) < 30_000 else [1, 2, 3, 7, 50, 1000, 5000]
        with about(exchange):
            parser, events, start = codec(protocol).stream_parser(dialect), list[Event](), 0
            while start < len(data):
                size = randomly.choice(sizes)
                events += parser.feed(data[start : start + size])
                start += size
            events += parser.close()
            assert told(events) == told(events_of(protocol, exchange["response"], dialect) or [])


@share_of_recordings
def test_a_recorded_reply_sent_on_as_our_own_stream_is_the_same_reply(protocol, share):
    for exchange in recorded(protocol, share):
        events = events_of(protocol, exchange["response"], PLAIN) or []
        expected = sent(events)
        if expected.finish is None or expected.finish.native in ("queued", "in_progress"):
            continue  # background replies have no stream
        with about(exchange):
            renderer = codec(protocol).stream_renderer(Conversation(include_usage=True))
            stream = b"".join(renderer.feed(event) for event in events)
            parser = codec(protocol).stream_parser(PLAIN)
            assert answer(collect(parser.feed(stream) + parser.close())) == answer(expected)


@share_of_recordings
def test_a_recorded_reply_sent_on_whole_is_the_same_reply(protocol, share):
    for exchange in recorded(protocol, share):
        reply = collect(events_of(protocol, exchange["response"], PLAIN) or [])
        if reply.finish is None:
            continue
        with about(exchange):
            again = collect(codec(protocol).parse_reply(codec(protocol).render_reply(reply), PLAIN))
            assert answer(again, grouped=True) == answer(reply, grouped=True)


def rendered(protocol: str, conversation: Conversation) -> Any:
    call = codec(protocol).render_request(conversation, Model(id=conversation.model or ""), PLAIN)
    assert call.warnings == []
    return said(json.loads(call.encode()))


@share_of_recordings
def test_every_recorded_request_renders_back_as_it_was(protocol, share):
    for exchange, body in requests(protocol, share):
        with about(exchange):
            again = rendered(protocol, codec(protocol).parse_request(Call("", body)))
            assert list(differences(said(body), again)) == []


@share_of_recordings
def test_one_changed_text_and_one_more_turn_change_nothing_else(protocol, share):
    """So no raw body is kept aside."""
    for exchange, body in requests(protocol, share):
        with about(exchange):
            conversation = codec(protocol).parse_request(Call("", msgspec.json.decode(msgspec.json.encode(body))))
            texts = [part for turn in conversation.turns for part in turn.parts if type(part) is Text and part.text]
            before = texts[-1].text if texts else None
            if texts:
                texts[-1].text = "Something else."
            conversation.turns.append(user("And one more thing."))
            found = list(differences(said(body), rendered(protocol, conversation)))
            changed = [(a, b) for _, a, b in found if a is not ...]
            added = [b for _, a, b in found if a is ...]
            assert changed == ([(before, "Something else.")] if texts else [])
            assert len(added) == 1
            assert "And one more thing." in json.dumps(added)
