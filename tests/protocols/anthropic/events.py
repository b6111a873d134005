"""Anthropic streams made by hand."""

import json
from typing import Any

from modelbay.dialect import PLAIN, Dialect
from modelbay.events import Reply
from tests.protocols import reading

Events = list[dict[str, Any]]
PING = {"type": "ping"}
STOP = {"type": "message_stop"}


def begin(**message: Any) -> dict[str, Any]:
    usage = {"input_tokens": 10, "output_tokens": 1}
    empty: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [],
        "stop_reason": None,
    }
    return {"type": "message_start", "message": {**empty, "stop_sequence": None, "usage": usage, **message}}


def finish(reason: str | None = "end_turn", stop_sequence: str | None = None, **more: Any) -> dict[str, Any]:
    delta = {"stop_reason": reason, "stop_sequence": stop_sequence, **more.pop("delta", {})}
    return {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 5}, **more}


def start(index: int, kind: str, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind, **block}}


def delta(index: int, **fields: Any) -> dict[str, Any]:
    """A delta of the type that its one field has."""
    kinds = {
        "text": "text_delta", "thinking": "thinking_delta", "signature": "signature_delta",
        "partial_json": "input_json_delta", "citation": "citations_delta",
    }  # fmt: skip
    (field,) = fields
    return {"type": "content_block_delta", "index": index, "delta": {"type": kinds[field], **fields}}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def text(index: int, *pieces: str) -> Events:
    return [start(index, "text", text=""), *[delta(index, text=piece) for piece in pieces], stop(index)]


def thinking(index: int, *pieces: str, signature: str = "sig") -> Events:
    deltas = [delta(index, thinking=piece) for piece in pieces]
    return [
        start(index, "thinking", thinking="", signature=""),
        *deltas,
        delta(index, signature=signature),
        stop(index),
    ]


def tool_use(index: int, *pieces: str, id: str = "toolu_1", name: str = "f") -> Events:
    deltas = [delta(index, partial_json=piece) for piece in pieces]
    return [start(index, "tool_use", id=id, name=name, input={}), *deltas, stop(index)]


def stream(*events: Any) -> bytes:
    return b"".join(
        f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode() for event in events
    )


def read_all(*events: Any, dialect: Dialect = PLAIN) -> Reply:
    return reading.read("anthropic", stream(*events), dialect)


def read(*events: Any, reason: str = "end_turn") -> Reply:
    """The reply of these events between a usual start and end."""
    return read_all(begin(), *events, finish(reason), STOP)
