"""A response whose headers have arrived. Its body is read or streamed within limits."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Literal, Self

import aiohttp

from modelbay.errors import ModelbayError
from modelbay.transport.failure import Stage, cut_off, of_hop, timed_out, too_large
from modelbay.transport.packing import unpacked
from modelbay.transport.request import PACKINGS, Request, public

REST = 2.0
"""Seconds to wait for usage and terminator after a reply has finished. Some servers keep the connection open instead."""
PIECE = 2**20
"""Bytes that count as progress when a reply is read as a whole. Otherwise a server that sends single bytes would never
time out."""
LOOK = 0.01
"""Minimum seconds between two checks of the limits."""


class Response:
    """A response whose headers have arrived. Its body can be read once, by `read` or `stream`."""

    def __init__(self, reply: aiohttp.ClientResponse, request: Request, connected_at: float) -> None:
        self.status = reply.status
        self.headers: dict[str, str] = {}
        """Names in lower case; repeated headers are joined by commas."""
        for name, value in reply.headers.items():
            before = self.headers.get(name.lower())
            self.headers[name.lower()] = value if before is None else f"{before}, {value}"
        self.url = public(request.url)
        self._request = request
        self._reply = reply
        self._loop = asyncio.get_running_loop()
        self._stage: Literal["first_byte", "idle"] = "first_byte"
        self._waits_since: float | None = connected_at
        self._awaited: Literal["first_event", "content", "rest"] = "first_event"
        """The next thing that the reply must contain, apart from keep-alives."""
        self._waited = 0.0
        """Seconds waited for it so far. Time in which the caller does not read is not counted."""
        self._timer: asyncio.TimerHandle | None = None
        self._late: Stage | Literal["rest"] | None = None
        self._finishing = False
        self._paused: asyncio.Event | None = None
        self._ends_by: float | None = None

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.url}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def read(self) -> bytes:
        """The whole body. Raises what `stream` raises, and MalformedReply if it is larger than `reply_bytes`."""
        chunks: list[bytes] = []
        size, due = 0, 1
        async with aclosing(self._body("reply_bytes")) as body:
            async for chunk in body:
                if not chunk.isspace():  # blank lines keep the connection open while a model thinks
                    size += len(chunk)
                if size >= due:  # a server that sends byte by byte makes no progress
                    self.progress()
                    due = size + PIECE
                chunks.append(chunk)
        return b"".join(chunks)

    def of_hop(self, error: ModelbayError, body: bytes) -> ModelbayError:
        """An error in this response, attributed to the server or the proxy that sent it."""
        return of_hop(error, self.status, self.headers, body, self._request)

    def stream(self) -> AsyncGenerator[bytes, None]:
        """The body as it arrives. Closing the iterator, or cancelling the task that reads it, closes the connection at
        once.

        Raises:
            TimedOut: no byte within `first_byte` or `idle`, or no `progress` for too long, while the caller was
                waiting.
            IncompleteReply: the connection broke first. Bytes received before were yielded; if a parser found the end
                of the reply in them, the reply is complete and this error can be ignored.
            MalformedReply: the body could not be decompressed, or is larger than `stream_bytes`.
        """
        return self._body("stream_bytes")

    async def pump(self, consume: Callable[[bytes], None]) -> None:
        """Call `consume` with each piece of the body as it arrives. Returns at the end of the body, or after `finished`.
        `consume` may call all methods that are not coroutines.

        Raises:
            ModelbayError: what `stream` raises. What `consume` raises is raised after the connection has been closed.
        """
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
        """Stop reading: the consumer is behind. The time until `resume` does not count as silence."""
        if self._paused is None:
            self._paused = asyncio.Event()
            if self._waits_since is not None:
                self._waited += self._loop.time() - self._waits_since
                self._waits_since = None

    def resume(self) -> None:
        """Go on reading after `pause`."""
        if self._paused is not None:
            self._paused.set()
            self._paused = None
            self._waits_since = self._loop.time()

    def finished(self, grace: float = 0.1) -> None:
        """Report that the reply has ended by its content: `pump` returns when the body ends, or after `grace` seconds, and
        then closes the connection instead of keeping it. Pieces that still arrive are consumed."""
        self._ends_by = self._loop.time() + grace

    def progress(self) -> None:
        """Report that the last bytes had content, not only keep-alives."""
        self._awaited, self._waited = "content", 0.0

    def hurry(self) -> None:
        """Report that the reply is finished: the stream ends `REST` seconds later, time for usage and terminator."""
        if self._awaited != "rest":
            self._awaited, self._waited = "rest", 0.0
            self._watch()

    def _body(self, limited: Literal["reply_bytes", "stream_bytes"]) -> AsyncGenerator[bytes, None]:
        packing = self.headers.get("content-encoding", "").lower()
        if packing in PACKINGS:
            return unpacked(self._arriving(limited), packing, self._request, limited)
        return self._arriving(limited)

    async def _arriving(self, limited: Literal["reply_bytes", "stream_bytes"]) -> AsyncGenerator[bytes, None]:
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
        """Report that the reply has ended: keep the connection if the body ends within `grace` seconds, else close it.
        Returns the bytes after the end, such as a blank line, unless they are compressed.

        Call it before the stream is closed, which would close the connection.
        """
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
        return b"" if self.headers.get("content-encoding", "").lower() in PACKINGS else b"".join(rest)

    async def aclose(self) -> None:
        """Close the connection at once, unless the body was read to its end."""
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
            self._timer = self._loop.call_at(max(due, now + LOOK), self._watch)
        else:
            self._late = self._stage if silent <= empty else self._awaited
            self._abandon()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
