"""A response whose headers are here: its body is read or streamed, within its limits."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Literal, Self

import aiohttp

from modelbay.errors import MalformedReply
from modelbay.transport.failure import TOO_LARGE, cut_off, final, timed_out
from modelbay.transport.packing import unpacked
from modelbay.transport.request import PACKINGS, Request, public


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
        self._timer: asyncio.TimerHandle | None = None
        self._late = self._finishing = False

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.url}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def read(self) -> bytes:
        """The whole body; raises what `stream` raises, and MalformedReply where it is larger than `max_reply_bytes`."""
        limit, size = self._request.limits.max_reply_bytes, 0
        chunks: list[bytes] = []
        async with aclosing(self.stream()) as stream:
            async for chunk in stream:
                size += len(chunk)
                if size > limit:
                    what = f"{self._request.server} sent a reply of more than {limit:,} bytes"
                    raise final(MalformedReply(what, hint=TOO_LARGE))
                chunks.append(chunk)
        return b"".join(chunks)

    def stream(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes. Closing the iterator, or cancelling who waits for it, closes the connection at once.

        Raises:
            TimedOut: no byte within `first_byte`, or none for `idle` while somebody waited for it.
            IncompleteReply: the connection broke first. What had come was yielded; a parser that saw its reply's end
                in it has a whole reply, and may take this for a server's bad manners.
            MalformedReply: the body does not unpack, or unpacks without bounds.
        """
        packing = self.headers.get("content-encoding", "").lower()
        return unpacked(self._arriving(), packing, self._request) if packing in PACKINGS else self._arriving()

    async def _arriving(self) -> AsyncGenerator[bytes, None]:
        content, now = self._reply.content, self._loop.time
        self._watch()
        try:
            chunk = await content.readany()
            self._stage, self._waits_since = "idle", None
            self._watch()
            while chunk:
                self._waits_since = None
                yield chunk
                self._waits_since = now()
                chunk = await content.readany()
        except (aiohttp.ClientError, OSError):
            if rest := content._read_nowait(-1):  # aiohttp raises before it hands out what it still has
                yield rest
            late = timed_out(self._stage, self._request) if self._late else None
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
        """Give up if the server has been silent too long. It looks now and then: a timer for each chunk would cost."""
        self._cancel_timer()
        if self._reply.content.is_eof():
            return
        limits, now = self._request.limits, self._loop.time()
        limit = limits.first_byte if self._stage == "first_byte" else limits.idle
        due = limit + (now if self._waits_since is None else self._waits_since)
        if now < due:
            self._timer = self._loop.call_at(due, self._watch)
        else:
            self._late = True
            self._abandon()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
