"""Runs an ASGI app on uvicorn: in a thread for tests and programs, or in the foreground for a user.

A server stops in one of two ways. Without `drain`, it closes all connections at once. With `drain`, it accepts no more
connections, closes idle ones, waits for the requests in progress, and cancels those that take longer.
"""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeAlias

import httptools
import uvicorn
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from modelbay.logs import LOG
from modelbay.serving.asgi import DRAINING, TRANSPORT, Message, Receive, Send

App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

HEAD_BYTES = 64 * 2**10
"""Maximum size of a request's URL and headers."""
_BACKLOG = 1_024
_KEEP_ALIVE = 75
"""Seconds after which an idle connection is closed."""
_PIPELINED = 8
"""Maximum number of waiting requests on a connection that is still read."""
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


class HttpServer:
    """A server for one app on a listening socket, which it closes at its end."""

    def __init__(self, app: App, listener: socket.socket, *, drain: float = 0.0, lifespan: bool = False) -> None:
        """`drain`: maximum seconds to wait for requests in progress. `lifespan`: whether the app handles ASGI's lifespan."""
        self._app = app
        config = uvicorn.Config(
            self._call,
            interface="asgi3",
            http=_Connection,
            ws="none",
            lifespan="on" if lifespan else "off",
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
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join()
            self._thread = None


class _State(ServerState):
    draining = False


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, drain: float) -> None:
        super().__init__(config)
        self.server_state = _State()
        self._drain = drain

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
    """uvicorn's protocol, with a limit for the head of a request and with extensions of the scope."""

    _head = 0
    """Bytes of the request's URL and headers so far."""
    _unfinished = 0
    """Bytes that were received since the head began and before its end."""
    _in_head = False
    _repeats = False
    """Whether the parser reads a head again, so that it reads the body after it."""
    _running: RequestResponseCycle | None = None
    """The request that is answered. Pipelined ones wait for its end."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if (running := self._running) is not None and not running.response_complete:
            # uvicorn reports the end only to the last of pipelined requests
            running.disconnected = True
            running.message_event.set()

    def on_message_begin(self) -> None:
        if self._repeats:
            return
        super().on_message_begin()
        self._head = self._unfinished = 0
        self._in_head = True
        self.scope["extensions"] = {TRANSPORT: self.transport, DRAINING: self._is_draining}  # type: ignore[dict-item]

    def _is_draining(self) -> bool:
        return self.server_state.draining  # type: ignore[attr-defined, no-any-return]

    def on_url(self, url: bytes) -> None:
        if self._repeats:
            return
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._repeats:
            return
        super().on_header(name, value)
        self._count(len(name) + len(value))

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > HEAD_BYTES:
            raise _HeadTooLarge  # the parser stops, and `data_received` calls `send_400_response`

    def on_headers_complete(self) -> None:
        if self._repeats:
            return
        self._in_head = False
        super().on_headers_complete()
        if 0 < len(self.pipeline) <= _PIPELINED:
            # uvicorn stops reading until the request before is answered, and then does not notice that the client leaves
            self.flow.resume_reading()

    def data_received(self, data: bytes) -> None:
        try:
            self._unset_keepalive_if_required()
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._read_on(data[offer.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
            return
        if not self._in_head or self.transport.is_closing():
            return
        # the parser reports a header at its end, and keeps an endless one in memory
        self._unfinished += len(data)
        if self._unfinished > HEAD_BYTES:
            self._refuse_head()

    def _read_on(self, rest: bytes) -> None:
        """Read on after a request that offers another protocol, such as HTTP/2 (Java's HTTP client, on every connection). The
        offer is ignored, but the parser would take the request's body for that protocol."""
        self.parser = httptools.HttpRequestParser(self)
        framing = [
            b"%b: %b\r\n" % field for field in self.headers if field[0] in (b"content-length", b"transfer-encoding")
        ]
        if framing:
            self.cycle.more_body = True
            self._repeats = True
            self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(framing))
            self._repeats = False
        if rest:
            self.data_received(rest)

    def send_400_response(self, msg: str) -> None:
        if self._head > HEAD_BYTES:
            self._refuse_head()
        else:
            super().send_400_response(msg)

    def _refuse_head(self) -> None:
        text = f"the URL and headers of a request must not exceed {HEAD_BYTES:,} bytes".encode()
        head = f"content-type: text/plain\r\ncontent-length: {len(text)}\r\nconnection: close\r\n\r\n".encode()
        self.transport.write(STATUS_LINE[431] + head + text)
        self.transport.close()


class _HeadTooLarge(Exception):
    pass
