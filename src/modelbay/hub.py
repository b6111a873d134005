"""The Hub: the library's face. It knows the configuration, and talks to any model in it.

    hub = Hub.open()
    async for event in hub.stream("claude", "Why is the sky blue?"): ...
    reply = await hub.complete("claude", "Why is the sky blue?")

Nothing here is one protocol's or one vendor's: a codec writes the call, an endpoint says where it goes, the transport
sends it once, and what comes back is events.
"""

from asyncio import sleep, to_thread
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from random import random
from time import time
from typing import TYPE_CHECKING, Self, TypedDict, Unpack

from msgspec import Struct, to_builtins
from msgspec.structs import asdict, replace

from modelbay.catalog.knowledge import fitted, model_facts
from modelbay.config.lessons import LessonBook
from modelbay.config.load import load
from modelbay.config.schema import Config, ModelEntry
from modelbay.conversation import (
    Conversation,
    Media,
    Origin,
    OutputFormat,
    Reasoning,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
    Turn,
    user,
)
from modelbay.credentials.credential import may_block
from modelbay.credentials.google import GoogleTokens
from modelbay.errors import BadRequest, ConfigError, MalformedReply, ModelbayError, Unsupported
from modelbay.events import Event, Failed, Finished, PartEnded, PartStarted, Reply, Warned, collect
from modelbay.hints import explain
from modelbay.model import Capability, Model
from modelbay.protocols.codec import Call, Codec, codec
from modelbay.protocols.failures import summary, text_of
from modelbay.providers.adaptation import Adaptation, adapt, adaptation
from modelbay.providers.endpoint import Endpoint, endpoint_at, models_endpoint
from modelbay.providers.upstream import Upstream, upstream
from modelbay.routing.retry import Policy, decide, heed
from modelbay.usage import Usage

if TYPE_CHECKING:  # aiohttp is only imported when something is sent
    from modelbay.transport import Request, Response, Transport

USER_AGENT = "modelbay/0.1.0"
_NEEDS: dict[str, Capability] = {
    "image": "image_in",
    "audio": "audio_in",
    "video": "video_in",
}


class Ask(TypedDict, total=False):
    """What a call says beside its prompt. What is left out is the model's or provider's own default."""

    system: str | None
    files: Sequence[Media]
    """Images, sound, video and documents that go with a prompt of text."""
    tools: list[Tool] | None
    tool_choice: ToolChoice | None
    output_format: OutputFormat | None
    effort: str | None
    """How much to think: the provider's word, or "off"."""
    max_output_tokens: int | None
    temperature: float | None
    top_p: float | None
    stop: list[str] | None


class _Sending(Struct):
    """One request on its way: what was asked, of whom, and how to read the answer."""

    upstream: Upstream
    model: Model
    codec: Codec
    call: Call
    endpoint: Endpoint


