"""Sends prepared calls to providers and returns the responses as events.

A call is retried if its error is retryable and nothing of the reply was shown yet: after an error status, a broken
connection, or a failure inside a reply. A parameter that an endpoint rejects by name is adapted once; the adaptation is
stored if the adapted call succeeds. `transport` sends each attempt once.
"""

import os
from asyncio import AbstractEventLoop, get_running_loop, run_coroutine_threadsafe, sleep, to_thread
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from functools import partial
from random import random
from time import perf_counter, time
from typing import TYPE_CHECKING
from weakref import WeakSet

from msgspec import Struct, to_builtins
from msgspec.structs import asdict, replace

from modelbay import logs
from modelbay.config.schema import Config
from modelbay.conversation import Conversation, Provenance
from modelbay.credentials.credential import may_block
from modelbay.credentials.google import Described, GoogleTokens
from modelbay.credentials.network import transport_of
from modelbay.credentials.tokens import Login, Tokens
from modelbay.errors import AuthenticationFailed, BadRequest, HubClosed, ModelbayError, Operation
from modelbay.events import Event, Failed, Finished, PartEnded, PartStarted, Warned, shows
from modelbay.hints import About, explain
from modelbay.model import Model
from modelbay.origin import origin as origin_of
from modelbay.protocols.codec import Call, Codec, codec
from modelbay.protocols.form import Unasked, form_of, web_page
from modelbay.protocols.names import Restorer
from modelbay.providers.adaptation import Adaptation, adapt, adaptation, stop_thinking
from modelbay.providers.endpoint import Endpoint, endpoint_at, proxy_of
from modelbay.providers.logins import login_of
from modelbay.providers.upstream import Upstream
from modelbay.routing.retry import Policy, decide, heed
from modelbay.secrecy import HiddenBytes, masked_url, redact, without_frames
from modelbay.storage.lessons import LessonBook

if TYPE_CHECKING:  # aiohttp is imported only when something is sent
    from modelbay.recording import RecordedResponse, Recorder
    from modelbay.transport import Limits, Request, Response, Transport

    AnyResponse = Response | RecordedResponse

USER_AGENT = "modelbay/0.1.0"


class PreparedCall(Struct):
    """A call to send: its target, its body, and the codec that reads the reply."""

    upstream: Upstream
    model: Model
    codec: Codec
    call: Call
    endpoint: Endpoint


class Connections:
    """Resources of one event loop: connections and token refreshes, which are tasks of that loop."""

    def __init__(self) -> None:
        self.transport: Transport | None = None
        self.tokens: dict[str, Tokens] = {}
        self.google: dict[str | None, GoogleTokens] = {}
        self.end: AsyncGenerator[None, None]
        """Closes the connections when it is closed. `asyncio.run` closes all async generators, so nothing outlives the
        loop."""


