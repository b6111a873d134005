"""Connections of clients: uvicorn's HTTP with stricter rules, and requests that a handler answers without ASGI."""

import asyncio
import re
from typing import Any, Protocol

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from modelbay.serving.asgi import TRANSPORT
from modelbay.serving.http_request import LINGER, Answer, HttpRequest
from modelbay.serving.request_head import KnownHeads, RequestHead, split

HEAD_BYTES = 64 * 2**10
"""Maximum size of a request's URL and headers."""
KEEP_ALIVE = 75
"""Seconds after which an idle connection is closed."""
SILENCE = 60.0
"""Seconds that a client may take for the head of a request, and between two pieces of its body."""
_LONGEST_TICK = 1.0
"""Maximum seconds between two ticks of a running server, even on a slow machine."""
_PIPELINED = 8
"""Maximum number of waiting requests on a connection that is still read."""
_GATHERED = 2**20
"""Maximum size in bytes of a body that is kept until all of it has arrived."""
_ABSOLUTE = re.compile(rb"[a-z][a-z0-9+.-]*://([^/?#]*)([^#]*).*", re.IGNORECASE | re.DOTALL)
"""A URL as the target of a request, with its host and the rest."""


class ConnectionState(ServerState):
    """The state that all connections of a server share."""

    draining = False
    """Whether the server accepts no more connections, and stops when the requests in progress are done."""
    now = 0.0
    """Seconds that the server had run at the last tick. No connection needs a more exact time."""
    _ticked = 0.0

    def __init__(self) -> None:
        super().__init__()
        self._begins: dict[int, bytes] = {}
        self._dated: object = None

    def tick(self, time: float) -> None:
        """Advance to a time of the system clock. A pause in which the process was stopped (Ctrl-Z) does not count: it read nothing
        from its clients."""
        self.now += min(time - self._ticked, _LONGEST_TICK)
        self._ticked = time

    def begin_of(self, status: int) -> bytes:
        """The beginning of a response: its status line and the headers of all responses, which uvicorn renews each second."""
        if self._dated is not self.default_headers:
            self._dated = self.default_headers
            self._begins.clear()
        begin = self._begins.get(status)
        if begin is None:
            fields = [b"%b: %b\r\n" % field for field in self.default_headers]
            begin = self._begins[status] = b"".join([STATUS_LINE[status], *fields])
        return begin


