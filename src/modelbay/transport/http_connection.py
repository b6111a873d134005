"""A connection to a server that speaks HTTP/1.1: sends one request at a time, and passes the reply on as it arrives.

A connection is used again only if the request was sent completely, the reply ended by its own framing, the server keeps
the connection, and nothing followed the reply. So the replies of two calls can never be mixed. Framing that is read
differently by different programs (two lengths, a length beside chunks, folded headers) is an error, as llhttp finds it.
"""

import asyncio
from collections.abc import AsyncIterable, Callable
from functools import lru_cache
from typing import Protocol

import httptools

from modelbay.transport.failure import NotHttp

HEADER_BYTES = 32 * 1024
"""Maximum size of a response header, in bytes. Content security policies exceed the usual limit of 8 KiB."""
HEADERS = 128
"""Maximum number of response headers."""
OVERHEAD = 4 * HEADER_BYTES
"""Maximum bytes in a row that are not part of the body: headers, trailers, interim responses, extensions of chunks."""
JOINED = 128 * 1024
"""Maximum size of a body that is sent in one piece with the headers. Copying it is cheaper than another system call."""
WRITTEN = 256 * 1024
"""Bytes of a larger body that are handed to the system at a time."""


class Sink(Protocol):
    """Gets a reply: its head, the pieces of its body, and its end or the loss of the connection."""

    def on_head(self, status: int, headers: dict[str, str]) -> None: ...

    def on_data(self, data: bytes) -> None: ...

    def on_end(self) -> None: ...

    def on_lost(self, error: BaseException | None) -> None:
        """`error` is None if the server closed the connection."""
        ...


