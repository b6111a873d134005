"""Responses streams out: events to the protocol's.

`created`, `in_progress`; items one after the other, each added, filled and done, with the whole text in every `done`; then
`completed`, `incomplete` or `failed`, whose output is the items that were done and which always has usage. Texts that
follow each other share a message.
"""

from hashlib import sha256
from typing import Any
from uuid import uuid4

import msgspec

from modelbay.conversation import (
    Annotation,
    AnyPart,
    Conversation,
    Extra,
    Media,
    Part,
    Refusal,
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
from modelbay.protocols.opaque import seal
from modelbay.protocols.openai_errors import error_object
from modelbay.protocols.openai_responses.items import (
    fields,
    is_content,
    item_of,
    kept_item,
    own,
    render_call,
    render_image,
    render_reasoning,
)
from modelbay.protocols.openai_responses.parts import NAME, OUTPUT, render_annotation, render_annotations, render_part
from modelbay.protocols.openai_responses.usage import render_usage
from modelbay.protocols.sequence import Sequence
from modelbay.usage import Usage

_encode = msgspec.json.encode
_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter", "refusal": "content_filter"}
_BLANK: Extra = {
    "error": None, "incomplete_details": None, "instructions": None, "max_output_tokens": None, "metadata": {},
    "parallel_tool_calls": True, "previous_response_id": None, "reasoning": {"effort": None, "summary": None},
    "store": False, "temperature": None, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [],
    "top_p": None, "truncation": "disabled", "usage": None, "user": None,
}  # fmt: skip
"""The fields that every response has; the official types require them."""


def stream_renderer(conversation: Conversation) -> "StreamRenderer":
    return StreamRenderer(conversation)


class StreamRenderer:
    """`silent` writes nothing; `response` is then the reply in one piece."""

    def __init__(self, conversation: Conversation, *, silent: bool = False) -> None:
        self.response: Extra = {}
        self._model = conversation.model or ""
        self._silent = silent
        self._sequence = Sequence(interleave=False)
        self._number = 0
        self._output: list[dict[str, Any]] = []
        self._names = ""
        """What the ids made here have in common; no other reply has it."""
        self._used: set[str] = set()
        self._usage: Usage | None = None
        self._refused = False
        self._message: _Message | None = None
        self._item: dict[str, Any] = {}
        """The open item, as it was added."""
        self._index = 0
        """Where the open text stands in its item."""
        self._text: list[str] | None = None
        """The open text so far; None where none is open."""
        self._head, self._tail = b"", b""
        """The open text's delta event, before its text and after its number."""
        self._logprobs: list[Any] = []
        self._annotations: list[dict[str, Any]] = []

    def feed(self, event: Event) -> bytes:
        out = b""
        for step in self._sequence.feed(event):
            if type(step) is PartDelta:
                out += self._delta(step)
            elif type(step) is not PartEnded or type(event) is not Failed:
                # what a failure cut off is never done: a client would run a call that is
                out += self._step(step)
        return out

    def _step(self, event: Event) -> bytes:
        match event:
            case PartStarted(part=part):
                return self._part_started(part)
            case PartEnded(part=part):
                return self._part_ended(part)
            case PartAnnotated(annotation=annotation):
                return self._annotated(annotation)
            case Started():
                return self._started(event)
            case UsageReported(usage=usage):
                self._usage = usage
                return b""
            case Finished():
                return self._finished(event)
            case Failed(error=error):
                why = error_object(error)[1]["error"]
                failure = {"code": why["code"] or "server_error", "message": why["message"]}
                return self._end("failed", {"error": failure})
            case _:
                return b""

    def _emit(self, kind: str, **body: Any) -> bytes:
        if self._silent:
            return b""
        data = _encode({"type": kind, **body, "sequence_number": self._number})
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)

    # --- the response ---

    def _started(self, event: Started) -> bytes:
        id = event.id or f"resp_{uuid4().hex}"
        self._names = sha256(id.encode()).hexdigest()[:24]
        self.response = {
            "id": id,
            "object": "response",
            "created_at": (event.extra or {}).get("created", 0),
            "status": "in_progress",
            "model": event.model or self._model,
            "output": [],
            **_BLANK,
        }
        response = self.response
        return self._emit("response.created", response=response) + self._emit("response.in_progress", response=response)

    def _finished(self, event: Finished) -> bytes:
        out = self._close_message()
        if event.reason == "pause" and event.native in ("queued", "in_progress"):
            return out + self._end(event.native)
        reason = None if event.reason == "refusal" and self._refused else _REASONS.get(event.reason)
        if reason is None:
            return out + self._end("completed")
        return out + self._end("incomplete", {"incomplete_details": {"reason": reason}})

    def _end(self, status: str, also: Extra | None = None) -> bytes:
        self.response |= {"status": status, "output": self._output, "usage": render_usage(self._usage), **(also or {})}
        return self._emit(f"response.{status}", response=self.response)

    # --- items ---

    def _id(self, part: Part, prefix: str) -> str:
        """The item's own id, else one made here."""
        id = part.item_id if _ours(part) else None
        if not id or id in self._used:
            id = f"{prefix}_{self._names}{len(self._output):02x}"
        self._used.add(id)
        return id

    def _call_id(self, call: ToolCall) -> str:
        id = call.id
        if not id or f"call {id}" in self._used:  # two calls of one id cannot be told apart by anyone
            id = f"call_{self._names}{len(self._output):02x}"
        self._used.add(f"call {id}")
        return id

    def _add(self, item: dict[str, Any]) -> bytes:
        self._item, self._text = item, None
        return self._emit("response.output_item.added", output_index=len(self._output), item=item)

    def _done(self, item: dict[str, Any]) -> bytes:
        out = self._emit("response.output_item.done", output_index=len(self._output), item=item)
        self._output.append(item)
        return out

    def _whole(self, item: dict[str, Any]) -> bytes:
        return self._add(item) + self._done(item)

    def _carrier(self, part: AnyPart) -> bytes:
        """Another provider's state of a text or a call, kept with the client."""
        id = f"rs_{self._names}{len(self._output):02x}"
        return self._whole({"id": id, "type": "reasoning", "summary": [], "encrypted_content": seal(part)})

    def _part_started(self, part: AnyPart) -> bytes:
        if is_content(part):
            return self._open_content(part)
        out = self._close_message()
        self._item, self._text = {}, None
        if part.opaque is not None and not _ours(part) and not isinstance(part, Thinking):
            out += self._carrier(part)
            self._item = {}
        match part:
            case Thinking():
                return out + self._add({"id": self._id(part, "rs"), "type": "reasoning", "summary": []})
            case ToolCall():
                prefix = "ctc" if part.input == "text" else "fc"
                item = {"id": self._id(part, prefix), **render_call(part, self._call_id(part)), "status": "in_progress"}
                field = "input" if part.input == "text" else "arguments"
                item[field] = ""
                kind = "custom_tool_call_input" if part.input == "text" else "function_call_arguments"
                out += self._add(item | (own(part) if _ours(part) else {}))
                self._open_text(f"response.{kind}.delta", {})
                return out
            case _:
                return out  # written whole when it is finished

    def _part_ended(self, part: AnyPart) -> bytes:
        match part:
            case _ if is_content(part):
                return self._close_content(part)
            case Thinking():
                return self._close_thinking(part)
            case ToolCall() if self._item:
                return self._close_call(part)
            case Media(kind="image") if part.data is not None:
                item = {"id": self._id(part, "ig"), "status": "completed", **render_image(part)}
                return self._whole(item)
            case _:
                item = kept_item(part) if _ours(part) else None
                if item is None or "type" not in item:
                    return b""
                return self._whole({**item, "id": self._id(part, "item")})

    # --- texts ---

    def _open_text(self, kind: str, where: Extra, tail: bytes = b"}\n\n") -> None:
        self._text, self._logprobs, self._annotations = [], [], []
        self._tail = tail
        if not self._silent:
            event = {"type": kind, "item_id": self._item["id"], "output_index": len(self._output), **where}
            self._head = b'event: %b\ndata: %b,"delta":' % (kind.encode(), _encode(event)[:-1])

    def _write(self, text: str, logprobs: list[Any] | None = None) -> bytes:
        """A delta of the open text."""
        if self._text is None:
            return b""
        self._text.append(text)
        if logprobs:
            self._logprobs += logprobs
        if self._silent:
            return b""
        tail = self._tail if not logprobs else b',"logprobs":%b}\n\n' % _encode(logprobs)
        out = b'%b%b,"sequence_number":%d%b' % (self._head, _encode(text), self._number, tail)
        self._number += 1
        return out

    def _written(self, final: str) -> tuple[bytes, str]:
        """The delta that is still to come, where the finished text has more, and the whole of what was written."""
        out = b""
        text = "".join(self._text or ())
        if len(final) > len(text) and final.startswith(text):
            out, text = self._write(final[len(text) :]), final
        return out, text

    def _delta(self, event: PartDelta) -> bytes:
        if not event.text and not event.logprobs:
            return b""
        if self._item.get("type") == "reasoning":
            before = self._next_thought(event.index)
            return before + self._write(event.text)
        return self._write(event.text, event.logprobs)

    # --- messages ---

    def _open_content(self, part: AnyPart) -> bytes:
        item, out = self._message, b""
        if item is None or (part.item_id if _ours(part) else None) != item.item_id:
            out = self._close_message()
            item = self._message = _Message(part.item_id if _ours(part) else None)
            more = {name: value for name, value in fields(item_of(part)).items() if name == "phase"}
            message = {"id": self._id(part, "msg"), "type": "message", "role": "assistant", "content": []}
            out += self._add({**message, **more, "status": "in_progress"})
            item.status = item_of(part).status or "completed"
        self._index = len(item.content)
        self._text = None
        if not isinstance(part, Text | Refusal):
            return out
        blank = _content(Text() if isinstance(part, Text) else Refusal())
        out += self._emit("response.content_part.added", **self._place(), part=blank)
        kind = "output_text" if isinstance(part, Text) else "refusal"
        tail = b',"logprobs":[]}\n\n' if isinstance(part, Text) else b"}\n\n"
        self._open_text(f"response.{kind}.delta", {"content_index": self._index}, tail)
        return out

    def _place(self) -> Extra:
        return {"item_id": self._item["id"], "output_index": len(self._output), "content_index": self._index}

    def _annotated(self, annotation: Annotation) -> bytes:
        item = render_annotation(annotation, "".join(self._text or ()))
        if item is None or self._text is None or self._message is None:
            return b""
        self._annotations.append(item)
        where = {**self._place(), "annotation_index": len(self._annotations) - 1}
        return self._emit("response.output_text.annotation.added", **where, annotation=item)

    def _close_content(self, part: AnyPart) -> bytes:
        if self._message is None:
            return b""
        out, text = b"", ""
        if self._text is not None:
            out, text = self._written(part.text if isinstance(part, Text | Refusal) else "")
        content: dict[str, Any] | None
        if isinstance(part, Text):
            for annotation in (part.annotations or [])[len(self._annotations) :]:
                out += self._annotated(annotation)
            logprobs = self._logprobs or part.logprobs or []
            content = {"type": OUTPUT, "text": text, "annotations": self._annotations, "logprobs": logprobs}
            content |= own(part) if _ours(part) else {}
            out += self._emit("response.output_text.done", **self._place(), text=text, logprobs=logprobs)
        elif isinstance(part, Refusal):
            self._refused = True
            content = {"type": "refusal", "refusal": text, **(own(part) if _ours(part) else {})}
            out += self._emit("response.refusal.done", **self._place(), refusal=text)
        else:
            content = render_part(part, OUTPUT)
            if content is None:
                return b""
            out += self._emit("response.content_part.added", **self._place(), part=content)
        out += self._emit("response.content_part.done", **self._place(), part=content)
        self._message.content.append(content)
        self._text = None
        if part.opaque is not None and not _ours(part):
            out += self._close_message() + self._carrier(part)
        return out

    def _close_message(self) -> bytes:
        message, self._message = self._message, None
        if message is None:
            return b""
        return self._done({**self._item, "content": message.content, "status": message.status})

    # --- thinking ---

    def _next_thought(self, index: int) -> bytes:
        """Opens texts up to `index`; an earlier one that comes back goes on in the last, as it is done."""
        out = b""
        while self._text is None or self._index < index:
            out += self._close_thought()
            out += self._open_thought()
        return out

    def _open_thought(self) -> bytes:
        return b""
