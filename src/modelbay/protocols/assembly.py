"""Builds the events of one reply, so that all parsers give the same guarantees.

`Started` comes first, each part starts and ends once, the finished part contains its joined text, and exactly one
`Finished` or `Failed` comes last. Anything that a provider sends after that is ignored.
"""

from msgspec.structs import replace

from modelbay.conversation import (
    SEPARATOR,
    Annotation,
    AnyPart,
    Extra,
    Json,
    Provenance,
    Refusal,
    ServerToolCall,
    Text,
    Thinking,
    ToolCall,
)
from modelbay.errors import ModelbayError
from modelbay.events import (
    Event,
    Failed,
    Finished,
    FinishReason,
    PartAnnotated,
    PartDelta,
    PartEnded,
    PartStarted,
    Started,
    UsageReported,
    Warned,
)
from modelbay.protocols.arguments import is_cut, normal
from modelbay.usage import Usage


class _Open:
    """An open part. `texts` holds its fragments: a list for each text of a thinking part."""

    __slots__ = ("part", "texts")

    def __init__(self, part: AnyPart) -> None:
        self.part = part
        self.texts: list[list[str]] = []


class Assembly:
    def __init__(self, origin: Provenance | None = None) -> None:
        """`origin` becomes that of all parts, if it is known."""
        self.started = False
        self.ended = False
        self.usage: Usage | None = None
        self.has_calls = False
        self.has_answer = False
        """Whether a non-empty part other than thinking has ended."""
        self._call_ids: set[str] = set()
        self._cut = False
        """Whether a tool call has ended with truncated arguments."""
        self._origin = origin
        self._events: list[Event] = []
        self._open: dict[int, _Open] = {}
        self._keys = 0

    def take(self) -> list[Event]:
        """The events since the last call of `take`."""
        events, self._events = self._events, []
        return events

    def start(self, id: str | None, model: str | None, extra: Extra | None = None) -> None:
        """Start the reply. A second start is a server's mistake (spliced streams) and is ignored."""
        if not self.started:
            self.started = True
            self._events.append(Started(id, model, extra or None))

    def open(self, part: AnyPart) -> int:
        key = self._keys
        self._keys = key + 1
        self._stamp(part)
        self._open[key] = _Open(part)
        if type(part) is ToolCall:
            self.has_calls = True
            self.identify(part, part.id)
        self._events.append(PartStarted(key, replace(part)))
        return key

    def identify(self, call: ToolCall, id: str | None) -> None:
        """Set the ID of a call. An ID that another call of the reply has is dropped: clients match results by ID."""
        if id is not None:
            call.id = None if id in self._call_ids else id
            self._call_ids.add(id)

    def part(self, key: int) -> AnyPart:
        """The open part itself; fields set on it appear in its `PartEnded`."""
        return self._open[key].part

    def turn_into(self, key: int, part: AnyPart) -> None:
        """Change the kind of an open part. Its text is kept."""
        self._stamp(part)
        self._open[key].part = part

    def is_open(self, key: int | None) -> bool:
        return key in self._open

    def add(self, key: int, text: str, index: int = 0, logprobs: list[Json] | None = None) -> None:
        opened = self._open[key]
        texts = opened.texts
        if index >= len(texts):
            self._begin_text(key, texts, index)
        texts[index].append(text)
        if logprobs and type(opened.part) is Text:
            opened.part.logprobs = opened.part.logprobs or []
            opened.part.logprobs += logprobs
        self._events.append(PartDelta(key, text, index, logprobs or None))

    def plain_texts(self, key: int, index: int) -> list[str] | None:
        """The fragments of a text, to which more can be appended; None if the part has not only text."""
        opened = self._open[key]
        return opened.texts[index] if type(opened.part) in (Text, Thinking) and index >= 0 else None

    def _begin_text(self, key: int, texts: list[list[str]], index: int) -> None:
        while len(texts) <= index:
            texts.append([])
            if len(texts) > 1:
                self._events.append(PartDelta(key, SEPARATOR, -1))

    def written(self, key: int) -> str:
        """The text added to a part so far."""
        return "".join(["".join(texts) for texts in self._open[key].texts])

    def annotate(self, key: int, annotation: Annotation) -> None:
        part = self._open[key].part
        part.annotations = [*(part.annotations or ()), annotation]
        self._events.append(PartAnnotated(key, annotation))

    def end(self, key: int) -> None:
        """End a part. An ended part is ignored."""
        opened = self._open.pop(key, None)
        if opened is None:
            return
        part = opened.part
        texts = ["".join(fragments) for fragments in opened.texts]
        if texts:
            match part:
                case Text() | Refusal():
                    part.text = texts[0]
                case Thinking():
                    part.texts = texts
                case ToolCall() | ServerToolCall():
                    part.arguments = texts[0]
                case _:
                    pass
        self._note(part)
        self._events.append(PartEnded(key, part))

    def _note(self, part: AnyPart) -> None:
        """Note what a part that ends means for the reply."""
        match part:
            case Text() | Refusal():
                self.has_answer = self.has_answer or bool(part.text)
            case Thinking():
                pass
            case _:
                self.has_answer = True
                self._cut = self._cut or (type(part) is ToolCall and is_cut(part))

    def has_cut_calls(self) -> bool:
        """Whether a tool call is truncated, or would be if it ended now."""
        return self._cut or any(
            is_cut(replace(opened.part, arguments=self.written(key)))
            for key, opened in self._open.items()
            if type(opened.part) is ToolCall
        )

    def drop(self, key: int) -> None:
        """Drop a truncated part: it never ends, and so is not part of the reply."""
        self._open.pop(key, None)

    def end_all(self) -> None:
        for key in list(self._open):
            self.end(key)

    def whole(self, part: AnyPart) -> None:
        """Add a part that arrived complete."""
        key = self._keys
        self._keys = key + 1
        self._stamp(part)
        texts: list[str] = []
        logprobs: list[Json] | None = None
        start: AnyPart
        match part:
            case Text():
                texts, logprobs = [part.text], part.logprobs
                start = replace(part, text="", logprobs=None, annotations=None)
            case Refusal():
                texts, start = [part.text], replace(part, text="", annotations=None)
            case Thinking():
                texts, start = part.texts, replace(part, texts=[], annotations=None)
            case ToolCall() | ServerToolCall():
                if type(part) is ToolCall:
                    self.identify(part, part.id)
                    if part.format == "json":
                        part.arguments = normal(part.arguments)
                texts, start = [part.arguments], replace(part, arguments="", annotations=None)
            case _:
                start = replace(part, annotations=None)
        if type(part) is ToolCall:
            self.has_calls = True
        self._events.append(PartStarted(key, start))
        for index, text in enumerate(texts):
            if index:
                self._events.append(PartDelta(key, SEPARATOR, -1))
            if text or logprobs or len(texts) > 1:
                self._events.append(PartDelta(key, text, index, logprobs or None))
        for annotation in part.annotations or ():
            self._events.append(PartAnnotated(key, annotation))
        if not texts or any(texts):  # an empty part does not count as an answer; it is kept unchanged
            part.annotations = part.annotations or None
            if type(part) is Text:
                part.logprobs = logprobs or None
            self._note(part)
        self._events.append(PartEnded(key, part))

    def _stamp(self, part: AnyPart) -> None:
        if self._origin is not None:
            part.origin = self._origin

    def warn(self, message: str, setting: str | None = None) -> None:
        self._events.append(Warned(message, setting))

    def finish(
        self,
        reason: FinishReason,
        native: str | None = None,
        stop_sequence: str | None = None,
        extra: Extra | None = None,
    ) -> None:
        if self._close():
            self._events.append(Finished(reason, native, stop_sequence, extra or None))

    def fail(self, error: ModelbayError) -> None:
        """Fail the reply. Texts received so far are kept; incomplete tool calls are dropped, as ended calls may be run."""
        for key in [key for key, opened in self._open.items() if type(opened.part) is ToolCall]:
            self.drop(key)
        if self._close():
            self._events.append(Failed(error))

    def _close(self) -> bool:
        if self.ended:
            return False
        self.start(None, None)
        self.end_all()
        if self.usage is not None:
            self._events.append(UsageReported(self.usage))
        self.ended = True
        return True
