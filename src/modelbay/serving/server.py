"""Runs an ASGI app or a `RequestHandler` on uvicorn: in a thread for tests and programs, or in the foreground for a user.

A server stops in one of two ways. Without `drain`, it closes all connections at once. With `drain`, it accepts no more
connections, closes idle ones, waits for the requests in progress, and cancels those that take longer.
"""

import asyncio
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial
from time import monotonic
from typing import TypeAlias

import uvicorn

from modelbay.logs import LOG
from modelbay.serving.asgi import Message, Receive, Send
from modelbay.serving.client_connection import KEEP_ALIVE, ClientConnection, ConnectionState, DirectConnection
from modelbay.serving.http_request import HttpRequest
from modelbay.serving.request_head import KnownHeads, RequestHead

App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

_BACKLOG = 1_024
_SWEEP = 10
"""Ticks of uvicorn, of 0.1 seconds each, between two checks for clients that are too slow."""
_TICK = 0.05
"""Seconds between two checks whether connections are still open."""


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

    def begin(self, request: HttpRequest) -> bool:
        """See `client_connection.Handler`."""
        return False

    def expects(self, head: RequestHead) -> bool:
        """See `client_connection.Handler`."""
        return False

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
        connection: Callable[..., ClientConnection] = ClientConnection
        if isinstance(app, RequestHandler):
            connection = partial(DirectConnection, app, KnownHeads())
        config = uvicorn.Config(
            self._call,
            interface="asgi3",
            http=connection,  # type: ignore[arg-type]
            ws="none",
            lifespan="on" if direct else "off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # nothing depends on the client's address
            timeout_keep_alive=KEEP_ALIVE,
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
        """Serve until Ctrl-C or SIGTERM. A second Ctrl-C ends a drain.

        Raises:
            KeyboardInterrupt: Ctrl-C, after everything is closed.
        """
        self._server.run([self._listener])

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self._server.server_state.connections)

    def start(self) -> None:
        """Serve in a thread until `stop`."""
        # connections wait in the socket's queue until the loop runs, so the caller need not wait for it
        self._thread = threading.Thread(target=self.run, name="modelbay-server", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop a started server, and return when it has stopped."""
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


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, drain: float) -> None:
        super().__init__(config)
        self.server_state: ConnectionState = ConnectionState()
        self._drain = drain
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()

    def stop_now(self) -> None:
        """End the server, from another thread."""
        self.should_exit = True
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._stopping.set)

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn's own handles signals from the time when its loop runs. An exception of another handler, raised while the
        loop begins, would be lost in it."""
        with super().capture_signals():
            super().run(sockets)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Do nothing: `run` captures the signals."""
        yield

    async def main_loop(self) -> None:
        """uvicorn's own would end a tick later: a program's tests may start and stop hundreds of servers."""
        self._loop = asyncio.get_running_loop()
        counter = 0
        while not await self.on_tick(counter):
            counter += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 0.1)

    async def on_tick(self, counter: int) -> bool:
        self.server_state.tick(monotonic())
        if counter % _SWEEP == 0:
            for connection in list(self.server_state.connections):
                connection.close_if_silent(self.server_state.now)  # type: ignore[union-attr]
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn's own would leave connections open after its timeout, and cannot stop without waiting."""
        self.server_state.draining = True
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        connections = self.server_state.connections
        if self._drain:
            for connection in list(connections):
                connection.shutdown()
            end = monotonic() + self._drain
            await asyncio.sleep(0)  # idle connections close
            if connections:
                LOG.info(
                    "stopping: waiting up to %d seconds for requests in progress (%d)", self._drain, len(connections)
                )
            while connections and not self.force_exit and monotonic() < end:
                await asyncio.sleep(_TICK)
            if connections:
                LOG.warning("stopped: requests in progress were cancelled (%d)", len(connections))
        for connection in list(connections):
            connection.transport.abort()
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.lifespan.shutdown()
