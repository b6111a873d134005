"""Runs the simulator on uvicorn: in a thread of its own for tests and programs, or in the foreground for a person."""

import asyncio
import socket
import threading
from collections.abc import Callable, Collection, Mapping
from types import TracebackType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from modelbay.serving.callers import Callers
from modelbay.simulator.app import TRANSPORT, App
from modelbay.simulator.authorisation import Authorisation
from modelbay.simulator.journal import Journal
from modelbay.simulator.provider import Provider, Settings

_BACKLOG = 1_024


class _Protocol(HttpToolsProtocol):
    """uvicorn's own, which also tells the app its transport: faults cut connections, and ASGI has no word for that."""

    def _unsupported_upgrade_warning(self) -> None:
        """Clients that try a WebSocket first get their answer from the app; nobody needs to be warned."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT: self.transport}  # type: ignore[dict-item]


class _Server(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends at once: a stalled answer has no end to wait for."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _server(provider: Provider, journal: Journal, callers: Callers) -> _Server:
    config = uvicorn.Config(
        App(provider, journal, callers),
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
        OSError: the port is taken, or the host is not ours.
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
    """The embedded provider, running from `start` to `stop` or inside `with` or `async with`.

    It has a thread and an event loop of its own, so that blocking clients and asynchronous ones meet the same server.
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
        """`pace`: seconds between two pieces of a stream. `aliases`: more names for the models, as
        `{"claude-sonnet-4-5": "sim-thinker"}`. `names`: more host names that it may be called by. `secret=b"…"`: another
        one makes a provider that refuses this one's signatures."""
        self.host = host
        self.port = port
        self.journal = Journal()
        self._callers = Callers(host, frozenset(name.lower() for name in names))
        self.provider = Provider(Settings(key=key, pace=pace, aliases=aliases or {}, **settings))
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The base URL without a path."""
        return _url(self.host, self.port)

    def start(self) -> "Simulator":
        """Raises OSError where the port is taken."""
        listener = _listen(self.host, self.port)
        self.port = listener.getsockname()[1]
        self._server = _server(self.provider, self.journal, self._callers)
        run = self._server.run
        # connections wait in the socket's queue until the loop runs, so nobody needs to wait for it
        self._thread = threading.Thread(target=run, args=([listener],), name="modelbay-simulator", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()
            self._server = self._thread = None

    def reset(self) -> None:
        """Forgets what has happened: the journal, the prompts seen, the faults that had their times."""
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
    logins: Authorisation | None = None,
    names: Collection[str] = (),
) -> None:
    """Runs until Ctrl-C or SIGTERM; `ready` is told the URL once requests are taken. `logins` is its login server;
    `names` are more host names that it may be called by.

    Raises:
        OSError: the port is taken.
        KeyboardInterrupt: Ctrl-C, after everything is closed.
    """
    listener = _listen(host, port)
    provider = Provider(Settings(key=key, pace=pace))
    provider.logins = logins or provider.logins
    server = _server(provider, Journal(), Callers(host, frozenset(name.lower() for name in names)))
    if ready is not None:
        ready(_url(host, listener.getsockname()[1]))
    server.run([listener])
