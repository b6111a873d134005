"""Parses Anthropic streams.

Blocks may overlap (llama.cpp closes all of them at the end), start with content, or lack their stop event. A second
`message_start` (spliced streams) is ignored. The usage of `message_delta` overwrites that of `message_start`.
"""

from typing import Any

from modelbay.conversation import Json, Provenance, ServerToolCall, Text, Thinking, ToolCall, UnknownPart
from modelbay.dialect import Dialect
from modelbay.errors import IncompleteReply, MalformedReply, ModelbayError, ReplyError
from modelbay.events import Event
from modelbay.json_text import decode
from modelbay.protocols.anthropic.errors import error_in
from modelbay.protocols.anthropic.parts import DETAILS, parse_citation
from modelbay.protocols.anthropic.reply import OWN, TOP, refusal, reply_block
from modelbay.protocols.anthropic.usage import merge_usage, parse_usage
from modelbay.protocols.arguments import Arguments
from modelbay.protocols.assembly import Assembly
from modelbay.protocols.failures import unreadable
from modelbay.protocols.finishing import finish
from modelbay.protocols.shapes import count, items, mapping, shown, without, word
from modelbay.protocols.sse import Decoder
from modelbay.protocols.text_frame import TextFrame


def stream_parser(dialect: Dialect, origin: Provenance | None = None) -> "StreamParser":
    return StreamParser(origin)


