"""Runs an ASGI app or a `RequestHandler` on uvicorn: in a thread for tests and programs, or in the foreground for a user.

A server stops in one of two ways. Without `drain`, it closes all connections at once. With `drain`, it accepts no more
connections, closes idle ones, waits for the requests in progress, and cancels those that take longer.
"""

import asyncio
import re
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any, TypeAlias

import httptools
import uvicorn
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from modelbay.logs import LOG
from modelbay.serving.asgi import TRANSPORT, Message, Receive, Send
from modelbay.serving.http_request import LINGER, HttpRequest

App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

HEAD_BYTES = 64 * 2**10
"""Maximum size of a request's URL and headers."""
_BACKLOG = 1_024
_KEEP_ALIVE = 75
"""Seconds after which an idle connection is closed."""
SILENCE = 60.0
"""Seconds that a client may take for the head of a request, and between two pieces of its body."""
_PIPELINED = 8
"""Maximum number of waiting requests on a connection that is still read."""
_ABSOLUTE = re.compile(rb"[a-z][a-z0-9+.-]*://([^/?#]*)([^#]*).*", re.IGNORECASE | re.DOTALL)
"""A URL as the target of a request, with its host and the rest."""
_SWEEP = 10
"""Ticks of uvicorn, of 0.1 seconds each, between two looks for clients that are too slow."""
_TICK = 0.05
"""Seconds between two looks at the connections that are still open."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        OSError: the port is in use, or the host is not an address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def url_of(host: str, port: int) -> str:
    """The base URL of a server, without a path."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class RequestHandler(ABC):
    """Answers requests without ASGI, for servers whose cost per request and piece matters."""

    @abstractmethod
    async def start(self) -> None:
        """Prepare for requests, in the event loop of the server."""

    @abstractmethod
    async def answer(self, request: HttpRequest) -> None:
        """Answer a request. It is cancelled when the server stops."""

    @abstractmethod
    async def aclose(self) -> None:
        """Release what `start` opened. No request is in progress any more."""


