"""A client's request on a connection, and the response to it, written straight to the connection.

ASGI needs a message, an awaited call and often a task switch for each piece of a response. A server that passes streams on
has millions of pieces, so its requests are handled without ASGI: see `RequestHandler` in server.py.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Protocol, TypeAlias

from uvicorn.protocols.http.flow_control import FlowControl

from modelbay.logs import LOG
from modelbay.serving.asgi import too_large
from modelbay.serving.request_head import Fields, RequestHead

Answer: TypeAlias = Callable[["HttpRequest"], Awaitable[None]]

LINGER = 5.0
"""Maximum seconds to read the rest of a refused request."""
HIGH_WATER = 64 * 1024
"""Bytes of a request body that may wait for the handler. With more, the connection is not read until they are taken."""
_WITHOUT_BODY = frozenset((204, 304))


class ClientLeft(Exception):
    """The client closed the connection before the end of its request."""


class PieceSource(Protocol):
    """Where the pieces of a response come from."""

    def pause(self) -> None:
        """Send no more: the client reads slowly."""

    def resume(self) -> None:
        """Continue after `pause`."""


class ServerConnection(Protocol):
    """The connection of a request."""

    transport: asyncio.Transport
    flow: FlowControl

    def begin_of(self, status: int) -> bytes:
        """The beginning of a response: its status line and the headers of all responses."""

    def is_draining(self) -> bool:
        """Whether the server accepts no more connections, and stops when the requests in progress are done."""

    def on_response_complete(self) -> None:
        """The response has ended. The connection is closed then, unless `keep_alive` of the request."""

    def run(self, request: "HttpRequest", answer: "Answer") -> None:
        """Answer a request in a task."""

    def ended(self, task: asyncio.Task[None]) -> None:
        """The handler has ended."""


class HttpRequest:
    """A request whose head has arrived. It becomes uvicorn's `cycle` of its connection, so some names are uvicorn's.

    All methods that write return at once; what the client has not read yet is kept in memory. A handler that streams sets
    `source`, whose `pause` is called while the client reads slowly.
    """

    task: asyncio.Task[None]
    """The task of the handler."""
    on_left: Callable[[], None] | None = None
    """Called if the client closes the connection before the end of the response."""
    source: PieceSource | None = None
    waiting_for_100_continue = False
    disconnected = False
    length: int | None = None
    """The length of the body in bytes, if the head has it."""
    more_body = True
    """Whether a part of the body has not arrived yet."""
    response_started = False
    response_complete = False
    _waiting = 0
    """Bytes of the body that were not taken yet."""
    _arrival: asyncio.Future[None] | None = None
    _chunked = False
    _written = False
    """Whether all of the response is written. It is complete when the request was read, too."""

    def __init__(self, head: RequestHead, connection: ServerConnection) -> None:
        self.head = head
        self.keep_alive = head.keep_alive
        self._connection = connection
        self._transport = connection.transport
        self._flow = connection.flow
        self._pieces: list[bytes] = []

    # --- the request ---

    @property
    def is_draining(self) -> bool:
        """Whether the server stops when the requests in progress are done."""
        return self._connection.is_draining()

    @property
    def port(self) -> int:
        """The port of this machine that the client connected to."""
        port: int = self._transport.get_extra_info("sockname")[1]
        return port

    def feed(self, piece: bytes) -> None:
        """A piece of the body has arrived."""
        if self._written:  # a refused request is read to its end, and not kept
            return
        self._pieces.append(piece)
        self._waiting += len(piece)
        if self._waiting > HIGH_WATER:
            self._flow.pause_reading()
        self._wake()

    def feed_whole(self, body: bytes) -> None:
        """The whole body has arrived with the head."""
        self._pieces.append(body)
        self._waiting = self.length = len(body)
        self.more_body = False

    def feed_end(self) -> None:
        """The last piece of the body has arrived."""
        self.more_body = False
        self._wake()

    def lost(self) -> None:
        """The connection is closed."""
        if self.response_complete:
            return
        self.disconnected = True
        self._wake()
        if self.on_left is not None:
            self.on_left()

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    @property
    def whole(self) -> bytes | None:
        """The body, if all of it has arrived in one piece; it can still be read. None otherwise."""
        return self._pieces[0] if len(self._pieces) == 1 and not self.more_body else None

    async def read(self, limit: int) -> bytes:
        """The body.

        Raises:
            RequestTooLarge: it has more than `limit` bytes. The rest of it was not read.
            ClientLeft: the client closed the connection before its end.
        """
        if not self.more_body and self._waiting <= limit:
            return b"".join(self._taken())  # a single piece is not copied
        return b"".join([piece async for piece in self.pieces(limit)])

    async def pieces(self, limit: int) -> AsyncGenerator[bytes, None]:
        """The body as it arrives. Raises what `read` raises."""
        if self.length is not None and self.length > limit:
            raise too_large(limit)
        size = 0
        while True:
            if pieces := self._taken():
                size += sum(map(len, pieces))
                if size > limit:
                    raise too_large(limit)
                yield b"".join(pieces)
            elif not self.more_body:
                return
            else:
                await self._more()

    def _taken(self) -> list[bytes]:
        if self._waiting > HIGH_WATER and not self.more_body and not self.disconnected:
            self._flow.resume_reading()  # only a connection that is read reports that its client leaves
        pieces, self._pieces, self._waiting = self._pieces, [], 0
        return pieces

    async def _more(self) -> None:
        """Wait until more of the body arrives, or its end."""
        if self.disconnected:
            raise ClientLeft
        if self.waiting_for_100_continue and not self.response_started:
            self.waiting_for_100_continue = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._flow.resume_reading()
        self._arrival = asyncio.get_running_loop().create_future()
        try:
            await self._arrival
        finally:
            self._arrival = None
        if self.disconnected:
            raise ClientLeft

    # --- the response ---

    def respond(self, status: int, fields: Fields, body: bytes) -> None:
        """Send a whole response. Its `content-length` is added."""
        head = self._head(status, [*fields, (b"content-length", b"%d" % len(body))])
        self._send(head if self.head.method == "HEAD" else head + body)
        self._end()

    def start(self, status: int, fields: Fields) -> None:
        """Send the head of a response in pieces."""
        if self.head.method != "HEAD" and status not in _WITHOUT_BODY:
            if self.head.version == "1.0":  # such a client reads until the connection is closed
                self.keep_alive = False
            else:
                self._chunked = True
                fields = [*fields, (b"transfer-encoding", b"chunked")]
        self._send(self._head(status, fields))

    def write(self, data: bytes) -> None:
        """Send a piece."""
        if data and self.head.method != "HEAD" and not self.disconnected:
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def end(self, data: bytes = b"") -> None:
        """Send the last piece of a response in pieces."""
        if self._chunked:
            self._send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if data else b"0\r\n\r\n")
        else:
            self.write(data)
        self._end()

    def _send(self, data: bytes) -> None:
        if not self.disconnected:  # else the connection is closed, or ends with the refusal of an invalid body
            self._transport.write(data)

    @property
    def is_slow(self) -> bool:
        """Whether more data waits for the client than should."""
        return self._flow.write_paused and not self.disconnected

    async def drain(self) -> None:
        """Wait until the client has read enough of what was written."""
        if self.is_slow:
            await self._flow.drain()

    def _head(self, status: int, fields: Fields) -> bytes:
        self.response_started = True
        if self.more_body:  # the rest of the body must not be parsed as another request
            self.keep_alive = False
        if not self.keep_alive:
            fields = [*fields, (b"connection", b"close")]
        head = b"".join([b"%b: %b\r\n" % field for field in fields])
        if head.count(b"\n") != len(fields) or head.count(b"\r") != len(fields) or b"\0" in head:
            raise ValueError("a response header contains a control character")
        return b"%b%b\r\n" % (self._connection.begin_of(status), head)

    def _end(self) -> None:
        self._written = True
        if not self.more_body:
            self._complete()

    def _complete(self) -> None:
        self.response_complete = True
        self.source = None  # it refers to this request
        self._pieces.clear()  # an idle connection keeps its last request, which may be refused unread
        if not self.disconnected:
            self._connection.on_response_complete()

    # --- running ---

    def run(self, answer: Answer) -> None:
        """Answer in a task."""
        self._connection.run(self, answer)

    async def run_asgi(self, app: Answer) -> None:
        """Call a handler. The name is that of uvicorn's own cycle."""
        try:
            await app(self)
            if self._written and not self.response_complete:
                await self._discard()
        except Exception:  # noqa: BLE001 the edge: other requests must be answered
            LOG.exception("internal error while responding to %s %s", self.head.method, self.head.path)
        finally:
            self.on_left = None
            if not self._written and not self.disconnected:  # a part must not be taken for the whole
                self._transport.close()
            elif not self.response_complete:
                self._complete()
            self._connection.ended(self.task)

    async def _discard(self) -> None:
        """Read the rest of a refused request, for at most `LINGER` seconds. If the connection were closed with unread data,
        the system would reset it, and many clients would report that instead of the refusal."""
        with suppress(TimeoutError, ClientLeft):
            async with asyncio.timeout(LINGER):
                while self.more_body:
                    await self._more()
