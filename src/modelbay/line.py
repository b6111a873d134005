"""The line to providers: a call that is ready goes out, and what comes back is events.

A call is sent again while nothing of its answer was seen and the error is worth it; a parameter that an endpoint refuses
by name is adapted once and remembered. `transport` sends each time once.
"""

from asyncio import sleep, to_thread
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from random import random
from time import time
from typing import TYPE_CHECKING

from msgspec import Struct, to_builtins
from msgspec.structs import asdict

from modelbay.config.lessons import LessonBook
from modelbay.config.schema import Config
from modelbay.conversation import Conversation, Origin
from modelbay.credentials.credential import may_block
from modelbay.credentials.google import GoogleTokens
from modelbay.errors import BadRequest, ConfigError, MalformedReply, ModelbayError
from modelbay.events import Event, Failed, Finished, PartEnded, PartStarted, Warned
from modelbay.hints import explain
from modelbay.model import Model
from modelbay.protocols.codec import Call, Codec, codec
from modelbay.protocols.failures import summary, text_of
from modelbay.providers.adaptation import Adaptation, adapt, adaptation
from modelbay.providers.endpoint import Endpoint, endpoint_at
from modelbay.providers.upstream import Upstream
from modelbay.routing.retry import Policy, decide, heed

if TYPE_CHECKING:  # aiohttp is only imported when something is sent
    from modelbay.transport import Request, Response, Transport

USER_AGENT = "modelbay/0.1.0"
WRONG_URL = "check `base_url`: this looks like a web page, not an API"


class Sending(Struct):
    """One request on its way: what was asked, of whom, and how to read the answer."""

    upstream: Upstream
    model: Model
    codec: Codec
    call: Call
    endpoint: Endpoint


class Line:
    """Connections to every provider, and what was learnt on the way."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.policy = Policy()
        self.lessons = LessonBook()
        self._google = GoogleTokens(self._exchange)
        self._uploaded: dict[str, dict[str, str]] = {}
        self._transport: Transport | None = None

    async def aclose(self) -> None:
        """Closes the connections."""
        if self._transport is not None:
            await self._transport.aclose()
            self._transport = None

    async def endpoint(self, target: Upstream, path: str, *, stream: bool) -> Endpoint:
        """Where a call of `path` goes, with its credential. Raises what `endpoint_at` raises."""
        if may_block(target.provider, target.model):  # a keyring or a command may ask the user something
            return await to_thread(endpoint_at, self.config, target, path, stream=stream)
        return endpoint_at(self.config, target, path, stream=stream)

    def learnt(self, target: Upstream, model: Model) -> list[Adaptation]:
        """What the endpoint is known to want otherwise."""
        return [Adaptation(**lesson) for lesson in self.lessons.of(str(target.origin), model.id)]

    async def with_media(self, conversation: Conversation, target: Upstream) -> Conversation:
        """The conversation with its media as the provider takes them."""
        from modelbay import media

        async def upload(path: str, body: bytes, kind: str) -> bytes:
            endpoint = await self.endpoint(target, path, stream=False)
            return await self.fetch(endpoint, body, {"Content-Type": kind})

        workshop = media.Workshop(self._sender(), upload, self._uploaded.setdefault(target.provider.id, {}))
        return await media.ready(conversation, target.protocol, target.dialect, workshop)

    async def fetch(
        self, endpoint: Endpoint, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> bytes:
        """The body of an answer that is no model's: a list, an upload. A GET without a `body`.

        Raises:
            ModelbayError: no answer, or one that is an error.
        """
        try:
            async with await self._send(endpoint, body, headers or {}) as response:
                answer = await response.read()
                if response.status >= 400:
                    raise _refused(codec(endpoint.protocol), response, answer)
                return answer
        except ModelbayError as error:
            raise explain(error, endpoint, self.config) from None

    async def events(self, sending: Sending) -> AsyncGenerator[Event, None]:
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

    async def _attempt(self, sending: Sending) -> AsyncGenerator[Event, None]:
        """One sending of the call. What goes wrong before the first byte of the reply is raised, after it a `Failed`."""
        response = await self._answer(sending)
        if isinstance(response, BadRequest) and (lesson := adaptation(response, sending.call.body)) is not None:
            yield adapted(lesson)
            adapt(sending.call.body, [lesson])
            response = await self._answer(sending)
            if not isinstance(response, ModelbayError):
                self.lessons.add(str(sending.upstream.origin), sending.model.id, to_builtins(lesson))
        if isinstance(response, ModelbayError):
            raise response
        async with response, aclosing(self._parsed(sending, response)) as events:
            async for event in events:
                yield event

    async def _answer(self, sending: Sending) -> "Response | ModelbayError":
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

    async def _parsed(self, sending: Sending, response: "Response") -> AsyncGenerator[Event, None]:
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        dialect = sending.endpoint.dialect
        if kind in ("text/html", "application/xhtml+xml"):
            page = summary(text_of(await response.read()))
            yield Failed(MalformedReply(f"the provider answered with {page}", hint=WRONG_URL))
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


def adapted(lesson: Adaptation) -> Warned:
    """The report of a parameter that is sent otherwise."""
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