class ProviderClient:
    """Sends calls to all providers of a configuration; keeps connections and lessons about endpoints.

    Each event loop has its own connections, and so has a forked child.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.policy = Policy()
        self.lessons = LessonBook()
        self.recorder: Recorder | None = None
        """Records all exchanges if set."""
        self._uploaded: dict[str, dict[str, str]] = {}
        self._connections: dict[AbstractEventLoop, Connections] = {}
        self._closed = False
        _lines.add(self)

    async def aclose(self) -> None:
        """Close all connections."""
        self._closed = True
        here = get_running_loop()
        for loop, connections in list(self._connections.items()):
            if loop is here:
                await connections.end.aclose()
            elif loop.is_running():  # runs in another thread, which may be waiting for this one
                run_coroutine_threadsafe(connections.end.aclose(), loop)

    def check_open(self) -> None:
        """Raise HubClosed if the line is closed."""
        if self._closed:
            raise HubClosed("the hub is closed; nothing was sent")

    def _here(self) -> Connections:
        """The connections of the running event loop.

        Raises:
            HubClosed: the line is closed.
        """
        self.check_open()
        loop = get_running_loop()
        found = self._connections.get(loop)
        if found is None:
            for ended in [known for known in self._connections if known.is_closed()]:
                del self._connections[ended]
            found = self._connections[loop] = Connections()
            found.end = _until_closed(self._connections, loop, found)
            with suppress(StopIteration):
                found.end.__anext__().send(None)  # advances to its `yield`; from then on the loop closes it
        return found

    def abandon(self) -> None:
        """Drop the connections of the parent process."""
        for connections in self._connections.values():
            if connections.transport is not None:
                connections.transport.abandon()
        self._connections.clear()

    async def endpoint(self, target: Upstream, path: str, *, stream: bool) -> Endpoint:
        """The endpoint for a call of `path`, with its credential. Raises what `endpoint_at` raises."""
        try:
            if may_block(target.provider, target.model):  # a keyring or a command may prompt the user
                return await to_thread(endpoint_at, self.config, target, path, stream=stream)
            return endpoint_at(self.config, target, path, stream=stream)
        except ModelbayError as error:
            raise without_frames(error) from None

    def learnt(self, target: Upstream, model: Model) -> list[Adaptation]:
        """The stored adaptations for an endpoint and model."""
        return [Adaptation(**lesson) for lesson in self.lessons.of(str(target.origin), model.id)]

    async def with_media(self, conversation: Conversation, target: Upstream) -> Conversation:
        """The conversation with its media converted for the provider."""
        from modelbay import media

        async def upload(path: str, body: bytes, kind: str) -> bytes:
            endpoint = await self.endpoint(target, path, stream=False)
            return await self.fetch(endpoint, body, {"Content-Type": kind}, "upload")

        workshop = media.MediaTools(self.transport(), upload, self._uploaded.setdefault(target.provider.id, {}))
        return await media.ready(conversation, target.protocol, target.dialect, workshop)

    async def fetch(
        self,
        endpoint: Endpoint,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        operation: Operation = "list",
    ) -> bytes:
        """The body of a response other than a model's reply, such as a list or an upload. Without `body`, a GET
        request.

        Raises:
            ModelbayError: there is no response, or an error response.
        """
        try:
            async with await self._send(endpoint, body, headers or {}) as response:
                answer = await response.read()
                if response.status >= 400:
                    raise _refused(codec(endpoint.protocol), response, answer)
                return answer
        except ModelbayError as error:
            method = "GET" if body is None else "POST"
            raise self._explained(error, endpoint, method, operation) from None

    async def events(self, sending: PreparedCall) -> AsyncGenerator[Event, None]:
        """The events of a reply, each part with its origin. Ends with one `Finished` or `Failed`.

        A call is retried while nothing of its reply was shown; the error contains the number of attempts.
        """
        origin = Provenance(sending.endpoint.protocol, sending.upstream.vendor, sending.model.family)
        attempt, start = 1, perf_counter()
        lesson: Adaptation | None = None
        while True:
            try:
                restorer = Restorer(sending.call.names) if sending.call.names else None
                async with aclosing(self._attempt(sending)) as events:
                    async for event in events:
                        if lesson is not None:
                            self.lessons.add(str(sending.upstream.origin), sending.model.id, to_builtins(lesson))
                            lesson = None
                        if isinstance(event, PartStarted | PartEnded):
                            event.part.origin = origin
                        elif isinstance(event, Failed):
                            self._explained(event.error, sending.endpoint, model=sending.model.id)
                        for told in restorer.feed(event) if restorer else (event,):
                            yield told
                logs.ended(start, event)
                return
            except ModelbayError as error:
                if lesson is None and isinstance(error, BadRequest) and (new := adaptation(error, sending.call.body)):
                    lesson = new
                    adapt(sending.call.body, [lesson])
                    yield adapted(lesson)
                    continue
                if isinstance(error, BadRequest) and stop_thinking(error, sending.call.body):
                    yield Warned(
                        "`reasoning` is not sent: the thinking before the last tool calls is missing", "reasoning"
                    )
                    continue
                decision = decide(error, attempt, self.policy, random)
                error.attempts = attempt
                if decision.delay is None:
                    raise self._explained(error, sending.endpoint, model=sending.model.id) from None
                logs.LOG.debug("%s", decision.why)
                yield Warned(redact(f"{error.message.removesuffix('.')}: {decision.why}"), retry=True)
                await sleep(decision.delay)
                attempt += 1

    def _explained(
        self,
        error: ModelbayError,
        endpoint: Endpoint,
        method: str = "POST",
        operation: Operation = "ask",
        model: str | None = None,
    ) -> ModelbayError:
        if isinstance(error, AuthenticationFailed) and endpoint.credential and endpoint.credential.kind == "oauth":
            operation = "token"
        error.operation = error.operation or operation
        error.request = error.request or f"{method} {masked_url(endpoint.url)}"
        entry = self.config.providers.get(endpoint.provider)
        manifest = entry.base_url if entry is not None and entry.by_manifest else None
        about = About(endpoint.provider, self.config.path, manifest, model, known=self.config.providers)
        return without_frames(explain(error, about))

    async def _attempt(self, sending: PreparedCall) -> AsyncGenerator[Event, None]:
        """One attempt of a call. Its events are held back until one shows part of the reply.

        Raises:
            ModelbayError: it failed before that. Later failures become a `Failed` event.
        """
        call = sending.call
        response = await self._send(sending.endpoint, call.encode(), call.headers, stream=call.stream)
        held: list[Event] | None = []
        async with response:
            if response.status >= 400:
                raise _refused(sending.codec, response, await response.read())
            async with aclosing(self._parsed(sending, response)) as events:
                async for event in events:
                    if held is None:
                        yield event
                    elif isinstance(event, Failed):
                        heed(event.error, response.headers, b"", time())
                        raise event.error
                    else:
                        held.append(event)
                        if shows(event):
                            for early in held:
                                yield early
                            held = None

    async def _send(
        self, endpoint: Endpoint, body: bytes | None, headers: dict[str, str], *, stream: bool = False
    ) -> "AnyResponse":
        if not endpoint.wants_token:
            return await self._sent(endpoint, body, headers, stream=stream)
        token = await self._token(endpoint)
        answer = await self._sent(endpoint.with_token(token), body, headers, stream=stream)
        if answer.status != 401 or endpoint.credential is None or endpoint.credential.kind != "oauth":
            return answer
        async with answer:
            await answer.read()
        token = await self._token(endpoint, refused=token)  # the token was revoked before it expired
        return await self._sent(endpoint.with_token(token), body, headers, stream=stream)

    async def _sent(
        self, endpoint: Endpoint, body: bytes | None, headers: dict[str, str], *, stream: bool
    ) -> "AnyResponse":
        request = _request(endpoint, body, headers)
        recording = self.recorder.begin(request, endpoint, stream=stream) if self.recorder else None
        start = logs.sent(request, endpoint)
        try:
            response = await self.transport().send(request)
        except ModelbayError as error:
            logs.failed(error, start)
            if recording:
                recording.failed(error)
            raise
        logs.answered(response.status, response.headers, start)
        return recording.answered(response) if recording else response

    async def _token(self, endpoint: Endpoint, refused: str | None = None) -> str:
        if endpoint.credential is None or endpoint.credential.oauth is None:
            return await self._google_tokens(endpoint.proxy).token()
        return await self.token(login_of(endpoint.credential.oauth, endpoint.provider, endpoint.origin), refused)

    def _tokens_of(self, provider: str) -> Tokens:
        """The tokens of a provider's login, requested through the provider's proxy."""
        known = self._here().tokens
        if provider not in known:
            known[provider] = Tokens(partial(self.exchange, provider=provider))
        return known[provider]

    def _google_tokens(self, proxy: str | None) -> GoogleTokens:
        known = self._here().google
        if proxy not in known:
            known[proxy] = GoogleTokens(partial(self._exchange, proxy=proxy))
        return known[proxy]

    def transport(self) -> "Transport":
        """The transport of the running event loop, created on first use. Raises what `transport_of` raises.

        Raises:
            HubClosed: the line is closed.
        """
        here = self._here()
        if here.transport is None:
            here.transport = transport_of(self.config)
        return here.transport

    async def token(self, login: Login, refused: str | None = None) -> str:
        """A login's token, other than `refused`. Raises what `Tokens.token` raises."""
        try:
            return await self._tokens_of(login.provider).token(login, refused)
        except ModelbayError as error:
            error.operation = error.operation or "token"
            raise without_frames(error) from None

    async def google(self) -> Described:
        """A description of the Google credentials, after getting a token as a check. Raises what `GoogleTokens.token`
        raises."""
        return await self._google_tokens(None).described()

    async def exchange(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None, provider: str | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """One request of a login, through the proxy of its provider."""
        entry = self.config.providers.get(provider) if provider is not None else None
        proxy = None if entry is None else proxy_of(self.config, entry, origin_of(url))
        return await self._exchange(method, url, {"User-Agent": USER_AGENT, **headers}, body, proxy)

    async def outside(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """One request to neither a provider nor its login server, such as for a model list.

        Raises:
            ConfigError: `offline` is set in `[network]`.
        """
        from modelbay import transport

        transport.check_online(self.transport(), url)
        try:
            return await self.exchange(method, url, headers, body)
        except ModelbayError as error:
            error.operation = "fetch"
            raise

    async def _exchange(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None, proxy: str | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        from modelbay import transport

        limits = transport.Limits(first_byte=30.0, idle=30.0)
        try:
            async with await self.transport().send(
                transport.Request(method, url, headers, body, limits, proxy)
            ) as response:
                return response.status, response.headers, HiddenBytes(await response.read())
        except ModelbayError as error:
            error.request = f"{method} {masked_url(url)}"
            raise

    async def _parsed(self, sending: PreparedCall, response: "AnyResponse") -> AsyncGenerator[Event, None]:
        dialect = sending.endpoint.dialect
        form = form_of(response.headers, sending.endpoint.protocol, stream=sending.call.stream)
        if form == "page":
            yield Failed(web_page(await response.read()))
        elif form == "whole":
            for event in sending.codec.parse_reply(await response.read(), dialect):
                yield event
        else:
            parser = sending.codec.stream_parser(dialect) if sending.call.stream else Unasked(sending.codec, dialect)
            begun = False
            try:
                async with aclosing(response.stream()) as chunks:
                    async for chunk in chunks:
                        begun = True
                        if events := parser.feed(chunk):
                            response.progress()
                        if parser.finishing:
                            response.hurry()
                        for event in events:
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
                if isinstance(rest[-1], Failed):  # the connection error explains more than a missing terminator
                    rest[-1] = Failed(error)
            for event in rest:
                yield event


async def _until_closed(
    known: dict[AbstractEventLoop, Connections], loop: AbstractEventLoop, connections: Connections
) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        known.pop(loop, None)
        for tokens in connections.tokens.values():
            await tokens.aclose()
        if connections.transport is not None:
            await connections.transport.aclose()


_lines: WeakSet[ProviderClient] = WeakSet()


def _forked() -> None:
    for line in list(_lines):
        line.abandon()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_forked)


def adapted(lesson: Adaptation) -> Warned:
    """The warning about an adapted parameter."""
    return Warned(f"{lesson}: the endpoint rejects the usual form", lesson.parameter)


def _refused(of: Codec, response: "AnyResponse", body: bytes) -> ModelbayError:
    """The error in a response with an error status."""
    error = of.parse_error(response.status, response.headers, body)
    heed(error, response.headers, body, time())
    return response.of_hop(error, body)


def _request(endpoint: Endpoint, body: bytes | None, headers: dict[str, str]) -> "Request":
    from modelbay import transport

    sent = {"Content-Type": "application/json"} if body is not None else {}
    sent |= {"User-Agent": USER_AGENT, **endpoint.sent_headers(headers)}
    return transport.Request(
        "GET" if body is None else "POST",
        endpoint.url,
        sent,
        body,
        _limits(endpoint),
        endpoint.proxy,
        endpoint.tls,
    )


def _limits(endpoint: Endpoint) -> "Limits":
    from modelbay.transport import Limits

    given = {**asdict(endpoint.timeout), **asdict(endpoint.limits)}
    limits = Limits(**{name: limit for name, limit in given.items() if limit is not None})
    return replace(  # a user who allows more silence before bytes allows as much before content
        limits,
        first_event=endpoint.timeout.first_event or max(limits.first_event, limits.first_byte),
        content=endpoint.timeout.content or max(limits.content, limits.idle),
    )
