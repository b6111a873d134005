"""A blocking Hub for programs without an event loop: `from modelbay.sync import Hub`.

It has the same methods. The event loop runs in its own thread, so any number of threads may use one Hub at a time.
"""

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Coroutine, Generator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any, Self, TypeVar, Unpack
from weakref import WeakSet

from modelbay import hub
from modelbay.config.schema import Config, Problem
from modelbay.errors import Disconnected, HubClosed, ModelbayError
from modelbay.events import Event, Reply
from modelbay.model import Model
from modelbay.prompt import Ask, Prompt
from modelbay.recording import Recorder
from modelbay.usage import Usage

T = TypeVar("T")


async def _next(events: AsyncGenerator[Event, None]) -> Event | None:
    return await anext(events, None)


async def _cancelled() -> None:
    """Cancel all other tasks of the loop. Otherwise the threads waiting for them would never return."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class _Runner:
    """An event loop in its own thread."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="modelbay", daemon=True)
        self._thread.start()

    def is_here(self) -> bool:
        """Whether the loop is running, in this process."""
        return self._process == os.getpid() and not self._loop.is_closed()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine and return its result.

        Raises:
            HubClosed: the loop has ended.
            Disconnected: the loop runs in the process that this one was forked from.
        """
        if not self.is_here():
            work.close()
            if self._process != os.getpid():
                raise Disconnected(
                    "the stream belongs to the parent process", hint="start it in the process that reads it"
                )
            raise HubClosed("the hub is closed")
        waiting = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return waiting.result()
        except KeyboardInterrupt:
            waiting.cancel()
            raise
        except CancelledError:
            raise HubClosed("the hub was closed during the call") from None

    def close(self) -> None:
        """Cancel running tasks and end the thread."""
        self.run(_cancelled())
        self.run(self._loop.shutdown_asyncgens())
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Hub:
    """The blocking counterpart of `modelbay.Hub`. Close it, or use it as a context manager."""

    def __init__(self, config: Config) -> None:
        self._hub = hub.Hub(config)
        self._lock = threading.Lock()
        self._runner: _Runner | None = None
        self._closed = False
        self._of_parents: list[_Runner] = []
        """Loops of parent processes. They are kept, as deleting a loop would disturb its process."""
        _hubs.add(self)

    @classmethod
    def open(cls, path: Path | str | None = None) -> Self:
        return cls(hub.Hub.open(path).config)

    def __enter__(self) -> Self:
        self._run(self._hub.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and end the thread. Later calls raise `HubClosed`; open streams end."""
        with self._lock:
            self._closed = True
            runner, self._runner = self._runner, None
        if runner is not None:
            runner.run(self._hub.aclose())
            runner.close()

    @property
    def config(self) -> Config:
        return self._hub.config

    @property
    def problems(self) -> list[Problem]:
        return self._hub.problems

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
        """The complete reply, requested without streaming. The arguments are those of `stream`.

        Raises:
            TypeError, ValueError: an unknown setting or an invalid value; nothing was sent.
            ModelbayError: there is no complete reply. `Reply.error` is never set in the result.
        """
        return self._run(self._hub.complete(prompt, model=model, **settings))

    def stream(
        self, prompt: Prompt, *, model: str | None = None, **settings: Unpack[Ask]
    ) -> Generator[Event, None, None]:
        """The events of a reply, as they arrive.

        `prompt` is a text, a list of turns or a `Conversation`. `model` is an alias or `provider/model-id`; default:
        the default model. Settings: system, files, tools, tool_choice, output_format, effort, max_tokens, temperature,
        top_p, stop. A setting that is missing or None has the default of the model or its provider.

        Closing the iterator, or cancelling the task that reads it, closes the connection to the provider at once.

        Raises:
            TypeError, ValueError: immediately, for an unknown setting or an invalid value.
            ModelbayError: the reply did not start. After its start, the stream ends with `Finished` or `Failed`.
        """
        return self._stream(self._hub.stream(prompt, model=model, **settings))

    def _stream(self, events: AsyncGenerator[Event, None]) -> Generator[Event, None, None]:
        runner = self._running()
        try:
            while (event := runner.run(_next(events))) is not None:
                yield event
        finally:
            if runner.is_here():
                runner.run(events.aclose())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            runner = self._running()
        except ModelbayError:
            work.close()
            raise
        return runner.run(work)

    def _running(self) -> "_Runner":
        with self._lock:
            if self._closed:
                raise HubClosed("the hub is closed; nothing was sent")
            if self._runner is None:
                self._runner = _Runner()
            return self._runner

    def start_over(self) -> None:
        """Drop the loop of the parent process: its thread does not run in this process."""
        self._lock = threading.Lock()  # a thread of the parent may have held the old lock
        if self._runner is not None:
            self._of_parents.append(self._runner)
            self._runner = None


_hubs: WeakSet[Hub] = WeakSet()


def _forked() -> None:
    for one in list(_hubs):
        one.start_over()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_forked)
