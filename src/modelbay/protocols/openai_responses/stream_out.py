"""Renders Responses streams.

`created`, `in_progress`; items one after the other, each added, filled and done, with the whole text in every `done`;
then `completed`, `incomplete` or `failed`, whose output contains the finished items and which always has usage. After a failure,
it contains the beginning of an open message, too.
Consecutive texts share a message.
"""

from hashlib import sha256
from typing import Any
from uuid import uuid4

import msgspec
from msgspec.structs import replace

from modelbay.conversation import (
    Annotation,
    AnyPart,
    Conversation,
    Extra,
    Media,
    Part,
    Refusal,
    ResponsesItem,
    ServerToolCall,
    Text,
    Thinking,
    ToolCall,
)
from modelbay.errors import RateLimited
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
from modelbay.protocols import tool_search
from modelbay.protocols.arguments import is_cut
from modelbay.protocols.opaque import seal
from modelbay.protocols.openai_errors import error_object
from modelbay.protocols.openai_responses import client_tools
from modelbay.protocols.openai_responses.items import (
    CALL_OF_SEARCH,
    fields,
    is_content,
    item_of,
    kept_item,
    own,
    render_call,
    render_image,
    render_reasoning,
)
from modelbay.protocols.openai_responses.parts import NAME, OUTPUT, render_annotation, render_part
from modelbay.protocols.openai_responses.references import own_id
from modelbay.protocols.openai_responses.usage import render_usage
from modelbay.protocols.sequence import Sequence
from modelbay.usage import Usage

_encode = msgspec.json.encode
_REASONS = {
    "length": "max_output_tokens", "content_filter": "content_filter", "refusal": "content_filter",
    "other": "max_output_tokens",  # the protocol has no other reason, and "completed" would mean a complete reply
}  # fmt: skip
_BLANK: Extra = {
    "error": None, "incomplete_details": None, "instructions": None, "max_output_tokens": None, "metadata": {},
    "parallel_tool_calls": True, "previous_response_id": None, "reasoning": {"effort": None, "summary": None},
    "store": False, "temperature": None, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [],
    "top_p": None, "truncation": "disabled", "usage": None, "user": None,
}  # fmt: skip
"""Fields that every response has; the official types require them."""
REPEATED = "repeated"
"""The member of `Started.extra` that has fields of the request, which the response repeats."""


def stream_renderer(conversation: Conversation) -> "StreamRenderer":
    return StreamRenderer(conversation)


