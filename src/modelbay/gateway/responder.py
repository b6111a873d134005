"""The HTTP response to one request of a client: its head, its pieces, and keep-alives while nothing else is sent."""

import asyncio
from collections.abc import Iterable
from time import perf_counter

from msgspec import Struct

from modelbay.reply_secrecy import StreamRedactor
from modelbay.secrecy import redact_bytes
from modelbay.serving.http_request import HttpRequest, PieceSource
from modelbay.serving.request_head import Fields

SILENCE = 15.0
"""Seconds without data after which a keep-alive is sent. Proxies and clients close connections that are silent for a
minute or less."""


UNBUFFERED = b"x-accel-buffering", b"no"
"""nginx and proxies like it would hold a stream back until its end or some kilobytes. nginx removes the header."""


class KeepAlive(Struct, frozen=True):
    """The keep-alive of a protocol's streams."""

    data: bytes
    after: tuple[bytes, ...] = (b"\n\n", b"\r\n\r\n", b"\r\r")
    """Ends of a piece after which it can be sent: those of an event. Between two events, anything may be inserted that a
    client ignores."""


class Responder:
    """Writes a response to the network. `started` and `ended` say what was sent of it."""

    started = False
    ended = False
    status = 0
    sent = 0
    """Bytes of the body."""
    _last = b""
    """The last piece."""
    _written_at = 0.0
    _ping: KeepAlive | None = None
    _timer: asyncio.TimerHandle | None = None

    def __init__(self, request: HttpRequest, fields: Fields) -> None:
        """`fields`: headers of every response to this request."""
        self.fields = fields
        self._request = request
        self._redactor = StreamRedactor()
        self._now = perf_counter
        """The clock of the event loop, when a response in pieces has begun."""

    def reveal(self, sent: bytes) -> None:
        """Do not mask secrets in a reply that the client sent itself. A model that edits a file repeats what is in it, and a
        mask would be written into the file."""
        self._redactor.known = sent

    def whole(self, status: int, body: bytes, fields: Iterable[tuple[bytes, bytes]]) -> None:
        """Send a whole response. `fields` has its content type. Known secrets in the body are masked."""
        body = redact_bytes(body) if status >= 400 else self._redactor.feed(body) + self._redactor.close()
        self.started = self.ended = True
        self.status, self.sent = status, len(body)
        self._request.respond(status, [*fields, *self.fields], body)

    def start(self, status: int, fields: Iterable[tuple[bytes, bytes]], ping: KeepAlive | None = None) -> None:
        """Send the head of a response in pieces. `ping` is sent whenever nothing else was sent for `SILENCE` seconds."""
        self.started = True
        self.status = status
        self._request.start(status, [*fields, UNBUFFERED, *self.fields])
        self._ping = ping
        if ping is not None:
            loop = asyncio.get_running_loop()
            self._now = loop.time
            self._written_at = self._now()
            self._timer = loop.call_later(SILENCE, self._watch)

    def follow(self, source: PieceSource) -> None:
        """Pause the source of the pieces while the client reads slowly."""
        self._request.source = source
        if self._request.is_slow:
            source.pause()

    def write(self, data: bytes) -> None:
        """Send a piece, with known secrets masked."""
        if not data:
            return
        if self._ping is not None:
            self._last = data
            self._written_at = self._now()
        data = self._redactor.feed(data)
        self.sent += len(data)
        self._request.write(data)

    async def drain(self) -> None:
        """Wait while the client reads slowly."""
        await self._request.drain()

    def end(self, data: bytes = b"") -> None:
        """End a response in pieces, with a last piece."""
        self.stop()
        data = self._redactor.feed(data) + self._redactor.close()
        self.sent += len(data)
        self.ended = True
        self._request.end(data)

    def stop(self) -> None:
        """Send no more keep-alives."""
        self._ping = None
        if self._timer is not None:
            self._timer.cancel()

    def _watch(self) -> None:
        """One timer per stream, not one per piece: it looks at the time of the last piece."""
        assert self._ping is not None
        loop = asyncio.get_running_loop()
        if loop.time() >= self._written_at + SILENCE:
            at_boundary = not self._last or self._last.endswith(self._ping.after)
            if at_boundary and not self._request.is_slow:
                self._request.write(self._ping.data)
            self._written_at = loop.time()
        self._timer = loop.call_at(max(self._written_at + SILENCE, loop.time() + min(SILENCE, 1.0)), self._watch)
