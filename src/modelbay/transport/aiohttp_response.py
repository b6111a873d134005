"""A response that arrives through aiohttp."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Literal

import aiohttp

from modelbay.errors import ModelbayError
from modelbay.transport.decompression import Limited, decompressor
from modelbay.transport.failure import Stage, cut_off, timed_out, too_large
from modelbay.transport.request import ENCODINGS, Request
from modelbay.transport.response import REST, Response, collector

LOOK = 0.01
"""Minimum seconds between two checks of the limits."""


class AiohttpResponse(Response):
    def __init__(self, reply: aiohttp.ClientResponse, request: Request, connected_at: float) -> None:
        super().__init__(request)
        self.status = reply.status
        self.headers = {}
        for name, value in reply.headers.items():
            before = self.headers.get(name.lower())
            self.headers[name.lower()] = value if before is None else f"{before}, {value}"
        self._reply = reply
        self._loop = asyncio.get_running_loop()
        self._stage: Literal["first_byte", "idle"] = "first_byte"
        self._waits_since: float | None = connected_at
        self._awaited: Literal["first_event", "content", "rest"] = "first_event"
        """The next thing that the reply must contain, apart from keep-alives."""
        self._waited = 0.0
        """Seconds waited for it so far. Time in which the caller does not read is not counted."""
        self._timer: asyncio.Handle | None = None
        self._late: Stage | Literal["rest"] | None = None
        self._finishing = False
        self._paused: asyncio.Event | None = None
        self._ends_by: float | None = None

    async def read(self) -> bytes:
        chunks: list[bytes] = []
        collect = collector(self, chunks)
        async with aclosing(self._body("reply_bytes")) as body:
            async for chunk in body:
                collect(chunk)
        return b"".join(chunks)

    def stream(self) -> AsyncGenerator[bytes, None]:
        return self._body("stream_bytes")

    async def pump(self, consume: Callable[[bytes], None]) -> None:
        async with aclosing(self.stream()) as chunks:
            await self._going_on()
            async for chunk in chunks:
                await self._going_on()  # the consumer may have paused while this piece was awaited
                consume(chunk)
                if self._ends_by is not None:
                    await self._remainder(chunks, consume, self._ends_by)
                    return
                await self._going_on()

    async def _remainder(
        self, chunks: AsyncGenerator[bytes, None], consume: Callable[[bytes], None], ends_by: float
    ) -> None:
        while True:
            try:
                async with asyncio.timeout_at(ends_by):
                    chunk = await anext(chunks, None)
            except (TimeoutError, ModelbayError):  # the reply had ended by its content
                return
            if chunk is None:
                return
            consume(chunk)

    async def _going_on(self) -> None:
        while self._paused is not None:
            await self._paused.wait()

    def pause(self) -> None:
        if self._paused is None:
            self._paused = asyncio.Event()
            if self._waits_since is not None:
                self._waited += self._loop.time() - self._waits_since
                self._waits_since = None

    def resume(self) -> None:
        if self._paused is not None:
            self._paused.set()
            self._paused = None
            self._waits_since = self._loop.time()

    def finished(self, grace: float = 0.1) -> None:
        self._ends_by = self._loop.time() + grace

    def progress(self) -> None:
        self._awaited, self._waited = "content", 0.0

    def hurry(self) -> None:
        if self._awaited != "rest":
            self._awaited, self._waited = "rest", 0.0
            self._watch()

    async def _body(self, limited: Limited) -> AsyncGenerator[bytes, None]:
        decompressing = decompressor(self.headers.get("content-encoding"), self._request, limited)
        async with aclosing(self._arriving(limited)) as chunks:
            async for chunk in chunks:
                if decompressing is None:
                    yield chunk
                else:
                    for piece in decompressing.feed(chunk):
                        yield piece
        if decompressing is not None:
            decompressing.close()

    async def _arriving(self, limited: Limited) -> AsyncGenerator[bytes, None]:
        content, now = self._reply.content, self._loop.time
        limit, size = getattr(self._request.limits, limited), 0
        self._waits_since = self._waits_since or now()
        self._watch()
        try:
            chunk = await content.readany()
            self._stage = "idle"
            self._watch()
            while chunk:
                size += len(chunk)
                if size > limit:
                    raise too_large(self._request, limited)
                if self._waits_since is not None:  # not paused
                    self._waited += now() - self._waits_since
                self._waits_since = None
                yield chunk
                self._waits_since = now()
                chunk = await content.readany()
        except (aiohttp.ClientError, OSError):
            if rest := content._read_nowait(-1):  # aiohttp raises before it returns what it has buffered
                yield rest
            if self._late == "rest":
                return
            late = timed_out(self._late, self._request) if self._late else None
            raise late or cut_off(self._request, content.total_bytes) from None
        finally:
            self._cancel_timer()
            if not content.is_eof() and not self._finishing:
                self._abandon()

    async def finish(self, grace: float = 0.1) -> bytes:
        content, self._finishing = self._reply.content, True
        rest = []
        try:
            async with asyncio.timeout(grace):
                while not content.is_eof():
                    rest.append(await content.readany())
        except (TimeoutError, aiohttp.ClientError):
            pass
        finally:
            self._abandon()
        return b"" if self.headers.get("content-encoding", "").lower() in ENCODINGS else b"".join(rest)

    async def aclose(self) -> None:
        self._abandon()

    def _abandon(self) -> None:
        self._cancel_timer()
        connection = self._reply.connection  # None when the body has ended and the connection is back in the pool
        if connection is not None and connection.transport is not None:
            connection.transport.abort()  # close() would first send the rest of the request
        self._reply.close()

    def _watch(self) -> None:
        """Abort if the server has sent nothing, or no content, for too long.

        Checks at intervals, as a timer for each chunk would be expensive.
        """
        self._cancel_timer()
        if self._reply.content.is_eof():
            return
        limits, now = self._request.limits, self._loop.time()
        since = now if self._waits_since is None else self._waits_since
        silent = since + (limits.first_byte if self._stage == "first_byte" else limits.idle)
        patience = REST if self._awaited == "rest" else getattr(limits, self._awaited)
        empty = since + max(patience - self._waited, 0.0)
        due = min(silent, empty)
        if now < due or self._waits_since is None:
            self._timer = self._loop.call_at(max(due, now + LOOK), self._watch_again)
        else:
            self._late = self._stage if silent <= empty else self._awaited
            self._abandon()

    def _watch_again(self, rounds: int = 4) -> None:
        """Watch a few rounds of the loop later. After a process was stopped (Ctrl-Z), its timers are due before it reads what
        arrived in the meantime, and these bytes then take a few rounds through aiohttp."""
        self._timer = self._loop.call_soon(*((self._watch_again, rounds - 1) if rounds else (self._watch,)))

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
