"""Refusals whose explanation is in the details of the stop reason."""

import json
from typing import Any

import pytest

from modelbay.conversation import Conversation, Provenance, Refusal, Turn, user
from modelbay.dialect import PLAIN
from modelbay.events import Event, collect
from modelbay.model import Model
from modelbay.protocols.codec import codec

DETAILS = {"type": "refusal", "category": "cyber", "explanation": "This is about an exploit."}
USAGE = {"input_tokens": 5, "output_tokens": 0}
ORIGIN = Provenance("anthropic", "anthropic", "claude")


def reply(details: Any) -> bytes:
    whole = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": USAGE}
    return json.dumps({**whole, "stop_reason": "refusal", "stop_sequence": None, "stop_details": details}).encode()


def stream(details: Any) -> bytes:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": USAGE}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_details": details}, "usage": USAGE},
        {"type": "message_stop"},
    ]
    return b"".join(b"event: %s\ndata: %s\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events)


def events(streamed: bool, details: Any = DETAILS) -> list[Event]:
    if not streamed:
        return codec("anthropic").parse_reply(reply(details), PLAIN, ORIGIN)
    parser = codec("anthropic").stream_parser(PLAIN, ORIGIN)
    return [*parser.feed(stream(details)), *parser.close()]


both = pytest.mark.parametrize("streamed", [True, False], ids=["stream", "whole"])


@both
def test_the_explanation_is_the_refusal(streamed: bool) -> None:
    found = collect(events(streamed))
    assert (found.refusal, found.finish and found.finish.reason) == ("This is about an exploit.", "refusal")
    assert collect(events(streamed, None)).refusal == ""
    assert collect(events(streamed, {**DETAILS, "explanation": None})).refusal == ""


@both
@pytest.mark.parametrize("client", ["openai_chat", "openai_responses", "google"])
def test_clients_of_other_protocols_read_it(client: str, streamed: bool) -> None:
    made = events(streamed)
    renderer = codec(client).stream_renderer(Conversation())
    assert b"This is about an exploit." in b"".join(map(renderer.feed, made))
    assert b"This is about an exploit." in codec(client).render_reply(collect(made))


@both
def test_a_client_of_the_protocol_gets_the_details_and_no_text(streamed: bool) -> None:
    made = events(streamed)
    renderer = codec("anthropic").stream_renderer(Conversation())
    sent = b"".join(map(renderer.feed, made))
    assert b"content_block_start" not in sent
    parser = codec("anthropic").stream_parser(PLAIN)
    again = collect([*parser.feed(sent), *parser.close()])
    assert again.finish is not None
    assert again.finish.extra == {"stop_details": DETAILS}
    whole = json.loads(codec("anthropic").render_reply(collect(made)))
    assert (whole["content"], whole["stop_reason"], whole["stop_details"]) == ([], "refusal", DETAILS)


def test_it_is_not_sent_back_to_its_provider() -> None:
    refusal = Refusal(text="No.", native="stop_details", origin=ORIGIN)
    turns = [user("Hi"), Turn("assistant", [refusal]), user("Something else")]
    call = codec("anthropic").render_request(Conversation(turns), Model(id="claude", family="claude"), PLAIN)
    assert b"No." not in call.encode()
    assert b"No." in codec("openai_chat").render_request(Conversation(turns), Model(id="m"), PLAIN).encode()
