"""Places in a conversation at which a model replied, found again in a later request of the same client, and makers of reasoning
state."""

import re
from collections.abc import Iterator
from hashlib import blake2b
from itertools import groupby

import msgspec
from msgspec import Struct

from modelbay.calling.target import Target
from modelbay.conversation import (
    AnyPart,
    Json,
    Media,
    Provenance,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Turn,
)
from modelbay.errors import MalformedReply
from modelbay.json_text import decode
from modelbay.protocols import opaque


class Maker(Struct, frozen=True):
    """The provider and model family that created a state, which only they accept."""

    origin: str
    """Origin of the base URL, with the provider's ID where state is bound to an account."""
    protocol: str
    vendor: str
    family: str

    @classmethod
    def of(cls, target: Target) -> "Maker":
        made, origin = target.provenance, str(target.upstream.origin)
        # another account rejects encrypted reasoning; signatures are valid everywhere
        if made.protocol == "openai_responses":
            origin = f"{origin} {target.upstream.provider.id}"
        # of unknown families, each model is one: two models of a provider may be asked the same
        return cls(origin, made.protocol, made.vendor, made.family or target.model.id)

    def accepts(self, other: "Maker") -> bool:
        """Whether this maker accepts the state of another one."""
        theirs = Text(origin=Provenance(other.protocol, other.vendor, other.family))
        return self.origin == other.origin and opaque.belongs(theirs, self.protocol, self.vendor, self.family)

    @property
    def digest(self) -> str:
        return digest(self.origin, self.protocol, self.vendor, self.family)

    @property
    def refusal(self) -> str:
        """The variant of a row about a signature that this maker refused."""
        return f"refused {self.digest}"


class Run(Struct):
    """Consecutive turns of the model."""

    start: int
    """Index of the first turn."""
    end: int
    """Index after the last turn."""
    parts: list[AnyPart]
    before: str
    """Digest of the conversation before."""

    def place(self, maker: Maker) -> str | None:
        """The key of the run's state; None if it has neither a call nor a text."""
        call = next((part for part in self.parts if type(part) is ToolCall), None)
        content = call.name if call is not None else text_of(self.parts)
        if not content:
            return None
        kind = "call" if call is not None else "text"
        return digest(self.before, maker.origin, maker.protocol, maker.vendor, maker.family, kind, content)

    @property
    def variant(self) -> str:
        """The ID of the first call and a digest of its arguments; "" if there is none."""
        call = next((part for part in self.parts if type(part) is ToolCall), None)
        return "" if call is None else f"{digest(_arguments(call))} {call.id or ''}"


class _History:
    """A digest of a conversation that grows with it."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=16)
        self._voice = ""

    def add(self, voice: str, text: str) -> None:
        # clients divide a message into texts as they like, but not between voices
        if voice != self._voice:
            self._voice = voice
            self._hash.update(b"\0" + voice.encode() + b"\0")
        self._hash.update(text.encode("utf-8", "surrogatepass"))

    def add_given(self, part: AnyPart, voice: str = "user") -> None:
        """Add a part of a message that is not the model's."""
        match part:
            case Text() | Refusal():
                self.add(voice, part.text)
            case Media():
                self.add(f"{voice} {part.kind}", part.data or part.url or part.file_id or part.text or "")
                for inner in part.parts or ():
                    self.add_given(inner, voice)
            case ToolResult():
                self.add("", "")  # each result is a message of its own
                for inner in part.parts:
                    self.add_given(inner, "result")

    def add_run(self, parts: list[AnyPart]) -> None:
        self.add("model", text_of(parts))
        for part in parts:
            if type(part) is ToolCall:
                self.add("", "")
                self.add("call", part.name)

    def digest(self) -> str:
        return self._hash.hexdigest()


def runs_of(turns: list[Turn]) -> Iterator[Run]:
    """The model's part of a conversation, in its order."""
    history = _History()
    start = 0
    for own, group in groupby(turns, lambda turn: turn.role == "assistant"):
        run = list(group)
        if own:
            parts = [part for turn in run for part in turn.parts]
            yield Run(start, start + len(run), parts, history.digest())
            history.add_run(parts)
        else:
            for part in _given(run):
                history.add_given(part)
        start += len(run)


def _given(turns: list[Turn]) -> Iterator[AnyPart]:
    """The parts of turns that are not the model's, each once: Gemini CLI sends tool results with their media again in a continued
    session."""
    results: dict[str, ToolResult] = {}
    repeats = False
    for turn in turns:
        if turn.role in ("system", "developer"):
            continue
        for part in turn.parts:
            if type(part) is ToolResult:
                first = results.setdefault(part.call_id, part) if part.call_id else part
                repeats = first is not part and first.parts == part.parts
            if not repeats or type(part) not in (ToolResult, Media):
                yield part


def digest(*texts: str) -> str:
    return blake2b("\0".join(texts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def text_of(parts: list[AnyPart]) -> str:
    """The texts without white space: clients and renderers trim and divide them."""
    return "".join("".join(part.text.split()) for part in parts if isinstance(part, Text | Refusal))


def _arguments(call: ToolCall) -> str:
    """The arguments of a call without their format: clients encode them again."""
    try:
        arguments = decode(call.arguments or "{}") if call.format == "json" else {"input": call.arguments}
    except MalformedReply:
        arguments = None
    if not isinstance(arguments, dict):  # some clients receive invalid arguments like this
        arguments = {"_raw": call.arguments}
    if re.search(r"\d[.eE]", call.arguments):
        arguments = _plain_numbers(arguments)
    return msgspec.json.encode(arguments, order="sorted").decode()


def _plain_numbers(value: Json) -> Json:
    """The value with 1 for 1.0, as JavaScript writes it."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain_numbers(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain_numbers(item) for name, item in value.items()}
    return value


def likeness(part: AnyPart) -> str:
    """A digest of what a client sees of a part."""
    match part:
        case ToolCall():
            return digest("call", part.name)
        case Media():
            return digest("media", part.data or part.url or "")
        case _:
            return digest("text", text_of([part]))
