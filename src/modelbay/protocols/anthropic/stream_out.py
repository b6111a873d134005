"""Renders Anthropic streams.

One `message_start`; blocks one after the other, each started, filled by deltas of its type and stopped; thinking ends
with its signature; one `message_delta` with stop reason and usage, then `message_stop`, even if the upstream omitted
it.
"""

from typing import Any

import msgspec

from modelbay.conversation import (
    AnyPart,
    Conversation,
    Refusal,
    ServerToolCall,
    Text,
    Thinking,
    ToolCall,
)
from modelbay.events import (
    Event,
    Failed,
    Finished,
    PartAnnotated,
    PartDelta,
    PartEnded,
    PartStarted,
    Started,
    UsageReported,
)
from modelbay.protocols.anthropic.errors import error_object
from modelbay.protocols.anthropic.parts import DETAILS, NAME, REDACTED, input_json, render_citation
from modelbay.protocols.anthropic.reply import foreign_thinking, has_envelope, native_reason, own_details, reply_blocks
from modelbay.protocols.anthropic.usage import render_usage
from modelbay.protocols.ids import made_id
from modelbay.protocols.opaque import seal
from modelbay.protocols.sequence import Sequence
from modelbay.usage import Usage

_encode = msgspec.json.encode


def _sse(name: str, body: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), _encode({"type": name, **body}))


def stream_renderer(conversation: Conversation) -> "StreamRenderer":
    return StreamRenderer(conversation)


class StreamRenderer:
    def __init__(self, conversation: Conversation) -> None:
        self._model = conversation.model or ""
        self._sequence = Sequence()
        self._id: str | None = None
        self._index = 0
        self._part: AnyPart | None = None
        """The part whose block is open; None for a part without a block, or with one that is written at its end."""
        self._waiting: Text | None = None
        """Text of another protocol without content yet. It has no block if it stays empty: Gemini ends replies with an empty text
        that has a signature."""
        self._held: list[dict[str, Any]] = []
        """Blocks with the state of text of another protocol. They are written before the next block, but not at the end of the
        reply: Claude Code prints nothing if the last block is not a text. The gateway keeps the state."""
        self._delta = b""
        """JSON of the open block's delta before its text."""
        self._streams = False
        """Whether additions to the open part are sent at once."""
        self._usage: Usage | None = None
        self._has_calls = False

    def feed(self, event: Event) -> bytes:
        steps = self._sequence.feed(event)
        if len(steps) == 1:
            return self._step(steps[0])
        if type(event) is Failed:  # a truncated call is never stopped: a client would run a call that looks complete
            steps = [step for step in steps if type(step) in (Started, Failed)]
        return b"".join([self._step(step) for step in steps])

    def _step(self, event: Event) -> bytes:
        if type(event) is PartDelta:
            if self._streams and event.text:
                return b"%b%b}}\n\n" % (self._delta, _encode(event.text))
            if self._waiting is None or not event.text:
                return b""
            return self._begin_text(self._waiting) + b"%b%b}}\n\n" % (self._delta, _encode(event.text))
        match event:
            case PartStarted(part=part):
                return self._open(part)
            case PartEnded(part=part):
                return self._end(part)
            case PartAnnotated(annotation=annotation):
                citation = render_citation(annotation)
                if citation is None or type(self._part or self._waiting) is not Text:
                    return b""
                begin = self._begin_text(self._waiting) if self._waiting is not None else b""
                return begin + self._block_delta({"type": "citations_delta", "citation": citation})
            case Started():
                return self._start(event)
            case UsageReported(usage=usage):
                self._usage = usage
                return b""
            case Finished():
                delta = {"stop_reason": native_reason(event, self._has_calls), "stop_sequence": event.stop_sequence}
                delta |= own_details(event)
                body = {"delta": delta, "usage": render_usage(self._usage)}
                return _sse("message_delta", body) + _sse("message_stop", {})
            case Failed(error=error):
                return b"event: error\ndata: %b\n\n" % _encode(error_object(error)[1])
            case _:
                return b""

    def _start(self, event: Started) -> bytes:
        self._id = event.id
        message: dict[str, Any] = {
            "id": event.id or "",
            "type": "message",
            "role": "assistant",
            "model": event.model or self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": render_usage(self._usage),
        }
        return _sse("message_start", {"message": message})

    def _open(self, part: AnyPart) -> bytes:
        ours = part.origin is None or part.origin.protocol == NAME
        match part:
            case Text() if not ours:
                self._waiting = part
                return b""
            case Refusal() if part.native == DETAILS:
                return b""
            case Text() | Refusal():
                return self._begin_text(part)
            case Thinking() if part.native != REDACTED or not ours:
                empty = {"type": "thinking", "thinking": "", "signature": ""}
                return self._begin(part, empty, "thinking_delta", "thinking")
            case ToolCall() | ServerToolCall() if ours or isinstance(part, ToolCall):
                before = self._written()
                if isinstance(part, ToolCall) and has_envelope(part):
                    before += self._whole({"type": REDACTED, "data": seal(part)})
                block: dict[str, Any] = {"type": part.native if isinstance(part, ServerToolCall) else "tool_use"}
                block |= {"id": part.id or made_id("toolu_", self._id, self._index), "name": part.name, "input": {}}
                if ours:
                    block |= part.extra or {}
                self._has_calls |= isinstance(part, ToolCall)
                return before + self._begin(part, block, "input_json_delta", "partial_json")
            case _:
                return b""  # written whole when it is finished

    def _begin_text(self, part: Text | Refusal) -> bytes:
        self._waiting = None
        return self._begin(part, {"type": "text", "text": ""}, "text_delta", "text")

    def _begin(self, part: AnyPart, block: dict[str, Any], delta: str, field: str) -> bytes:
        before = self._written()
        self._part = part
        # the text of a freeform tool becomes an object when it is complete
        self._streams = type(part) is not ToolCall or part.format == "json"
        head = f'{{"type":"content_block_delta","index":{self._index},"delta":{{"type":"{delta}","{field}":'
        self._delta = b"event: content_block_delta\ndata: " + head.encode()
        return before + _sse("content_block_start", {"index": self._index, "content_block": block})

    def _block_delta(self, delta: dict[str, Any]) -> bytes:
        return _sse("content_block_delta", {"index": self._index, "delta": delta})

    def _stop(self) -> bytes:
        out = _sse("content_block_stop", {"index": self._index})
        self._index += 1
        self._part, self._streams = None, False
        return out

    def _written(self) -> bytes:
        """The blocks that were held until now."""
        blocks, self._held = self._held, []
        return b"".join([self._whole(block) for block in blocks])

    def _whole(self, block: dict[str, Any]) -> bytes:
        return (
            self._written() + _sse("content_block_start", {"index": self._index, "content_block": block}) + self._stop()
        )

    def _end(self, part: AnyPart) -> bytes:
        ours = part.origin is None or part.origin.protocol == NAME
        if self._part is None and self._waiting is None:
            return b"".join([self._whole(block) for block in reply_blocks(part)])
        out = b""
        if type(part) is ToolCall and not self._streams:
            out = b"%b%b}}\n\n" % (self._delta, _encode(_encode(input_json(part)).decode()))
        elif type(part) is Thinking:
            closing = {"signature": part.opaque or ""} if ours else foreign_thinking(part)[0]
            signature = closing.get("signature") or closing.get("data") or ""
            out = self._block_delta({"type": "signature_delta", "signature": signature})
        if self._waiting is None:
            out += self._stop()
        self._waiting = None
        if type(part) is Text and has_envelope(part):
            self._held.append({"type": REDACTED, "data": seal(part)})
        return out
