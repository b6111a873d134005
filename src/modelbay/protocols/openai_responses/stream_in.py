"""Parses Responses streams.

Events are matched to items by `output_index`; if a server sends none (llama.cpp) or the same one for several items, by
item ID; if those change between events (GitHub Copilot), by order. Content missing in the deltas is taken from the item's
`done` event, or from the final response.
"""

from collections.abc import Callable
from typing import Any

from modelbay.conversation import (
    AnyPart,
    Extra,
    Json,
    Provenance,
    Refusal,
    ServerToolCall,
    Text,
    Thinking,
    ToolCall,
    UnknownPart,
)
from modelbay.dialect import Dialect
from modelbay.errors import IncompleteReply, MalformedReply, ReplyError
from modelbay.events import Event
from modelbay.json_text import decode
from modelbay.protocols.arguments import Arguments
from modelbay.protocols.assembly import Assembly
from modelbay.protocols.failures import unreadable
from modelbay.protocols.openai_errors import error_in
from modelbay.protocols.openai_responses.items import arguments_text, parse_reasoning, reply_parts
from modelbay.protocols.openai_responses.parts import OF_ITEM, parse_annotation
from modelbay.protocols.openai_responses.reply import end, start
from modelbay.protocols.openai_responses.usual import TEXT, usual_text
from modelbay.protocols.shapes import items, objects, shown, word
from modelbay.protocols.sse import Decoder


def stream_parser(dialect: Dialect, origin: Provenance | None = None) -> "StreamParser":
    return StreamParser(dialect, origin)


class _Item:
    """An open output item. `keys` are its open and ended parts: by content index for a message, else a single one under
    0."""

    def __init__(self, index: int, kind: str) -> None:
        self.index = index
        self.kind = kind
        self.keys: dict[int, int] = {}
        self.lengths: dict[int, int] = {}
        """Number of characters received of each text of a reasoning item."""
        self.arguments = Arguments()
        self.held: list[str] = []
        """Arguments that arrived before the call's name."""
        self.ids: set[str] = set()
        self.beside: Extra | None = None
        """Fields of a message's parts that are known before it is done."""
        self.done = False

    def note(self, item: dict[str, Any]) -> None:
        self.ids |= _ids(item)
        if (phase := word(item.get("phase"))) is not None:
            self.beside = {OF_ITEM: {"phase": phase}}


