"""Tests a provider with small real calls.

A check is "yes" or "no" only for an observed fact. Otherwise it is "unknown", with the reason.
"""

from collections import Counter
from collections.abc import AsyncIterator
from random import sample
from typing import Literal, TypeAlias, Unpack

from msgspec import Struct

from modelbay.catalog.lists.discovery import Discovery, discover
from modelbay.catalog.lookup import Catalog
from modelbay.config.schema import Config
from modelbay.conversation import Media, Text, Thinking, Tool
from modelbay.errors import (
    AuthenticationFailed,
    MalformedReply,
    MissingCredential,
    ModelbayError,
    PermissionDenied,
    ReplyError,
    TransportError,
    Unsupported,
)
from modelbay.events import PartDelta, Reply, collect
from modelbay.hints import About, explain
from modelbay.hub import Hub
from modelbay.json_text import decode
from modelbay.line import ProviderClient
from modelbay.model import Capability
from modelbay.onboarding.pictures import COLORS, names, picture
from modelbay.prompt import Ask
from modelbay.providers.upstream import upstream
from modelbay.storage.lessons import LessonBook

Result: TypeAlias = Literal["yes", "no", "unknown"]
NEEDED = ("reachable", "authorized", "protocol", "streaming")
"""The checks that must not fail; the others depend on the model."""
LONGEST = 1024
"""Maximum output tokens of an answer, including thinking."""
QUOTED = 60
"""Maximum characters of an answer in a check's detail."""
WORD = "Answer with the word: ready"
COUNT = "Count from 1 to 20, one number a line."
COLOR = "What color is this picture? Answer with one word."
ERRAND = "What is the weather in Paris? Use the tool."
TOOL = Tool(
    name="get_weather",
    description="Current weather in a city.",
    schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


class Check(Struct):
    """The result of one check: what was observed, and how to fix it."""

    name: str
    result: Result
    detail: str = ""
    hint: str | None = None


def forget(config: Config, provider: str) -> int:
    """Deletes the lessons about the provider's endpoint and its cached model list. Returns the number of lessons.

    Raises:
        UnknownProvider: the provider does not exist.
        ConfigError: its URL is unknown.
    """
    found = upstream(config, config.provider(provider))
    Catalog().forget(provider)
    return LessonBook().forget(str(found.origin))


async def trial(config: Config, provider: str, model: str | None = None) -> AsyncIterator[Check]:
    """The checks of a provider, one after the other. `model` is a model ID or alias; default: the provider's first model.

    Raises:
        UnknownProvider: the provider does not exist.
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
        reply = first if isinstance(first, Reply) else None
        failure = first if isinstance(first, ModelbayError) else None if reply else problem
        yield self._reachable(found, reply, failure)
        yield self._authorized(found, reply, failure)
        yield self._models(found, problem)
        yield self._protocol(name, first)
        if name is None or reply is None or not _replied(reply):
            for check in ("usage", "streaming", "tools", "thinking", "images"):
                yield Check(check, "unknown", "not tested: no model" if name is None else "not tested")
            return
        yield _usage(reply)
        yield await self._streaming(name)
        yield await self._tools(name)
        yield await self._thinking(name, reply)
        yield await self._images(name)

    async def _list(self) -> tuple[Discovery | None, ModelbayError | None]:
        entry = self._config.provider(self._provider)
        line = ProviderClient(self._config)
        try:
            found = await discover(self._config, entry, line.fetch)
        except ModelbayError as error:
            return None, self._explained(error)
        finally:
            await line.aclose()
        if found.models:
            Catalog().remember(upstream(self._config, entry), found)
        return found, None

    def _named(self, found: Discovery | None) -> str | None:
        """The name of the model to test with, for the hub."""
        if self._model is not None:
            known = self._model in self._config.models or self._model.startswith(f"{self._provider}/")
            return self._model if known else f"{self._provider}/{self._model}"
        mine = [entry.alias for entry in self._config.models.values() if entry.provider == self._provider]
        default = self._config.default_model
        if mine:
            return default if default in mine else mine[0]
        chats = [model.id for model in found.models if model.chats] if found else []
        return f"{self._provider}/{chats[0]}" if chats else None

    def _reachable(self, found: Discovery | None, reply: Reply | None, failure: ModelbayError | None) -> Check:
        where = str(upstream(self._config, self._config.provider(self._provider)).origin)
        if isinstance(failure, TransportError):
            return Check("reachable", "no", failure.message, _hint(failure))
        if found is None and reply is None and (failure is None or not _answered(failure)):
            return Check("reachable", "unknown", "nothing was sent", _hint(failure))
        return Check("reachable", "yes", where)

    def _authorized(self, found: Discovery | None, reply: Reply | None, failure: ModelbayError | None) -> Check:
        if isinstance(failure, AuthenticationFailed | PermissionDenied | MissingCredential):
            return Check("authorized", "no", failure.message, _hint(failure))
        if reply is not None and _replied(reply):
            return Check("authorized", "yes", "a model replied")
        if reply is not None:
            return Check("authorized", "unknown", "the reply is empty")
        if failure is not None:
            return Check("authorized", "unknown", "no model replied")
        seen = "models listed, but many providers list them without an API key" if found else "no model replied"
        return Check("authorized", "unknown", seen)

    def _models(self, found: Discovery | None, problem: ModelbayError | None) -> Check:
        if found is None:
            return Check("models", "no", problem.message if problem else "", _hint(problem))
        chats = sum(model.chats for model in found.models)
        more = f", and {len(found.models) - chats} non-chat models" if chats < len(found.models) else ""
        return Check("models", "yes" if found.models else "no", f"{chats} listed{more}")

    def _protocol(self, name: str | None, first: Reply | ModelbayError | None) -> Check:
        if name is None:
            return Check("protocol", "unknown", "not tested: no model", "pass a model with --model")
        if first is None:
            return Check("protocol", "unknown", "not tested")
        if isinstance(first, ModelbayError):
            wrong = not isinstance(first, ReplyError) and first.status is None
            return Check("protocol", "unknown" if wrong else "no", first.message, _hint(first))
        if not _replied(first):
            return Check("protocol", "unknown", "the reply is empty")
        model = self._hub.model(name)
        return Check("protocol", "yes", f"{model.protocol}, as {model.alias or model.id}")

    async def _streaming(self, name: str) -> Check:
        events = []
        try:
            async for event in self._hub.stream(COUNT, model=name, max_tokens=LONGEST):
                events.append(event)
        except ModelbayError as error:
            return Check("streaming", "no", error.message, _hint(self._explained(error)))
        reply = collect(events)
        if reply.error is not None:
            return Check("streaming", "no", reply.error.message, _hint(self._explained(reply.error)))
        pieces = Counter(event.key for event in events if isinstance(event, PartDelta) and event.text)
        if max(pieces.values(), default=0) < 2:
            return Check(
                "streaming", "unknown", "the reply came in one piece" if _replied(reply) else "the reply is empty"
            )
        return Check("streaming", "yes", f"{pieces.total()} pieces")

    async def _tools(self, name: str) -> Check:
        reply = await self._ask(name, ERRAND, tools=[TOOL])
        if isinstance(reply, ModelbayError):
            return _refused("tools", reply)
        if not reply.tool_calls:
            return Check("tools", "unknown", f"answer without a tool call: {_quoted(reply)}")
        call = reply.tool_calls[0]
        if call.name != TOOL.name:
            return Check("tools", "unknown", f"the model called {call.name!r} instead of {TOOL.name}")
        if not _has_city(call.arguments):
            return Check("tools", "unknown", f"the arguments do not match the tool's schema: {call.arguments[:QUOTED]}")
        return Check("tools", "yes", f"tool call: {call.name} {call.arguments[:QUOTED]}")

    async def _thinking(self, name: str, first: Reply) -> Check:
        if seen := _thought(first):
            return Check("thinking", "yes", seen)
        if known := self._denied(name, "thinking"):
            return Check("thinking", "no", known)
        reply = await self._ask(name, WORD, effort="low")
        if isinstance(reply, ModelbayError):
            return _refused("thinking", reply)
        if seen := _thought(reply):
            return Check("thinking", "yes", seen)
        return Check("thinking", "unknown", "the reply has no thinking and no reasoning tokens")

    async def _images(self, name: str) -> Check:
        """Sends two pictures of different colors, in one call each, so that a guess or a constant answer fails."""
        if known := self._denied(name, "image_in"):
            return Check("images", "no", known)
        for color in sample(list(COLORS), 2):
            image = Media(kind="image", data=picture(color), media_type="image/png")
            reply = await self._ask(name, COLOR, files=[image])
            if isinstance(reply, ModelbayError):
                return _refused("images", reply)
            if not names(reply.text, color):
                return Check(
                    "images", "unknown", f"the answer to a {color} picture does not name {color}: {_quoted(reply)}"
                )
        return Check("images", "yes", "the model named the colors of two pictures")

    def _denied(self, name: str, capability: Capability) -> str | None:
        """The detail for a capability that the model is known not to have, so that it is not tested."""
        model = self._hub.model(name)
        if model.can(capability) is not False:
            return None
        return f"not tested: {capability} = no ({model.sources.get(capability) or 'config'})"

    async def _ask(self, name: str, prompt: str, **settings: Unpack[Ask]) -> Reply | ModelbayError:
        settings["max_tokens"] = LONGEST
        try:
            return await self._hub.complete(prompt, model=name, **settings)
        except ModelbayError as error:
            return self._explained(error)

    def _explained(self, error: ModelbayError) -> ModelbayError:
        """The error with its hint for the command line."""
        about = About(self._provider, self._config.path, face="command", known=self._config.providers)
        return explain(error, about)


def _answered(error: ModelbayError) -> bool:
    """Whether an error shows that the server responded."""
    return isinstance(error, MalformedReply) or (error.status is not None and not isinstance(error, Unsupported))


def _usage(reply: Reply) -> Check:
    used = reply.usage
    if used is None or not used.input_total or not used.output_total:
        return Check("usage", "unknown", "the reply has no token counts")
    return Check("usage", "yes", f"{used.input_total:,} tokens in, {used.output_total:,} out")


def _has_city(arguments: str) -> bool:
    """Whether the arguments of a call match the schema of `TOOL`."""
    try:
        found = decode(arguments.encode())
    except MalformedReply:
        return False
    return isinstance(found, dict) and isinstance(city := found.get("city"), str) and bool(city.strip())


def _thought(reply: Reply) -> str | None:
    """The evidence that the model used thinking; None if there is none."""
    tokens = reply.usage.reasoning if reply.usage else None
    if tokens:
        return f"{tokens:,} reasoning tokens"
    parts = [part for part in reply.parts if isinstance(part, Thinking)]
    return "the reply has a thinking part" if any(part.text.strip() or part.opaque for part in parts) else None


def _replied(reply: Reply) -> bool:
    """Whether a reply is not empty. Hidden thinking counts."""
    return any(not isinstance(part, Text) or part.text.strip() for part in reply.parts) or bool(_thought(reply))


def _quoted(reply: Reply) -> str:
    text = " ".join((reply.text or reply.refusal).split())
    return f'"{text[:QUOTED]}{"…" * (len(text) > QUOTED)}"' if text else "no text"


def _refused(name: str, error: ModelbayError) -> Check:
    """The check for an error: "no" if the provider rejected the feature, "unknown" for other errors."""
    refused = isinstance(error, Unsupported) or error.status in (400, 404, 415, 422, 501)
    return Check(name, "no" if refused else "unknown", error.message, None if refused else _hint(error))


def _hint(error: ModelbayError | None) -> str | None:
    return error.hint if error else None
