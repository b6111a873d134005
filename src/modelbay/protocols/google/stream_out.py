"""Renders Gemini streams: each chunk is a complete GenerateContentResponse.

Calls are sent whole; all chunks have the same response ID (pydantic-ai treats another one as a resumed stream); finish
reason and usage are in the last chunk. Framed as server-sent events, or as a JSON array for a client without `alt=sse`.
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
from modelbay.protocols.google.reply import PartWriter, render_end
from modelbay.protocols.google.request import FRAMING
from modelbay.protocols.google.usage import render_usage
from modelbay.protocols.sequence import Sequence
from modelbay.protocols.sse import encode
from modelbay.usage import Usage

_encode = msgspec.json.encode
_HEAD = b'{"candidates":[{"content":{"parts":['
_END = b'],"role":"model"},"index":0'


def stream_renderer(conversation: Conversation) -> "StreamRenderer":
    return StreamRenderer(conversation)


def _stays_whole(part: AnyPart) -> bool:
    """Whether a part cannot be streamed: calls, and parts with fields that must be sent with their text."""
    if not isinstance(part, Text | Thinking | Refusal):
        return True
    return part.opaque is not None or (part.extra is not None and is_ours(part))


class StreamRenderer:
    def __init__(self, conversation: Conversation) -> None:
        self._array = conversation.settings.spelling.get(FRAMING) == "array"
        self._first = True
        self._model = conversation.model
        self._tail: Fields = {}
        """Fields at the end of every chunk."""
        self._tail_bytes = b"}]}"
        self._sequence = Sequence()
        self._state = PartWriter()
        self._part: AnyPart = Text()
        """The open part."""
        self._whole = False
        """Whether it is written at its end."""
        self._written = False
        """Whether some of its text was sent."""
        self._last: type[AnyPart] | None = None
        """The kind of the previous part, if its text would be read as continued by the next one."""
        self._cited: list[AnyPart] = []
        self._answered = False
        self._usage: Usage | None = None

    def feed(self, event: Event) -> bytes:
        steps = self._sequence.feed(event)
        if type(event) is Finished or type(event) is Failed:
            steps = self._without_cut_off(steps)
        if len(steps) == 1:
            return self._step(steps[0])
        return b"".join([self._step(step) for step in steps])

    def _without_cut_off(self, steps: list[Event]) -> list[Event]:
        """Drop the ends added for unfinished parts: an incomplete call must not be run."""
        started = {step.key: step.part for step in steps if type(step) is PartStarted}
        return [
            step for step in steps if type(step) is not PartEnded or step.part is not started.get(step.key, self._part)
        ]

    def _step(self, event: Event) -> bytes:
        match event:
            case PartDelta():
                return self._text(event) if (event.text or event.logprobs) and not self._whole else b""
            case PartStarted(part=part):
                self._part, self._whole, self._written = part, _stays_whole(part), False
                return b""
            case PartEnded(part=part):
                return self._end(part)
            case Started():
                return self._start(event)
            case UsageReported(usage=usage):
                self._usage = usage
                return b""
            case Finished():
                end = render_end(self._state.ended(event), self._cited, [{"text": ""}] if self._answered else [])
                if self._usage is not None:
                    end["usageMetadata"] = render_usage(self._usage)
                return self._close(_encode(end | self._tail))
            case Failed(error=error):
                return self._close(_encode(error_object(error)[1]))
            case _:
                return b""

    # --- framing ---

    def _start(self, event: Started) -> bytes:
        if model := event.model or self._model:
            self._tail["modelVersion"] = model
        if event.id:
            self._tail["responseId"] = event.id
        self._tail_bytes = b"}]," + _encode(self._tail)[1:] if self._tail else b"}]}"
        return b""

    def _frame(self, chunk: bytes) -> bytes:
        if not self._array:
            return encode(chunk)
        first, self._first = self._first, False
        return b"%b%b" % (b"[" if first else b",\r\n", chunk)

    def _close(self, chunk: bytes) -> bytes:
        return self._frame(chunk) + (b"]" if self._array else b"")

    def _chunk(self, parts: bytes, more: bytes = b"") -> bytes:
        self._answered = True
        return self._frame(b"%b%b%b%b%b" % (_HEAD, parts, _END, more, self._tail_bytes))

    # --- parts ---

    def _text(self, delta: PartDelta) -> bytes:
        thought = b',"thought":true' if type(self._part) is Thinking else b""
        part = b'{"text":%b%b}' % (_encode(delta.text), thought)
        kind = Thinking if thought else Text
        if not self._written and self._last is kind:
            # an empty part before it: parts within one chunk are separate, but the first of a chunk continues the last
            # one
            part = b'{"text":""%b},%b' % (thought, part)
        self._written, self._last = True, kind
        more = b',"logprobsResult":' + _encode(render_logprobs(delta.logprobs)) if delta.logprobs else b""
        return self._chunk(part, more)

    def _end(self, part: AnyPart) -> bytes:
        if part.annotations:
            self._cited.append(part)
        if self._whole or (not self._written and _stays_whole(part)):
            return self._write_whole(part)
        if part.opaque is None and (type(part) is not Thinking or is_ours(part)):
            return b""
        # the text was sent already: the signature follows on an empty part, as in Gemini itself
        self._last = None
        signature = part.opaque if is_ours(part) else self._state.signature(part, with_text=True)
        thought = {"thought": True} if type(part) is Thinking else {}
        return self._chunk(_encode({"text": "", **thought, SIGNATURE: signature}))

    def _write_whole(self, part: AnyPart) -> bytes:
        item = self._state.render(part)
        if item is None:
            return b""
        self._last = None
        logprobs = part.logprobs if type(part) is Text else None
        more = b',"logprobsResult":' + _encode(render_logprobs(logprobs)) if logprobs else b""
        return self._chunk(_encode(item), more)
