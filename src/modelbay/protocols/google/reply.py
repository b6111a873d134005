"""Gemini replies: parsing and rendering. A reply consists of one or more GenerateContentResponse objects, so streams
share the code."""

import msgspec
from msgspec.structs import replace

from modelbay.conversation import AnyPart, Extra, Json, Provenance, Refusal, ServerToolCall, Text, Thinking, ToolCall
from modelbay.dialect import Dialect
from modelbay.errors import IncompleteReply, MalformedReply, ModelbayError, ReplyError
from modelbay.events import Event, Finished, FinishReason, Reply
from modelbay.json_text import decode, encode
from modelbay.protocols.arguments import is_cut
from modelbay.protocols.assembly import Assembly
from modelbay.protocols.failures import unreadable
from modelbay.protocols.finishing import REASONS, finish, stated
from modelbay.protocols.google.case import Fields, camel
from modelbay.protocols.google.citations import parse_citations, render_grounding
from modelbay.protocols.google.errors import error_in
from modelbay.protocols.google.logprobs import parse_logprobs, render_logprobs
from modelbay.protocols.google.partial_args import PartialArguments
from modelbay.protocols.google.parts import (
    SIGNATURE,
    compact,
    envelope,
    is_ours,
    parse_part,
    render_part,
    string,
)
from modelbay.protocols.google.usage import parse_usage, render_usage
from modelbay.protocols.google.usual import usual_chunk
from modelbay.protocols.shapes import items, shown, without

OWN = (
    "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR",
    "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION",
)  # fmt: skip
"""The protocol's finish reasons, except those that report a failed model."""
MALFORMED_CALL = "MALFORMED_FUNCTION_CALL"
_NUMBERS = (
    "", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII",
    "MALFORMED_FUNCTION_CALL", "MODEL_ARMOR",
)  # fmt: skip
"""Vertex AI's numbers: its old SDK requests `enum-encoding=int`."""
_NATIVE: dict[FinishReason, str] = {
    "length": "MAX_TOKENS", "content_filter": "SAFETY", "refusal": "SAFETY", "other": "OTHER",
}  # fmt: skip
_CHUNK = ("candidates", "usageMetadata", "promptFeedback", "modelVersion", "responseId")
CANDIDATE = (
    "groundingMetadata", "citationMetadata", "safetyRatings", "urlContextMetadata", "avgLogprobs", "finishMessage",
    "tokenCount",
)  # fmt: skip
"""Fields of a candidate that are passed on to clients unchanged."""


def parse_reply(body: bytes, dialect: Dialect, origin: Provenance | None = None) -> list[Event]:
    reader = ReplyReader(dialect, origin)
    try:
        answer = decode(body)
    except MalformedReply as error:
        reader.fail(unreadable(f"the reply is not JSON: {error}", body))
        return reader.assembly.take()
    if isinstance(answer, list):  # a stream without `alt=sse`, collected
        for chunk in answer:
            reader.read(chunk)
        reader.end()
    else:
        reader.read(answer)
        reader.end(whole=True)
    return reader.assembly.take()


