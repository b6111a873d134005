"""A blocking Hub for programs without an event loop: `from modelbay.sync import Hub`.

It has the same methods. The event loop runs in its own thread, so any number of threads may use one Hub at a time.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar, Unpack, cast
from weakref import WeakSet, finalize

from modelbay import hub
from modelbay.config.schema import Config, Problem
from modelbay.embedding import Embeddings
from modelbay.errors import Disconnected, HubClosed
from modelbay.events import OutputT, Reply
from modelbay.library.blocking import Chat, ReplyStream, ToolRun
from modelbay.library.embedding_settings import EmbeddingSettings
from modelbay.library.prompt import Ask, Prompt
from modelbay.library.provider_settings import ProviderSettings
from modelbay.model import Model
from modelbay.other_names import HUB, unknown
from modelbay.threads import Threads
from modelbay.usage import Usage

if TYPE_CHECKING:
    from modelbay.calling.recording import Recorder
    from modelbay.catalog.lists.discovery import Discovery
    from modelbay.catalog.lookup import Catalog
    from modelbay.counting.provider_count import TokenCount

__all__ = ["Chat", "Hub", "ReplyStream", "ToolRun"]

T = TypeVar("T")
GRACE = 5.0
"""Seconds that an interrupted call has to end: it closes its connection."""


async def _cancelled() -> None:
    """Cancel all other tasks of the loop. Otherwise the threads waiting for them would never return."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class _Call:
    """A coroutine that is made, run and cancelled in the thread of the loop. A signal that interrupts the waiting thread leaves
    none that was never awaited."""

    def __init__(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self._make = make
        self._task: asyncio.Task[Any] | None = None
        self.ended: asyncio.Task[Any] | None = None
        """The task of the call after its end."""
        # an interrupt at one line of CPython's Condition.wait, which a Future uses, becomes an error about its lock
        self._running = threading.Lock()
        self._running.acquire()

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._made())
        self._task.add_done_callback(self._done)

    async def _made(self) -> Any:
        return await self._make()

    def _done(self, task: asyncio.Task[Any]) -> None:
        self.ended = task
        self._running.release()

    def result(self) -> Any:
        """The result, after the end of the call. One thread may wait for it. Raises CancelledError if the call was cancelled."""
        self._running.acquire()
        assert self.ended is not None
        return self.ended.result()

    async def end(self) -> None:
        """Cancel the call, if it was started, and wait for its end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=GRACE)


class _Runner:
    """An event loop in its own thread. It does not refer to its hub: a hub that is dropped ends it."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(Threads())  # the end of the program does not wait for a blocked call
        self._lock = threading.RLock()
        self._ending = False
        self._stopped = False
        self._tasks: set[asyncio.Task[object]] = set()
        """Tasks in progress of `release` and `abandon`: the loop itself does not keep its tasks."""
        self._thread = threading.Thread(target=self._serve, name="modelbay", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._stopped:
            # a function of the program raised it, and the call of this function raises it again
            with suppress(KeyboardInterrupt, SystemExit):
                self._loop.run_forever()
        self._loop.close()

    def is_here(self) -> bool:
        """Whether the loop is running, in this process. When the program ends, its thread stops without notice."""
        return self._process == os.getpid() and not self._ending and not sys.is_finalizing()

    def run(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Make and run a coroutine, and return its result.

        Raises:
            HubClosed: the loop has ended.
            Disconnected: the loop runs in the process that this one was forked from.
            RuntimeError: this is the loop's own thread, which must not wait for itself.
        """
        if threading.current_thread() is self._thread and self.is_here():
            raise RuntimeError(
                "a blocking call in an `async` function that the same hub runs would wait for itself: write the function without "
                "`async`, or use modelbay.Hub"
            )
        if self._process != os.getpid():
            raise Disconnected("the stream belongs to the parent process", hint="start it in the process that reads it")
        call = _Call(make)
        try:
            return cast(T, self._ran(call))
        except asyncio.CancelledError:
            raise HubClosed("the hub was closed during the call") from None
        except BaseException:  # of the call, or of a signal handler, such as KeyboardInterrupt
            if call.ended is None:
                with suppress(HubClosed, asyncio.CancelledError):  # the caller may go on with the same stream or chat
                    self._ran(_Call(call.end))
            raise
        finally:
            del call  # its error has this frame

    def _ran(self, call: _Call) -> Any:
        with self._lock:  # the end of the loop cancels everything that is submitted before it
            if not self.is_here():
                raise HubClosed("the hub is closed")
            self._loop.call_soon_threadsafe(call.start)
        return call.result()

    def release(self, make: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Run a coroutine that releases something, unless the loop has ended, which releases everything. The garbage collector
        may call this in the loop's own thread, which must not wait for itself."""
        if not self.is_here():
            return
        if threading.current_thread() is self._thread:
            self._start(make())
        else:
            with suppress(HubClosed):
                self.run(make)

    def _start(self, work: Coroutine[Any, Any, object]) -> None:
        self._tasks.add(task := self._loop.create_task(work))
        task.add_done_callback(self._tasks.discard)

    def close(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a last coroutine, cancel all others, and end the thread."""
        try:
            self.run(last)
        finally:
            self.abandon()
            self._thread.join()

    def abandon(self, last: Callable[[], Coroutine[Any, Any, None]] | None = None) -> None:
        """Likewise, without waiting."""
        if self._process == os.getpid():
            with self._lock:
                if self.is_here():
                    self._ending = True
                    self._loop.call_soon_threadsafe(lambda: self._start(self._ended(last)))

    async def _ended(self, last: Callable[[], Coroutine[Any, Any, None]] | None) -> None:
        try:
            if last is not None:
                await last()
            await _cancelled()
            await self._loop.shutdown_asyncgens()
            await self._loop.shutdown_default_executor()
        finally:
            self._stopped = True
            self._loop.stop()


def _dropped(runner: _Runner, dropped: hub.Hub) -> None:
    """End the loop of a blocking hub that the program no longer refers to."""
    runner.abandon(dropped.aclose)


class Hub:
    """The blocking counterpart of `modelbay.Hub`. Close it, or use it as a context manager."""

    @hub.of_a_configuration
    def __init__(self, config: Config) -> None:
        self._hub = hub.Hub(config)
        self._lock = threading.Lock()
        self._runner: _Runner | None = None
        self._closed = False
        self._of_parents: list[_Runner] = []
        """Loops of parent processes. They are kept, as deleting a loop would disturb its process."""
        _hubs.add(self)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            raise unknown(self, name, {**HUB, "aclose": "close"})

    def __repr__(self) -> str:
        return hub.hub_words(self.config)

    def __reduce__(self) -> NoReturn:
        raise TypeError(hub.NOT_COPIED)

    @classmethod
    def open(cls, path: Path | str | None = None) -> Self:
        """The hub of a config file. Default: `config.toml` in modelbay's home, which may be missing.

        Entries that are invalid are listed in `problems`; the others work. References in a file that you name
        (`{env:NAME}`, `{file:PATH}`, `{keyring:…}`) are resolved wherever the file is. For a file from elsewhere, use
        `Hub(load(path))`: it resolves only references that the user approved.

        Raises:
            ValueError: the path is empty.
            UnreadableFile: a file that you name does not exist.
            ConfigError: the file cannot be read or parsed.
        """
        return cls(hub.Hub.open(path).config)

    @classmethod
    def of(cls, provider: str | None = None, *, model: str | None = None, **settings: Unpack[ProviderSettings]) -> Self:
        """The hub of one provider that the program describes, without a config file: `Hub.of("anthropic", api_key=KEY)`.

        `provider`: the name of a vendor. `model`: the default model. The settings are those of `ProviderSettings`: `base_url`, the
        URL of another server; `api_key`, the key, or a reference such as `{env:NAME}`; `protocol`, `headers`, `proxy`, `timeout`
        and `tls`.

        Every model of the provider can be called by its ID.

        Raises:
            TypeError: neither `provider` nor `base_url` is given, a setting is unknown, or a value has another type.
            ValueError: there is no such protocol, a value is empty, or a header or proxy cannot be used.
            ConfigError: there is no such vendor, or the values do not describe a provider.
            MissingCredential: the vendor requires an API key.
        """
        return cls(hub.Hub.of(provider, model=model, **settings).config)

    def add(self, provider: str | None = None, *, id: str | None = None, **settings: Unpack[ProviderSettings]) -> str:
        """Add a provider to this hub, not to its file. Its models are `ID/model-id`. Returns the ID: by default that of the vendor,
        or one that follows from the host. The settings, and what is raised, are those of `of`.

        Raises:
            ConfigError: the hub has a provider with this ID already.
        """
        return self._hub.add(provider, id=id, **settings)

    def __enter__(self) -> Self:
        self._run(self._hub.__aenter__)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections. Later calls raise `HubClosed`; open streams end."""
        with self._lock:
            self._closed = True
            runner, self._runner = self._runner, None
        if runner is not None:
            runner.close(self._hub.aclose)

    @property
    def config(self) -> Config:
        return self._hub.config

    @property
    def problems(self) -> list[Problem]:
        """Entries of the configuration, and vendor files of the user, that cannot be used."""
        return self._hub.problems

    def models(self) -> list[Model]:
        """All configured and usable models, with their facts."""
        return self._hub.models()

    def embedding_models(self) -> list[str]:
        """The aliases of the configured models that compute embeddings. They are recognized by their IDs."""
        return self._hub.embedding_models()

    def model(self, name: str | None = None) -> Model:
        """A model by alias or `provider/model-id`; without a name, the default model.

        Raises:
            UnknownModel, UnknownProvider, ConfigError: there is no such model; the hint suggests similar names.
        """
        return self._hub.model(name)

    def cost(self, model: Model, usage: Usage) -> float | None:
        """Cost in US dollars, or None if the price is unknown. Counts without a price of their own cost as much as
        input."""
        return self._hub.cost(model, usage)

    def record(self) -> "Recorder":
        """Start recording all exchanges with providers, without secrets. Returns the recorder; write its `lines` to a
        file for `modelbay replay`."""
        return self._hub.record()

    @property
    def catalog(self) -> "Catalog":
        """Facts about models from providers' lists and models.dev."""
        return self._hub.catalog

    @catalog.setter
    def catalog(self, catalog: "Catalog") -> None:
        self._hub.catalog = catalog

    def list_models(self, provider: str) -> list[str]:
        """The IDs of the models that a provider lists.

        Raises:
            ModelbayError: it has no list, or the request failed.
        """
        return self._run(lambda: self._hub.list_models(provider))

    def discover(self, provider: str) -> "Discovery":
        """The models that a provider lists, with facts from its list. The facts are also used by `model`.

        Raises:
            ModelbayError: it has no list, or the request failed.
        """
        return self._run(lambda: self._hub.discover(provider))

    def complete(
        self, prompt: Prompt, *, model: str | Sequence[str] | None = None, **settings: Unpack[Ask[OutputT]]
    ) -> Reply[OutputT]:
        """The complete reply, requested without streaming. The arguments are those of `stream`.

        Raises:
            TypeError, ValueError: an unknown setting or an invalid value; nothing was sent.
            ModelbayError: there is no complete reply. `Reply.error` is never set in the result; `reply` of the error has the
                complete parts of a reply that failed.
        """
        return self._run(lambda: self._hub.complete(prompt, model=model, **settings))

    def stream(
        self, prompt: Prompt, *, model: str | Sequence[str] | None = None, **settings: Unpack[Ask[OutputT]]
    ) -> ReplyStream[OutputT]:
        """A reply that is read while it arrives: as events, as text (`text`) or as a whole (`reply`).

        `prompt` is a text, a list of turns or a `Conversation`. `model` is an alias or `provider/model-id`; default: the default
        model. In a list of models, the next one is asked if one fails before it replies. The settings are those of `Ask`, such as
        `system`, `files`, `tools`, `effort`, `max_tokens`, `temperature` and `timeout`. A setting that is missing or None has the
        default of the model or its provider.

        Closing the stream, or cancelling the task that reads it, closes the connection to the provider at once.

        Raises:
            TypeError, ValueError: immediately, for an unknown setting or an invalid value.
            ModelbayError: when it is read, if the reply did not start. After its start, the events end with `Finished` or
                `Failed`.
        """
        return ReplyStream(self._hub.stream(prompt, model=model, **settings), self._running)

    def map(
        self,
        prompts: Iterable[Prompt],
        *,
        model: str | Sequence[str] | None = None,
        limit: int = 20,
        progress: Callable[[int, Reply[OutputT]], object] | None = None,
        **settings: Unpack[Ask[OutputT]],
    ) -> list[Reply[OutputT]]:
        """The replies to many prompts, in their order, with at most `limit` calls at a time.

        A call that fails does not end the others: its reply has the error in `error`, and the parts that arrived. `progress` is
        called with the index of each prompt whose call has ended, and the reply; an exception in it ends all calls, and is raised.
        The other arguments are those of `stream`.

        Raises:
            TypeError, ValueError: immediately, for an unknown setting or an invalid value; nothing was sent.
        """
        return self._run(lambda: self._hub.map(prompts, model=model, limit=limit, progress=progress, **settings))

    def run(
        self,
        prompt: Prompt,
        *,
        model: str | Sequence[str] | None = None,
        max_steps: int = 10,
        **settings: Unpack[Ask[OutputT]],
    ) -> ToolRun[OutputT]:
        """A conversation in which the model calls functions until it answers:
        `reply = hub.run(prompt, tools=[f, g]).reply()`.

        `tools` are functions, and tools made with `Tool.of`. The calls of a reply run at the same time; functions without `async`
        run in threads. An error of a function is its result, so that the model can react to it. `max_steps`: maximum number of
        replies. A `tool_choice` that forces a call holds for the first reply only. The other arguments are those of `stream`;
        `timeout` and `retries` are limits of each reply.

        Raises:
            TypeError, ValueError: immediately, for an unknown setting or an invalid value.
            ModelbayError: when it is read, if a reply did not start, or failed.
            TooManySteps: if the model still calls tools after `max_steps` replies.
        """
        return ToolRun(self._hub.run(prompt, model=model, max_steps=max_steps, **settings), self._running)

    def chat(self, *, model: str | Sequence[str] | None = None, **settings: Unpack[Ask]) -> Chat:
        """A conversation with a model, turn by turn: `reply = chat.complete("Hi")`. The arguments are those of `stream`
        without `files`. They hold for all questions.

        Raises:
            TypeError, ValueError: an unknown setting or an invalid value.
        """
        return Chat(self._hub.chat(model=model, **settings), self._running)

    def load_chat(self, text: str, *, model: str | Sequence[str] | None = None, **settings: Unpack[Ask]) -> Chat:
        """The chat of a text that `Chat.dumps` made. `model` and `system` replace those of the text; all other settings must be
        passed again. Any model of any provider can continue it: signatures and encrypted reasoning are sent only to the provider
        and the model family that they came from. The text is trusted like a prompt.

        Raises:
            TypeError, ValueError: an unknown setting or an invalid value.
            UnreadableChat: the text is not a chat, or a newer version of modelbay wrote it.
        """
        return Chat(self._hub.load_chat(text, model=model, **settings), self._running)

    def embed(
        self, texts: str | Iterable[str], *, model: str | None = None, **settings: Unpack[EmbeddingSettings]
    ) -> Embeddings:
        """The vectors of one text or of many, in their order: `hub.embed(texts, model="small").vectors`.

        Many texts are sent in several requests, at most 8 at a time. If one fails, the call fails. `model` is an embedding model:
        its alias or `provider/model-id`; default: the default model. The settings are those of `EmbeddingSettings`: `dimensions`,
        `input_type`, `user`, `extra_body`, `extra_headers`, `timeout` and `retries`.

        Raises:
            TypeError, ValueError: an unknown setting, an invalid value or an empty text; nothing was sent.
            Unsupported: the model's protocol does not have embeddings; nothing was sent.
            ModelbayError: there are no vectors, for example because a text is too long.
        """
        return self._run(lambda: self._hub.embed(texts, model=model, **settings))

    def count(
        self,
        prompt: Prompt,
        *,
        model: str | Sequence[str] | None = None,
        estimate: bool = False,
        **settings: Unpack[Ask],
    ) -> "TokenCount":
        """The input tokens of a call, without making it: `hub.count("Why is the sky blue?", system="Be brief.").tokens`.

        Providers of Messages, Responses and Gemini count them, and some of Chat Completions. For the others, the tokens are
        estimated, and `estimated` is true. An estimate is usually off by less than a tenth. Later estimates are corrected by
        the counts in the replies of the model. `estimate`: whether to always estimate, without a request to the provider.
        The other arguments are those of `stream`. Of a list of models, the first available one is asked.

        Raises:
            TypeError, ValueError: an unknown setting or an invalid value; nothing was sent.
            ModelbayError: the call cannot be prepared, or the provider rejects the credential, limits requests or does not respond.
        """
        return self._run(lambda: self._hub.count(prompt, model=model, estimate=estimate, **settings))

    def _run(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return self._running().run(make)

    def _running(self) -> "_Runner":
        with self._lock:
            if self._closed:
                raise HubClosed("the hub is closed; nothing was sent")
            if self._runner is None:
                self._runner = _Runner()
                # a notebook makes a hub each time its cell runs
                finalize(self, _dropped, self._runner, self._hub).atexit = False
            return self._runner

    def _start_over(self) -> None:
        """Drop the loop of the parent process: its thread does not run in this process."""
        self._lock = threading.Lock()  # a thread of the parent may have held the old lock
        if self._runner is not None:
            self._of_parents.append(self._runner)
            self._runner = None


_hubs: WeakSet[Hub] = WeakSet()


def _forked() -> None:
    for one in list(_hubs):
        one._start_over()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_forked)
