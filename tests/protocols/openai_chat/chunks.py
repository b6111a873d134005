"""Chat Completions streams made by hand."""

import json
from typing import Any

from modelbay.dialect import PLAIN, Dialect
from modelbay.events import Reply
from tests.protocols import reading

DONE = "[DONE]"


def chunk(delta: Any = ..., finish: str | None = None, **more: Any) -> dict[str, Any]:
    """A chunk with one choice; `more` is next to the choices."""
    choice = {"index": 0, "delta": {} if delta is ... else delta, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": [choice], **more}


def call(arguments: str | None = None, **item: Any) -> dict[str, Any]:
    """A delta of one tool call: `name` is in its function, the rest next to it."""
    function = {"name": item.pop("name", ...), "arguments": ... if arguments is None else arguments}
    function = {name: value for name, value in function.items() if value is not ...}
    return {"tool_calls": [{**item, "function": function}]}


def stream(*chunks: Any) -> bytes:
    return b"".join(b"data: " + (item if item == DONE else json.dumps(item)).encode() + b"\n\n" for item in chunks)


def read(*chunks: Any, dialect: Dialect = PLAIN, finish: str | None = "stop") -> Reply:
    """The reply of these chunks, ended by `finish` (if any) and `[DONE]`."""
    end = [] if finish is None else [chunk(finish=finish)]
    return reading.read("openai_chat", stream(*chunks, *end, DONE), dialect)
