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
from modelbay.protocols.google import reply, stream_in
from modelbay.protocols.google.usual import usual_chunk
from tests.protocols.likeness import told

USAGE = {
    "promptTokenCount": 9,
    "candidatesTokenCount": 3,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}],
}
TOP = {"usageMetadata": USAGE, "modelVersion": "m", "responseId": "r"}


def chunk(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": list(parts), "role": "model"}, "index": 0, **fields}], **TOP}


TEXT = chunk({"text": " the"})
CALL = {"functionCall": {"name": "f", "args": {"a": 1}}}
STARTS = [
    chunk({"text": "The"}),
    chunk({"text": "Hm", "thought": True}),
    chunk(CALL),
    chunk({"text": "The", "thoughtSignature": "c2ln"}),
    {"usageMetadata": {"trafficType": "ON_DEMAND"}},
    {"candidates": [{}], **TOP},
]
OTHERS = [
    chunk({"text": " bay"}, {"text": " of"}),
    chunk({"text": " so", "thought": True}),
    chunk({"text": ""}),
    chunk({"text": "", "thoughtSignature": "c2ln"}),
    chunk(CALL),
    chunk({"text": " end"}, finishReason="STOP"),
    chunk({"text": " tide"}, safetyRatings=[]),
    chunk({"text": " tide"}, groundingMetadata={"groundingChunks": []}),
    chunk({"text": " tide"}, logprobsResult={"chosenCandidates": [{"token": " tide", "logProbability": -1}]}),
    {"promptFeedback": {"blockReason": "SAFETY"}},
    {"error": {"code": 500, "message": "no"}},
    {**TEXT, "usageMetadata": {"trafficType": "ON_DEMAND"}},
    {"candidates": TEXT["candidates"]},
]
ODD = [
    b"null", b"true", b"0", b"1", b"-1", b"0.0", b'""', b'"x"', rb'"\ud83d"', b'"a\tb"', b'"\xff"', b"[]", b"[{}]", b"{}",
    b'{"promptTokenCount":1}', b'[{"text":"x"}]', b"NaN", b"[" * 201 + b"]" * 201,
]  # fmt: skip


def changed(value: dict[str, Any], names: tuple[str, ...]) -> Iterator[bytes]:
    """The object with one member that is wrong, missing or repeated."""
    text = msgspec.json.encode(value)
    for name in names:
        yield msgspec.json.encode({other: item for other, item in value.items() if other != name})
        for odd in ODD:
            yield msgspec.json.encode({**value, name: msgspec.Raw(odd)})
            yield b'%b,"%b":%b}' % (text[:-1], name.encode(), odd)


def variants() -> Iterator[bytes]:
    """The piece with something unusual in the chunk, its candidate, the content or the part."""
    candidate = TEXT["candidates"][0]
    content = candidate["content"]
    yield from changed(TEXT, (*TEXT, "error", "promptFeedback", "usage_metadata"))
    for one in changed(candidate, (*candidate, "finishReason", "finish_reason", "citationMetadata", "logprobsResult")):
        yield msgspec.json.encode({**TEXT, "candidates": [msgspec.Raw(one)]})
    for one in changed(content, (*content, "text")):
        yield msgspec.json.encode(chunk() | {"candidates": [{**candidate, "content": msgspec.Raw(one)}]})
    for one in changed({"text": " the"}, ("text", "thought", "thoughtSignature", "inlineData")):
        yield msgspec.json.encode({"candidates": [{"content": {"parts": [msgspec.Raw(one)]}}], **TOP})


CHUNKS = [*variants(), *[msgspec.json.encode(one) for one in (TEXT, *STARTS, *OTHERS)] * 20]


def streamed(payloads: list[bytes]) -> list[Any]:
    parser, found = stream_in.stream_parser(PLAIN), list[Any]()
    for payload in payloads:
        found += told(parser.feed(b"data: " + payload + b"\n\n"))
    return [*found, *told(parser.close())]


@pytest.mark.parametrize("usual", [TEXT, OTHERS[-1], chunk({"text": "The tide. " * 50})])
def test_a_usual_piece_of_text_is_decoded_by_type(usual: dict[str, Any]) -> None:
    assert usual_chunk(json.dumps(usual).encode()) is not None


@pytest.mark.parametrize("start", STARTS)
def test_a_chunk_after_a_start_has_the_events_of_the_lenient_reader(start: dict[str, Any]) -> None:
    for payload in CHUNKS:
        payloads = [json.dumps(start).encode(), payload, json.dumps(TEXT).encode()]
        found = streamed(payloads)
        with patch.object(reply, "usual_chunk", lambda payload: None):
            assert found == streamed(payloads), payload


@given(st.lists(st.sampled_from(CHUNKS), min_size=10, max_size=10))
def test_a_stream_has_the_events_of_the_lenient_reader(payloads: list[bytes]) -> None:
    found = streamed(payloads)
    with patch.object(reply, "usual_chunk", lambda payload: None):
        assert found == streamed(payloads)