class StreamParser:
    finishing = False
    """Only the last event says that a response is finished."""

    def __init__(self, dialect: Dialect, origin: Provenance | None = None) -> None:
        self._dialect = dialect
        self._decoder = Decoder()
        self._assembly = Assembly(origin)
        self._items: dict[int, _Item] = {}
        """All items in order."""
        self._at: dict[int, _Item] = {}
        """The latest item of each `output_index`."""
        self._last: _Item | None = None
        self._created: dict[str, Any] | None = None

    def feed(self, data: bytes) -> list[Event]:
        try:
            for name, payload in self._decoder.feed(data):
                self._event(name, payload)
        except ReplyError as error:
            self._assembly.fail(error)
        return self._assembly.take()

    def close(self) -> list[Event]:
        try:
            for name, payload in self._decoder.close():
                self._event(name, payload)
        except ReplyError as error:
            self._assembly.fail(error)
        assembly = self._assembly
        if not assembly.ended:
            self._begin()
            if self._dialect.ends_without_finish and self._items:
                end({}, assembly, self._dialect)
            else:
                what = "stopped before its end" if self._created or self._items else "is empty, or not one of Responses"
                assembly.fail(IncompleteReply(f"the stream {what}: no `response.completed` received"))
        return assembly.take()

    def _event(self, name: str, payload: bytes) -> None:
        assembly = self._assembly
        if assembly.ended or (name == TEXT and self._usual(payload)):
            return
        try:
            event = decode(payload)
        except MalformedReply as error:
            if payload.strip() not in (b"", b"[DONE]"):
                assembly.fail(unreadable(f"an event of the stream is not JSON: {error}", payload))
            return
        if type(event) is not dict:
            self._begin()
            assembly.fail(error_in(event) or unreadable("an event of the stream is not an object", payload))
            return
        kind = word(event.get("type")) or name
        handler = _HANDLERS.get(kind)
        if handler is not None:
            handler(self, event)
        else:
            named = kind == "error" or event.get("error")
            failure = error_in(event) if named or not kind else None  # a whole body instead of a stream has no type
            if named or failure is not None:
                self._begin()
                assembly.fail(failure or unreadable("the stream contains an error without a message", payload))

    def _usual(self, payload: bytes) -> bool:
        """Read a piece of text that continues an open part, as most events do. Returns False if it is another event."""
        delta = usual_text(payload)
        item = None if delta is None else self._at.get(delta.output_index)
        if delta is None or item is None or item.done:
            return False
        key = item.keys.get(delta.content_index)
        if key is None or not self._assembly.is_open(key):
            return False
        self._last = item
        self._assembly.add(key, delta.delta)
        return True

    # --- the response ---

    def _response_started(self, event: dict[str, Any]) -> None:
        """llama.cpp's first response has no model: the reply starts when more is known, or needed."""
        response = event.get("response")
        if isinstance(response, dict) and not self._assembly.started:
            self._created = response
            if response.get("model"):
                self._begin()

    def _begin(self) -> None:
        if not self._assembly.started:
            start(self._created or {}, self._assembly)

    def _response_ended(self, event: dict[str, Any]) -> None:
        response = event.get("response")
        response = response if isinstance(response, dict) else {}
        if not self._items and response:
            self._created = response
        self._begin()
        output = [_as_item(item) for item in items(response.get("output"))]
        known = [self._items[index] for index in sorted(self._items)]
        for position, item in enumerate(output):
            found = known[position] if len(known) == len(output) else self._find_final(position, item)
            if found is None:
                for part in reply_parts(item):
                    self._assembly.whole(part)
            elif not found.done:
                self._complete(found, item)
        status = (word(event.get("type")) or "").rpartition(".")[2]
        end({"status": status, **response}, self._assembly, self._dialect)

    def _find_final(self, position: int, item: dict[str, Any]) -> _Item | None:
        found = self._items.get(position)
        if found is not None and found.kind == item.get("type"):
            return found
        return next((known for known in self._items.values() if known.ids & _ids(item)), None)

    # --- items ---

    def _find(self, event: dict[str, Any], kind: str) -> _Item:
        """The item of an event; created if there was no `added` event."""
        index = _index(event)
        if index is None:
            id = word(event.get("item_id"))
            alive = [item for item in self._items.values() if id in item.ids and not item.done]
            found = alive[0] if alive else self._last
        else:
            found = self._latest(index, {str(event.get("item_id"))})
        if found is None or found.done or (index is None and found.kind != kind):
            found = self._new(index, kind)
        self._last = found
        return found

    def _latest(self, index: int, ids: set[str]) -> _Item | None:
        """The item at an index, or the open one that has one of the IDs if several items have this index."""
        found = self._at.get(index)
        if found is None or found.index == index or found.ids & ids:
            return found
        return next((item for item in self._items.values() if not item.done and item.ids & ids), found)

    def _new(self, index: int | None, kind: str) -> _Item:
        self._begin()
        free = index if index is not None and index not in self._items else max(self._items, default=-1) + 1
        item = self._items[free] = _Item(free, kind)
        if index is not None:
            self._at[index] = item
        return item

    def _item_added(self, event: dict[str, Any]) -> None:
        item = event.get("item")
        if type(item) is not dict:
            return
        kind = str(item.get("type"))
        index = _index(event)
        known = self._at.get(index) if index is not None else None
        if known is None or known.done or known.ids:
            known = self._new(index, kind)
        known.note(item)
        self._last = known
        if kind in ("function_call", "custom_tool_call"):
            if word(item.get("name")):
                self._open_call(known, item)
        elif kind not in ("message", "reasoning", "image_generation_call") and not known.keys:
            # a server tool's item: its `done` event has all of it
            part = reply_parts(item)[0]
            if isinstance(part, ServerToolCall | ToolCall):
                part.arguments = ""
            known.keys[0] = self._assembly.open(part)

    def _open_call(self, item: _Item, raw: dict[str, Any]) -> int:
        call = reply_parts(raw)[0]
        if isinstance(call, ToolCall):
            call.arguments = ""
        key = item.keys[0] = self._assembly.open(call)
        for text in item.held:
            self._assembly.add(key, text)
        return key

    def _item_done(self, event: dict[str, Any]) -> None:
        item = event.get("item")
        if not item:
            return
        item = _as_item(item)
        kind = str(item.get("type"))
        index = _index(event)
        found = self._latest(index, _ids(item)) if index is not None else None
        if index is None:
            alive = [known for known in self._items.values() if not known.done and known.kind == kind]
            found = next((known for known in alive if known.ids & _ids(item)), alive[0] if alive else None)
        if found is None or found.done:
            found = self._new(index, kind)
        self._complete(found, item)

    def _complete(self, found: _Item, item: dict[str, Any]) -> None:
        """Add what an item's deltas lacked, and end its parts."""
        found.note(item)
        found.done = True
        parts = reply_parts(item)
        opened = self._assembly.part(found.keys[0]) if self._assembly.is_open(found.keys.get(0)) else None
        if isinstance(opened, Thinking) and opened.summary and (thinking := parse_reasoning(item, prefer="summary")):
            thinking.item_id = parts[0].item_id
            parts = [thinking]
        for index, part in enumerate(parts):
            key = found.keys.get(index)
            if key is None and isinstance(part, ToolCall) and found.held and not part.arguments:
                key = self._open_call(found, item)
            if key is None:
                self._assembly.whole(part)
            elif self._assembly.is_open(key):
                self._finish_part(found, key, part)
        for key in found.keys.values():
            if found.kind in _JSON_CALLS and self._assembly.is_open(key):
                self._pass(key, found.arguments.close())
            self._assembly.end(key)

    def _finish_part(self, item: _Item, key: int, final: AnyPart) -> None:
        assembly = self._assembly
        opened = assembly.part(key)
        if type(opened) is not type(final):
            return
        opened.item_id, opened.opaque = final.item_id, final.opaque
        opened.extra, opened.native = final.extra, final.native
        match opened, final:
            case (Text(), Text()):
                self._rest(key, final.text)
                if final.logprobs and not opened.logprobs:
                    assembly.add(key, "", 0, final.logprobs)
                for annotation in (final.annotations or [])[len(opened.annotations or ()) :]:
                    assembly.annotate(key, annotation)
            case (Refusal(), Refusal()):
                self._rest(key, final.text)
            case (Thinking(), Thinking()):
                for index, text in enumerate(final.texts):
                    self._rest_of_thinking(item, key, index, text)
            case (ToolCall() | ServerToolCall(), ToolCall() | ServerToolCall()):
                opened.name = opened.name or final.name
                if isinstance(opened, ServerToolCall):
                    opened.id = final.id or opened.id
                elif opened.id is None:
                    assembly.identify(opened, final.id)
                if item.kind in _JSON_CALLS:
                    self._pass(key, item.arguments.final(final.arguments))
                else:
                    self._rest(key, final.arguments)
            case (UnknownPart(), UnknownPart()):
                opened.raw = final.raw
            case _:
                pass
        assembly.end(key)

    def _rest(self, key: int, text: str) -> None:
        """The text missing in the deltas: with LM Studio all of it, as arguments are sent in `done` only."""
        written = self._assembly.written(key)
        if len(text) > len(written) and text.startswith(written):
            self._assembly.add(key, text[len(written) :])

    def _pass(self, key: int, text: str) -> None:
        if text:
            self._assembly.add(key, text)

    # --- content ---

    def _text(self, event: dict[str, Any], kind: type[Text | Refusal]) -> int | None:
        """The open part of a content event; None if it has ended."""
        item = self._find(event, "message")
        index = _index(event, "content_index") or 0
        key = item.keys.get(index)
        if key is None:
            part = kind(item_id=word(event.get("item_id")), extra=item.beside)
            key = item.keys[index] = self._assembly.open(part)
        return key if self._assembly.is_open(key) else None

    def _text_delta(self, event: dict[str, Any]) -> None:
        text = shown(event.get("delta"))
        if text and (key := self._text(event, Text)) is not None:
            logprobs = event.get("logprobs")
            self._assembly.add(key, text, 0, objects(logprobs) if logprobs else None)

    def _text_done(self, event: dict[str, Any]) -> None:
        if (text := shown(event.get("text"))) and (key := self._text(event, Text)) is not None:
            self._rest(key, text)

    def _annotation(self, event: dict[str, Any]) -> None:
        annotation = event.get("annotation")
        if type(annotation) is dict and (key := self._text(event, Text)) is not None:
            self._assembly.annotate(key, parse_annotation(annotation))

    def _refusal_delta(self, event: dict[str, Any]) -> None:
        text = shown(event.get("delta"))
        if text and (key := self._text(event, Refusal)) is not None:
            self._assembly.add(key, text)

    def _refusal_done(self, event: dict[str, Any]) -> None:
        text = shown(event.get("refusal"))
        if text and (key := self._text(event, Refusal)) is not None:
            self._rest(key, text)

    # --- reasoning ---

    def _thinking(self, event: dict[str, Any], field: str, text: str | None, *, done: bool) -> None:
        """A fragment of a reasoning item's summary or content; the one received first is used for the part."""
        item = self._find(event, "reasoning")
        summary = field == "summary_index"
        key = item.keys.get(0)
        if text is None:
            return
        if key is None:
            key = item.keys[0] = self._assembly.open(Thinking(summary=summary, item_id=word(event.get("item_id"))))
        opened = self._assembly.part(key) if self._assembly.is_open(key) else None
        if isinstance(opened, Thinking) and opened.summary == summary:
            index = min(_index(event, field) or 0, len(item.lengths))
            if done:
                self._rest_of_thinking(item, key, index, text)
            else:
                item.lengths[index] = item.lengths.get(index, 0) + len(text)
                self._assembly.add(key, text, index)

    def _rest_of_thinking(self, item: _Item, key: int, index: int, text: str) -> None:
        length = item.lengths.get(index, 0)
        if len(text) > length or index not in item.lengths:
            self._assembly.add(key, text[length:], index)
            item.lengths[index] = len(text)

    # --- calls ---

    def _arguments(self, event: dict[str, Any], kind: str, given: Json, *, done: bool) -> None:
        item = self._find(event, kind)
        key = item.keys.get(0)
        if key is None and word(event.get("name")):  # on `arguments.done`
            key = self._open_call(item, {"type": kind, "id": event.get("item_id"), "name": event["name"]})
        if kind not in _JSON_CALLS:
            self._input(item, key, word(given), done=done)
            return
        if key is not None and not self._assembly.is_open(key):
            return
        text = item.arguments.final(arguments_text(given)) if done else item.arguments.feed(given)
        if key is not None:
            self._pass(key, text)
        elif text:
            item.held.append(text)

    def _input(self, item: _Item, key: int | None, text: str | None, *, done: bool) -> None:
        """Input of a freeform tool, or code: text, not JSON."""
        if not text:
            return
        if key is None:
            if not (done and item.held):
                item.held.append(text)
        elif not self._assembly.is_open(key):
            return
        elif done:
            self._rest(key, text)
        else:
            self._assembly.add(key, text)


