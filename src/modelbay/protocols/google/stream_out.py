"""Gemini streams out: events to chunks, each a whole GenerateContentResponse.

Calls come whole; one response id in all chunks (pydantic-ai takes another one for a resumed stream); finish reason and
usage in the last. Framed as server-sent events, or as a JSON array for a client that did not ask for `alt=sse`.
"""

import msgspec

from modelbay.conversation import AnyPart, Conversation, Refusal, Text, Thinking
from modelbay.events import (
    Event,
    Failed,
    Finished,
    PartDelta,
    PartEnded,
    PartStarted,
    Started,
    UsageReported,
)
from modelbay.protocols.google.case import Fields
from modelbay.protocols.google.errors import error_object
from modelbay.protocols.google.logprobs import render_logprobs
from modelbay.protocols.google.parts import SIGNATURE, is_ours
from modelbay.protocols.google.reply import State, render_end
from modelbay.protocols.google.request import FRAMING
from modelbay.protocols.google.usage import render_usage
from modelbay.protocols.sse import encode
from modelbay.usage import Usage

_encode = msgspec.json.encode
_HEAD = b'{"candidates":[{"content":{"parts":['
_END = b'],"role":"model"},"index":0'


def stream_renderer(conversation: Conversation) -> "StreamRenderer":
    return StreamRenderer(conversation)


class _Open:
    """A part under way. Parts are written one after the other, so those that start early wait."""

    __slots__ = ("ended", "held", "part", "whole", "written")

    def __init__(self, part: AnyPart) -> None:
        self.part = part
        self.whole = _stays_whole(part)
        self.held: list[PartDelta] = []
        self.ended = False
        self.written = False


def _stays_whole(part: AnyPart) -> bool:
    """Whether a part cannot be written bit by bit: calls, and what must stand on the same part as its text."""
    if not isinstance(part, Text | Thinking | Refusal):
        return True
    return part.opaque is not None or (part.extra is not None and is_ours(part))


class StreamRenderer:
    def __init__(self, conversation: Conversation) -> None:
        self._array = conversation.settings.spelling.get(FRAMING) == "array"
        self._first = True
        self._tail: Fields = {"modelVersion": conversation.model} if conversation.model else {}
        self._tail_bytes = b"}]}"
        self._set_tail()
        self._open: dict[int, _Open] = {}
        """In the order in which they started; the first of them is the one being written."""
        self._state = State()
        self._last: type[AnyPart] | None = None
        """The kind of the last part, if what follows would continue it."""
        self._cited: list[AnyPart] = []
        self._wrote = False
        self._usage: Usage | None = None
        self._done = False

    def feed(self, event: Event) -> bytes:
        if self._done:
            return b""
        match event:
            case PartDelta(key=key):
                return self._delta(key, event)
            case PartStarted(key=key, part=part):
                self._open[key] = _Open(part)
                return b""
            case PartEnded(key=key, part=part):
                return self._end_part(key, part)
            case Started() if self._first:
                self._tail |= {"modelVersion": event.model} if event.model else {}
                self._tail |= {"responseId": event.id} if event.id else {}
                self._set_tail()
                return b""
            case UsageReported(usage=usage):
                self._usage = usage
                return b""
            case Finished():
                return self._finish(event)
            case Failed(error=error):
                self._done = True
                out = self._frame(_encode(error_object(error)[1]))
                return out + b"]" if self._array else out
            case _:
                return b""

    # --- framing ---

    def _set_tail(self) -> None:
        self._tail_bytes = b"}]," + _encode(self._tail)[1:] if self._tail else b"}]}"

    def _frame(self, chunk: bytes) -> bytes:
        first, self._first = self._first, False
        if not self._array:
            return encode(chunk)
        return b"%b%b" % (b"[" if first else b",\r\n", chunk)

    def _chunk(self, parts: bytes, more: bytes = b"") -> bytes:
        self._wrote = True
        return self._frame(b"%b%b%b%b%b" % (_HEAD, parts, _END, more, self._tail_bytes))

    # --- parts ---

    def _delta(self, key: int, delta: PartDelta) -> bytes:
        opened = self._open.get(key)
        if opened is None:
            return b""
        if next(iter(self._open)) != key or opened.whole:
            opened.held.append(delta)  # others before it are to be finished first
            return b""
        return self._write_text(opened, delta)

    def _write_text(self, opened: _Open, delta: PartDelta) -> bytes:
        if not delta.text:
            return b""
        thought = type(opened.part) is Thinking
        part = b'{"text":%b%b}' % (_encode(delta.text), b',"thought":true' if thought else b"")
        if not opened.written:
            part = self._apart(opened.part) + part
            opened.written = True
        more = b',"logprobsResult":' + _encode(render_logprobs(delta.logprobs)) if delta.logprobs else b""
        return self._chunk(part, more)

    def _apart(self, part: AnyPart) -> bytes:
        """An empty part that ends the one before, where the next would be read as more of it."""
        kind = Thinking if type(part) is Thinking else Text
        if self._last is not kind:
            return b""
        return b'{"text":"","thought":true},' if kind is Thinking else b'{"text":""},'

    def _end_part(self, key: int, part: AnyPart) -> bytes:
        opened = self._open.get(key)
        if opened is None:
            return b""
        opened.part, opened.ended = part, True
        return self._advance()

    def _advance(self) -> bytes:
        """Ends the parts that are whole, in their order, and lets the next one flow."""
        out: list[bytes] = []
        for key, opened in list(self._open.items()):
            if not opened.ended:
                if not opened.whole:
                    out += [self._write_text(opened, delta) for delta in opened.held]
                    opened.held = []
                break
            del self._open[key]
            out.append(self._write_end(opened))
        return b"".join(out)

    def _write_end(self, opened: _Open) -> bytes:
        part = opened.part
        if part.annotations:
            self._cited.append(part)
        if _stays_whole(part) and not opened.written:
            return self._whole(part)
        out = b"".join([self._write_text(opened, delta) for delta in opened.held])
        if opened.written:
            self._last = Thinking if type(part) is Thinking else Text
        if part.opaque is None:
            return out
        # the text is out already: the signature follows on an empty part, as Gemini itself does it
        signature = part.opaque if is_ours(part) else self._state.signature(part, with_text=True)
        empty: Fields = {"text": "", **({"thought": True} if type(part) is Thinking else {}), SIGNATURE: signature}
        self._last = None
        return out + self._chunk(_encode(empty))

    def _whole(self, part: AnyPart) -> bytes:
        item = self._state.render(part)
        if item is None:
            return b""
        self._last = None
        logprobs = part.logprobs if type(part) is Text else None
        more = b',"logprobsResult":' + _encode(render_logprobs(logprobs)) if logprobs else b""
        return self._chunk(_encode(item), more)

    # --- the end ---

    def _finish(self, event: Finished) -> bytes:
        self._done = True
        # a part that never ended is not whole; those that waited for it are
        out = b"".join([self._write_end(opened) for opened in self._open.values() if opened.ended])
        self._open = {}
        end = render_end(event, self._cited, [{"text": ""}] if self._wrote else [])
        if self._usage is not None:
            end["usageMetadata"] = render_usage(self._usage)
        out += self._frame(_encode(end | self._tail))
        return out + b"]" if self._array else out
