"""Parses Chat Completions streams.

Each tolerance is required by a real provider, which is named next to it; the common case is a single path.
"""

from base64 import b64decode, b64encode
from contextlib import suppress
from typing import Any, Literal

from modelbay.conversation import AnyPart, Json, Media, Provenance, Refusal, Text, Thinking
from modelbay.dialect import Dialect
from modelbay.errors import IncompleteReply, MalformedReply, ModelbayError, ReplyError
from modelbay.events import Event
from modelbay.json_text import decode
from modelbay.protocols.assembly import Assembly
from modelbay.protocols.calls import StreamedCall
from modelbay.protocols.failures import unreadable
from modelbay.protocols.finishing import finish
from modelbay.protocols.openai_chat.parts import (
    BLOCKS,
    CLOSING,
    DETAILS,
    FIRST,
    LONE,
    OPENING,
    REASONING_FIELDS,
    TAG,
    THINK_TAGS,
    call_body,
    call_id,
    filled,
    is_call,
    is_redacted,
    odd_reasoning,
    parse_annotation,
    parse_block,
    parse_detail,
    reply_content,
    split_signature,
    tool_call,
)
from modelbay.protocols.openai_chat.reply import TOP, parse_images
from modelbay.protocols.openai_chat.usage import parse_usage
from modelbay.protocols.openai_chat.usual import usual_chunk
from modelbay.protocols.openai_errors import error_in
from modelbay.protocols.shapes import count, items, mapping, objects, shown, without, word
from modelbay.protocols.sse import Decoder
from modelbay.protocols.text_frame import TextFrame

_LONGEST_TAG = max(len(tag) for tag in CLOSING)


def stream_parser(dialect: Dialect, origin: Provenance | None = None) -> "StreamParser":
    return StreamParser(dialect, origin)


