"""Short ways to write Gemini bodies and to read what became of them."""

import json
from typing import Any

from modelbay.conversation import Conversation
from modelbay.dialect import PLAIN, Dialect
from modelbay.events import Event, Reply, collect
from modelbay.model import Model
from modelbay.protocols import google
from modelbay.protocols.codec import Call
from tests.protocols import sse_reference

PATH = "/v1beta/models/gemini-x:generateContent"
GEMINI = Model(id="gemini-x")


def parsed(body: dict[str, Any], path: str = PATH) -> Conversation:
    return google.parse_request(Call(path, body))


def rendered(conversation: Conversation, model: Model = GEMINI, dialect: Dialect = PLAIN) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(google.render_request(conversation, model, dialect).encode())
    return body


def again(body: dict[str, Any]) -> dict[str, Any]:
    """A body, parsed and rendered."""
    return rendered(parsed(body))


def asked(**also: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}], **also}


def answer(*parts: dict[str, Any], reason: Any = "STOP", **also: Any) -> dict[str, Any]:
    """A whole GenerateContentResponse, or a chunk of one; no reason is written for None."""
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": reason}
    return {"candidates": [{k: v for k, v in candidate.items() if v is not None}], "responseId": "r", **also}


def read(body: Any) -> Reply:
    return collect(google.parse_reply(json.dumps(body).encode(), PLAIN))


def events_of(stream: bytes, dialect: Dialect = PLAIN) -> list[Event]:
    parser = google.stream_parser(dialect)
    return parser.feed(stream) + parser.close()


def as_events(*chunks: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in chunks)


def streamed(*chunks: Any) -> Reply:
    return collect(events_of(as_events(*chunks)))


def written(events: list[Event], framing: str = "") -> bytes:
    conversation = Conversation()
    if framing:
        conversation.settings.spelling["stream"] = framing
    renderer = google.stream_renderer(conversation)
    return b"".join(renderer.feed(event) for event in events)


def chunks_of(stream: bytes) -> list[dict[str, Any]]:
    return [json.loads(data) for _, data in sse_reference.decode(stream)]


def parts_of(stream: bytes) -> list[dict[str, Any]]:
    """The parts of a stream, but for the last chunk's empty one."""
    parts = [part for chunk in chunks_of(stream) for part in chunk["candidates"][0]["content"]["parts"]]
    return parts[:-1] if parts and parts[-1] == {"text": ""} else parts