class StreamRenderer:
    """With `silent`, writes nothing; `response` is then the reply without streaming."""

    def __init__(self, conversation: Conversation, *, silent: bool = False) -> None:
        self.response: Extra = {}
        self._model = conversation.model or ""
        self._silent = silent
        self._sequence = Sequence()
        self._number = 0
        self._output: list[dict[str, Any]] = []
        self._names = ""
        """The common part of IDs made here, unique to this reply."""
        self._used: set[str] = set()
        self._usage: Usage | None = None
        self._refused = False
        self._message: _Message | None = None
        self._waiting: AnyPart | None = None
        """A text of another protocol without content so far. SDKs parse each text as the requested JSON, so none may be
        empty."""
        self._item: dict[str, Any] = {}
        """The open item, as it was added."""
        self._thoughts: list[str] = []
        """The finished texts of the open reasoning item."""
        self._summary = True
        self._text: list[str] | None = None
        """The text of the open text part so far; None if none is open."""
        self._head, self._tail = b"", b""
        """The open text's delta event, before its text and after its number."""
        self._logprobs: list[Any] = []
        self._annotations: list[dict[str, Any]] = []

    def feed(self, event: Event) -> bytes:
        steps = self._sequence.feed(event)
        if type(event) is Failed:  # a truncated call is never done: a client would run a done call
            steps = [step for step in steps if type(step) in (Started, Failed)]
        return b"".join([self._delta(step) if type(step) is PartDelta else self._step(step) for step in steps])

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
                message = _with_wait(why["message"], error)
                self._keep_begun()
                return self._end("failed", {"error": {"code": _code(why["code"]), "message": message}})
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
        id, extra = event.id or f"resp_{uuid4().hex}", event.extra or {}
        self._names = sha256(id.encode()).hexdigest()[:24]
        self.response = {
            "id": id,
            "object": "response",
            "created_at": extra.get("created", 0),
            "status": "in_progress",
            "model": event.model or self._model,
            "output": [],
            **_BLANK,
            **(repeated if isinstance(repeated := extra.get(REPEATED), dict) else {}),
        }
        response = self.response
        return self._emit("response.created", response=response) + self._emit("response.in_progress", response=response)

    def _finished(self, event: Finished) -> bytes:
        out = self._close_message()
        if event.reason == "pause" and event.native in ("queued", "in_progress") and self._silent:
            return out + self._end(event.native)  # fetched later; a stream has to end
        reason = None if event.reason == "refusal" and self._refused else _REASONS.get(event.reason)
        if reason is None:
            return out + self._end("completed")
        return out + self._end("incomplete", {"incomplete_details": {"reason": reason}})

    def _end(self, status: str, also: Extra | None = None) -> bytes:
        self.response |= {"status": status, "output": self._output, "usage": render_usage(self._usage), **(also or {})}
        return self._emit(f"response.{status}", response=self.response)

    def _keep_begun(self) -> None:
        """Add an open message to the output, as it was sent so far. A call that has begun is left out: a client would run it."""
        if (message := self._message) is None:
            return
        content, text = message.content, "".join(self._text or ())
        if text and message.part is not None:
            field = "text" if message.part["type"] == OUTPUT else "refusal"
            content = [*content, {**message.part, field: text}]
        if content:
            self._output.append({**self._item, "content": content, "status": "incomplete"})

    # --- items ---

    def _id(self, part: Part, prefix: str) -> str:
        """The item's own ID, else one made here."""
        id = part.item_id if _ours(part) else None
        if not id or id in self._used:
            id = own_id(prefix, self._names, len(self._output))
        self._used.add(id)
        return id

    def _call_id(self, call: ToolCall) -> str:
        id = call.id
        if not id or f"call {id}" in self._used:  # nothing can distinguish two calls with the same ID
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
        """Another provider's state of a text or call, stored with the client."""
        id = own_id("rs", self._names, len(self._output))
        return self._whole({"id": id, "type": "reasoning", "summary": [], "encrypted_content": seal(part)})

    def _part_started(self, part: AnyPart) -> bytes:
        self._waiting = part if isinstance(part, Text | Refusal) and not _ours(part) else None
        if self._waiting is not None:
            return b""
        if is_content(part):
            return self._open_content(part)
        out = self._close_message()
        if isinstance(part, ToolCall) and part.opaque is not None and not _ours(part):
            out += self._carrier(part)
        self._item, self._text = {}, None
        match part:
            case Thinking():
                self._thoughts, self._summary = [], part.summary or not _ours(part)
                return out + self._add({"id": self._id(part, "rs"), "type": "reasoning", "summary": []})
            case ToolCall(native=tool_search.CALL):
                item = {"id": self._id(part, "tsc"), **render_call(part, self._call_id(part)), "status": "in_progress"}
                return out + self._add(item | {"arguments": {}})  # which have no deltas
            case ToolCall(native=native) if native in client_tools.CALLS:
                return out  # written whole when it is finished
            case ToolCall():
                prefix = "ctc" if part.format == "text" else "fc"
                item = {"id": self._id(part, prefix), **render_call(part, self._call_id(part)), "status": "in_progress"}
                field = "input" if part.format == "text" else "arguments"
                item[field] = ""
                kind = "custom_tool_call_input" if part.format == "text" else "function_call_arguments"
                out += self._add(item | (own(part) if _ours(part) else {}))
                where = {"item_id": item["id"], "output_index": len(self._output)}
                self._open_text(f"response.{kind}.delta", where)
                return out
            case ServerToolCall(native=native) if native == CALL_OF_SEARCH and _ours(part):
                fixed = {"id": self._id(part, "ws"), "type": native, "status": "in_progress"}
                out += self._add({**(kept_item(part) or {}), **fixed})
                return out + self._searching("in_progress") + self._searching("searching")
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
            case ToolCall(native=native) if native in client_tools.CALLS:
                id, status = (
                    self._id(part, client_tools.PREFIXES[native]),
                    "incomplete" if is_cut(part) else "completed",
                )
                return self._whole({"id": id, **client_tools.render_call(part, self._call_id(part)), "status": status})
            case Media(kind="image") if part.data is not None:
                out = b"" if part.opaque is None or _ours(part) else self._carrier(part)
                item = {"id": self._id(part, "ig"), "status": item_of(part).status or "completed", **render_image(part)}
                return out + self._whole(item)
            case ServerToolCall() if self._item.get("type") == CALL_OF_SEARCH:
                item = {**(kept_item(part) or {"status": "completed"}), **_fixed(self._item)}
                return self._searching("completed") + self._done(item)
            case _:
                kept = kept_item(part) if _ours(part) else None
                if kept is None or not _readable(kept):
                    return b""
                return self._whole({**kept, "id": self._id(part, "item")})

    def _searching(self, step: str) -> bytes:
        """The event for a step of a web search. Clients show them while the search runs."""
        where = {"item_id": self._item["id"], "output_index": len(self._output)}
        return self._emit(f"response.{CALL_OF_SEARCH}.{step}", **where)

    # --- texts ---

    def _open_text(self, kind: str, where: Extra, tail: bytes = b"}\n\n") -> None:
        self._text, self._logprobs, self._annotations = [], [], []
        self._tail = tail
        if not self._silent:
            event = {"type": kind, **where}
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
        """The missing delta, if the finished text is longer, and the whole text written."""
        out = b""
        text = "".join(self._text or ())
        if len(final) > len(text) and final.startswith(text):
            out, text = self._write(final[len(text) :]), final
        return out, text

    def _delta(self, event: PartDelta) -> bytes:
        if event.index < 0 or (not event.text and not event.logprobs):
            return b""
        before = self._open_waiting()
        if self._item.get("type") == "reasoning":
            before += self._next_thought(event.index)
            return before + self._write(event.text)
        return before + self._write(event.text, event.logprobs)

    # --- messages ---

    def _open_waiting(self) -> bytes:
        part, self._waiting = self._waiting, None
        return self._open_content(part) if part is not None else b""

    def _open_content(self, part: AnyPart) -> bytes:
        item, out = self._message, b""
        if item is None or (part.item_id if _ours(part) else None) != item.item_id:
            out = self._close_message()
            beside = item_of(part) if _ours(part) else ResponsesItem()
            self._message = _Message(beside.id, beside.status or "completed")
            message = {"id": self._id(part, "msg"), "type": "message", "role": "assistant", "content": []}
            out += self._add(message | fields(ResponsesItem(phase=beside.phase, status="in_progress")))
        self._text = None
        if not isinstance(part, Text | Refusal):
            return out
        blank: Extra = {"type": "refusal", "refusal": ""}
        kind, tail = "refusal", b"}\n\n"
        if isinstance(part, Text):
            blank = {"type": OUTPUT, "text": "", "annotations": [], "logprobs": []}
            kind, tail = OUTPUT, b',"logprobs":[]}\n\n'
        out += self._emit("response.content_part.added", **self._place(), part=blank)
        if self._message is not None:
            self._message.part = blank
        self._open_text(f"response.{kind}.delta", self._place(), tail)
        return out

    def _place(self) -> Extra:
        return {
            "item_id": self._item["id"],
            "output_index": len(self._output),
            "content_index": len(self._message.content) if self._message else 0,
        }

    def _annotated(self, annotation: Annotation) -> bytes:
        before = self._open_waiting()
        item = render_annotation(annotation, "".join(self._text or ()))
        if item is None or self._text is None or self._message is None:
            return before
        self._annotations.append(item)
        where = {**self._place(), "annotation_index": len(self._annotations) - 1}
        return before + self._emit("response.output_text.annotation.added", **where, annotation=item)

    def _close_content(self, part: AnyPart) -> bytes:
        out, text = b"", ""
        if isinstance(part, Text | Refusal) and self._waiting is not None:
            if not part.text and not part.annotations:
                self._waiting = None
                return self._state_of(part)
            out = self._open_waiting()
        if self._message is None:
            return out
        if self._text is not None:
            more, text = self._written(part.text if isinstance(part, Text | Refusal) else "")
            out += more
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
            if content is None or not isinstance(content.get("type"), str) or content["type"] in (OUTPUT, "refusal"):
                return b""  # clients cannot read it
            out += self._emit("response.content_part.added", **self._place(), part=content)
        out += self._emit("response.content_part.done", **self._place(), part=content)
        self._message.content.append(content)
        self._text = None
        return out + self._state_of(part)

    def _state_of(self, part: AnyPart) -> bytes:
        return self._close_message() + self._carrier(part) if part.opaque is not None and not _ours(part) else b""

    def _close_message(self) -> bytes:
        message, self._message = self._message, None
        if message is None:
            return b""
        return self._done({**self._item, "content": message.content, "status": message.status})

    # --- thinking ---

    def _place_of_thought(self) -> Extra:
        where = "summary_index" if self._summary else "content_index"
        return {"item_id": self._item["id"], "output_index": len(self._output), where: len(self._thoughts)}

    def _open_thought(self) -> bytes:
        kind, part = ("reasoning_summary_part", "summary_text") if self._summary else ("content_part", "reasoning_text")
        where = self._place_of_thought()
        out = self._emit(f"response.{kind}.added", **where, part={"type": part, "text": ""})
        self._open_text(f"response.{'reasoning_summary_text' if self._summary else 'reasoning_text'}.delta", where)
        return out

    def _close_thought(self) -> bytes:
        if self._text is None:
            return b""
        where, text = self._place_of_thought(), "".join(self._text)
        self._thoughts.append(text)
        self._text = None
        if self._summary:
            part = {"type": "summary_text", "text": text}
            out = self._emit("response.reasoning_summary_text.done", **where, text=text)
            return out + self._emit("response.reasoning_summary_part.done", **where, part=part)
        part = {"type": "reasoning_text", "text": text}
        out = self._emit("response.reasoning_text.done", **where, text=text)
        return out + self._emit("response.content_part.done", **where, part=part)

    def _next_thought(self, index: int) -> bytes:
        """Open texts up to `index`. A text that continues after its end is added to the last one, as finished texts are
        final."""
        out = b""
        while self._text is None or len(self._thoughts) < index:
            out += self._close_thought() + self._open_thought()
        return out

    def _close_thinking(self, part: Thinking) -> bytes:
        out = b""
        for index in range(len(self._thoughts), len(part.texts)):
            out += self._next_thought(index)
            out += self._written(part.texts[index])[0]
        out += self._close_thought()
        thinking = replace(part, texts=self._thoughts, summary=self._summary)
        if not _ours(part):
            thinking.opaque, thinking.extra = seal(part), None
        status = item_of(part).status
        item = {**self._item, **render_reasoning(thinking), **({"status": status} if status and _ours(part) else {})}
        return out + self._done(item)

    # --- calls ---

    def _close_call(self, call: ToolCall) -> bytes:
        if call.native == tool_search.CALL:
            cut = is_cut(call)
            arguments = render_call(call, "")["arguments"]
            return self._done({**self._item, "arguments": arguments, "status": "incomplete" if cut else "completed"})
        final = call.arguments
        freeform = self._item["type"] == "custom_tool_call"
        if not final and not freeform and not _ours(call):
            final = "{}"  # clients parse it
        out, text = self._written(final)
        ours = _ours(call)
        name = self._item["name"] or call.name
        item = {**self._item, **(own(call) if ours else {}), "name": name}
        if call.namespace is not None:
            item["namespace"] = call.namespace
        cut = is_cut(replace(call, arguments=text))
        item["status"] = (item_of(call).status if ours else None) or ("incomplete" if cut else "completed")
        where = {"item_id": item["id"], "output_index": len(self._output)}
        if freeform:
            if not cut:
                out += self._emit("response.custom_tool_call_input.done", **where, input=text)
            item["input"] = text
        else:
            if not cut:  # truncated arguments are not done
                out += self._emit("response.function_call_arguments.done", **where, name=name, arguments=text)
            item["arguments"] = text
        return out + self._done(item)