class StreamParser:
    def __init__(self, dialect: Dialect, origin: Provenance | None = None) -> None:
        self._dialect = dialect
        self._decoder = Decoder()
        self._assembly = Assembly(origin)
        self._calls = _Calls(self._assembly)
        self._sound = _Sound()
        self._tags = _TagSplitter() if dialect.think_tags else None
        self._frame = TextFrame(self._assembly)
        self._flow: int | None = None
        """The text, thinking or refusal part that is open."""
        self._kind = ""
        """The kind of the open part: "text", "refusal", a reasoning field, or the index and type of a `reasoning_details` item."""
        self._native: str | None = None
        self.finishing = False
        self._stop: str | None = None
        self._failure: ModelbayError | None = None
        """An error reported in a choice."""
        self._usage: Json = None
        self._blank_reasoning: bool | None = False
        """Whether blank reasoning was received; None once there was content, after which it has no meaning."""
        own = dialect.reasoning_field
        self._reasoning_fields = (own, *REASONING_FIELDS) if own else REASONING_FIELDS
        self._has_usual = own is None or own in REASONING_FIELDS
        """Whether `UsualDelta` has all fields that are read."""

    def feed(self, data: bytes) -> list[Event]:
        events = self._frame.feed(data)
        if events is not None:
            return events
        usual = False
        try:
            for name, payload in self._decoder.feed(data):
                usual = name != "error" and self._usual(payload)
                if not usual:
                    self._event(name, payload)
        except ReplyError as error:
            self._assembly.fail(error)
        events = self._assembly.take()
        self._frame.learn(data, events if usual and self._decoder.whole and self._tags is None else [])
        return events

    def close(self) -> list[Event]:
        try:
            for name, payload in self._decoder.close(finished=self.finishing):
                self._event(name, payload)
        except ReplyError as error:
            self._assembly.fail(error)
        self._end(done=False)
        return self._assembly.take()

    # --- one chunk ---

    def _event(self, name: str, payload: bytes) -> None:
        assembly = self._assembly
        if assembly.ended:
            return
        if payload[:1] != b"{" and (plain := payload.strip().lower()) in (b"", b"null", b"[done]", b'"[done]"'):
            if plain not in (b"", b"null"):
                self._end(done=True)
            return
        try:
            chunk = decode(payload)
        except MalformedReply as error:
            assembly.fail(unreadable(f"a chunk of the stream is not JSON: {error}", payload))
            return
        if type(chunk) is not dict or chunk.get("error") or not chunk.get("choices") or name == "error":
            failure = error_in(chunk)
            if failure is not None:
                self._flush()
                assembly.fail(failure)
                return
            if type(chunk) is not dict:
                assembly.fail(unreadable("a chunk of the stream is not an object", payload))
                return
        self._chunk(chunk)

    def _usual(self, payload: bytes) -> bool:
        """Read a chunk that only continues the reply with text, thinking or arguments, as nearly all chunks do. Returns False
        if it is another one."""
        assembly = self._assembly
        chunk = usual_chunk(payload) if self._has_usual and assembly.started and not assembly.ended else None
        if chunk is None:
            return False
        delta = chunk.choices[0].delta
        content, call = delta.content, delta.tool_calls[0] if delta.tool_calls else None
        thinking, other = delta.reasoning_content, delta.reasoning
        if call is not None:
            if content or thinking or other or not self._calls.has(call.index):
                return False
            self._end_flow()
            self._calls.extend(call.index, call.function.arguments)
        elif thinking or other:
            if content or (thinking and other):
                return False
            self._add("reasoning_content" if thinking else "reasoning", thinking or other or "")
        elif content:
            if self._kind == "text" and self._tags is None:
                self._assembly.add(self._flow, content)  # type: ignore[arg-type]
            else:
                self._text(content)
        return True

    def _chunk(self, chunk: dict[str, Any]) -> None:
        choices = chunk.get("choices")
        if type(choices) is not list:
            choices = ()
        if not self._assembly.started and (chunk.get("id") or choices):  # Azure's first chunk has neither
            extra = without(chunk, *TOP) or {}
            if isinstance(chunk.get("created"), int | float):
                extra["created"] = chunk["created"]
            self._assembly.start(word(chunk.get("id")) or None, word(chunk.get("model")) or None, extra)
        if usage := chunk.get("usage"):
            self._report(usage)
        elif "x_groq" in chunk:
            self._report(mapping(chunk["x_groq"]).get("usage"))
        for choice in choices:
            if type(choice) is not dict or (choice.get("index", 0) != 0 and not self._dialect.merge_choices):
                continue
            delta = choice.get("delta")
            if delta is None and "message" in choice and "delta" not in choice:
                delta = choice["message"]
            if delta:
                self._delta(delta if type(delta) is dict else {"content": delta}, choice)
            if (reason := choice.get("finish_reason")) and type(reason) is str:  # "" means none (Snowflake, SGLang)
                self._native, self.finishing = reason, True
            if "error" in choice:  # OpenRouter, with `finish_reason: error`
                self._failure = error_in({"error": choice["error"]}) or self._failure
            if "usage" in choice:  # Moonshot
                self._report(choice["usage"])
            if "stop_reason" in choice:  # vLLM: the stop sequence, or the number of a token
                self._stop = word(choice["stop_reason"]) or self._stop

    def _report(self, usage: Json) -> None:
        """Keep the last usage that counts anything: some providers end with nulls or zeros."""
        if isinstance(usage, dict) and (not self._usage or any(count(value) for value in usage.values())):
            self._usage = usage

    def _delta(self, delta: dict[str, Any], choice: dict[str, Any]) -> None:
        content = delta.get("content")
        logprobs = choice.get("logprobs")
        if content and len(delta) == 1 and type(content) is str and not logprobs:  # nearly all chunks
            if self._tags is None:
                self._add("text", content)
            else:
                self._text(content)
            return
        self._reasoning(delta)
        if content and type(content) is str:
            self._text(content, objects(mapping(logprobs).get("content")))
        elif content:
            self._items(content)
        if refusal := delta.get("refusal"):
            self._add("refusal", shown(refusal))
        for annotation in objects(delta.get("annotations")):
            self._assembly.annotate(self._switch("text", Text()), parse_annotation(annotation))
        for image in parse_images(delta):
            self._end_flow()
            self._assembly.whole(image)
        self._sound.feed(delta.get("audio"))
        if "tool_calls" in delta or "function_call" in delta:
            self._tool_calls(delta)

    def _tool_calls(self, delta: dict[str, Any]) -> None:
        if calls := items(delta.get("tool_calls")):  # `[]` on every text delta (vLLM) opens nothing
            self._end_flow()
            for call in calls:
                if is_call(call):
                    self._calls.feed(call)
                elif call:
                    self._assembly.whole(tool_call(call))
        if legacy := mapping(delta.get("function_call")):
            self._end_flow()
            self._calls.feed({"index": 0, "function": legacy}, native="function_call")

    def _text(self, content: str, logprobs: list[Json] | None = None) -> None:
        if self._tags is None:
            self._add("text", content, logprobs)
            return
        for thinking, text in self._tags.feed(content):
            if thinking is None:
                self._turn_into_thinking()
            else:
                self._add(THINK_TAGS if thinking else "text", text, None if thinking else logprobs)

    def _turn_into_thinking(self) -> None:
        """A closing tag without an opening one: the text so far was thinking. It was shown already, but is stored as
        thinking."""
        if self._flow is not None and self._kind == "text":
            self._assembly.turn_into(self._flow, Thinking(native=THINK_TAGS))
            self._stop_flow()

    def _items(self, content: Json) -> None:
        """Content as a list (Mistral): each item continues the part of its kind."""
        for part in reply_content(content):
            match part:
                case Text() if part.text:
                    self._add("text", part.text)
                case Thinking():
                    key = self._switch("thinking", Thinking(native=part.native))
                    self._assembly.add(key, part.text)
                    if part.extra:
                        self._assembly.part(key).extra = part.extra
                case Text():
                    pass
                case _:
                    self._stop_flow()
                    self._assembly.whole(part)

    def _reasoning(self, delta: dict[str, Any]) -> None:
        if delta.get(BLOCKS) and (blocks := [parse_block(item) for item in objects(delta[BLOCKS])]):
            self._blocks(blocks, delta)
            return
        details = delta.get(DETAILS)
        if details and type(details) is list:
            texts = False
            for item in details:
                if type(item) is dict:
                    texts = self._detail(item) or texts
            if texts:
                return
        if (found := filled(delta, self._reasoning_fields)) is not None:
            self._add(*found)
        elif (odd := odd_reasoning(delta, self._reasoning_fields)) is not None:
            self._add(*odd)
        elif details and type(details) is not list:
            self._add(REASONING_FIELDS[0], shown(details))
        elif delta.get(REASONING_FIELDS[0]) == "" and self._blank_reasoning is not None:
            self._blank_reasoning = True

    def _detail(self, item: dict[str, Any]) -> bool:
        """A fragment of a `reasoning_details` item: the same index and type continue the same part."""
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

    def _blocks(self, blocks: list[Thinking], delta: dict[str, Any]) -> None:
        """LiteLLM's `thinking_blocks`. The text is in `reasoning_content` too, and a block with a signature ends it: alone, or with
        all of the text again."""
        signed = [block for block in blocks if block.opaque is not None]
        if not any(block.text for block in signed):
            found = filled(delta, self._reasoning_fields)
            if found is None and REASONING_FIELDS[0] not in delta and (text := "".join([b.text for b in blocks])):
                found = REASONING_FIELDS[0], text
            if found is not None:
                self._add(*found)
        self._blank_reasoning = None
        for block in signed:
            if self._kind in self._reasoning_fields and self._flow is not None and not is_redacted(block):
                part = self._assembly.part(self._flow)
                part.native, part.opaque, part.extra = BLOCKS, block.opaque, block.extra
            else:
                key = self._switch(BLOCKS, Thinking(opaque=block.opaque, native=BLOCKS, extra=block.extra))
                if block.text:
                    self._assembly.add(key, block.text)
            self._stop_flow()

    # --- parts ---

    def _add(self, kind: str, text: str, logprobs: list[Json] | None = None) -> None:
        """Add to the open part if it is of this kind, else to a new one."""
        if self._kind != kind:
            part = Text() if kind == "text" else Refusal() if kind == "refusal" else Thinking(native=kind)
            self._switch(kind, part)
        self._assembly.add(self._flow, text, 0, logprobs)  # type: ignore[arg-type]

    def _switch(self, kind: str, part: AnyPart) -> int:
        """The open part if it is of this kind, else `part`, opened after the previous one ends."""
        if self._flow is not None and self._kind == kind:
            return self._flow
        self._stop_flow()
        self._calls.open_before()
        if self._blank_reasoning and type(part) is not Thinking:
            self._blank()
        self._blank_reasoning = None
        self._flow, self._kind = self._assembly.open(part), kind
        return self._flow

    def _blank(self) -> None:
        """Empty reasoning, which DeepSeek and Kimi require back."""
        self._assembly.whole(Thinking(texts=[""], native=REASONING_FIELDS[0]))

    def _end_flow(self) -> None:
        """End the open part: neither text nor thinking follows."""
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
        """Write the text that the tag splitter held back."""
        if self._tags is not None:
            for thinking, text in self._tags.close():
                self._add(THINK_TAGS if thinking else "text", text)

    def _end(self, done: bool) -> None:
        assembly = self._assembly
        if assembly.ended:
            return
        self._end_flow()
        self._calls.close()
        if self._sound.pieces:
            assembly.whole(self._sound.part())
        assembly.usage = parse_usage(self._usage, self._dialect)
        if self._failure is not None:
            assembly.fail(self._failure)
        elif self._native is None and not done and not (self._dialect.ends_without_finish and assembly.started):
            what = "stopped before its end" if assembly.started else "is empty, or not a stream of events"
            assembly.fail(IncompleteReply(f"the stream {what}: no finish reason and no `[DONE]` received"))
        else:
            finish(assembly, self._native, self._stop)