class ReplyReader:
    """Parses chunks into events. Each chunk is a complete GenerateContentResponse with the next parts."""

    def __init__(self, dialect: Dialect, origin: Provenance | None = None) -> None:
        self.assembly = Assembly(origin)
        self._dialect = dialect
        self._flow: int | None = None
        """The open text or thinking, which citations at the end belong to."""
        self._in_text = False
        """Whether it is text."""
        self._signatures: list[Text] = []
        """Signatures of chunks that continued the open text, each as an empty text."""
        self._goes_on = False
        """Whether the next chunk may continue it. A signature without text, or of thinking, closes its part."""
        self._call: tuple[int, PartialArguments] | None = None
        """A call whose arguments arrive in pieces."""
        self._usage: Json = None
        self._native: str | None = None
        self._blocked: str | None = None
        self._extra: Extra = {}
        self._answered = False
        self._calls: dict[str, AnyPart] = {}
        """Complete calls by ID: some proxies repeat one in the last chunk."""

    @property
    def finishing(self) -> bool:
        """Whether a candidate's last chunk, or the refusal of the prompt, was received."""
        return self._native is not None or self._blocked is not None

    def read_usual(self, payload: bytes) -> bool:
        """Read a chunk that only continues the open text, as nearly all chunks do. Returns False if it is another one."""
        if self._flow is None or not self._goes_on or not self._in_text or self.assembly.ended:
            return False
        if (chunk := usual_chunk(payload)) is None:
            return False
        self._count(chunk.usage_metadata)
        self.assembly.add(self._flow, chunk.text)
        return True

    def _count(self, usage: Json) -> None:
        """Keep the last usage that counts tokens: Vertex AI's first chunks only contain the type of traffic."""
        if isinstance(usage, dict) and ("promptTokenCount" in usage or "candidatesTokenCount" in usage):
            self._usage = usage

    def read(self, chunk: Json) -> None:
        if self.assembly.ended:
            return
        try:
            failure = error_in(chunk)
            if failure is not None:
                self.fail(failure)
            elif isinstance(chunk, dict):
                self._read(chunk)
            else:
                self.fail(unreadable("the reply is not an object", encode(chunk)))
        except ReplyError as error:
            self.fail(error)

    def fail(self, error: ModelbayError) -> None:
        """End the reply. An incomplete call is dropped: it must not be run."""
        if self._call is not None:
            self.assembly.drop(self._call[0])
            self._call = None
        self.assembly.usage = parse_usage(self._usage)
        self.assembly.fail(error)

    def _read(self, chunk: Fields) -> None:
        candidates, feedback = chunk.get("candidates"), chunk.get("promptFeedback")
        if candidates or feedback or "usageMetadata" in chunk:
            self._answered = True
            if not self.assembly.started:
                id, model = string(chunk.get("responseId")), string(chunk.get("modelVersion"))
                self.assembly.start(id, model, without(chunk, *_CHUNK))
        self._count(chunk.get("usageMetadata"))
        if isinstance(feedback, dict):
            self._extra["promptFeedback"] = feedback
            self._blocked = _name(feedback.get("blockReason")) or self._blocked
        for item in items(candidates):
            candidate = item if isinstance(item, dict) else {"content": item}
            if not candidate.get("index"):
                self._candidate(candidate)

    def _candidate(self, candidate: Fields) -> None:
        tokens = parse_logprobs(candidate.get("logprobsResult"))
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, dict) and content.keys() <= {"parts", "role"} else content
        for index, item in enumerate(items(parts)):
            tokens = self._part(item, index, tokens)
        for name, value in candidate.items():
            # `groundingMetadata: {}` is in every chunk, and must not replace an earlier one with content
            if name not in ("content", "finishReason", "index", "logprobsResult") and value not in (None, {}, []):
                before = self._extra.get(name)
                self._extra[name] = before | value if isinstance(before, dict) and isinstance(value, dict) else value
        self._native = _name(candidate.get("finishReason")) or self._native

    # --- parts ---

    def _part(self, item: Json, index: int, tokens: list[Json] | None) -> list[Json] | None:
        """Parse a part. Returns the log probabilities that it did not use."""
        if isinstance(item, dict):
            text = item.get("text") if index == 0 and len(item) == 1 and self._goes_on else None
            if text and type(text) is str and self._flow is not None and self._in_text:
                self.assembly.add(self._flow, text, 0, tokens)  # most chunks, on a fast path
                return None
            call = item.get("functionCall", item.get("function_call"))
            if isinstance(call, dict) and self._piece(item, camel(call)[0]):
                return tokens
        part = parse_part(item if isinstance(item, str | dict) else shown(item))
        if type(part) is ToolCall and part.id:
            if self._calls.get(part.id) == part:
                return tokens
            self._calls[part.id] = replace(part)
        if type(part) is not Text and type(part) is not Thinking:
            self._stop()
            self.assembly.whole(part)
            return tokens
        text = part.text
        if not text and part.opaque is None and not part.extra:
            return tokens
        if not text:  # a separate signature: the part before it stays open for its citations
            self._goes_on = False
            self.assembly.whole(part)
            return tokens
        key = self._open(part, continued=index == 0 and not part.extra)
        taken = tokens if type(part) is Text else None
        self.assembly.add(key, text, 0, taken)
        return None if taken else tokens

    def _open(self, part: Text | Thinking, continued: bool) -> int:
        """The open part if this one continues it, else a new one. Parts within one chunk are separate.

        A signed chunk of a text does not divide it: clients of other protocols would get two texts, and JSON in halves. The
        signature follows the text, where Gemini itself usually sends it.
        """
        is_text = type(part) is Text
        continued = continued and (is_text or part.opaque is None)
        if self._flow is not None and continued and self._goes_on and self._in_text is is_text:
            if part.opaque is not None:
                self._signatures.append(Text(opaque=part.opaque))
            return self._flow
        self._stop()
        start: AnyPart = Text() if is_text else Thinking()
        self._in_text = is_text
        start.opaque, start.extra = part.opaque, part.extra
        self._flow, self._goes_on = self.assembly.open(start), is_text or part.opaque is None
        return self._flow

    def _stop(self) -> None:
        """End the open part."""
        if self._flow is not None:
            self.assembly.end(self._flow)
            self._flow = None
            for signature in self._signatures:
                self.assembly.whole(signature)
            self._signatures = []
        if self._call is not None:
            key, arguments = self._call
            self._call = None
            self.assembly.add(key, compact(arguments.value))
            self.assembly.end(key)

    def _piece(self, item: Fields, body: Fields) -> bool:
        """Parse a call whose arguments arrive in pieces. Returns whether this was one.

        The first piece has the name. Later ones have none; the last is empty or has no `willContinue`.
        """
        goes_on = bool(body.get("willContinue"))
        if name := body.get("name"):
            if not isinstance(name, str) or not isinstance(body.get("id"), str | None):
                return False
            if not goes_on and "partialArgs" not in body:
                return False
            self._stop()
            part = parse_part({**item, "functionCall": without(body, "args", "partialArgs", "willContinue") or {}})
            self._call = self.assembly.open(part), PartialArguments()
        elif self._call is None:
            return not body.get("args") and body.keys() <= {"args", "partialArgs", "willContinue", "id", "name"}
        key, arguments = self._call
        if isinstance(body.get("args"), dict):
            arguments.value |= body["args"]
        arguments.feed(body.get("partialArgs"))
        signature = item.get(SIGNATURE)
        if isinstance(signature, str):
            self.assembly.part(key).opaque = signature
        if not goes_on:
            self._stop()
        return True

    # --- the end ---

    def end(self, whole: bool = False) -> None:
        assembly = self.assembly
        if assembly.ended:
            return
        if self._native is None and self._blocked is None and not self._may_end(whole):
            what = "stopped before its end" if self._answered else "is empty, or not a Gemini reply"
            self.fail(IncompleteReply(f"the reply {what}: no finish reason received"))
            return
        self._cite()
        self._stop()
        assembly.usage = parse_usage(self._usage)
        if self._native is None and self._blocked is not None:
            assembly.finish("content_filter", self._blocked, None, self._extra)
            return
        finish(assembly, self._native, None, self._extra, detail=string(self._extra.get("finishMessage")))

    def _may_end(self, whole: bool) -> bool:
        """Whether the reply may end without a finish reason: without streaming, a reply with content is complete."""
        return self._answered and (
            self._dialect.ends_without_finish or (whole and (self._flow is not None or self.assembly.has_calls))
        )

    def _cite(self) -> None:
        found = parse_citations(self._extra.get("groundingMetadata"), self._extra.get("citationMetadata"))
        if not found:
            return
        if self._flow is None or type(self.assembly.part(self._flow)) is not Text:
            self._stop()
            self._flow = self.assembly.open(Text())  # the text they belong to has ended before a call
        for annotation in found:
            self.assembly.annotate(self._flow, annotation)


