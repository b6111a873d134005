"""Runs the simulator on uvicorn: in its own thread for tests and programs, or in the foreground for a user."""

from collections.abc import Callable, Collection, Mapping
from types import TracebackType
from typing import Any, Self

from modelbay.serving.callers import Callers
from modelbay.serving.server import HttpServer, listen, url_of
from modelbay.simulator.asgi_app import SimulatorApp
from modelbay.simulator.journal import Journal
from modelbay.simulator.login_server import LoginServer
from modelbay.simulator.simulated_provider import SimulatedProvider, SimulatorSettings


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
        a simulator with another secret refuses them. `without=["images"]`: features that the provider lacks, see `limitations`."""
        self.host = host
        self.port = port
        self.journal = Journal()
        self._callers = Callers(host, frozenset(name.lower() for name in names))
        self.provider = SimulatedProvider(SimulatorSettings(key=key, pace=pace, aliases=aliases or {}, **settings))
        self._server: HttpServer | None = None

    @property
    def url(self) -> str:
        """The base URL without a path."""
        return url_of(self.host, self.port)

    def start(self) -> Self:
        """Start the server. Raises OSError if the port is in use."""
        listener = listen(self.host, self.port)
        self.port = listener.getsockname()[1]
        self._server = HttpServer(SimulatorApp(self.provider, self.journal, self._callers), listener)
        self._server.start()
        return self

    def stop(self) -> None:
        """Stop immediately, because a stalled response may never end."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def reset(self) -> None:
        """Clear the journal, the prompt cache and the counts of faults."""
        self.journal.clear()
        self.provider.reset()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        __tracebackhide__ = True  # of pytest: show the line of the test
        self.__exit__(kind, error, trace)  # takes no longer than the server's loop needs to close its connections


def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    key: str | None = None,
    pace: float = 0.02,
    ready: Callable[[str], None] | None = None,
    logins: LoginServer | None = None,
    names: Collection[str] = (),
    **settings: Any,
) -> None:
    """Serve until Ctrl-C or SIGTERM. Call `ready` with the URL when the server accepts requests.

    `logins`: the login server. `names`: additional host names to accept. `settings`: as in `Simulator`.

    Raises:
        OSError: the port is in use.
        KeyboardInterrupt: Ctrl-C, after everything is closed.
    """
    listener = listen(host, port)
    provider = SimulatedProvider(SimulatorSettings(key=key, pace=pace, **settings))
    provider.logins = logins or provider.logins
    callers = Callers(host, frozenset(name.lower() for name in names), fix="pass --allow-host {}")
    app = SimulatorApp(provider, Journal(), callers)
    if ready is not None:
        ready(url_of(host, listener.getsockname()[1]))
    HttpServer(app, listener).run()
