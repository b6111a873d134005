"""Renders Chat Completions streams.

The role comes first; a call's ID and name only in its first delta; one finish reason; usage in a last chunk without
choices if the client requested it; then `[DONE]`, or an error chunk without `[DONE]`.
"""

from typing import Any

import msgspec
from msgspec.structs import replace

from modelbay.conversation import AnyPart, Conversation, Media, Refusal, Text, Thinking, ToolCall
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
from modelbay.protocols.freeform import CALLED_AS_FUNCTION
from modelbay.protocols.ids import made_id
from modelbay.protocols.openai_chat.parts import (
    BLOCKS,
    DETAILS,
    NAME,
    REASONING_FIELDS,
    render_annotation,
    render_detail,
    render_media,
    render_part,
    render_tool_call,
)
from modelbay.protocols.openai_chat.reply import foreign_detail, has_state, native_reason, state_detail, top_fields
from modelbay.protocols.openai_chat.usage import render_usage
from modelbay.protocols.openai_errors import error_object
from modelbay.protocols.sequence import Sequence
from modelbay.usage import Usage

_encode = msgspec.json.encode


def _is_ours(part: AnyPart) -> bool:
    return part.origin is None or part.origin.protocol == NAME


_END = b',"finish_reason":null}]}\n\n'


def _lane(part: AnyPart) -> str | None:
    """Deltas identify calls by index, but texts only by kind, so that two texts of a kind would be merged."""
    match part:
        case Thinking(native="thinking" | "thinking="):
            return "content"
        case Thinking():
            return "reasoning"
        case Text():
            return "content"
        case Refusal():
            return "refusal"
        case _:
            return None


def stream_renderer(conversation: Conversation) -> "StreamRenderer":
    return StreamRenderer(conversation)