class HttpConnection(asyncio.Protocol):
    """One connection. `start` sends a request, and `abort` leaves it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        kept: Callable[["HttpConnection"], None],
        gone: Callable[["HttpConnection"], None],
    ) -> None:
        """`kept` is called when the connection can be used again, `gone` when it is closed."""
        self._loop = loop
        self._kept, self._gone = kept, gone
        self.transport: asyncio.Transport
        self._sink: Sink | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._unsent: memoryview | None = None
        self._feeding: asyncio.Task[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._writable = True
        self._reading = True
        self.received = False
        """Whether anything of the present reply has arrived."""
        self.ended = False
        """Whether the present reply has ended."""
        self.idle_since = 0.0

    # --- for its user ---

    def start(self, head: bytes, body: "bytes | AsyncIterable[bytes] | None", length: int | None, sink: Sink) -> None:
        """Send a request. `head` ends before the headers of the body's length; `length`: that of a body in pieces."""
        self._sink = sink
        self._bodiless = head.startswith(b"HEAD ")
        self._headers: dict[str, str] = {}
        self._count = self._overhead = 0
        self._pieces: list[bytes] = []
        self._head_done = self._open_ended = self._keep = self._extra = self.received = self.ended = False
        self._fault: NotHttp | None = None
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
            # small servers write such lines; they cannot be read in two ways
            self._parser.set_dangerous_leniencies(
                lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
            )
        write = self.transport.write
        if body is None:
            write(head + (b"\r\n" if head.startswith((b"GET ", b"HEAD ")) else b"Content-Length: 0\r\n\r\n"))
        elif not isinstance(body, bytes):
            write(head + (b"Transfer-Encoding: chunked\r\n\r\n" if length is None else _length(length)))
            self._feeding = self._loop.create_task(self._feed(body, length))
        elif len(body) <= JOINED:
            write(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body))
        else:
            write(head + _length(len(body)))
            self._unsent = memoryview(body)
            self._write_on()

    def abort(self) -> None:
        """Close the connection at once. The sink is not called again."""
        self._leave()
        self.transport.abort()

    def lose(self, error: BaseException | None) -> None:
        """Close the connection at once, and report it to the sink."""
        sink = self._leave()
        self.transport.abort()
        if sink is not None:
            sink.on_lost(error)

    @property
    def usable(self) -> bool:
        return not self.transport.is_closing()

    def pause_reading(self) -> None:
        if self._reading and self.usable:
            self._reading = False
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._reading and self.usable:
            self._reading = True
            self.transport.resume_reading()

    # --- sending ---

    def _write_on(self) -> None:
        while self._unsent and self._writable:
            self.transport.write(self._unsent[:WRITTEN])
            self._unsent = self._unsent[WRITTEN:]

    async def _feed(self, body: AsyncIterable[bytes], length: int | None) -> None:
        sent = 0
        try:
            async for piece in body:
                sent += len(piece)
                if length is not None and sent > length:
                    break
                if piece:
                    self.transport.write(piece if length is not None else b"%x\r\n%b\r\n" % (len(piece), piece))
                while not self._writable:
                    self._drained = self._loop.create_future()
                    await self._drained
            if length is not None and sent != length:
                raise ValueError("the body does not have the length that was announced")
            if length is None:
                self.transport.write(b"0\r\n\r\n")
            self._feeding = None
        except Exception as error:  # noqa: BLE001  # raised where the reply is awaited
            self._feeding = None
            self.lose(error)

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._write_on()

    # --- receiving ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a class of uvloop

    def data_received(self, data: bytes) -> None:
        sink, parser = self._sink, self._parser
        if sink is None or parser is None:  # nothing was asked
            self.abort()
            return
        self.received = True
        fault: NotHttp | None = None
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            fault = NotHttp()
        fault = self._fault or fault
        if self._pieces and self._head_done:
            pieces, self._pieces = self._pieces, []
            self._overhead = 0
            sink.on_data(pieces[0] if len(pieces) == 1 else b"".join(pieces))
            if self._sink is not sink:  # it was left meanwhile
                return
        elif not self.ended:
            self._overhead += len(data)
            if self._overhead > OVERHEAD:
                fault = NotHttp(large=True)
        if self.ended:
            self._end(sink, clean=fault is None)
        elif fault is not None:
            self.lose(fault)

    def eof_received(self) -> None:
        self._closed(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._closed(error)
        self._parser = None  # it refers to this connection
        self._gone(self)

    def _closed(self, error: Exception | None) -> None:
        sink = self._leave()
        if self.usable:
            self.transport.abort()  # without sending the rest of the request
        if sink is not None:
            if self._head_done and self._open_ended and error is None:
                self.ended = True
                sink.on_end()
            else:
                sink.on_lost(error)

    def _end(self, sink: Sink, *, clean: bool) -> None:
        sent = self._unsent is None or not self._unsent
        sent = sent and self._feeding is None and not self.transport.get_write_buffer_size()
        self._leave()
        if self._keep and clean and sent and not self._extra and not self.transport.is_closing():
            if not self._reading:
                self.resume_reading()
            self._kept(self)
        else:
            self.transport.abort()
        sink.on_end()

    def _leave(self) -> Sink | None:
        """Detach the sink. Returns it."""
        sink, self._sink = self._sink, None
        self._unsent = None
        if self._feeding is not None:
            self._feeding.cancel()
            self._feeding = None
        return sink

    # --- called by the parser ---

    def on_message_begin(self) -> None:
        self._extra = self.ended

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count += 1
        if len(name) + len(value) > HEADER_BYTES or self._count > HEADERS:
            self._fault = NotHttp(large=True)
        elif not self._head_done:  # else it is a trailer
            key, text = _lower(name), value.decode("utf-8", "surrogateescape")
            before = self._headers.get(key)
            self._headers[key] = text if before is None else f"{before}, {text}"

    def on_headers_complete(self) -> None:
        if self.ended or self._parser is None:
            return
        status = self._parser.get_status_code()
        if 100 <= status < 200:  # the parser refuses 101, switching protocols
            self._headers = {}
            return
        coding = self._headers.get("transfer-encoding")
        if status < 100 or (coding is not None and coding.lower() != "chunked"):  # none of them was asked for
            self._fault = NotHttp()
        if self._fault is not None or self._sink is None:
            return
        self._head_done = True
        self._open_ended = coding is None and "content-length" not in self._headers
        self._sink.on_head(status, self._headers)
        if self._bodiless:
            self.on_message_complete()
            self._parser = None  # it waits for a body

    def on_body(self, data: bytes) -> None:
        if self.ended:
            self._extra = True
        else:
            self._pieces.append(data)

    def on_message_complete(self) -> None:
        if self._head_done and not self.ended and self._parser is not None:
            self.ended = True
            self._keep = self._parser.should_keep_alive()


def _length(length: int) -> bytes:
    return b"Content-Length: %d\r\n\r\n" % length


@lru_cache(maxsize=512)
def _lower(name: bytes) -> str:
    return name.decode("latin-1").lower()
