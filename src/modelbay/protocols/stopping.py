"""Stop sequences for providers that have none, or accept fewer than a request has: the answer is cut at the sequence.

The result is the same however the answer is split: the sequence whose end comes first ends the answer, and of two with the same
end the longer one. Like providers, this looks at the texts of an answer only, not at thinking and arguments of calls.
"""

from collections.abc import Sequence
from itertools import accumulate

from msgspec import Struct, field
from msgspec.structs import replace

from modelbay.conversation import Annotation, AnyPart, Json, Settings, Text
from modelbay.dialect import Dialect
from modelbay.events import Event, Finished, PartAnnotated, PartDelta, PartEnded, PartStarted, UsageReported

_MOST = {"google": 5, "openai_responses": 0}
"""Maximum number of stop sequences in requests of a protocol."""
_FIELDS = {"openai_chat": "stop", "anthropic": "stop_sequences", "google": "stopSequences"}


def accepted_stops(settings: Settings, protocol: str, dialect: Dialect, *, same: bool) -> tuple[Settings, list[str]]:
    """The settings without stop sequences that the target does not accept, and these sequences, at which the answer must be cut.
    They are all or none: a provider that knows some of them may end the answer in the middle of another one. `same`: whether the
    client uses the target's protocol."""
    if not settings.stop:
        return settings, []
    stops = [stop for stop in settings.stop if stop]
    if len(stops) < len(settings.stop) and not same:
        settings = replace(settings, stop=stops or None)
    if not stops:
        return settings, []
    most = dialect.most_stops
    if most is None and not same:
        most = _MOST.get(protocol)
    if _FIELDS.get(protocol) in dialect.unsupported:
        most = 0
    fit = most is None or len(stops) <= most
    if protocol == "anthropic" and not same:  # which rejects white space
        fit = fit and all(stop.strip() for stop in stops)
    return (settings, []) if fit else (replace(settings, stop=None), stops)


class _Held(Struct):
    """The end of a text that may be the beginning of a stop sequence."""

    part: Text
    text: str = ""
    """The text that is held back."""
    logprobs: list[Json] = field(default_factory=list)
    """Log probabilities of its tokens."""
    released: list[str] = field(default_factory=list)
    """The texts before it."""
    of_released: list[Json] = field(default_factory=list)
    annotations: list[Annotation] = field(default_factory=list)


class StopCut:
    """Cuts a reply at the first stop sequence in one of its texts."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._longest = max(map(len, stops)) - 1
        self._texts: dict[int, _Held] = {}
        self.done = False
        """Whether a stop sequence was found: the rest of the reply is not needed."""

    def feed(self, events: list[Event]) -> list[Event]:
        """The events up to the end of the reply. After it, only usage that arrived with them follows."""
        out: list[Event] = []
        end: Finished | None = None
        for event in events:
            if end is not None:
                if type(event) is UsageReported:
                    out.append(event)
                continue
            end = self._step(event, out)
        if end is not None:
            self.done = True
            out.append(end)
        return out

    def _step(self, event: Event, out: list[Event]) -> Finished | None:
        if type(event) is PartStarted and type(event.part) is Text:
            self._texts[event.key] = _Held(event.part)
        elif type(event) is PartDelta and (held := self._texts.get(event.key)) is not None:
            return self._add(event.key, held, event.text, event.logprobs, out)
        elif type(event) is PartEnded and (held := self._texts.pop(event.key, None)) is not None:
            return self._end(event, held, out)
        elif type(event) is PartAnnotated and (held := self._texts.get(event.key)) is not None:
            held.annotations.append(event.annotation)
        out.append(event)
        return None

    def _add(self, key: int, held: _Held, text: str, logprobs: list[Json] | None, out: list[Event]) -> Finished | None:
        held.text += text
        held.logprobs += logprobs or ()
        if (found := self._found(held.text)) is not None:
            start, stop = found
            kept = held.text[:start]
            tokens = _before(held.logprobs, start)
            if kept:
                out.append(PartDelta(key, kept, logprobs=tokens or None))
            whole = replace(held.part, text="".join([*held.released, kept]))
            whole.logprobs = [*held.of_released, *tokens] or None
            whole.annotations = [one for one in held.annotations if (one.end or 0) <= len(whole.text)] or None
            out.append(PartEnded(key, whole))
            return Finished("stop", stop_sequence=stop)
        length = len(held.text) - self._tail(held.text)
        if held.logprobs and length < len(held.text):  # tokens are not divided
            length = 0
        self._release(key, held, length, out)
        return None

    def _end(self, event: PartEnded, held: _Held, out: list[Event]) -> Finished | None:
        part: AnyPart = event.part
        seen = "".join([*held.released, held.text])
        rest = part.text[len(seen) :] if type(part) is Text else ""  # replies that arrive whole may have no pieces
        if rest and (end := self._add(event.key, held, rest, None, out)) is not None:
            return end
        self._release(event.key, held, len(held.text), out)
        out.append(event)
        return None

    def _release(self, key: int, held: _Held, length: int, out: list[Event]) -> None:
        if not length:
            return
        text, held.text = held.text[:length], held.text[length:]
        logprobs, held.logprobs = held.logprobs, []
        held.released.append(text)
        held.of_released += logprobs
        out.append(PartDelta(key, text, logprobs=logprobs or None))

    def _found(self, text: str) -> tuple[int, str] | None:
        """The place and the text of the sequence that ends first."""
        places = [(start + len(stop), start, stop) for stop in self._stops if (start := text.find(stop)) >= 0]
        return min(places)[1:] if places else None

    def _tail(self, text: str) -> int:
        """The length of the longest end of a text with which a sequence may begin."""
        for start in range(max(0, len(text) - self._longest), len(text)):
            if any(stop.startswith(text[start:]) for stop in self._stops):
                return len(text) - start
        return 0


def _before(logprobs: list[Json], length: int) -> list[Json]:
    """The tokens that are in the first characters of a text."""
    ends = accumulate(len(str(token.get("token", ""))) if isinstance(token, dict) else 0 for token in logprobs)
    return [token for token, end in zip(logprobs, ends, strict=True) if end <= length]
