"""A usual piece of text is decoded by type. Only the time shows it: the events are those of the lenient reader."""

import json
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.dialect import PLAIN
from modelbay.protocols.openai_responses import stream_in
from modelbay.protocols.openai_responses.usual import TEXT, usual_text
from tests.protocols.likeness import told

ITEM = {"id": "msg_1", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
DELTA = {
    "type": TEXT, "sequence_number": 4, "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": " the",
    "logprobs": [], "obfuscation": "x7",
}  # fmt: skip
START = [
    {"type": "response.created", "response": {"id": "resp_1", "model": "m", "output": []}},
    {"type": "response.output_item.added", "output_index": 0, "item": ITEM},
    DELTA,
]
OTHERS = [
    {"type": "response.output_item.done", "output_index": 0, "item": {**ITEM, "status": "completed"}},
    {"type": "response.refusal.delta", "output_index": 0, "content_index": 1, "delta": "no"},
    {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": " the bay"},
    {**DELTA, "content_index": 1},
    {**DELTA, "output_index": 1},
]
ODD = [
    b"null", b"true", b"0", b"1", b"-1", b"0.0", b"9" * 30, b'""', b'"x"', rb'"\ud83d"', b'"a\tb"', b'"\xff"', b"[]", b"[{}]",
    b'[{"token":"a"}]', b"{}", b"NaN", b"[" * 201 + b"]" * 201,
]  # fmt: skip


def variants() -> Iterator[bytes]:
    """The piece with one member that is wrong, missing or repeated."""
    text = msgspec.json.encode(DELTA)
    for name in (*DELTA, "error", "response"):
        yield msgspec.json.encode({other: value for other, value in DELTA.items() if other != name})
        for odd in ODD:
            yield msgspec.json.encode({**DELTA, name: msgspec.Raw(odd)})
            yield b'%b,"%b":%b}' % (text[:-1], name.encode(), odd)


EVENTS = [*variants(), *[msgspec.json.encode(event) for event in (DELTA, *OTHERS)] * 20]


def streamed(payloads: list[bytes], name: str) -> list[Any]:
    parser, found = stream_in.stream_parser(PLAIN), list[Any]()
    for payload in [*[json.dumps(event).encode() for event in START], *payloads]:
        found += told(parser.feed(f"event: {name}\n".encode() + b"data: " + payload + b"\n\n"))
    return [*found, *told(parser.close())]


def test_a_usual_piece_of_text_is_decoded_by_type() -> None:
    assert usual_text(json.dumps(DELTA).encode()) is not None


@pytest.mark.parametrize("name", [TEXT, "error"])
def test_a_piece_of_text_has_the_events_of_the_lenient_reader(name: str) -> None:
    for payload in EVENTS:
        found = streamed([payload, msgspec.json.encode(DELTA)], name)
        with patch.object(stream_in, "usual_text", lambda payload: None):
            assert found == streamed([payload, msgspec.json.encode(DELTA)], name), payload


@given(st.lists(st.sampled_from(EVENTS), min_size=10, max_size=10))
def test_a_stream_has_the_events_of_the_lenient_reader(payloads: list[bytes]) -> None:
    found = streamed(payloads, TEXT)
    with patch.object(stream_in, "usual_text", lambda payload: None):
        assert found == streamed(payloads, TEXT)
