"""Trying a provider out: small real calls, and what each of them shows."""

import struct
import zlib
from collections.abc import AsyncIterator
from typing import Literal, TypeAlias, Unpack

from msgspec import Struct

from modelbay.catalog.discovery import Discovery, discover
from modelbay.catalog.sources import Catalog
from modelbay.config.lessons import LessonBook
from modelbay.config.schema import Config
from modelbay.conversation import Media, Tool
from modelbay.errors import (
    AuthenticationFailed,
    ConfigError,
    MissingCredential,
    ModelbayError,
    PermissionDenied,
    ReplyError,
    TransportError,
    Unsupported,
)
from modelbay.events import PartDelta, Reply, collect
from modelbay.hub import Hub
from modelbay.line import Line
from modelbay.model import Model
from modelbay.prompt import Ask
from modelbay.providers.upstream import upstream

Result: TypeAlias = Literal["yes", "no", "unknown", "skipped"]
CHECKS = ("reachable", "authorised", "models", "protocol", "streaming", "tools", "thinking", "images")
NEEDED = ("reachable", "authorised", "protocol", "streaming")
"""Those without which a provider is of no use; the others are as its models are."""
LONGEST = 1024
"""Tokens that an answer may have, thinking included."""
WORD = "Answer with the word: ready"
ERRAND = "What is the weather in Paris? Use the tool."
TOOL = Tool(
    name="get_weather",
    description="The weather in a city, now.",
    schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


class Check(Struct):
    """One row: what was looked at, what came of it, and how to mend it."""

    name: str
    result: Result
    detail: str = ""
    hint: str | None = None


def forget(config: Config, provider: str) -> int:
    """Forgets what the provider's endpoint taught us, and its list of models; how many lessons that were.

    Raises:
        UnknownProvider, ConfigError: there is no such provider, or nobody can say where it is.
    """
    found = upstream(config, config.provider(provider))
    Catalog().forget(provider)
    return LessonBook().forget(str(found.origin))


async def trial(config: Config, provider: str, model: str | None = None) -> AsyncIterator[Check]:
    """The checks of a provider, one after the other. `model` is the wire id or alias to talk to, else the first it has.

    Raises:
        UnknownProvider: there is none of that name.
    """
    config.provider(provider)
    async with Hub(config) as hub:
        tried = _Trial(hub, config, provider, model)
        async for check in tried.run():
            yield check


class _Trial:
    def __init__(self, hub: Hub, config: Config, provider: str, model: str | None) -> None:
        self._hub = hub
        self._config = config
        self._provider = provider
        self._model = model

    async def run(self) -> AsyncIterator[Check]:
        found, problem = await self._list()
        name = self._named(found)
        first: Reply | ModelbayError | None = None
        gone = isinstance(problem, TransportError | AuthenticationFailed | MissingCredential)
        if name is not None and not gone:
            first = await self._ask(name, WORD)
        failure = first if isinstance(first, ModelbayError) else None if first is not None else problem
        yield self._reachable(failure)
        yield self._authorised(failure)
        yield self._models(found, problem)
        yield self._protocol(name, first)
        if name is None or not isinstance(first, Reply):
            for check in CHECKS[4:]:
                yield Check(check, "skipped", "there is no model to ask" if name is None else "")
            return
        yield await self._streaming(name)
        yield await self._tools(name)
        yield await self._thinking(name)
        yield await self._images(name)

    async def _list(self) -> tuple[Discovery | None, ModelbayError | None]:
        entry = self._config.provider(self._provider)
        line = Line(self._config)
        try:
            found = await discover(self._config, entry, line.fetch)
        except ModelbayError as error:
            return None, error
        finally:
            await line.aclose()
        Catalog().remember(upstream(self._config, entry), found)
        return found, None

    def _named(self, found: Discovery | None) -> str | None:
        """The model to talk to, as the hub knows it."""
        if self._model is not None:
            known = self._model in self._config.models or self._model.startswith(f"{self._provider}/")
            return self._model if known else f"{self._provider}/{self._model}"
        mine = [entry.alias for entry in self._config.models.values() if entry.provider == self._provider]
        default = self._config.default_model
        if mine:
            return default if default in mine else mine[0]
        chats = [model.id for model in found.models if model.chats] if found else []
        return f"{self._provider}/{chats[0]}" if chats else None

    def _reachable(self, failure: ModelbayError | None) -> Check:
        if isinstance(failure, TransportError):
            return Check("reachable", "no", failure.message, _hint(failure))
        if isinstance(failure, ConfigError):
            return Check("reachable", "unknown", "nothing was sent", _hint(failure))
        return Check("reachable", "yes", str(upstream(self._config, self._config.provider(self._provider)).origin))

    def _authorised(self, failure: ModelbayError | None) -> Check:
        if isinstance(failure, AuthenticationFailed | PermissionDenied | MissingCredential):
            return Check("authorised", "no", failure.message, _hint(failure))
        return Check("authorised", "unknown" if isinstance(failure, TransportError | ConfigError) else "yes")

    def _models(self, found: Discovery | None, problem: ModelbayError | None) -> Check:
        if found is not None:
            chats = sum(model.chats for model in found.models)
            more = f", and {len(found.models) - chats} that do not chat" if chats < len(found.models) else ""
            return Check("models", "yes", f"{chats} listed{more}")
        return Check("models", "no", problem.message if problem else "", _hint(problem))

    def _protocol(self, name: str | None, first: Reply | ModelbayError | None) -> Check:
        if name is None or first is None:
            return Check(
                "protocol", "skipped", "there is no model to ask: name one with --model" if name is None else ""
            )
        if isinstance(first, ModelbayError):
            wrong = not isinstance(first, ReplyError) and first.status is None
            return Check("protocol", "unknown" if wrong else "no", first.message, _hint(first))
        model = self._hub.model(name)
        return Check("protocol", "yes", f"{model.protocol}, as {model.alias or model.id}")

    async def _streaming(self, name: str) -> Check:
        events = []
        try:
            async for event in self._hub.stream(WORD, model=name, max_tokens=LONGEST):
                events.append(event)
        except ModelbayError as error:
            return Check("streaming", "no", error.message, _hint(error))
        reply = collect(events)
        if reply.error is not None:
            return Check("streaming", "no", reply.error.message, _hint(reply.error))
        pieces = sum(isinstance(event, PartDelta) for event in events)
        return Check("streaming", "yes", f"{pieces} pieces" if pieces != 1 else "in one piece")

    async def _tools(self, name: str) -> Check:
        reply = await self._ask(name, ERRAND, tools=[TOOL])
        if isinstance(reply, ModelbayError):
            return _refused("tools", reply)
        if not reply.tool_calls:
            return Check("tools", "unknown", "it answered without a call")
        return Check("tools", "yes", f"it called {reply.tool_calls[0].name}")

    async def _thinking(self, name: str) -> Check:
        if self._model_of(name).can("thinking") is False:
            return Check("thinking", "no", "the model does not think")
        reply = await self._ask(name, WORD, effort="low")
        if isinstance(reply, ModelbayError):
            return _refused("thinking", reply)
        thought = reply.usage.reasoning if reply.usage else None
        if reply.thinking or thought:
            return Check("thinking", "yes", f"{thought} tokens" if thought else "")
        return Check("thinking", "unknown", "it answered without thinking aloud")

    async def _images(self, name: str) -> Check:
        if self._model_of(name).can("image_in") is False:
            return Check("images", "no", "the model takes none")
        image = Media(kind="image", data=_picture(), media_type="image/png")
        reply = await self._ask(name, "Which colour is this?", files=[image])
        return _refused("images", reply) if isinstance(reply, ModelbayError) else Check("images", "yes")

    def _model_of(self, name: str) -> Model:
        return self._hub.model(name)

    async def _ask(self, name: str, prompt: str, **settings: Unpack[Ask]) -> Reply | ModelbayError:
        settings["max_tokens"] = LONGEST
        try:
            return await self._hub.complete(prompt, model=name, **settings)
        except ModelbayError as error:
            return error


def _refused(name: str, error: ModelbayError) -> Check:
    """What an error on a special request means: that the model cannot do it, or nothing at all."""
    refused = isinstance(error, Unsupported) or error.status in (400, 404, 415, 422, 501)
    return Check(name, "no" if refused else "unknown", error.message, None if refused else _hint(error))


def _hint(error: ModelbayError | None) -> str | None:
    return error.hint if error else None


def _picture() -> str:
    """A red square of 32 by 32 points, as PNG in Base64: some providers refuse smaller ones."""
    from base64 import b64encode

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\xff\0\0" * 32) * 32
    head = struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b64encode(png).decode()
