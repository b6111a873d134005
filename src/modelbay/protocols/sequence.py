"""Puts any sequence of events into the order that a renderer can write.

The promises of `events.py` are kept by our parsers, but a renderer must write a valid stream whatever it is fed: one
`Started` first, every part started before it is added to and ended before the reply is, one end, nothing after it.
Protocols whose blocks cannot overlap get one part after the other, in the order of `PartStarted`.
"""

from modelbay.conversation import AnyPart
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


class Sequence:
    def __init__(self, *, interleave: bool) -> None:
        self._interleave = interleave
        self._started = False
        self._ended = False
        self._open: dict[int, AnyPart] = {}
        self._current: int | None = None
        self._waiting: dict[int, list[Event]] = {}

    def feed(self, event: Event) -> list[Event]:
        kind = type(event)
        if kind is PartDelta or kind is PartAnnotated:
            key = event.key  # type: ignore[union-attr]
            if key == self._current or (self._interleave and key in self._open):
                return [event]
            if key in self._waiting:
                self._waiting[key].append(event)
            return []
        if self._ended:
            return []
        if kind is Started:
            if self._started:
                return []
            self._started = True
            return [event]
        if kind is UsageReported and not self._started:
            return [event]  # the prompt's tokens are known before the reply begins
        before: list[Event] = []
        if not self._started:
            self._started = True
            before = [Started()]
        return before + self._step(event)

    def _step(self, event: Event) -> list[Event]:
        match event:
            case PartStarted(key=key, part=part):
                if key in self._open:
                    return []
                self._open[key] = part
                if self._interleave or self._current is None:
                    self._current = key
                    return [event]
                self._waiting[key] = [event]
                return []
            case PartEnded(key=key):
                return self._end(key, event)
            case Finished() | Failed():
                rest = [e for key, part in list(self._open.items()) for e in self._end(key, PartEnded(key, part))]
                self._ended = True
                return [*rest, event]
            case _:
                return [event]

    def _end(self, key: int, event: Event) -> list[Event]:
        if key not in self._open:
            return []
        if key in self._waiting:
            self._waiting[key].append(event)
            return []
        del self._open[key]
        ready: list[Event] = [event]
        if self._current == key:
            self._current = None
        while self._current is None and self._waiting:
            following = next(iter(self._waiting))
            held = self._waiting.pop(following)
            ready += held
            if type(held[-1]) is PartEnded:
                del self._open[following]
            else:
                self._current = following
        return ready