class ClientConnection(HttpToolsProtocol):
    """uvicorn's protocol, with stricter rules for the head of a request and with an extension of the scope."""

    _head = 0
    """Bytes of the request's URL, headers and trailers so far."""
    _unread = 0
    """Bytes that were received since the head began, or since the last bytes of the body."""
    _progress = False
    """Whether the last bytes received were a part of a body."""
    _in_head = False
    _in_body = False
    _refusal: bytes | None = None
    """The response to an invalid request. The requests before it are answered first; everything after it is ignored."""
    _repeats = False
    """Whether the parser reads a head again, so that it reads the body after it."""
    _running: RequestResponseCycle | None = None
    """The request that is answered. Pipelined ones wait for its end."""
    _since = 0.0
    """The time since which the connection waits for the client: for a head, its end, or the next piece of a body."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = self.server_state.now  # type: ignore[attr-defined]

    def close_if_silent(self, now: float) -> None:
        """Close the connection if its client is too slow. uvicorn closes those that are idle between two requests."""
        idle = (self.cycle is None or self.cycle.response_complete) and self.timeout_keep_alive_task is None
        if self._refusal is not None or not (idle or self._in_head or self._in_body):
            return
        if self._in_body and self.flow.read_paused:
            self._since = now  # the body is not read, as in an upload to a provider that reads slowly
        elif now - self._since > self._patience():
            if self._in_head or self._in_body:
                self._refuse(_InvalidHead(408, f"the request did not arrive within {SILENCE:g} s"))
            else:
                self.transport.close()

    def _patience(self) -> float:
        """Seconds that the client may take for its next bytes."""
        return SILENCE

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if (running := self._running) is not None and not running.response_complete:
            # uvicorn reports the end only to the last of pipelined requests
            running.disconnected = True
            running.message_event.set()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._refusal is not None and self._running is not None and self._running.response_complete:
            self._end(self._refusal)

    def on_message_begin(self) -> None:
        if self._repeats:
            return
        super().on_message_begin()
        self._head = self._unread = 0
        self._in_head = True
        self.scope["extensions"] = {TRANSPORT: self.transport}  # type: ignore[dict-item]

    def on_url(self, url: bytes) -> None:
        if self._repeats:
            return
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._repeats:
            return
        self._count(len(name) + len(value) + len(b": \r\n"))
        if self._in_head:  # a trailer is not a header: a proxy that checks headers lets it pass
            super().on_header(name, value)

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > HEAD_BYTES:
            raise _HeadTooLarge

    def on_headers_complete(self) -> None:
        if self._repeats:
            return
        self._check_head()
        self._in_head, self._in_body = False, True
        super().on_headers_complete()
        if 0 < len(self.pipeline) <= _PIPELINED:
            # uvicorn stops reading until the request before is answered, and then does not notice that the client leaves
            self.flow.resume_reading()

    def _check_head(self) -> None:
        """Refuse a head that the parser accepts and other servers read differently.

        Raises:
            _InvalidHead: the request must not be answered.
        """
        version = self.parser.get_http_version()
        if version not in ("1.0", "1.1"):
            raise _InvalidHead(505, "the HTTP version of a request must be 1.0 or 1.1")
        codings = [value.lower() for name, value in self.headers if name == b"transfer-encoding"]
        if codings and version == "1.0":
            raise _InvalidHead(400, "a request of HTTP/1.0 must not have a Transfer-Encoding header")
        if codings and codings != [b"chunked"]:
            raise _InvalidHead(501, "the Transfer-Encoding header must be absent or chunked")
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (not hosts and version == "1.1"):
            raise _InvalidHead(400, "a request must have one Host header")
        if version == "1.0":  # its clients do not know status 100
            self.expect_100_continue = False
        if self.url.startswith(b"/"):
            return
        if found := _ABSOLUTE.fullmatch(self.url):
            httptools.parse_url(self.url)  # raises an error of the parser if the host or port is not valid
            # the host of the URL counts, and the header is ignored (RFC 9112, 3.2.2)
            self.headers[:] = [(b"host", found[1]), *(field for field in self.headers if field[0] != b"host")]
            self.url = found[2] if found[2].startswith(b"/") else b"/" + found[2]
        else:
            raise _InvalidHead(400, "the target of a request must be a path")

    def on_body(self, body: bytes) -> None:
        self._progress = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        self.cycle.waiting_for_100_continue = False  # the client did not wait, or has no body
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            return
        if not self._in_head:
            self._since = self.server_state.now  # type: ignore[attr-defined]
        self._progress = False
        try:
            self._unset_keepalive_if_required()
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._read_on(data[offer.args[0] :])
        except httptools.HttpParserError as error:
            found = error.__context__  # raised by a method above
            self._refuse(
                found if isinstance(found, _InvalidHead) else _InvalidHead(400, "the request is not valid HTTP")
            )
            return
        if not (self._in_head or self._in_body) or self.transport.is_closing():
            return
        # the parser reports a header or trailer at its end, and keeps an endless one in memory
        self._unread = 0 if self._progress else self._unread + len(data)
        if self._unread > HEAD_BYTES:
            self._refuse(_HeadTooLarge())

    def _read_on(self, rest: bytes) -> None:
        """Read on after a request that offers another protocol, such as HTTP/2 (Java's HTTP client, on every connection). The
        offer is ignored, but the parser would take the request's body for that protocol."""
        self.parser = httptools.HttpRequestParser(self)
        framing = [
            b"%b: %b\r\n" % field for field in self.headers if field[0] in (b"content-length", b"transfer-encoding")
        ]
        if framing:
            self.cycle.more_body = self._in_body = self._repeats = True
            self.cycle.waiting_for_100_continue = self.expect_100_continue
            self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(framing))
            self._repeats = False
        if rest:
            self.data_received(rest)

    def _refuse(self, why: "_InvalidHead") -> None:
        """Refuse a request and everything after it, once the requests before it are answered."""
        text = why.text.encode()
        head = f"content-type: text/plain\r\ncontent-length: {len(text)}\r\nconnection: close\r\n\r\n".encode()
        self._refusal = STATUS_LINE[why.status] + head + text
        if self._in_body and self.pipeline:
            self.pipeline.popleft()  # the invalid request, which waits
        elif self._in_body:
            self._abandon(self.cycle)
            self._end(b"" if self.cycle.response_started else self._refusal)
            return
        if self._running is None or self._running.response_complete:
            self._end(self._refusal)

    def _abandon(self, cycle: RequestResponseCycle) -> None:
        """Report to a request that the rest of its body will not arrive."""
        cycle.disconnected = True
        cycle.waiting_for_100_continue = False
        cycle.message_event.set()

    def _end(self, refusal: bytes) -> None:
        """Send the last response and close the connection, but read on for a while: if it were closed with unread data, the
        system would reset it, and many clients would report that instead of the refusal."""
        self._refusal = refusal
        if self.transport.is_closing():
            return
        self.transport.write(refusal)
        self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(LINGER, self.transport.close)


