"""Runs the simulator on uvicorn: in its own thread for tests and programs, or in the foreground for a user."""

import asyncio
import socket
import threading
from collections.abc import Callable, Collection, Mapping
from types import TracebackType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from modelbay.serving.callers import Callers
from modelbay.simulator.asgi_app import TRANSPORT, SimulatorApp
from modelbay.simulator.journal import Journal
from modelbay.simulator.login_server import LoginServer
from modelbay.simulator.simulated_provider import SimulatedProvider, SimulatorSettings

_BACKLOG = 1_024


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol, which also passes the transport to the app: some faults close connections, which ASGI cannot do."""

    def _unsupported_upgrade_warning(self) -> None:
        """Does nothing: the app responds to clients that try a WebSocket first, so no warning is needed."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT: self.transport}  # type: ignore[dict-item]


class _Server(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops immediately, because a stalled response may never end."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _server(provider: SimulatedProvider, journal: Journal, callers: Callers) -> _Server:
    config = uvicorn.Config(
        SimulatorApp(provider, journal, callers),
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
    )
    return _Server(config)


def _listen(host: str, port: int) -> socket.socket:
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


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Simulator:
    """The simulated provider. It runs from `start` to `stop`, or inside `with` or `async with`.

    It has its own thread and event loop, so that blocking and asynchronous clients can use the same server.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        key: str | None = None,
        pace: float = 0.0,
        aliases: Mapping[str, str] | None = None,
        names: Collection[str] = (),
        **settings: Any,
    ) -> None:
        """`pace`: seconds between two pieces of a stream. `aliases`: additional names of models, such as
        `{"claude-sonnet-4-5": "sim-thinker"}`. `names`: additional host names to accept. `secret=b"…"`: the secret for signatures;
        a simulator with another secret refuses them."""
        self.host = host
        self.port = port
        self.journal = Journal()
        self._callers = Callers(host, frozenset(name.lower() for name in names))
        self.provider = SimulatedProvider(SimulatorSettings(key=key, pace=pace, aliases=aliases or {}, **settings))
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The base URL without a path."""
        return _url(self.host, self.port)

    def start(self) -> "Simulator":
        """Starts the server. Raises OSError if the port is in use."""
        listener = _listen(self.host, self.port)
        self.port = listener.getsockname()[1]
        self._server = _server(self.provider, self.journal, self._callers)
        run = self._server.run
        # connections wait in the socket's queue until the loop runs, so the caller need not wait for it
        self._thread = threading.Thread(target=run, args=([listener],), name="modelbay-simulator", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()
            self._server = self._thread = None

    def reset(self) -> None:
        """Clears the journal, the prompt cache and the counts of faults."""
        self.journal.clear()
        self.provider.reset()

    def __enter__(self) -> "Simulator":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> "Simulator":
        return self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)


def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    key: str | None = None,
    pace: float = 0.02,
    ready: Callable[[str], None] | None = None,
    logins: LoginServer | None = None,
    names: Collection[str] = (),
) -> None:
    """Serves until Ctrl-C or SIGTERM. Calls `ready` with the URL when the server accepts requests.

    `logins`: the login server. `names`: additional host names to accept.

    Raises:
        OSError: the port is in use.
        KeyboardInterrupt: Ctrl-C, after everything is closed.
    """
    listener = _listen(host, port)
    provider = SimulatedProvider(SimulatorSettings(key=key, pace=pace))
    provider.logins = logins or provider.logins
    server = _server(provider, Journal(), Callers(host, frozenset(name.lower() for name in names)))
    if ready is not None:
        ready(_url(host, listener.getsockname()[1]))
    server.run([listener])