class _Message:
    """The open message. Texts of the same item share it, and texts without one."""

    __slots__ = ("content", "item_id", "part", "status")

    def __init__(self, item_id: str | None, status: str) -> None:
        self.item_id = item_id
        self.status = status
        self.content: list[dict[str, Any]] = []
        self.part: Extra | None = None
        """The latest text, as it was added."""


def _fixed(item: dict[str, Any]) -> dict[str, Any]:
    """The fields of an added item that stay the same until it is done."""
    return {"id": item["id"], "type": item["type"]}


def _readable(item: dict[str, Any]) -> bool:
    """Whether a client can read an item that was kept whole: of types with their own parts, only damaged items are
    kept."""
    kind = item.get("type")
    if kind == "message":
        return isinstance(item.get("content"), list)
    return isinstance(kind, str) and kind not in ("reasoning", "function_call", "custom_tool_call")


def _code(code: str | None) -> str:
    """The code of a failed response. Clients know only OpenAI's own: pi repeats a request after `server_error`, but not after our
    codes for failures of the connection to a provider."""
    return "server_error" if code is None or code.startswith("upstream_") else code


def _with_wait(message: str, error: Exception) -> str:
    """The message of a failure, with the time that the provider asks to wait, in OpenAI's words. An event has no headers: Codex
    reads the time here."""
    if not isinstance(error, RateLimited) or error.retry_after is None or "try again in" in message.lower():
        return message
    return f"{message.rstrip('.')}. Please try again in {error.retry_after:.3g}s."


def _ours(part: Part) -> bool:
    return part.origin is None or part.origin.protocol == NAME