def _name(value: Json) -> str | None:
    if type(value) is int:
        value = _NUMBERS[value] if 0 <= value < len(_NUMBERS) else "OTHER"
    return value.upper() if isinstance(value, str) and stated(value) else None


# --- rendering ---------------------------------------------------------------------------------------------------------


def render_reply(reply: Reply) -> bytes:
    end = reply.finish or Finished("stop")
    parts: list[Fields] = []
    state = PartWriter()
    for part in reply.parts:
        if (item := state.render(part)) is not None:
            parts.append(item)
    body = render_end(state.ended(end), reply.parts, parts)
    logprobs = [token for part in reply.parts if type(part) is Text for token in part.logprobs or ()]
    if logprobs and body["candidates"]:
        body["candidates"][0]["logprobsResult"] = render_logprobs(logprobs)
    if reply.usage is not None:
        body["usageMetadata"] = render_usage(reply.usage)
    if reply.model is not None:
        body["modelVersion"] = reply.model
    if reply.id is not None:
        body["responseId"] = reply.id
    if isinstance((reply.extra or {}).get("createTime"), str):
        body["createTime"] = (reply.extra or {})["createTime"]
    return msgspec.json.encode(body)


def render_end(end: Finished, cited: list[AnyPart], parts: list[Fields]) -> Fields:
    """The last chunk, or the whole reply: parts, finish reason, and fields next to the candidate."""
    extra = end.extra or {}
    feedback = extra.get("promptFeedback")
    if not cited and not parts and isinstance(feedback, dict) and feedback.get("blockReason"):
        return {"promptFeedback": feedback}
    candidate: Fields = {"content": {"parts": parts, "role": "model"}}
    candidate |= {"finishReason": native_reason(end), "index": 0}
    candidate |= {name: extra[name] for name in CANDIDATE if name in extra}
    ours = candidate.keys() & {"groundingMetadata", "citationMetadata"}
    if not ours and (grounding := render_grounding(cited)) is not None:
        candidate["groundingMetadata"] = grounding
    return {"candidates": [candidate]} | ({"promptFeedback": feedback} if feedback else {})