class _InvalidHead(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class _HeadTooLarge(_InvalidHead):
    def __init__(self) -> None:
        super().__init__(431, f"the URL and headers of a request must not exceed {HEAD_BYTES:,} bytes")


class Handler(Protocol):
    """Answers the requests of a `DirectConnection`."""

    def begin(self, request: HttpRequest) -> bool:
        """Answer a request that has arrived completely, now or later, without a task. Returns whether it does: if not, nothing has
        happened, and `answer` is called."""

    def expects(self, head: RequestHead) -> bool:
        """Whether to keep the body of a request with this head until all of it has arrived, for `begin`. Otherwise `answer` gets
        each piece as it arrives, and can refuse the request before the last one."""

    async def answer(self, request: HttpRequest) -> None:
        """Answer a request. It is cancelled when the server stops."""


class DirectConnection(ClientConnection):
    """A connection whose requests a handler answers: uvicorn reads HTTP and queues pipelined requests; its scope, messages,
    responses and timers are not used."""

    cycle: HttpRequest  # type: ignore[assignment]
    server_state: ConnectionState
    _running: HttpRequest | None = None  # type: ignore[assignment]
    _missing = 0
    """Bytes that are still missing of a body that is kept until all of it has arrived."""
    _pieces: list[bytes]
    """The pieces of it that have arrived."""

    def __init__(self, handler: Handler, heads: KnownHeads, **options: Any) -> None:
        """`heads`: those that the connections of the server have in common."""
        super().__init__(**options)
        self._handler = handler
        self._heads = heads

    # --- a request ---

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._gather(data)
            return
        found = None if self._is_busy() else split(data)
        if found is None:
            super().data_received(data)
            return
        key, begin, missing = found
        head = self._heads.find(key)
        if head is None:
            before = self.cycle
            super().data_received(data)
            if self.cycle is not before and self.cycle.length == len(data) - begin + missing:
                self._heads.add(key, self.cycle.head)
        elif not missing:
            self._begin(HttpRequest(head, self), data[begin:])
        elif missing <= _GATHERED and self._handler.expects(head):
            self.cycle = HttpRequest(head, self)
            self._in_body, self._missing, self._pieces = True, missing, [data[begin:]]
            self._since = self.server_state.now
        else:
            super().data_received(data)

    def _gather(self, data: bytes) -> None:
        """Keep the next piece of a body that is expected, and answer its request at the end."""
        if self._refusal is not None:
            return
        self._since = self.server_state.now
        piece = data[: self._missing]
        self._pieces.append(piece)
        self._missing -= len(piece)
        if not self._missing:
            self._in_body = False
            body, self._pieces = b"".join(self._pieces), []
            self._begin(self.cycle, body)
            if len(data) > len(piece):
                self.data_received(data[len(piece) :])

    def _begin(self, request: HttpRequest, body: bytes) -> None:
        """Answer a request that has arrived as a whole."""
        self.cycle = self._running = request
        request.feed_whole(body)
        if not self._handler.begin(request):
            self.run(request, self._handler.answer)

    def _is_busy(self) -> bool:
        """Whether the next bytes are not a request to answer now: one is arriving or in progress, or the connection ends."""
        waits = self.cycle is not None and not self.cycle.response_complete
        return waits or self._in_head or self._in_body or self._refusal is not None or self.transport.is_closing()

    def on_message_begin(self) -> None:
        if self._repeats:
            return
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._head = self._unread = 0
        self._in_head = True

    def on_headers_complete(self) -> None:
        if self._repeats:
            return
        self._check_head()
        self._in_head, self._in_body = False, True
        version, before = self.parser.get_http_version(), self.cycle
        length = next((value for name, value in self.headers if name == b"content-length"), b"")
        head = RequestHead(
            self.parser.get_method().decode("ascii"),
            self.url,
            [field for field in self.headers if field[0] != b"content-length"],
            version=version,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
        )
        self.cycle = request = HttpRequest(head, self)
        request.length = int(length) if length.isdigit() else None
        request.waiting_for_100_continue = self.expect_100_continue
        if before is None or before.response_complete:
            self.run(request, self._handler.answer)
            return
        self.pipeline.appendleft((request, self._handler.answer))  # type: ignore[arg-type]
        if len(self.pipeline) > _PIPELINED:
            self.flow.pause_reading()

    def run(self, request: HttpRequest, answer: Answer) -> None:
        self._running = request
        request.task = task = self.loop.create_task(request.run_asgi(answer))
        self.tasks.add(task)

    def on_body(self, body: bytes) -> None:
        self._progress = True
        self.cycle.feed(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        self.cycle.waiting_for_100_continue = False
        self.cycle.feed_end()

    # --- its response ---

    def begin_of(self, status: int) -> bytes:
        return self.server_state.begin_of(status)

    def is_draining(self) -> bool:
        return self.server_state.draining

    def ended(self, task: asyncio.Task[None]) -> None:
        """The handler of a request has ended."""
        self.tasks.discard(task)

    def on_response_complete(self) -> None:
        running = self._running
        if running is not None and not running.keep_alive:
            if self.is_draining():
                self.transport.close()
            else:  # requests behind the last one are not answered
                self.pipeline.clear()
                self._end(b"")
            return
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        self._since = self.server_state.now
        if self.pipeline:
            request, answer = self.pipeline.pop()
            self.run(request, answer)  # type: ignore[arg-type]
        if self._refusal is not None and (self._running is None or self._running.response_complete):
            self._end(self._refusal)

    def _patience(self) -> float:
        waits_for_next = self.cycle is not None and not (self._in_head or self._in_body)
        return KEEP_ALIVE if waits_for_next else SILENCE

    def _abandon(self, cycle: HttpRequest) -> None:  # type: ignore[override]
        cycle.lost()

    def connection_lost(self, exc: Exception | None) -> None:
        requests = [self._running, *(request for request, _ in self.pipeline)]
        self.cycle = self._running = None  # type: ignore[assignment]
        super().connection_lost(exc)
        for request in requests:
            if request is not None:
                request.lost()  # type: ignore[union-attr]

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._running is not None and self._running.source is not None:
            self._running.source.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._running is not None and self._running.source is not None:
            self._running.source.resume()
