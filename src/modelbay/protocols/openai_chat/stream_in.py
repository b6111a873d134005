"""Chat Completions streams in: chunks to events.

The rules of tolerance are those that real providers forced (each with who does it); what is common is one path.
"""

from typing import Any

import msgspec

from modelbay.conversation import AnyPart, Json, Refusal, Text, Thinking, ToolCall
from modelbay.dialect import Dialect
from modelbay.errors import IncompleteReply, MalformedReply, ReplyError
from modelbay.events import Event
from modelbay.protocols.assembly import Assembly
from modelbay.protocols.codec import decode
from modelbay.protocols.openai_chat.parts import (
    DETAILS,
    REASONING_FIELDS,
    THINK_TAGS,
    arguments_text,
    parse_annotation,
    parse_content,
    parse_detail,
    split_signature,
    without,
)
from modelbay.protocols.openai_chat.reply import TOP, finish_reason, parse_media_out
from modelbay.protocols.openai_chat.usage import parse_usage
from modelbay.protocols.openai_errors import error_in
from modelbay.protocols.sse import Decoder


def stream_parser(dialect: Dialect) -> "StreamParser":
    return StreamParser(dialect)


class StreamParser:
    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._decoder = Decoder()
        self._assembly = Assembly()
        self._calls = _Calls(self._assembly)
        self._tags = _TagSplitter() if dialect.think_tags else None
        self._flow: int | None = None
        """The text, thinking or refusal part that is being written."""
        self._kind = ""
        """What it is: "text", "refusal", a reasoning field, or a `reasoning_details` index and type."""
        self._native: str | None = None
        self._stop: str | None = None
        self._usage: Json = None
        self._blank_reasoning: bool | None = False
        """Whether blank reasoning was seen; None once something has been said, which makes it meaningless."""
        own = dialect.reasoning_field
        self._reasoning_fields = (own, *REASONING_FIELDS) if own else REASONING_FIELDS

    def feed(self, data: bytes) -> list[Event]:
        try:
            for name, payload in self._decoder.feed(data):
                self._event(name, payload)
        except ReplyError as error:
            self._assembly.fail(error)
        return self._assembly.take()

    def close(self) -> list[Event]:
        for name, payload in self._decoder.close():
            self._event(name, payload)
        self._end(done=False)
        return self._assembly.take()

    # --- one chunk ---

    def _event(self, name: str, payload: bytes) -> None:
        assembly = self._assembly
        if assembly.ended:
            return
        if payload == b"[DONE]" or payload.strip() == b"[DONE]":
            self._end(done=True)
            return
        try:
            chunk = decode(payload)
        except msgspec.DecodeError as error:
            if payload.strip():
                assembly.fail(MalformedReply(f"a chunk of the stream is not JSON: {error}"))
            return
        if name == "error" or type(chunk) is not dict or chunk.get("error") or "choices" not in chunk:
            failure = error_in(chunk)
            if failure is not None:
                self._flush()
                assembly.fail(failure)
                return
            if type(chunk) is not dict:
                assembly.fail(MalformedReply("a chunk of the stream is not an object"))
                return
        self._chunk(chunk)

    def _chunk(self, chunk: dict[str, Any]) -> None:
        choices = chunk.get("choices") or ()
        if not self._assembly.started and (chunk.get("id") or choices):  # Azure's first chunk has neither
            extra = without(chunk, *TOP) or {}
            if isinstance(chunk.get("created"), int | float):
                extra["created"] = chunk["created"]
            self._assembly.start(chunk.get("id") or None, chunk.get("model") or None, extra)
        if usage := chunk.get("usage"):
            self._usage = usage
        elif (groq := chunk.get("x_groq")) and groq.get("usage"):
            self._usage = groq["usage"]
        for choice in choices:
            if choice.get("index", 0) != 0 and not self._dialect.merge_choices:
                continue
            if delta := choice.get("delta") or (choice.get("message") if "delta" not in choice else None):
                self._delta(delta, choice)
            if reason := choice.get("finish_reason"):  # "" is none (Snowflake, SGLang)
                self._native = reason
            if usage := choice.get("usage"):  # Moonshot
                self._usage = usage
            if isinstance(stop := choice.get("stop_reason"), str):
                self._stop = stop

    def _delta(self, delta: dict[str, Any], choice: dict[str, Any]) -> None:
        self._reasoning(delta)
        content = delta.get("content")
        if content:
            logprobs = choice.get("logprobs")
            tokens = logprobs.get("content") if logprobs else None
            if type(content) is str:
                self._text(content, tokens)
            else:
                self._items(content)
        if refusal := delta.get("refusal"):
            self._add("refusal", Refusal(), refusal)
        for annotation in delta.get("annotations") or ():
            self._assembly.annotate(self._switch("text", Text()), parse_annotation(annotation))
        if "images" in delta or "audio" in delta:
            for media in parse_media_out(delta):
                self._stop_flow()
                self._assembly.whole(media)
        if calls := delta.get("tool_calls"):  # `[]` on every text delta (vLLM) opens nothing
            self._end_flow()
            for call in calls:
                self._calls.feed(call)
        if legacy := delta.get("function_call"):
            self._end_flow()
            self._calls.feed({"index": 0, "function": legacy}, native="function_call")

    def _text(self, content: str, logprobs: list[Json] | None = None) -> None:
        if self._tags is None:
            self._add("text", Text(), content, logprobs)
            return
        for thinking, text in self._tags.feed(content):
            if thinking:
                self._add(THINK_TAGS, Thinking(native=THINK_TAGS), text)
            else:
                self._add("text", Text(), text, logprobs)

    def _items(self, content: Json) -> None:
        """Content as a list (Mistral): each item continues the part of its kind."""
        for part in parse_content(content):
            match part:
                case Text() if part.text:
                    self._add("text", Text(), part.text)
                case Thinking():
                    self._add("thinking", Thinking(native=part.native), part.text)
                    if part.extra:
                        self._assembly.part(self._switch("thinking", Thinking())).extra = part.extra
                case Text():
                    pass
                case _:
                    self._stop_flow()
                    self._assembly.whole(part)

    def _reasoning(self, delta: dict[str, Any]) -> None:
        details = delta.get(DETAILS)
        if details and type(details) is list:
            texts = False
            for item in details:
                if type(item) is dict:
                    texts = self._detail(item) or texts
            if texts:
                return
        for name in self._reasoning_fields:
            text = delta.get(name)
            if text and type(text) is str:
                self._add(name, Thinking(native=name), text)
                return
            if text == "" and name == "reasoning_content" and self._blank_reasoning is not None:
                self._blank_reasoning = True

    def _detail(self, item: dict[str, Any]) -> bool:
        """A fragment of one of `reasoning_details`: the same index and type continue the same part."""
        part = parse_detail(item)
        kind = f"{DETAILS}/{item.get('index', 0)}/{item.get('type')}"
        whole = self._kind != kind or not self._assembly.is_open(self._flow)
        key = self._switch(kind, Thinking(summary=part.summary, native=DETAILS, extra=part.extra))
        if part.texts:
            self._assembly.add(key, part.text)
        if part.opaque is not None:
            opened = self._assembly.part(key)
            opened.opaque = (opened.opaque or "") + part.opaque
        if part.extra and not whole:
            opened = self._assembly.part(key)
            opened.extra = {**part.extra, **(opened.extra or {})}
        return bool(part.text)

    # --- parts ---

    def _add(self, kind: str, part: AnyPart, text: str, logprobs: list[Json] | None = None) -> None:
        key = self._flow if self._kind == kind and self._flow is not None else self._switch(kind, part)
        self._assembly.add(key, text, 0, logprobs)

    def _switch(self, kind: str, part: AnyPart) -> int:
        """The part being written, if it is of this kind, else `part`, opened; what was before ends."""
        if self._flow is not None and self._kind == kind:
            return self._flow
        self._stop_flow()
        if self._blank_reasoning and type(part) is not Thinking:
            self._blank()
        self._blank_reasoning = None
        self._flow, self._kind = self._assembly.open(part), kind
        return self._flow

    def _blank(self) -> None:
        """Reasoning that is there and empty: DeepSeek and Kimi want it back."""
        self._assembly.whole(Thinking(texts=[""], native=REASONING_FIELDS[0]))

    def _end_flow(self) -> None:
        """What comes next is neither text nor thinking."""
        self._flush()
        self._stop_flow()
        if self._blank_reasoning:
            self._blank()
        self._blank_reasoning = None

    def _stop_flow(self) -> None:
        if self._flow is not None:
            self._assembly.end(self._flow)
            self._flow, self._kind = None, ""

    def _flush(self) -> None:
        """Writes what the tag splitter held back."""
        if self._tags is not None:
            for thinking, text in self._tags.close():
                self._add(THINK_TAGS if thinking else "text", Thinking(native=THINK_TAGS) if thinking else Text(), text)

    def _end(self, done: bool) -> None:
        assembly = self._assembly
        if assembly.ended:
            return
        self._end_flow()
        self._calls.close()
        assembly.usage = parse_usage(self._usage, self._dialect)
        if self._native is None and not done and not (self._dialect.ends_without_finish and assembly.started):
            what = "stopped before its end" if assembly.started else "is empty, or not a stream of events"
            assembly.fail(IncompleteReply(f"the stream {what}: no finish reason and no `[DONE]` came"))
        elif self._native == "error":
            assembly.fail(IncompleteReply("the provider ended the stream with `finish_reason: error`"))
        else:
            assembly.finish(finish_reason(self._native, assembly.has_calls), self._native, self._stop)


