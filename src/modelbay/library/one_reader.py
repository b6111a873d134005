"""A stream that one task reads at a time, and that any task may close."""

import asyncio
from asyncio import CancelledError, current_task, get_running_loop
from collections.abc import AsyncGenerator, Callable
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")


class SecondReader(RuntimeError):
    """A task reads a stream while another task or thread waits for its next item. The first reader is not affected."""


class OneReader(Generic[T]):
    """The items of an async generator. One task reads at a time. If another task closes the generator, the reader gets the end."""

    def __init__(self, items: AsyncGenerator[T, None]) -> None:
        self._items = items
        self._reader: asyncio.Task[Any] | None = None
        self._left: asyncio.Event | None = None
        """Set when the reader has left a generator that another task closes."""
        self._loop: asyncio.AbstractEventLoop | None = None
        """The loop of the readers: until Python 3.11, to find it takes as long as all the rest."""
        self._held: list[T] = []
        """Items that were read ahead."""

    @property
    def ended(self) -> bool:
        """Whether all items were read, or the generator was closed."""
        return getattr(self._items, "ag_frame", None) is None

    def __aiter__(self) -> Self:
        return self

    def check_free(self) -> None:
        """Raise SecondReader if another task waits for the next item."""
        if self._reader is not None:
            raise SecondReader("another task or thread reads this stream: a stream has one reader at a time")

    async def hold(self, until: Callable[[T], bool]) -> bool:
        """Read up to the first item that fits, and keep what was read for the next reader. Returns whether there is one."""
        held: list[T] = []
        async for item in self:
            held.append(item)
            if until(item):
                break
        self._held = held
        return bool(held) and until(held[-1])

    async def __anext__(self) -> T:  # called for every piece of a reply: the checks are written out
        if self._held:
            return self._held.pop(0)
        if self._reader is not None:
            self.check_free()
        if self._loop is None:
            self._loop = get_running_loop()
        self._reader = current_task(self._loop)
        try:
            return await self._items.__anext__()
        except CancelledError:
            reader = self._reader
            if self._left is None or reader is None or reader.uncancel():  # its own task was cancelled, too
                raise
            raise StopAsyncIteration from None
        finally:
            self._reader = None
            if self._left is not None:
                self._left.set()

    async def aclose(self) -> None:
        """Close the generator. A task that waits for an item gets the end."""
        if self._reader is not None:
            if self._left is None:
                self._left = asyncio.Event()
                self._reader.cancel()
            await self._left.wait()
        self._held.clear()
        await self._items.aclose()
