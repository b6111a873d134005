"""Reorders any sequence of events into one that a renderer can write.

Our parsers guarantee the order in `events.py`, but a renderer must write a valid stream for any input: one `Started`
first, every part started before it is extended and ended before the reply ends, one end, nothing after it. Parts that a
protocol cannot interleave share a lane and are written one after the other, in the order of `PartStarted`; events of
later parts are held until their turn.
"""

from collections import deque
from collections.abc import Callable

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


def single_lane(part: AnyPart) -> str | None:
    """The lane for protocols whose parts never interleave."""
    return ""


class _Open:
    __slots__ = ("ended", "held", "key", "lane", "part")

    def __init__(self, key: int, part: AnyPart, lane: "deque[_Open] | None") -> None:
        self.key = key
        self.part = part
        self.lane = lane
        """The open parts of its lane in the order of their starts; the first one is being written."""
        self.held: list[Event] | None = None
        """Events of a part that waits for its turn; None if it is being written."""
        self.ended = False
        """Whether the part is waiting and its end is among the held events."""


class Sequence:
    """Reorders events. `lane` returns the name of a part's lane; None means a lane of its own."""

    def __init__(self, lane: Callable[[AnyPart], str | None] = single_lane) -> None:
        self._lane = lane
        self._started = False
        self._ended = False
        self._open: dict[int, _Open] = {}
        self._lanes: dict[str, deque[_Open]] = {}

    def feed(self, event: Event) -> list[Event]:
        kind = type(event)
        if kind is PartDelta or kind is PartAnnotated:
            opened = self._open.get(event.key)  # type: ignore[union-attr]
            if opened is None or opened.ended:
                return []
            if opened.held is None:
                return [event]
            opened.held.append(event)
            return []
        if self._ended or (kind is Started and self._started):
            return []
        if kind is UsageReported and not self._started:
            return [event]  # the prompt's tokens are known before the reply starts
        if self._started:
            return self._step(event)
        self._started = True
        return [event] if kind is Started else [Started(), *self._step(event)]

    def _step(self, event: Event) -> list[Event]:
        match event:
            case PartStarted(key=key, part=part):
                return self._start(key, part, event)
            case PartEnded(key=key):
                return self._end(key, event)
            case Finished() | Failed():
                rest = [
                    e for key, opened in list(self._open.items()) for e in self._end(key, PartEnded(key, opened.part))
                ]
                self._ended = True
                return [*rest, event]
            case _:
                return [event]

    def _start(self, key: int, part: AnyPart, event: Event) -> list[Event]:
        if key in self._open:
            return []
        name = self._lane(part)
        lane = None if name is None else self._lanes.setdefault(name, deque())
        opened = self._open[key] = _Open(key, part, lane)
        if lane is None:
            return [event]
        lane.append(opened)
        if len(lane) > 1:
            opened.held = [event]
            return []
        return [event]

    def _end(self, key: int, event: PartEnded) -> list[Event]:
        opened = self._open.get(key)
        if opened is None or opened.ended:
            return []
        if type(event.part) is not type(opened.part):  # a part cannot change its kind
            event = PartEnded(key, opened.part)
        if opened.held is not None:
            opened.held.append(event)
            opened.ended = True
            return []
        del self._open[key]
        return [event] if opened.lane is None else [event, *self._following(opened.lane)]

    def _following(self, lane: "deque[_Open]") -> list[Event]:
        """The held events of the next part in a lane, and of those after it that have already ended."""
        lane.popleft()
        ready: list[Event] = []
        while lane:
            opened = lane[0]
            ready += opened.held or ()
            opened.held = None
            if not opened.ended:
                break
            del self._open[opened.key]
            lane.popleft()
        return ready
