"""The HTTP response to one request of a client: its head, its pieces, and signs of life while nothing else is sent."""

import asyncio
from collections.abc import Iterable

from msgspec import Struct

from modelbay.secrecy import StreamRedactor, redact_bytes
from modelbay.serving.asgi import Receive, Send, discard

SILENCE = 15.0
"""Seconds without data after which a sign of life is sent. Proxies and clients close connections that are silent for a
minute or less."""


class KeepAlive(Struct, frozen=True):
    """A sign of life in a form of stream."""

    data: bytes
    after: tuple[bytes, ...] = (b"\n\n", b"\r\n\r\n", b"\r\r")
    """Ends of a piece after which it can be sent: those of an event. Between two events, anything may be inserted that a
    client ignores."""


Fields = list[tuple[bytes, bytes]]


class Responder:
    """Writes a response to the network. `started` and `ended` say what was sent of it."""

    def __init__(self, send: Send, fields: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """`fields`: headers of every response to this request."""
        self.started = False
        self.ended = False
        self.status = 0
        self.sent = 0
        """Bytes of the body."""
        self.fields: Fields = list(fields)
        self._send = send
        self._redactor = StreamRedactor()
        self._at_boundary = True
        self._written_at = 0.0
        self._ping: KeepAlive | None = None
        self._writing = False
        """Whether a piece waits for a client that reads slowly. A sign of life must not overtake it."""
        self._timer: asyncio.TimerHandle | None = None
        self._pinging: asyncio.Future[None] | None = None

    def reveal(self, sent: bytes) -> None:
        """Do not mask secrets in a reply that the client sent itself. A model that edits a file repeats what is in it, and a
        mask would be written into the file."""
        self._redactor.known = sent

    async def whole(
        self, status: int, body: bytes, fields: Iterable[tuple[bytes, bytes]], unread: Receive | None = None
    ) -> None:
        """Send a whole response. `fields` has its content type. Known secrets in the body are masked. `unread`: receives the
        rest of a request that was not read."""
        body = redact_bytes(body) if status >= 400 else self._redactor.feed(body) + self._redactor.close()
        others = [(name, value) for name, value in fields if name != b"content-length"]
        await self._start(status, [*others, (b"content-length", b"%d" % len(body))])
        self.ended = True
        self.sent = len(body)
        await self._send({"type": "http.response.body", "body": body, "more_body": unread is not None})
        if unread is not None:
            await discard(unread)
            await self._send({"type": "http.response.body", "body": b""})

    async def start(self, status: int, fields: Iterable[tuple[bytes, bytes]], ping: KeepAlive | None = None) -> None:
        """Send the head of a response in pieces. `ping` is sent whenever nothing else was sent for `SILENCE` seconds."""
        await self._start(status, fields)
        self._ping = ping
        if ping is not None:
            loop = asyncio.get_running_loop()
            self._written_at = loop.time()
            self._timer = loop.call_later(SILENCE, self._watch)

    async def write(self, data: bytes) -> None:
        """Send a piece, with known secrets masked; waits while the client reads slowly."""
        if not data:
            return
        if self._ping is not None:
            self._at_boundary = data.endswith(self._ping.after)
        await self._write(self._redactor.feed(data))

    async def _write(self, data: bytes) -> None:
        if not data:
            return
        self.sent += len(data)
        self._writing = True
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
        self._writing = False
        if self._ping is not None:
            self._written_at = asyncio.get_running_loop().time()

    async def end(self) -> None:
        """End a response in pieces."""
        self.stop()
        await self._write(self._redactor.close())
        self.ended = True
        await self._send({"type": "http.response.body", "body": b""})

    def stop(self) -> None:
        """Send no more signs of life."""
        self._ping = None
        if self._timer is not None:
            self._timer.cancel()
        if self._pinging is not None:
            self._pinging.cancel()

    async def _start(self, status: int, fields: Iterable[tuple[bytes, bytes]]) -> None:
        self.started = True
        self.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": [*fields, *self.fields]})

    def _watch(self) -> None:
        """One timer per stream, not one per piece: it looks at the time of the last piece."""
        loop = asyncio.get_running_loop()
        due = self._written_at + SILENCE
        if loop.time() >= due and (self._pinging is None or self._pinging.done()):
            self._written_at = loop.time()
            self._pinging = asyncio.ensure_future(self._sign())
            due = self._written_at + SILENCE
        self._timer = loop.call_at(max(due, loop.time() + min(SILENCE, 1.0)), self._watch)

    async def _sign(self) -> None:
        if self._ping is not None and self._at_boundary and not self._writing:
            await self._send({"type": "http.response.body", "body": self._ping.data, "more_body": True})