class HttpServer:
    """A server for one app or handler on a listening socket, which it closes at its end."""

    def __init__(self, app: App | RequestHandler, listener: socket.socket, *, drain: float = 0.0) -> None:
        """`drain`: maximum seconds to wait for requests in progress."""
        self._app = app
        direct = isinstance(app, RequestHandler)
        config = uvicorn.Config(
            self._call,
            interface="asgi3",
            http=partial(_DirectConnection, app.answer) if isinstance(app, RequestHandler) else _Connection,  # type: ignore[arg-type]
            ws="none",
            lifespan="on" if direct else "off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # nothing depends on the client's address
            timeout_keep_alive=_KEEP_ALIVE,
        )
        self._listener = listener
        self._server = _Server(config, drain)
        self._thread: threading.Thread | None = None

    async def _call(self, scope: Message, receive: Receive, send: Send) -> None:
        if isinstance(self._app, RequestHandler):
            await _lifespan(self._app, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        except Exception:
            LOG.exception("internal error while responding to %s %s", scope.get("method"), scope.get("path"))
            raise

    def run(self) -> None:
        """Serves until Ctrl-C or SIGTERM. A second Ctrl-C ends a drain.

        Raises:
            KeyboardInterrupt: Ctrl-C, after everything is closed.
        """
        self._server.run([self._listener])

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self._server.server_state.connections)

    def start(self) -> None:
        """Serves in a thread until `stop`."""
        # connections wait in the socket's queue until the loop runs, so the caller need not wait for it
        self._thread = threading.Thread(target=self.run, name="modelbay-server", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stops a started server, and returns when it has stopped."""
        self._server.stop_now()
        if self._thread is not None:
            self._thread.join()
            self._thread = None


async def _lifespan(handler: RequestHandler, receive: Receive, send: Send) -> None:
    """Start and close a handler, as uvicorn asks for it."""
    await receive()
    await handler.start()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await handler.aclose()
    await send({"type": "lifespan.shutdown.complete"})


class _State(ServerState):
    draining = False
    now = 0.0
    """The time of the last tick. No connection needs it more exactly."""


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, drain: float) -> None:
        super().__init__(config)
        self.server_state = _State()
        self._drain = drain
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()

    def stop_now(self) -> None:
        """Ends the server, from another thread."""
        self.should_exit = True
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._stopping.set)

    async def main_loop(self) -> None:
        """uvicorn's own would end a tick later: a program's tests may start and stop hundreds of servers."""
        self._loop = asyncio.get_running_loop()
        counter = 0
        while not await self.on_tick(counter):
            counter += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 0.1)

    async def on_tick(self, counter: int) -> bool:
        self.server_state.now = now = monotonic()  # type: ignore[attr-defined]
        if counter % _SWEEP == 0:
            for connection in list(self.server_state.connections):
                connection.close_if_silent(now)  # type: ignore[union-attr]
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn's own would leave connections open after its timeout, and has no end without waiting."""
        self.server_state.draining = True  # type: ignore[attr-defined]
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        connections = self.server_state.connections
        if self._drain:
            for connection in list(connections):
                connection.shutdown()
            end = monotonic() + self._drain
            while connections and not self.force_exit and monotonic() < end:
                await asyncio.sleep(_TICK)
        for connection in list(connections):
            connection.transport.abort()
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.lifespan.shutdown()


class _Connection(HttpToolsProtocol):
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
    """The time from which the client is waited for: to begin or end a head, or to go on with a body."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = monotonic()

    def close_if_silent(self, now: float) -> None:
        """Close the connection if its client is too slow. uvicorn closes those that are idle between two requests."""
        idle = (self.cycle is None or self.cycle.response_complete) and self.timeout_keep_alive_task is None
        if self._refusal is not None or not (idle or self._in_head or self._in_body):
            return
        if self._in_body and self.flow.read_paused:
            self._since = now  # the body is not read, as in an upload to a provider that reads slowly
        elif now - self._since > SILENCE:
            if self._in_head or self._in_body:
                self._refuse(_InvalidHead(408, f"the request did not arrive within {SILENCE:g} s"))
            else:
                self.transport.close()

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
        """Refuse what the parser accepts and other servers read in another way.

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
        """Refuse a request and everything after it, when the requests before it are answered."""
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


class _DirectConnection(_Connection):
    """A connection whose requests a handler answers: uvicorn reads HTTP, queues pipelined requests and closes idle
    connections; its scope, messages and responses are not used."""

    cycle: HttpRequest  # type: ignore[assignment]
    _running: HttpRequest | None = None  # type: ignore[assignment]

    def __init__(self, answer: Callable[[HttpRequest], Awaitable[None]], **options: Any) -> None:
        super().__init__(**options)
        self._answer = answer

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
        self.cycle = request = HttpRequest(
            self.parser.get_method().decode("ascii"),
            self.url,
            self.headers,
            self.transport,
            self.flow,
            version=version,
        )
        request.keep_alive = version != "1.0" and self.parser.should_keep_alive()
        request.waiting_for_100_continue = self.expect_100_continue
        request.default_headers = self.server_state.default_headers
        request.is_draining = self._is_draining
        request.on_response = self.on_response_complete
        if before is None or before.response_complete:
            self._start_asgi_task(request, self._answer)
            return
        self.pipeline.appendleft((request, self._answer))  # type: ignore[arg-type]
        if len(self.pipeline) > _PIPELINED:
            self.flow.pause_reading()

    def _start_asgi_task(self, cycle: HttpRequest, app: Callable[[HttpRequest], object]) -> None:  # type: ignore[override]
        self._running = cycle
        cycle.task = task = self.loop.create_task(cycle.run_asgi(app))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def on_body(self, body: bytes) -> None:
        self._progress = True
        self.cycle.feed(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        self.cycle.waiting_for_100_continue = False
        self.cycle.feed_end()

    def on_response_complete(self) -> None:
        running = self._running
        if running is None or running.keep_alive:
            super().on_response_complete()
        elif self._is_draining():
            self.transport.close()
        else:  # requests behind the last one are not answered
            self.pipeline.clear()
            self._end(b"")

    def _is_draining(self) -> bool:
        return self.server_state.draining  # type: ignore[attr-defined, no-any-return]

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