class Hub:
    """Every provider and model of one configuration. Keeps connections; close it, or use it as `async with`."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.policy = Policy()
        self.lessons = LessonBook()
        self._known: dict[tuple[str, str | None], tuple[Upstream, Model]] = {}
        self._uploaded: dict[str, dict[str, str]] = {}
        self._google = GoogleTokens(self._exchange)
        self._transport: Transport | None = None

    @classmethod
    def open(cls, path: Path | str | None = None) -> Self:
        """The hub of a configuration file, by default `config.toml` in modelbay's home.

        Entries that cannot be used are in `config.problems`; the others work.

        Raises:
            ConfigError: the file cannot be read or does not parse.
        """
        return cls(load(Path(path) if path is not None else None))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections."""
        if self._transport is not None:
            await self._transport.aclose()
            self._transport = None

    # --- models ---

    def models(self) -> list[Model]:
        """Every model that is configured and usable, with the facts known of it."""
        found = []
        for entry in self.config.models.values():
            try:
                found.append(self._facts(entry))
            except ConfigError:
                continue  # its provider cannot be used, which `config.problems` says
        return found

    def model(self, name: str | None = None) -> Model:
        """A model by alias or `provider/wire-id`; without a name, the default.

        Raises:
            UnknownModel, UnknownProvider, ConfigError: there is no such model; the hint offers the nearest names.
        """
        return self._facts(self.config.model(name))

    async def list_models(self, provider: str) -> list[str]:
        """The ids that a provider lists.

        Raises:
            ModelbayError: it has no list, or did not give it.
        """
        endpoint = models_endpoint(self.config, self.config.provider(provider))
        if endpoint is None:
            raise ConfigError(f"{provider} has no list of models", provider=provider)
        try:
            async with await self._send(endpoint, None, {}) as response:
                body = await response.read()
                if response.status >= 400:
                    raise _refused(codec(endpoint.protocol), response, body)
            return _ids(body, endpoint)
        except ModelbayError as error:
            raise explain(error, endpoint, self.config) from None

    def cost(self, model: Model, usage: Usage) -> float | None:
        """Dollars, or None where the price is not known. A bucket without a price of its own costs what input does."""
        price = model.cost
        if price is None or price.input is None or price.output is None:
            return None
        read = price.input if price.cache_read is None else price.cache_read
        write = price.input if price.cache_write is None else price.cache_write
        into = (usage.input or 0) + (usage.tool_prompt or 0)
        written = (usage.cache_write or 0) + (usage.cache_write_1h or 0)
        total = (
            into * price.input + (usage.cache_read or 0) * read + written * write + usage.output_total * price.output
        )
        return total / 1_000_000

    # --- asking ---

    async def stream(
        self, model: str | None, prompt: str | Conversation | Sequence[Turn], **ask: Unpack[Ask]
    ) -> AsyncGenerator[Event, None]:
        """The events of a model's answer, as they come. `ask` is what `Ask` names: system, files, tools, effort ...

        Leaving the iteration, or cancelling it, closes the connection to the provider at once.

        Raises:
            ModelbayError: no answer began. Once one has, the stream ends in `Finished` or `Failed`.
        """
        sending = await self._prepare(model, prompt, ask, stream=True)
        for warning in sending.call.warnings:
            yield warning
        async with aclosing(self._attempts(sending)) as events:
            async for event in events:
                yield event

    async def complete(
        self, model: str | None, prompt: str | Conversation | Sequence[Turn], **ask: Unpack[Ask]
    ) -> Reply:
        """A model's whole answer, asked for in one piece. `ask` as for `stream`.

        Raises:
            ModelbayError: there is no whole answer. `Reply.error` is never set in what this returns.
        """
        sending = await self._prepare(model, prompt, ask, stream=False)
        async with aclosing(self._attempts(sending)) as events:
            reply = collect([*sending.call.warnings, *[event async for event in events]])
        if reply.error is not None:
            raise reply.error
        return reply

    # --- the way of one request ---

    def _facts(self, entry: ModelEntry) -> Model:
        return self._resolved(entry)[1]

    def _resolved(self, entry: ModelEntry) -> tuple[Upstream, Model]:
        """A model's upstream and facts, worked out once."""
        key = (entry.alias, entry.variant)
        if key not in self._known:
            target = fitted(upstream(self.config, self.config.provider_of(entry), entry))
            self._known[key] = target, model_facts(entry, target)
        return self._known[key]

    async def _prepare(
        self, name: str | None, prompt: str | Conversation | Sequence[Turn], ask: Ask, *, stream: bool
    ) -> _Sending:
        entry = self.config.model(name)
        target, model = self._resolved(entry)
        conversation = self._conversation(prompt, ask, model)
        conversation.stream = stream or target.dialect.stream_only
        conversation.include_usage = True if conversation.stream else None
        warnings = _check(conversation, model)
        if any(_media(turn) for turn in conversation.turns):
            conversation = await self._with_media(conversation, target)
        of_protocol = codec(target.protocol)
        call = of_protocol.render_request(conversation, model, target.dialect)
        call.warnings = warnings + call.warnings
        call.body |= entry.settings
        learnt = [Adaptation(**lesson) for lesson in self.lessons.of(str(target.origin), model.id)]
        call.warnings += [_adapted(lesson) for lesson in adapt(call.body, learnt)]
        endpoint = await self._endpoint(target, call.path, stream=call.stream)
        return _Sending(target, model, of_protocol, call, endpoint)

    async def _endpoint(self, target: Upstream, path: str, *, stream: bool) -> Endpoint:
        if may_block(target.provider, target.model):  # a keyring or a command may ask the user something
            return await to_thread(endpoint_at, self.config, target, path, stream=stream)
        return endpoint_at(self.config, target, path, stream=stream)

    async def _with_media(self, conversation: Conversation, target: Upstream) -> Conversation:
        from modelbay import media

        async def upload(path: str, body: bytes, kind: str) -> bytes:
            endpoint = await self._endpoint(target, path, stream=False)
            async with await self._send(endpoint, body, {"Content-Type": kind}) as response:
                answer = await response.read()
                if response.status >= 400:
                    raise explain(_refused(codec(target.protocol), response, answer), endpoint, self.config)
                return answer

        workshop = media.Workshop(self._sender(), upload, self._uploaded.setdefault(target.provider.id, {}))
        return await media.ready(conversation, target.protocol, target.dialect, workshop)

    def _conversation(self, prompt: str | Conversation | Sequence[Turn], ask: Ask, model: Model) -> Conversation:
        if isinstance(prompt, Conversation):
            conversation = replace(prompt, settings=replace(prompt.settings), turns=list(prompt.turns))
        elif isinstance(prompt, str):
            conversation = Conversation([user(prompt, *ask.get("files", ()))])
        else:
            conversation = Conversation(list(prompt))
        if (system := ask.get("system")) is not None:
            conversation.turns.insert(0, Turn("system", [Text(text=system)]))
        settings = conversation.settings
        for name in ("tools", "tool_choice", "output_format", "max_output_tokens", "temperature", "top_p", "stop"):
            if (value := ask.get(name)) is not None:
                setattr(settings, name, value)
        if settings.max_output_tokens is None and model.output_tokens_explicit:
            settings.max_output_tokens = model.max_output_tokens
        if settings.reasoning is None:
            settings.reasoning = self._reasoning(ask.get("effort"), model)
        return conversation

    def _reasoning(self, effort: str | None, model: Model) -> Reasoning | None:
        """How much to think: the call's word, else `[thinking]`, else what the model's entry says."""
        thinking = self.config.thinking
        if effort is None and model.can("thinking") is not True and model.can("always_thinking") is not True:
            return None
        if effort is None and thinking.enabled is False:
            effort = "off"
        effort = effort or thinking.effort or model.default_effort
        if effort is None:
            return Reasoning(enabled=True) if thinking.enabled else None
        if effort in ("off", "none"):
            return Reasoning(enabled=False, effort=model.off_effort)
        return Reasoning(enabled=True, effort=None if effort == "on" else effort)

    async def _attempts(self, sending: _Sending) -> AsyncGenerator[Event, None]:
        """The events of an answer, each part stamped with where it came from. Ends in one `Finished` or `Failed`.

        A call is sent again as long as nothing of its answer was seen; the error tells how often it was.
        """
        origin = Origin(sending.endpoint.protocol, sending.upstream.vendor, sending.model.family)
        attempt = 1
        while True:
            try:
                async with aclosing(self._attempt(sending)) as events:
                    async for event in events:
                        if isinstance(event, PartStarted | PartEnded):
                            event.part.origin = origin
                        elif isinstance(event, Failed):
                            explain(event.error, sending.endpoint, self.config)
                        yield event
                return
            except ModelbayError as error:
                decision = decide(error, attempt, self.policy, random)
                error.attempts = attempt
                if decision.delay is None:
                    raise explain(error, sending.endpoint, self.config) from None
                yield Warned(f"{error.message}: {decision.why}")
                await sleep(decision.delay)
                attempt += 1

    async def _attempt(self, sending: _Sending) -> AsyncGenerator[Event, None]:
        """One sending of the call. What goes wrong before the first byte of the reply is raised, after it a `Failed`."""
        response = await self._answer(sending)
        if isinstance(response, BadRequest) and (lesson := adaptation(response, sending.call.body)) is not None:
            yield _adapted(lesson)
            adapt(sending.call.body, [lesson])
            response = await self._answer(sending)
            if not isinstance(response, ModelbayError):
                self.lessons.add(str(sending.upstream.origin), sending.model.id, to_builtins(lesson))
        if isinstance(response, ModelbayError):
            raise response
        async with response, aclosing(self._parsed(sending, response)) as events:
            async for event in events:
                yield event

    async def _answer(self, sending: _Sending) -> "Response | ModelbayError":
        """The answer to a call, or the error that it tells of."""
        response = await self._send(sending.endpoint, sending.call.encode(), sending.call.headers)
        if response.status < 400:
            return response
        async with response:
            return _refused(sending.codec, response, await response.read())

    async def _send(self, endpoint: Endpoint, body: bytes | None, headers: dict[str, str]) -> "Response":
        if endpoint.wants_token:
            endpoint = endpoint.with_token(await self._token(endpoint))
        return await self._sender().send(_request(endpoint, body, headers))

    async def _token(self, endpoint: Endpoint) -> str:
        if endpoint.credential is not None and endpoint.credential.kind == "adc":
            return await self._google.token()
        raise ConfigError(
            f"{endpoint.provider} is used by logging in, which is not built yet", provider=endpoint.provider
        )

    def _sender(self) -> "Transport":
        from modelbay import transport

        if self._transport is None:
            self._transport = transport.Transport()
        return self._transport

    async def _exchange(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """One request beside the calls, as for a token."""
        from modelbay import transport

        async with await self._sender().send(transport.Request(method, url, headers, body)) as response:
            return response.status, response.headers, await response.read()

    async def _parsed(self, sending: _Sending, response: "Response") -> AsyncGenerator[Event, None]:
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        dialect = sending.endpoint.dialect
        if kind in ("text/html", "application/xhtml+xml"):
            page = summary(text_of(await response.read()))
            yield Failed(MalformedReply(f"the provider answered with {page}", hint=_WRONG_URL))
        elif not sending.call.stream or (kind == "application/json" and sending.endpoint.protocol != "google"):
            # a server that does not stream answers in one piece
            for event in sending.codec.parse_reply(await response.read(), dialect):
                yield event
        else:
            parser = sending.codec.stream_parser(dialect)
            begun = False
            try:
                async with aclosing(response.stream()) as chunks:
                    async for chunk in chunks:
                        begun = True
                        for event in parser.feed(chunk):
                            if isinstance(event, Finished | Failed):
                                await response.finish()
                                yield event
                                return
                            yield event
                rest = parser.close()
            except ModelbayError as error:
                if not begun:
                    raise
                rest = parser.close()
                if isinstance(rest[-1], Failed):  # the connection's end explains it better than the missing words
                    rest[-1] = Failed(error)
            for event in rest:
                yield event


_WRONG_URL = "check `base_url`: this looks like a web page, not an API"


def _adapted(lesson: Adaptation) -> Warned:
    return Warned(f"{lesson}: this endpoint refuses it otherwise", lesson.parameter)


def _refused(of: Codec, response: "Response", body: bytes) -> ModelbayError:
    """The error that an answer with an error status tells of."""
    error = of.parse_error(response.status, response.headers, body)
    heed(error, response.headers, body, time())
    return error


def _request(endpoint: Endpoint, body: bytes | None, headers: dict[str, str]) -> "Request":
    from modelbay import transport

    sent = {"Content-Type": "application/json"} if body is not None else {}
    sent |= {"User-Agent": USER_AGENT, **endpoint.sent_headers(headers)}
    timeout = endpoint.timeout
    return transport.Request(
        "GET" if body is None else "POST",
        endpoint.url,
        sent,
        body,
        transport.Limits(**{name: seconds for name, seconds in asdict(timeout).items() if seconds is not None}),
        endpoint.proxy,
        endpoint.tls,
    )


def _check(conversation: Conversation, model: Model) -> list[Warned]:
    """Refuses what the model is known not to take; what is not known is sent, and reported."""
    warnings: list[Warned] = []
    kinds = {part.kind for turn in conversation.turns for part in _media(turn)}
    needs: list[tuple[str, Capability]] = [(kind, _NEEDS[kind]) for kind in sorted(kinds) if kind in _NEEDS]
    if conversation.settings.tools:
        needs.append(("tools", "tool_use"))
    for what, capability in needs:
        if model.can(capability) is False:
            raise Unsupported(
                f"{model.alias or model.id} does not take {what}: its `{capability}` is no",
                setting=capability,
                hint="choose another model, or correct the model's capabilities in the configuration",
            )
        if model.can(capability) is None and what != "tools":
            warnings.append(Warned(f"it is not known whether {model.alias or model.id} takes {what}", capability))
    return warnings


def _media(turn: Turn) -> list[Media]:
    inner = [part for result in turn.parts if isinstance(result, ToolResult) for part in result.parts]
    return [part for part in [*turn.parts, *inner] if isinstance(part, Media)]


def _ids(body: bytes, endpoint: Endpoint) -> list[str]:
    """Model ids in the shapes that lists have: `data`, `models`, or a bare array, of objects with `id` or `name`."""
    import msgspec

    try:
        listed = msgspec.json.decode(body)
    except msgspec.DecodeError:
        raise MalformedReply(
            f"the list of models at {endpoint.origin} is not JSON: {summary(text_of(body))}",
            hint=_WRONG_URL,
            provider=endpoint.provider,
        ) from None
    if isinstance(listed, dict):
        listed = listed.get("data") or listed.get("models") or []
    names = [item.get("id") or item.get("name") for item in listed if isinstance(item, dict)]
    return [str(name).removeprefix("models/") for name in names if name]
