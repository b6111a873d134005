"""A response whose headers are here: its body is read or streamed, within its limits."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Literal, Self

import aiohttp

from modelbay.errors import ModelbayError
from modelbay.transport.failure import Stage, cut_off, of_hop, timed_out, too_large
from modelbay.transport.packing import unpacked
from modelbay.transport.request import PACKINGS, Request, public

REST = 2.0
"""Seconds that a finished reply is given for its usage and its terminator. Some servers keep the connection open instead."""
PIECE = 2**20
"""Bytes of a reply read whole that count as content again: one that comes in single bytes would never time out."""
LOOK = 0.01
"""Seconds between two looks at the limits, at least."""


class Response:
    """An answer whose headers are here. Its body is read once, by `read` or `stream`; then it is closed or finished."""

    def __init__(self, reply: aiohttp.ClientResponse, request: Request, connected_at: float) -> None:
        self.status = reply.status
        self.headers: dict[str, str] = {}
        """Under lower-case names; repeated ones joined by commas."""
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
        """What of the reply is to come next, keep-alives apart."""
        self._waited = 0.0
        """Seconds waited for that until the last bytes; the time in which nobody reads does not count."""
        self._timer: asyncio.TimerHandle | None = None
        self._late: Stage | Literal["rest"] | None = None
        self._finishing = False

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.url}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def read(self) -> bytes:
        """The whole body; raises what `stream` raises, and MalformedReply if it is larger than `reply_bytes`."""
        chunks: list[bytes] = []
        size, due = 0, 1
        async with aclosing(self._body("reply_bytes")) as body:
            async for chunk in body:
                if not chunk.isspace():  # blank lines keep the connection alive while a model thinks
                    size += len(chunk)
                if size >= due:  # a reply that drips is never whole
                    self.progress()
                    due = size + PIECE
                chunks.append(chunk)
        return b"".join(chunks)

    def of_hop(self, error: ModelbayError, body: bytes) -> ModelbayError:
        """An error that this answer describes, said of the hop that made it: the server or a proxy."""
        return of_hop(error, self.status, self.headers, body, self._request)

    def stream(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes. Closing the iterator, or cancelling who waits for it, closes the connection at once.

        Raises:
            TimedOut: no byte within `first_byte`, none for `idle`, or no `progress` for too long, while somebody waited.
            IncompleteReply: the connection broke first. What had come was yielded; a parser that saw its reply's end
                in it has a whole reply, and may take this for a server's bad manners.
            MalformedReply: the body does not unpack, or is larger than `stream_bytes`.
        """
        return self._body("stream_bytes")

    def progress(self) -> None:
        """The bytes that came last had content: they were more than keep-alives."""
        self._awaited, self._waited = "content", 0.0

    def hurry(self) -> None:
        """The reply has told that it is finished: its usage and terminator get `REST` seconds, then the stream ends."""
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
        since = self._waits_since or now()
        self._watch()
        try:
            chunk = await content.readany()
            self._stage = "idle"
            self._watch()
            while chunk:
                size += len(chunk)
                if size > limit:
                    raise too_large(self._request, limited)
                self._waited += now() - since
                self._waits_since = None
                yield chunk
                self._waits_since = since = now()
                chunk = await content.readany()
        except (aiohttp.ClientError, OSError):
            if rest := content._read_nowait(-1):  # aiohttp raises before it hands out what it still has
                yield rest
            if self._late == "rest":
                return
            late = timed_out(self._late, self._request) if self._late else None
            raise late or cut_off(self._request, content.total_bytes) from None
        finally:
            self._cancel_timer()
            if not content.is_eof() and not self._finishing:
                self._abandon()

    async def finish(self, grace: float = 0.1) -> None:
        """The reply said its last word: keep the connection if the body ends within `grace` seconds, else close it.

        To be called before the stream is left, which would close it.
        """
        content, self._finishing = self._reply.content, True
        try:
            async with asyncio.timeout(grace):
                while not content.is_eof():
                    await content.readany()
        except (TimeoutError, aiohttp.ClientError):
            pass
        finally:
            self._abandon()

    async def aclose(self) -> None:
        """Close the connection at once, unless the body was read to its end."""
        self._abandon()

    def _abandon(self) -> None:
        self._cancel_timer()
        connection = self._reply.connection  # None when the body has ended and the connection serves others
        if connection is not None and connection.transport is not None:
            connection.transport.abort()  # close() would first send what is left of the request
        self._reply.close()

    def _watch(self) -> None:
        """Give up if the server has been silent, or without content, for too long.

        It looks now and then: a timer for each chunk would cost.
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