class _Calls:
    """Tool calls of a stream, keyed as providers force it (reference: OpenAI gives id and index once, few others do)."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._by_index: dict[int, _Call] = {}
        self._last: _Call | None = None

    def feed(self, item: Json, native: str | None = None) -> None:
        if type(item) is not dict:
            return
        body = item.get("function") or item.get("custom") or {}
        call = self._find(item, body)
        call.native = native
        if id := item.get("id"):
            call.id = call.id or id
        if name := body.get("name"):  # "" on continuations (Mistral); repeated in every delta (OpenRouter)
            call.name = call.name or name
        if item.get("type") == "custom":
            call.input = "text"
        signature, rest = split_signature(item.get("extra_content"))
        call.opaque = signature or call.opaque
        extra = without(item, "id", "type", "index", "function", "custom", "extra_content")
        if extra or rest:
            call.extra = {**call.extra, **(extra or {}), **({"extra_content": rest} if rest else {})}
        call.write(self._assembly, arguments_text(body.get("arguments", body.get("input"))))

    def _find(self, item: dict[str, Any], body: dict[str, Any]) -> "_Call":
        """The call that a delta continues, or a new one.

        A new id at a known index is a new call (Ollama sends every parallel call as index 0). Without an index, an id
        opens a call and its absence continues the last (Mistral, SGLang). An unknown index without an id or a name
        continues the last call too (Nebius counts the index up on continuations).
        """
        index, id = item.get("index"), item.get("id") or None
        known = self._by_index.get(index) if index is not None else self._last
        if index is None and id is None and body.get("name") and self._last is not None:
            known = self._last if self._last.name is None or not self._last.whole() else None
        if known is not None and not (id and known.id and id != known.id):
            return known
        if known is None and id is None and not body.get("name") and self._last is not None:
            return self._last
        call = _Call()
        if index is not None:
            self._by_index[index] = call
        self._last = call
        return call

    def close(self) -> None:
        for call in (*self._by_index.values(), self._last):
            if call is not None:
                call.write(self._assembly, "", force=True)


class _Call:
    """One call; nothing is written of it before its name is known."""

    def __init__(self) -> None:
        self.id: str | None = None
        self.name: str | None = None
        self.input = "json"
        self.native: str | None = None
        self.opaque: str | None = None
        self.extra: dict[str, Json] = {}
        self._key: int | None = None
        self._held: list[str] = []

    def whole(self) -> bool:
        """Whether the arguments are a whole JSON value already."""
        try:
            decode("".join(self._held))
        except msgspec.DecodeError:
            return False
        return True

    def write(self, assembly: Assembly, arguments: str, force: bool = False) -> None:
        if arguments:
            self._held.append(arguments)
        if self._key is None and (self.name or (force and (self._held or self.id))):
            part = ToolCall(name=self.name or "", id=self.id, native=self.native, opaque=self.opaque)
            part.input = "text" if self.input == "text" else "json"
            self._key = assembly.open(part)
            arguments = "".join(self._held)
        if self._key is not None and assembly.is_open(self._key):
            opened = assembly.part(self._key)
            if type(opened) is ToolCall:
                opened.id = self.id
            opened.opaque, opened.extra = self.opaque, self.extra or None
            if arguments:
                assembly.add(self._key, arguments)


class _TagSplitter:
    """Takes `<think>…</think>` at the start of a text apart, however the text is cut."""

    def __init__(self) -> None:
        self._state = "start"
        self._held = ""
        self._close_tag = ""

    def feed(self, text: str) -> list[tuple[bool, str]]:
        """Pairs of (is it thinking, text)."""
        if self._state == "text":
            return [(False, text)]
        self._held += text
        found: list[tuple[bool, str]] = []
        if self._state == "start":
            start = self._held.lstrip()
            tag = next((tag for tag in ("<think>", "<thought>") if start.startswith(tag)), None)
            if tag is None:
                if any(tag.startswith(start) for tag in ("<think>", "<thought>")):
                    return []
                self._state = "text"
                return self.close()
            self._state, self._close_tag = "thinking", f"</{tag[1:]}"
            self._held = start[len(tag) :]
        thinking, closed, rest = self._held.partition(self._close_tag)
        if closed:
            self._state, self._held = "text", ""
            found += [(True, thinking)] if thinking else []
            return found + ([(False, rest)] if rest else [])
        keep = next((n for n in range(len(self._close_tag) - 1, 0, -1) if self._held.endswith(self._close_tag[:n])), 0)
        ready, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return [(True, ready)] if ready else []

    def close(self) -> list[tuple[bool, str]]:
        held, self._held = self._held, ""
        return [(self._state == "thinking", held)] if held else []
