"""The time limit of a call."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from modelbay.errors import ModelbayError, TimedOut
from modelbay.events import Warned

T = TypeVar("T")


class Deadline:
    """A limit for all steps of a call together, from its creation on. Time between the steps counts, too."""

    def __init__(self, seconds: float | None) -> None:
        """None: no limit."""
        self._seconds = seconds
        self.failure = ""
        """Why the last attempt failed, for the message."""
        self._end = None if seconds is None else asyncio.get_running_loop().time() + seconds

    async def within(self, step: Awaitable[T]) -> T:
        """The result of a step. When the time is over, the step is cancelled.

        Raises:
            TimedOut: the time is over.
        """
        if self._end is None:
            return await step
        try:
            async with asyncio.timeout_at(self._end) as scope:
                return await step
        except TimeoutError:
            if not scope.expired():
                raise
            why = f": {self.failure}" if self.failure else ""
            raise TimedOut(
                f"the call took longer than {self._seconds:g} s{why}",
                stage="call",
                hint="increase `timeout` of the call",
            ) from None

    def failed(self, error: ModelbayError) -> None:
        """Remember the error of a model, after which another one is asked."""
        self.failure = error.message

    def warned(self, warning: Warned) -> None:
        """Remember a warning about an attempt that failed."""
        if warning.retry:
            self.failure = warning.message
