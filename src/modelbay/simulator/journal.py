"""The journal: received requests, disconnects, and the end of each response. It can be read from any thread."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TYPE_CHECKING, NoReturn

from modelbay.conversation import Conversation, Json
from modelbay.json_text import decode
from modelbay.logs import escaped
from modelbay.other_names import RECEIVED, unknown
from modelbay.serving.keys import HEADERS, query_without_key
from modelbay.simulator.reading import read

LOG = logging.getLogger("modelbay.simulator")
_SECRET_HEADERS = frozenset((*HEADERS, "proxy-authorization", "cookie"))


class ReceivedRequest:
    """A request that the simulator received. Keys are masked in `headers` and removed from `target`. `key`: the name of the header
    that contained a key. Header names are in lower case."""

    def __init__(self, method: str, target: str, headers: dict[str, str], body: bytes = b"") -> None:
        self.time = time.monotonic()
        """Time of the request, on the clock of `time.monotonic`."""
        self.method = method
        """HTTP method."""
        self.path, mark, query = target.partition("?")
        self.target = self.path + mark + query_without_key(query)
        """Path and query, without a key."""
        self.key = next((name for name in headers if name in _SECRET_HEADERS), None)
        """Name of the header that contained a key; None if no header did."""
        self.headers = {name: "***" if name in _SECRET_HEADERS else value for name, value in headers.items()}
        """Headers by their name in lower case, with masked keys."""
        self.body = body
        """The body as it was received."""
        self.protocol: str | None = None
        """Protocol of the request, such as "openai_chat"; None if its path has none."""
        self.model: str | None = None
        """ID of the model that was asked for; None if the request was not for a reply."""
        self.fault: str | None = None
        """The fault that the response simulated; None if there was none."""
        self.scripted: str | None = None
        """The scripted reply in words, if the request got one."""
        self.parsed: Conversation | None = None
        """Same as `conversation`; None if the request did not ask for a reply, or was not valid."""
        self.status: int | None = None
        """HTTP status of the response; None before it began."""
        self.sent = 0
        """Bytes of the response body that were passed to the network."""
        self.ended: float | None = None
        """Time at which the response was complete."""
        self.disconnected: float | None = None
        """Time at which the client disconnected before the end."""
        self._over: Future[None] = Future()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            raise unknown(self, name, RECEIVED)

    def __repr__(self) -> str:
        state = "disconnected" if self.disconnected else "ended" if self.ended else "running"
        return f"<ReceivedRequest {self.method} {self.target} {self.status} {state}>"

    @property
    def conversation(self) -> Conversation:
        """The conversation that the request asked a reply to, in modelbay's form, which is the same for all protocols.

        Raises:
            ValueError: the request did not ask for a reply, or was not valid.
        """
        if self.parsed is None:
            raise ValueError(f"{self.method} {self.path} has no conversation")
        return self.parsed

    @property
    def prompt(self) -> str:
        """The last prompt of the user; "" if the request has none."""
        return read(self.parsed).prompt if self.parsed is not None else ""

    @property
    def system(self) -> str:
        """The system prompt; "" if the request has none."""
        turns = self.parsed.turns if self.parsed is not None else []
        return "\n".join(turn.text for turn in turns if turn.role in ("system", "developer"))

    @property
    def json(self) -> Json:
        """The body, decoded."""
        return decode(self.body) if self.body else None

    def end(self) -> None:
        self.ended = time.monotonic()
        self._settle()

    def disconnect(self) -> None:
        if self.ended is None and self.disconnected is None:
            self.disconnected = time.monotonic()
            self._settle()

    def _settle(self) -> None:
        if not self._over.done():
            self._over.set_result(None)
            if LOG.isEnabledFor(logging.DEBUG):
                LOG.debug("%s", escaped(self._line()))

    def _line(self) -> str:
        """A line about the request, for `modelbay simulate --verbose`."""
        over = self.ended or self.disconnected or self.time
        about = [f"for {self.model}"] if self.model else []
        about += [f"fault {self.fault}"] if self.fault else []
        about += ["the client disconnected"] if self.disconnected else []
        return ", ".join(
            [
                f"{self.method} {self.target}: status {self.status}",
                *about,
                f"{self.sent:,} bytes",
                f"{over - self.time:.2f} s",
            ]
        )

    async def wait_over(self, timeout: float = 60.0) -> "ReceivedRequest":
        """Wait until the response is complete or the client has disconnected; see `ended` and `disconnected`.

        Raises:
            TimeoutError: neither happened in time.
        """
        await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(self._over)), timeout)
        return self

    def wait_over_sync(self, timeout: float = 60.0) -> "ReceivedRequest":
        """Same as `wait_over`, for a test without `await`."""
        try:
            self._over.result(timeout)
        except FutureTimeout:
            raise TimeoutError(f"{self!r} is not over after {timeout:g} s") from None
        return self


class Journal:
    """The last requests, oldest first."""

    def __init__(self, limit: int = 1_000) -> None:
        self._entries: deque[ReceivedRequest] = deque(maxlen=limit)

    def add(self, entry: ReceivedRequest) -> None:
        self._entries.append(entry)

    def clear(self) -> None:
        self._entries.clear()

    def __iter__(self) -> Iterator[ReceivedRequest]:
        return iter(list(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> ReceivedRequest:
        return list(self._entries)[index]

    @property
    def last(self) -> ReceivedRequest:
        return self._entries[-1]

    def calls(self) -> list[ReceivedRequest]:
        """The requests for a reply, without model lists and token counts."""
        return [entry for entry in self if entry.model is not None]
