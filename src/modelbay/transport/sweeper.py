"""The time limits of all responses of a transport, on one timer: a timer for each request or piece would be expensive."""

import asyncio
from math import inf
from typing import Protocol

LOOK = 0.01
"""Minimum seconds between two sweeps."""
EARLY = 0.001
"""Seconds by which an event loop may run a timer too early: clocks of some count milliseconds."""


class Timed(Protocol):
    """Something that a server must do in time."""

    nap: float
    """Seconds that every limit has from its start, at least."""

    def due(self) -> float:
        """The time of the loop at which a limit is reached, or `inf`."""
        ...

    def expire(self) -> None:
        """A limit was reached."""
        ...


class Sweeper:
    """Checks what is in progress when the next limit may be reached, which is known: no limit that begins after a sweep is
    reached before its `nap` is over."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timed: set[Timed] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = inf

    def add(self, timed: Timed, now: float) -> None:
        self._timed.add(timed)
        if now + timed.nap < self._wakes_at:
            self.wake_by(now + timed.nap)

    def remove(self, timed: Timed) -> None:
        self._timed.discard(timed)

    def wake_by(self, when: float) -> None:
        """Sweep at this time, or before."""
        if when < self._wakes_at:
            self.stop()
            self._wakes_at = when
            # a process that was stopped, as with Ctrl-Z, finds its timers due before it reads what arrived in the meantime. The
            # second call is made after the loop has read it
            self._timer = self._loop.call_at(when, self._loop.call_soon, self._loop.call_soon, self._sweep)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._wakes_at = None, inf

    def _sweep(self) -> None:
        self.stop()
        now = self._loop.time()
        next_sweep = inf
        for timed in tuple(self._timed):
            due = timed.due()
            if due <= now + EARLY:
                timed.expire()
            if timed in self._timed:
                next_sweep = min(next_sweep, max(due, now), now + timed.nap)
        if next_sweep < inf:
            self.wake_by(max(next_sweep, now + LOOK))