def _as_item(value: Json) -> dict[str, Any]:
    return value if type(value) is dict else {"type": "message", "content": value}


def _ids(item: dict[str, Any]) -> set[str]:
    return {item[name] for name in ("id", "call_id") if isinstance(item.get(name), str)}


def _index(event: dict[str, Any], field: str = "output_index") -> int | None:
    index = event.get(field)
    return index if type(index) is int and index >= 0 else None


_Handler = Callable[[StreamParser, dict[str, Any]], None]


def _thinking(field: str, text: str, *, done: bool) -> _Handler:
    return lambda parser, event: parser._thinking(
        event, field, None if event.get(text) is None else shown(event[text]), done=done
    )


def _arguments(kind: str, text: str, *, done: bool) -> _Handler:
    return lambda parser, event: parser._arguments(event, kind, event.get(text), done=done)


_JSON_CALLS = ("function_call", "mcp_call")


_HANDLERS: dict[str, _Handler] = {
    "response.output_text.delta": StreamParser._text_delta,
    "response.output_text.done": StreamParser._text_done,
    "response.output_text.annotation.added": StreamParser._annotation,
    "response.refusal.delta": StreamParser._refusal_delta,
    "response.refusal.done": StreamParser._refusal_done,
    "response.reasoning_summary_text.delta": _thinking("summary_index", "delta", done=False),
    "response.reasoning_summary_text.done": _thinking("summary_index", "text", done=True),
    "response.reasoning_text.delta": _thinking("content_index", "delta", done=False),
    "response.reasoning.delta": _thinking("content_index", "delta", done=False),
    "response.reasoning.done": _thinking("content_index", "text", done=True),
    "response.reasoning_text.done": _thinking("content_index", "text", done=True),
    "response.function_call_arguments.delta": _arguments("function_call", "delta", done=False),
    "response.function_call_arguments.done": _arguments("function_call", "arguments", done=True),
    "response.custom_tool_call_input.delta": _arguments("custom_tool_call", "delta", done=False),
    "response.custom_tool_call_input.done": _arguments("custom_tool_call", "input", done=True),
    "response.code_interpreter_call_code.delta": _arguments("code_interpreter_call", "delta", done=False),
    "response.code_interpreter_call_code.done": _arguments("code_interpreter_call", "code", done=True),
    "response.mcp_call_arguments.delta": _arguments("mcp_call", "delta", done=False),
    "response.mcp_call_arguments.done": _arguments("mcp_call", "arguments", done=True),
    "response.output_item.added": StreamParser._item_added,
    "response.output_item.done": StreamParser._item_done,
    "response.created": StreamParser._response_started,
    "response.queued": StreamParser._response_started,
    "response.in_progress": StreamParser._response_started,
    "response.completed": StreamParser._response_ended,
    "response.done": StreamParser._response_ended,
    "response.incomplete": StreamParser._response_ended,
    "response.failed": StreamParser._response_ended,
    "response.cancelled": StreamParser._response_ended,
}