class StreamRenderer:
    def __init__(self, conversation: Conversation) -> None:
        self._include_usage = bool(conversation.include_usage)
        self._model = conversation.model or ""
        self._head = b""
        self._id: str | None = None
        self._sequence = Sequence(_lane)
        self._open: dict[int, AnyPart] = {}
        self._calls: dict[int, int] = {}
        """Index of a call."""
        self._has_calls = self._refused = False
        self._ids: dict[int, str] = {}
        """ID sent to the client for a call."""
        self._silent: set[int] = set()
        """Calls without arguments so far."""
        self._frames: dict[int, tuple[bytes, bytes]] = {}
        """JSON before and after a part's text in each of its chunks, for parts without other fields."""
        self._details: dict[int, int] = {}
        """Index of a part in `reasoning_details`."""
        self._usage: Usage | None = None

    def feed(self, event: Event) -> bytes:
        steps = self._sequence.feed(event)
        if len(steps) == 1:
            return self._step(steps[0])
        if type(event) is Failed:  # a truncated call is never finished: a client would run a call that looks complete
            steps = [step for step in steps if type(step) in (Started, Failed)]
        return b"".join([self._step(step) for step in steps])

    def _step(self, event: Event) -> bytes:
        if type(event) is PartDelta:
            frame = self._frames.get(event.key)
            if frame is None or event.logprobs:
                return self._delta_of(event)
            return b"%b%b%b" % (frame[0], _encode(event.text), frame[1])
        match event:
            case Started():
                return self._start(event)
            case PartStarted(key=key, part=part):
                return self._part(key, part)
            case PartAnnotated(annotation=annotation) if annotation.protocol == NAME:
                return self._delta({"annotations": [annotation.raw]})
            case PartEnded(key=key, part=part):
                del self._open[key]
                self._frames.pop(key, None)
                return self._media(part) if type(part) is Media else self._state(key, part)
            case UsageReported(usage=usage):
                self._usage = usage
                return b""
            case Finished():
                return self._finish(event)
            case Failed(error=error):
                return b"data: %b\n\n" % _encode(error_object(error)[1])
            case _:
                return b""

    def _start(self, event: Started) -> bytes:
        extra = event.extra or {}
        self._id = event.id
        head = {
            "id": event.id or "",
            "object": "chat.completion.chunk",
            "created": extra.get("created", 0),
            "model": event.model or self._model,
            **top_fields(extra),
        }
        self._head = b"data: " + _encode(head)[:-1]
        return self._delta({"role": "assistant"})

    def _delta(self, delta: dict[str, Any], more: bytes = b"") -> bytes:
        return b'%b,"choices":[{"index":0,"delta":%b%b%b' % (self._head, _encode(delta), more, _END)

    def _part(self, key: int, part: AnyPart) -> bytes:
        self._open[key] = part
        if type(part) is ToolCall:
            self._has_calls = True
            self._silent.add(key)
            if part.native == "function_call":
                return self._delta({"function_call": {"name": part.name, "arguments": ""}})
            self._calls[key] = len(self._calls)
            bare = replace(part, arguments="")
            self._ids[key] = part.id or made_id("call_", self._id, self._calls[key])
            item = render_tool_call(bare, self._ids[key], with_state=False)
            return self._delta({"tool_calls": [{"index": self._calls[key], **item}]})
        if type(part) is Thinking and (part.native == DETAILS or not _is_ours(part)):
            self._details[key] = len(self._details)
        return b""

    def _media(self, part: Media) -> bytes:
        if part.native == "audio":
            return self._delta({"audio": {"data": part.data, **(part.extra or {})}})
        return self._delta({"images": [render_media(part)]})

    def _framed(self, key: int, before: bytes, text: str, after: bytes) -> bytes:
        """Write a delta; later deltas of the part have the same form."""
        frame = (self._head + b',"choices":[{"index":0,"delta":{' + before, after + b"}" + _END)
        self._frames[key] = frame
        return b"%b%b%b" % (frame[0], _encode(text), frame[1])

    def _delta_of(self, event: PartDelta) -> bytes:
        part = self._open.get(event.key)
        if self._silent and event.text:
            self._silent.discard(event.key)
        match part:
            case Text() if not event.logprobs:
                return self._framed(event.key, b'"content":', event.text, b"")
            case Text():
                more = b',"logprobs":' + _encode({"content": event.logprobs}) if event.logprobs else b""
                return self._delta({"content": event.text}, more)
            case ToolCall(native="function_call"):
                return self._delta({"function_call": {"arguments": event.text}})
            case ToolCall():
                if not event.text:
                    return b""
                custom = part.format == "text" and part.native != CALLED_AS_FUNCTION
                field = b'"custom":{"input":' if custom else b'"function":{"arguments":'
                before = b'"tool_calls":[{"index":%d,%b' % (self._calls[event.key], field)
                return self._framed(event.key, before, event.text, b"}}]")
            case Thinking() if _is_ours(part) and part.native not in ("thinking", "thinking=", DETAILS):
                field = (part.native if part.native in REASONING_FIELDS else REASONING_FIELDS[0]).encode()
                return self._framed(event.key, b'"%b":' % field, event.text, b"")
            case Thinking():
                return self._delta(self._thinking(event.key, part, event.text))
            case Refusal():
                self._refused = True
                return self._delta({"refusal": event.text})
            case _:
                return b""

    def _thinking(self, key: int, part: Thinking, text: str) -> dict[str, Any]:
        if part.origin is not None and part.origin.protocol != NAME:
            bare = Thinking(texts=[text], origin=part.origin)
            return {REASONING_FIELDS[0]: text, DETAILS: [foreign_detail(bare, self._details.get(key, 0), whole=False)]}
        if part.native in ("thinking", "thinking="):
            return {"content": [render_part(Thinking(texts=[text], native=part.native))]}
        extra = self._numbered(key, part)
        item = render_detail(Thinking(texts=[text], native=DETAILS, summary=part.summary, extra=extra))
        return {"reasoning": text, DETAILS: [item]}

    def _numbered(self, key: int, part: Thinking) -> dict[str, Any]:
        """A detail's own fields and an index: fragments with the same index and type form one detail."""
        extra = dict(part.extra or {"type": "reasoning.summary" if part.summary else "reasoning.text"})
        if index := self._details.get(key):
            extra.setdefault("index", index)
        return extra

    def _state(self, key: int, part: AnyPart) -> bytes:
        """Fields known only at the end of a part: signatures, blank reasoning, envelopes with other providers' state."""
        ours = _is_ours(part)
        delta: dict[str, Any] = {}
        if type(part) is Thinking and ours:
            if part.native == DETAILS and (part.opaque is not None or not part.text):
                bare = Thinking(opaque=part.opaque, native=DETAILS, extra=self._numbered(key, part))
                delta[DETAILS] = [render_detail(bare)]
            elif part.native in ("thinking", "thinking=") and (part.extra or not part.text):
                delta["content"] = [render_part(Thinking(texts=[""], native=part.native, extra=part.extra))]
            elif part.native == BLOCKS:
                delta[BLOCKS] = [render_detail(part)]
            elif part.native == REASONING_FIELDS[0] and part.texts and not part.text:
                delta[REASONING_FIELDS[0]] = ""
        elif type(part) is ToolCall and part.native != "function_call":
            if item := self._call_state(key, part):
                delta["tool_calls"] = [{"index": self._calls[key], **item}]
        elif type(part) is ToolCall and key in self._silent:
            delta["function_call"] = {"arguments": "{}"}
        elif type(part) is Thinking:
            closing = foreign_detail(part, self._details.get(key, 0))
            closing.pop("text", None)
            delta[DETAILS] = [closing]
        if type(part) is Text:  # citations of other protocols need the complete text
            others = [render_annotation(a, part.text) for a in part.annotations or () if a.protocol != NAME]
            if cited := [item for item in others if item is not None]:
                delta["annotations"] = cited
        if has_state(part):
            self._details[key] = len(self._details)
            delta[DETAILS] = [state_detail(part, self._ids.get(key), self._details[key])]
        return self._delta(delta) if delta else b""

    def _call_state(self, key: int, part: ToolCall) -> dict[str, Any]:
        item: dict[str, Any] = {}
        if _is_ours(part) and (part.opaque is not None or part.extra):
            item = render_tool_call(ToolCall(opaque=part.opaque, extra=part.extra), None)
            del item["type"], item["function"]
        if key in self._silent and part.format == "json":
            item["function"] = {"arguments": "{}"}  # clients parse JSON in the text they received
        return item

    def _finish(self, event: Finished) -> bytes:
        reason = native_reason(event.reason, event.native, has_calls=self._has_calls, refused=self._refused)
        out = b'%b,"choices":[{"index":0,"delta":{},"finish_reason":"%b"}]}\n\n' % (self._head, reason.encode())
        if self._include_usage:
            usage = None if self._usage is None else render_usage(self._usage)
            out += b'%b,"choices":[],"usage":%b}\n\n' % (self._head, _encode(usage))
        return out + b"data: [DONE]\n\n"
