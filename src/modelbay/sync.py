"""The Hub for programs without an event loop: `from modelbay.sync import Hub`.

The same calls, blocking. One thread of its own runs the loop, so that any number of threads may use one Hub at a time.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar, Unpack

from modelbay import hub
from modelbay.config.schema import Config
from modelbay.conversation import Conversation, Turn
from modelbay.events import Event, Reply
from modelbay.model import Model
from modelbay.recording import Recorder
from modelbay.usage import Usage

T = TypeVar("T")


async def _next(events: AsyncGenerator[Event, None]) -> Event | None:
    return await anext(events, None)


class Hub:
    """See `modelbay.Hub`. To be closed, or used as `with`."""

    def __init__(self, config: Config) -> None:
        self._hub = hub.Hub(config)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="modelbay", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, path: Path | str | None = None) -> Self:
        return cls(hub.Hub.open(path).config)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections and ends the thread. Streams that are still open end with it."""
        if self._loop.is_closed():
            return
        self._run(self._hub.aclose())
        self._run(self._loop.shutdown_asyncgens())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def config(self) -> Config:
        return self._hub.config

    def models(self) -> list[Model]:
        return self._hub.models()

    def model(self, name: str | None = None) -> Model:
        return self._hub.model(name)

    def cost(self, model: Model, usage: Usage) -> float | None:
        return self._hub.cost(model, usage)

    def record(self) -> Recorder:
        return self._hub.record()

    def list_models(self, provider: str) -> list[str]:
        return self._run(self._hub.list_models(provider))

    def complete(self, model: str | None, prompt: str | Conversation | Sequence[Turn], **ask: Unpack[hub.Ask]) -> Reply:
        return self._run(self._hub.complete(model, prompt, **ask))

    def stream(
        self, model: str | None, prompt: str | Conversation | Sequence[Turn], **ask: Unpack[hub.Ask]
    ) -> Iterator[Event]:
        """The events as they come. Closing the iterator closes the connection to the provider."""
        events = self._hub.stream(model, prompt, **ask)
        try:
            while (event := self._run(_next(events))) is not None:
                yield event
        finally:
            self._run(events.aclose())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        waiting = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return waiting.result()
        except KeyboardInterrupt:
            waiting.cancel()
            raise
