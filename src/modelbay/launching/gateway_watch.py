"""Watches the gateway of a launch, and starts it again at its address if it ends while the agent runs.

The agent repeats requests that failed. The new gateway has the stored responses and reasoning state of the old one. A gateway
that the user started is only watched: the user may have stopped it on purpose.
"""

from contextlib import suppress
from threading import Event, Thread
from time import localtime, strftime
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from msgspec.structs import replace

from modelbay.config.load import load
from modelbay.errors import ModelbayError
from modelbay.launching import shared_gateway
from modelbay.launching.launches import Launches, LaunchesChange, RunningGateway
from modelbay.launching.shared_gateway import LOOK, GatewayStart
from modelbay.secrecy import Hidden

LONGEST = 60.0
"""Maximum seconds between two starts of a gateway that ends again and again, or does not start."""


class GatewayWatch:
    """Watches a gateway in the block. Its message is for the time after the agent, which may have filled the screen."""

    def __init__(self, launches: Launches, gateway: RunningGateway, how: GatewayStart, key: Hidden) -> None:
        self._launches, self._gateway, self._how, self._key = launches, gateway, how, key
        self._over = Event()
        self._thread = Thread(target=self._watch, daemon=True)
        self._ended = ""
        """Time at which the gateway ended last; "" if it ran all the time."""
        self._restarts = 0
        self._runs = True
        self._problem = ""
        """Why it was not started again."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        with suppress(ModelbayError), self._launches.locked() as change:
            self._look(change)

    @property
    def message(self) -> str | None:
        """A warning for the user that the gateway ended; None if it ran all the time."""
        if not self._ended:
            return None
        ended = f"ended {self._restarts} times, last" if self._restarts > 1 else "ended"
        ended = f"the gateway {self._gateway.url} {ended} at {self._ended}, while the agent used it"
        if self._runs:
            return f"{ended}, and was started again"
        return f"{ended}; {self._problem}" if self._problem else ended

    def _watch(self) -> None:
        wait = LOOK
        healthy = 0.0
        while not self._over.wait(wait):
            try:
                with self._launches.locked() as change:
                    runs = self._look(change)
                    if not runs:
                        self._restart(change)
            except ModelbayError as error:
                self._problem, runs = f"it could not be started again: {error.message}", False
            healthy = healthy + wait if runs else 0.0
            if not runs:
                wait = min(2 * wait, LONGEST)
            elif healthy >= LONGEST:
                wait = LOOK

    def _look(self, change: LaunchesChange) -> bool:
        """Whether the gateway runs."""
        runs = change.runs_at(self._gateway.url)
        if self._runs and not runs:
            self._ended = strftime("%H:%M:%S", localtime())
        self._runs = runs
        return runs

    def _restart(self, change: LaunchesChange) -> None:
        """Start the gateway again at its address, with the current configuration.

        Raises:
            ModelbayError: it does not start.
        """
        if not self._gateway.launched:
            self._problem = "start it again with `modelbay serve`"
            return
        if not change.is_used(self._gateway.id):
            self._problem = "the record of this launch was removed"
            return
        change.unregister(self._gateway.id)
        with suppress(ModelbayError):  # the gateway says what is wrong
            self._how = replace(self._how, config=load(self._how.file))
        port = urlsplit(self._gateway.url).port or 0
        shared_gateway.start(change, self._gateway.id, self._how, self._key, port)
        self._restarts, self._runs = self._restarts + 1, True