class StreamParser:
    def __init__(self, origin: Provenance | None = None) -> None:
        self._decoder = Decoder()
        self._assembly = Assembly(origin)
        self._frame = TextFrame(self._assembly)
        self._blocks: dict[int, int] = {}
        """Key of the open part of each block, by the block's index."""
        self._inputs: dict[int, str] = {}
        """Input in a block's start event; used unless deltas follow."""
        self._arguments: dict[int, Arguments] = {}
        self._usage: dict[str, Any] = {}
        self._native: str | None = None
        self.finishing = False
        self._stop: str | None = None
        self._extra: dict[str, Json] = {}

    def feed(self, data: bytes) -> list[Event]:
        events = self._frame.feed(data)
        if events is not None:
            return events
        try:
            for name, payload in self._decoder.feed(data):
                self._event(name, payload)
        except ReplyError as error:
            self._assembly.fail(error)
        events = self._assembly.take()
        self._frame.learn(data, events if self._decoder.whole else [])
        return events

    def close(self) -> list[Event]:
        try:
            for name, payload in self._decoder.close(finished=self.finishing):
                self._event(name, payload)
        except ReplyError as error:
            self._fail(error)
        if not self._assembly.ended:
            if self._native is not None:  # one-api and others omit `message_stop`
                self._finish()
            else:
                what = "stopped before its end" if self._assembly.started else "is empty, or not a stream of events"
                self._fail(IncompleteReply(f"the stream {what}: no `stop_reason` received"))
        return self._assembly.take()

    def _event(self, name: str, payload: bytes) -> None:
        if self._assembly.ended or (payload[:1] != b"{" and not payload.strip()):
            return
        try:
            event = decode(payload)
        except MalformedReply as error:
            if payload.strip() != b"[DONE]":  # gateways add OpenAI's terminator
                self._fail(unreadable(f"an event of the stream is not JSON: {error}", payload))
            return
        if type(event) is not dict:
            self._fail(error_in(event) or unreadable("an event of the stream is not an object", payload))
            return
        match event.get("type") or name:
            case "content_block_delta":
                self._delta(event)
            case "content_block_start":
                self._block(count(event.get("index")) or 0, event.get("content_block"))
            case "content_block_stop":
                self._stop_block(count(event.get("index")) or 0)
            case "message_start":
                self._start(mapping(event.get("message")))
            case "message_delta":
                self._message_delta(event)
            case "message_stop":
                if self._native is None and not self._assembly.started:
                    self._fail(IncompleteReply("the stream ended before the reply started"))
                else:
                    self._finish()
            case "ping":
                pass
            case kind:
                named = "error" in event or kind == "error"
                failure = error_in(event) if named or not kind else None  # a whole body instead of a stream has no type
                if named or failure is not None:
                    self._fail(failure or unreadable("an error event without an error", payload))

    def _start(self, message: dict[str, Any]) -> None:
        """A second start event continues the reply. Blocks that it interrupts were truncated and are dropped (a proxy
        retried); content that it contains is kept (programmatic tool calls)."""
        for key in self._blocks.values():
            self._assembly.drop(key)
        self._blocks.clear()
        self._inputs.clear()
        self._arguments.clear()
        self._assembly.start(word(message.get("id")), word(message.get("model")), without(message, *TOP))
        self._usage = merge_usage(self._usage, message.get("usage"))
        for block in items(message.get("content")):
            self._assembly.whole(reply_block(block))

    def _block(self, index: int, block: Json) -> None:
        self._assembly.start(None, None)
        if index in self._blocks:
            self._stop_block(index)
        part = reply_block({} if block is None else block)
        text = ""
        if type(part) is Text:
            text, part.text = part.text, ""
        elif type(part) is Thinking and part.texts:
            text, part.texts = part.text, []
        elif isinstance(part, ToolCall | ServerToolCall):
            start, part.arguments = part.arguments, ""
            if start not in ("", "{}"):
                self._inputs[index] = start
        annotations, part.annotations = part.annotations, None
        key = self._blocks[index] = self._assembly.open(part)
        if text:
            self._assembly.add(key, text)
        for annotation in annotations or ():
            self._assembly.annotate(key, annotation)

    def _delta(self, event: dict[str, Any]) -> None:
        index, delta = event.get("index"), event.get("delta")
        if not delta:
            return
        if type(delta) is not dict:
            delta = {"type": "text_delta", "text": delta}
        if type(index) is not int:
            index = count(index) or 0
        kind, key = delta.get("type"), self._blocks.get(index)
        if kind == "text_delta":
            if key is None or type(self._assembly.part(key)) is not Text:
                key = self._text_in(index, key)
            if text := shown(delta.get("text")):
                self._assembly.add(key, text)
        elif kind == "thinking_delta":
            if key is None or type(self._assembly.part(key)) is not Thinking:
                key = self._reopen(index, Thinking())
            if text := shown(delta.get("thinking")):
                self._assembly.add(key, text)
        elif key is not None:
            self._other_delta(index, key, delta)

    def _other_delta(self, index: int, key: int, delta: dict[str, Any]) -> None:
        part = self._assembly.part(key)
        match delta.get("type"):
            case "signature_delta":
                if type(part) is Thinking and (signature := word(delta.get("signature"))):
                    part.opaque = (part.opaque or "") + signature
            case "citations_delta":
                if isinstance(delta.get("citation"), dict):
                    self._assembly.annotate(key, parse_citation(delta["citation"]))
            case _ if isinstance(part, ToolCall | ServerToolCall):
                if text := self._arguments.setdefault(index, Arguments()).feed(delta.get("partial_json")):
                    self._inputs.pop(index, None)
                    self._assembly.add(key, text)
            case _ if type(part) is UnknownPart and isinstance(part.raw, dict):  # compaction_delta, and any later types
                for name, value in delta.items():
                    if name != "type":
                        before = part.raw.get(name)
                        part.raw[name] = before + value if isinstance(before, str) and isinstance(value, str) else value

    def _text_in(self, index: int, key: int | None) -> int:
        """The text for a delta whose block is missing or of another kind. SGLang sends text into a tool_use block, whose arguments
        may follow."""
        if key is None or not isinstance(self._assembly.part(key), ToolCall | ServerToolCall):
            return self._reopen(index, Text())
        open_text = self._blocks.get(_beside(index))
        return self._reopen(_beside(index), Text()) if open_text is None else open_text

    def _reopen(self, index: int, part: Text | Thinking) -> int:
        """A part for a delta whose block is missing or of another kind."""
        self._assembly.start(None, None)
        self._stop_block(index)
        self._blocks[index] = self._assembly.open(part)
        return self._blocks[index]

    def _stop_block(self, index: int) -> None:
        if _beside(index) in self._blocks and index >= 0:
            self._stop_block(_beside(index))
        key = self._blocks.pop(index, None)
        if key is None:
            return
        arguments, start = self._arguments.pop(index, None), self._inputs.pop(index, None)
        if (text := arguments.close() if arguments else "") and not (start is not None and text.strip() == "{}"):
            self._assembly.add(key, text)
        elif start is not None:
            self._assembly.add(key, start)
        part = self._assembly.part(key)
        if type(part) is Thinking and part.native is None and not self._assembly.written(key):
            self._assembly.add(key, "")  # thinking with omitted text still has its position, and a signature
        self._assembly.end(key)

    def _message_delta(self, event: dict[str, Any]) -> None:
        delta = mapping(event.get("delta"))
        self._native = word(delta.get("stop_reason")) or self._native
        self.finishing = self._native is not None
        self._stop = word(delta.get("stop_sequence")) or self._stop
        self._usage = merge_usage(self._usage, event.get("usage"))
        self._extra |= without(delta, "stop_reason", "stop_sequence", "type") or {}

    def _finish(self) -> None:
        for index in list(self._blocks):
            self._stop_block(index)
        if (part := refusal(self._native, self._extra.get(DETAILS))) is not None:
            self._assembly.whole(part)
        self._assembly.usage = parse_usage(self._usage)
        finish(self._assembly, self._native, self._stop, self._extra, exact=OWN)

    def _fail(self, error: ModelbayError) -> None:
        for index, key in list(self._blocks.items()):
            if type(self._assembly.part(key)) is not ToolCall:  # truncated, and must not be run
                self._stop_block(index)
        self._assembly.usage = parse_usage(self._usage)
        self._assembly.fail(error)


def _beside(index: int) -> int:
    """The place in `_blocks` of a text that was sent into the block with this index."""
    return -1 - index
