"""The Hub for programs without an event loop: `from modelbay.sync import Hub`.

The same calls, blocking. One thread of its own runs the loop, so that any number of threads may use one Hub at a time.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Generator
from pathlib import Path
from typing import Any, Self, TypeVar, Unpack

from modelbay import hub
from modelbay.config.schema import Config
from modelbay.events import Event, Reply
from modelbay.model import Model
from modelbay.prompt import Ask, Prompt
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

    def complete(self, prompt: Prompt, *, model: str | None = None, **settings: Unpack[Ask]) -> Reply:
        """The whole answer, requested without streaming. The arguments are those of `stream`.

        Raises:
            TypeError, ValueError: an unknown setting or a wrong value; nothing was sent.
            ModelbayError: there is no whole answer. `Reply.error` is never set in what this returns.
        """
        return self._run(self._hub.complete(prompt, model=model, **settings))

    def stream(
        self, prompt: Prompt, *, model: str | None = None, **settings: Unpack[Ask]
    ) -> Generator[Event, None, None]:
        """The events of an answer, as they arrive.

        `prompt` is a text, a list of turns or a `Conversation`; `model` an alias or `provider/model-id`, by default the
        default model. Settings: system, files, tools, tool_choice, output_format, effort, max_tokens, temperature, top_p,
        stop. A setting that is missing or None has the default of the model or its provider.

        Leaving the iteration, or cancelling it, closes the connection to the provider at once.

        Raises:
            TypeError, ValueError: at once, for an unknown setting or a wrong value.
            ModelbayError: no answer began. After its beginning, the stream ends with `Finished` or `Failed`.
        """
        return self._stream(self._hub.stream(prompt, model=model, **settings))

    def _stream(self, events: AsyncGenerator[Event, None]) -> Generator[Event, None, None]:
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