class _Calls:
    """Tool calls of a stream, matched by ID and index. OpenAI sends both once; few other providers do."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._by_index: dict[int, StreamedCall] = {}
        self._by_id: dict[str, StreamedCall] = {}
        self._waiting: list[StreamedCall] = []
        """Calls of which only the name was received, which may continue."""
        self._all: list[StreamedCall] = []
        self._last: StreamedCall | None = None

    def feed(self, item: dict[str, Any], native: str | None = None) -> None:
        body = call_body(item)
        call = self._find(item, body)
        part = call.part
        part.native = native
        part.id = part.id or call_id(item.get("id"))
        if part.id:
            self._by_id[part.id] = call
        if name := shown(body.get("name")):  # "" on continuations (Mistral); repeated in every delta (OpenRouter)
            call.name(name)
        if item.get("type") == "custom":
            part.format = "text"
        signature, rest = split_signature(item)
        part.opaque = signature or part.opaque
        extra = without(item, "id", "type", "index", "function", "custom", "extra_content", "provider_specific_fields")
        if extra or rest:
            part.extra = {**(part.extra or {}), **(extra or {}), **rest}
        fragment = body.get("arguments", body.get("input"))
        if fragment not in (None, "") and self._waiting:
            self.open_before(call)
        call.write(self._assembly, fragment)

    def has(self, index: int) -> bool:
        """Whether a call has this index, and is not a legacy one."""
        known = self._by_index.get(index)
        return known is not None and known.part.native is None

    def extend(self, index: int, arguments: str) -> None:
        """Add arguments to a call that `has` knows: `feed` for a delta that has nothing else."""
        call = self._by_index[index]
        if self._waiting:
            self.open_before(call)
        call.write(self._assembly, arguments)

    def open_before(self, call: StreamedCall | None = None) -> None:
        """Open the waiting calls up to `call`, because a later one is about to open."""
        while self._waiting:
            waiting = self._waiting.pop(0)
            if waiting is call:
                break
            if waiting.named:
                waiting.open(self._assembly)

    def _find(self, item: dict[str, Any], body: dict[str, Any]) -> StreamedCall:
        """The call that a delta continues, or a new one.

        A new ID at a known index is a new call (Ollama sends every parallel call as index 0), unless it has no name and
        the previous call is incomplete (an ID invented for every delta). An ID that is known continues its call, also at
        another call's index. Without an index, an ID opens a call and its absence continues the last one (Mistral, SGLang).
        An unknown index without an ID or name also continues the last call (Nebius increments the index on
        continuations). A name and other arguments after complete ones are a new call (no IDs, the same index for all).
        """
        index, id, name = count(item.get("index")), call_id(item.get("id")), word(body.get("name"))
        fragment = body.get("arguments")
        known = self._by_index.get(index) if index is not None else self._last
        same = self._by_id.get(id) if id is not None and (index is None or (known and known.part.id)) else None
        if same is not None and not same.ends_before(name, fragment):
            return same
        if index is None and id is None and name and self._last is not None:
            says_nothing = name == self._last.part.name and not body.get("arguments")
            known = self._last if not self._last.named or not self._last.whole or says_nothing else None
        if known is not None:
            other = id and known.part.id and id != known.part.id
            if not other and not known.ends_before(name, fragment):
                return known
            if other and not name and known.begun and not known.whole:
                return known
        if known is None and id is None and not name and self._last is not None:
            return self._last
        call = StreamedCall()
        if index is not None:
            self._by_index[index] = call
        self._waiting.append(call)
        self._all.append(call)
        self._last = call
        return call

    def close(self) -> None:
        self.open_before()
        for call in self._all:
            call.close(self._assembly)


class _Sound:
    """Generated audio: base64 pieces with a transcript, emitted as one part at the end."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self._extra: dict[str, Json] = {}

    def feed(self, audio: Json) -> None:
        for name, value in mapping(audio).items():
            if name == "data" and type(value) is str:
                with suppress(ValueError):
                    self.pieces.append(b64decode(value))
            elif name == "transcript" and type(value) is str:
                self._extra[name] = self._extra.get(name, "") + value
            elif value is not None:
                self._extra[name] = value

    def part(self) -> Media:
        data = b64encode(b"".join(self.pieces)).decode()
        return Media(kind="audio", data=data, native="audio", extra=self._extra or None)