def native_reason(end: Finished) -> str:
    """The finish reason for a client; the provider's own if the protocol has it."""
    if end.native == MALFORMED_CALL:
        return end.native
    if end.native in OWN:
        reason = REASONS[end.native.lower()]
        if reason == end.reason or (reason == "stop" and end.reason == "tool_calls"):
            return end.native
    return _NATIVE.get(end.reason, "STOP")


class PartWriter:
    """Writes the parts of a reply, and stores other providers' opaque state with the client, in envelopes.

    A thinking part carries its own, and so does the first call after it: Gemini CLI sends calls back but drops
    thoughts.
    """

    def __init__(self) -> None:
        self._thinking: AnyPart | None = None
        self.cut = False
        """Whether a call was dropped because its arguments are truncated."""

    def render(self, part: AnyPart) -> Fields | None:
        """A part, or None if there is nothing to write."""
        if isinstance(part, ToolCall) and is_cut(part):
            self.cut = True  # a call is complete here, or missing
            return None
        ours = is_ours(part)
        item = None if isinstance(part, ServerToolCall) and not ours else render_part(part, ours)
        if item is None:
            return None
        if isinstance(part, ToolCall):  # always sent by the API itself, and SDKs rely on it
            item["functionCall"] = {"name": part.name, "args": {}} | item["functionCall"]
        if (signature := self.signature(part)) is not None:
            item[SIGNATURE] = signature
        blank = isinstance(part, Text | Thinking | Refusal) and not part.text and SIGNATURE not in item
        return None if blank else item

    def ended(self, end: Finished) -> Finished:
        """The finish reason; not a call, if that was dropped."""
        if not self.cut or end.reason not in ("tool_calls", "stop"):
            return end
        return Finished("other", MALFORMED_CALL, extra=end.extra)

    def signature(self, part: AnyPart, *, with_text: bool = False) -> str | None:
        """The envelope for a part, or None."""
        thinking = self._thinking
        if type(part) is ToolCall:
            self._thinking = None
            if part.opaque is None and thinking is not None:
                return envelope(thinking, with_text=True)
        if is_ours(part) or (part.opaque is None and type(part) is not Thinking):
            return None
        if type(part) is Thinking:
            self._thinking = part
        return envelope(part, with_text=with_text)