class _TagSplitter:
    """Separates thinking in tags from text, for any split: `<think>…</think>` at the start of the text, or text before
    a `</think>` without an opening tag, which the template has opened."""

    def __init__(self) -> None:
        self._state: Literal["start", "thinking", "text", "done"] = "start"
        self._held = ""
        self._close_tag = ""

    def feed(self, text: str) -> list[tuple[bool | None, str]]:
        """Pairs of (is thinking, text). None: all text so far was thinking."""
        if self._state == "done":
            return [(False, text)]
        self._held += text
        if self._state == "start":
            start = self._held.lstrip()
            tag = next((tag for tag in OPENING if start.startswith(tag)), None)
            if tag is not None:
                self._state, self._close_tag = "thinking", f"{tag[0]}/{tag[1:]}"
                self._held = start[len(tag) :]
            elif any(tag.startswith(start) for tag in OPENING):
                return []
            else:
                self._state = "text"
        return self._until(self._close_tag) if self._state == "thinking" else self._until_lone()

    def _until(self, tag: str) -> list[tuple[bool | None, str]]:
        thinking, closed, rest = self._held.partition(tag)
        if closed:
            self._state, self._held = "done", ""
            return [pair for pair in ((True, thinking), (False, rest)) if pair[1]]
        return self._ready(True, (tag,))

    def _until_lone(self) -> list[tuple[bool | None, str]]:
        found = TAG.search(self._held)
        if found is None:
            return self._ready(False, (*LONE[0], *LONE[1]))
        text, self._state, self._held = self._held, "done", ""
        if found.group() in OPENING:  # the reply is about tags
            return [(False, text)]
        before, rest = text[: found.start()], text[found.end() :]
        return [*([(False, before)] if before else []), (None, ""), *([(False, rest)] if rest else [])]

    def _ready(self, thinking: bool, tags: tuple[str, ...]) -> list[tuple[bool | None, str]]:
        """The held text, without a possible beginning of a tag."""
        end = len(self._held)
        marks = (mark.start() for mark in FIRST.finditer(self._held, max(0, end - _LONGEST_TAG)))
        at = next((at for at in marks if any(tag.startswith(self._held[at:]) for tag in tags)), end)
        ready, self._held = self._held[:at], self._held[at:]
        return [(thinking, ready)] if ready else []

    def close(self) -> list[tuple[bool | None, str]]:
        held, self._held = self._held, ""
        return [(self._state == "thinking", held)] if held else []
