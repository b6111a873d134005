"""Makes calls to providers from conversations, and sends each once, with the endpoint's credential, which is read again if it
was replaced. `opening` repeats calls that fail, `transport` sends one request once.
"""

from asyncio import to_thread
from collections.abc import AsyncIterable
from logging import DEBUG
from time import time
from typing import TYPE_CHECKING, Any

from msgspec import to_builtins
from msgspec.structs import asdict, replace

from modelbay import logs
from modelbay.calling.input_check import check_input, media_of
from modelbay.calling.network_client import USER_AGENT, NetworkClient
from modelbay.calling.opened import Sending
from modelbay.calling.target import Target
from modelbay.config.schema import Config
from modelbay.conversation import Conversation
from modelbay.credentials.approval import is_foreign
from modelbay.credentials.credential import may_block
from modelbay.credentials.reference import forget_outputs, witness
from modelbay.errors import (
    AuthenticationFailed,
    IncompleteReply,
    ModelbayError,
    Operation,
    ProviderError,
    TransportError,
)
from modelbay.events import Warned
from modelbay.hints import About, Face, explain
from modelbay.protocols.client_tools import is_for_client
from modelbay.protocols.codec import Call, Codec, add_settings, codec
from modelbay.providers import presets
from modelbay.providers.adaptation import Adaptation, adapt, stops_to_cut
from modelbay.providers.endpoint import Endpoint, endpoint_at
from modelbay.routing.retry import Attempts, Policy, heed
from modelbay.secrecy import HiddenBytes, masked_url, without_frames
from modelbay.storage.lessons import LessonBook

if TYPE_CHECKING:  # the HTTP client is imported only when something is sent
    from modelbay.calling.recording import RecordedResponse, Recorder
    from modelbay.transport import Limits, Request, Response, Transport
    from modelbay.transport.direct import DirectResponse

    AnyResponse = Response | RecordedResponse

_MOST_ENDPOINTS = 64
"""Maximum number of endpoints that are kept for a target."""
_MOST_REQUESTS = 16
"""Maximum number of requests that are kept for an endpoint."""


class ProviderClient(NetworkClient):
    """Sends calls to all providers of a configuration; keeps lessons about endpoints."""

    def __init__(self, config: Config, transport: "Transport | None" = None, face: Face = "library") -> None:
        """`transport`: see `NetworkClient`. `face`: the interface in which errors are shown."""
        super().__init__(config, transport)
        self._face = face
        self.policy = Policy()
        self.lessons = LessonBook()
        self.recorder: Recorder | None = None
        """Records all exchanges if set."""
        self._uploaded: dict[str, dict[str, str]] = {}

    async def ready(self, conversation: Conversation, target: Target) -> Sending:
        """The call that asks a target to continue a conversation. `conversation.stream` is the caller's wish.

        Raises:
            Unsupported: the model or its protocol cannot do what the conversation asks.
            ModelbayError: the call cannot be prepared; it was not sent.
        """
        model, dialect = target.model, target.upstream.dialect
        conversation.stream = bool(conversation.stream) or dialect.stream_only
        conversation.include_usage = True if conversation.stream else None
        media = media_of(conversation)
        warnings = check_input(conversation, model, media)
        if media:
            conversation = await self.with_media(conversation, target)
        call = self._rendered(conversation, target, warnings)
        return Sending(target, call, await self.endpoint(target, call.path, stream=call.stream))

    def ready_at_once(self, conversation: Conversation, target: Target) -> Sending | None:
        """The result of `ready`, if nothing must be awaited for it, and if the reply is a stream only for a caller that asks for
        one. Raises what `ready` raises."""
        stream, media = bool(conversation.stream), media_of(conversation)
        if media or (target.upstream.dialect.stream_only and not stream):
            return None
        conversation.stream, conversation.include_usage = stream, True if stream else None
        call = self._rendered(conversation, target, check_input(conversation, target.model, media))
        if call.stream != stream:
            return None
        endpoint = self.known_endpoint(target, call.path, stream=stream)
        return None if endpoint is None else Sending(target, call, endpoint)

    def _rendered(self, conversation: Conversation, target: Target, warnings: list[Warned]) -> Call:
        """The call for a conversation. `warnings` are about the conversation."""
        render, model, dialect = target.codec.render_request, target.model, target.upstream.dialect
        call, lessons = render(conversation, model, dialect), self.adaptations(target)
        stops = call.stops or stops_to_cut(call.body, lessons)
        if stops and not call.stream:  # a stream ends at the sequence, before the rest is generated
            conversation.stream = conversation.include_usage = True
            call = render(conversation, model, dialect)
        call.stops = stops
        call.warnings = warnings + call.warnings
        tools = conversation.settings.tools or ()
        call.offered = frozenset([tool.name for tool in tools if tool.kind != "vendor" or is_for_client(tool)])
        add_settings(call.body, target.entry.settings)
        call.warnings += [adapted(lesson) for lesson in adapt(call.body, lessons, target.codec.PASS)]
        return call

    async def endpoint(self, target: Target, path: str, *, stream: bool, again: bool = False) -> Endpoint:
        """The endpoint for a call of `path`, with its credential. It is kept until a variable or file changes that the
        entry refers to; with `again`, keyrings and commands are asked again. Raises what `endpoint_at` raises."""
        to = target.upstream
        if not again and (known := self.known_endpoint(target, path, stream=stream)) is not None:
            return known
        key, references = (path, stream), target.references
        seen = witness(references, self.config)
        if again:
            forget_outputs(references)
        try:
            if may_block(to.provider, to.model):  # a keyring or a command may prompt the user
                found = await to_thread(endpoint_at, self.config, to, path, stream=stream)
            else:
                found = endpoint_at(self.config, to, path, stream=stream)
        except ModelbayError as error:
            raise without_frames(error) from None
        if not is_foreign(self.config):  # an approval can be withdrawn
            if len(target.endpoints) >= _MOST_ENDPOINTS:
                target.endpoints.clear()  # a client may send any query
            target.endpoints[key] = seen, found
        return found

    def known_endpoint(self, target: Target, path: str, *, stream: bool) -> Endpoint | None:
        """The result of `endpoint`, if it is known already."""
        known = target.endpoints.get((path, stream))
        return known[1] if known is not None and known[0] == witness(target.references, self.config) else None

    def adaptations(self, target: Target) -> list[Adaptation]:
        """The stored adaptations for a target."""
        lessons = self.lessons.of(target.origin, target.model.id)
        if not lessons:
            return []
        found = [Adaptation(**lesson) for lesson in lessons]
        return [lesson for lesson in found if lesson.protocol in ("", target.upstream.protocol)]

    def learn(self, target: Target, lesson: Adaptation, *, confirmed: bool) -> None:
        """Store an adaptation that a target needs; in memory only, if no call with it has succeeded yet."""
        if lesson.most is None:
            lesson = replace(lesson, protocol=target.upstream.protocol)
        keep = self.lessons.add if confirmed else self.lessons.note
        keep(target.origin, target.model.id, to_builtins(lesson))

    def confirm(self, target: Target, warnings: list[Warned]) -> None:
        """Store the adaptations in memory that a successful call with these warnings had."""
        for noted in self.lessons.noted(target.origin, target.model.id):
            if adapted(lesson := Adaptation(**noted)) in warnings:
                self.learn(target, lesson, confirmed=True)

    async def with_media(self, conversation: Conversation, target: Target) -> Conversation:
        """The conversation with its media converted for the provider."""
        from modelbay.calling import media

        async def upload(path: str, body: bytes, kind: str) -> bytes:
            endpoint = await self.endpoint(target, path, stream=False)
            return await self.fetch(endpoint, body, {"Content-Type": kind}, "upload")

        to = target.upstream
        workshop = media.MediaTools(self.transport(), upload, self._uploaded.setdefault(to.provider.id, {}))
        return await media.ready(conversation, to.protocol, to.dialect, workshop)

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
            async with await self._send_with_token(endpoint, body, headers or {}, Attempts()) as response:
                answer = await response.read()
                if response.status >= 400:
                    raise _refused(codec(endpoint.protocol), response, answer)
                return answer
        except ModelbayError as error:
            method = "GET" if body is None else "POST"
            raise self.explained(error, endpoint, method, operation) from None

    def explained(
        self,
        error: ModelbayError,
        endpoint: Endpoint,
        method: str = "POST",
        operation: Operation = "ask",
        model: str | None = None,
    ) -> ModelbayError:
        if isinstance(error, AuthenticationFailed) and endpoint.credential and endpoint.credential.kind == "oauth":
            operation = "token"
        if self._closed and isinstance(error, TransportError | IncompleteReply):
            error.hint = "read the reply to its end before the hub is closed"
        if (ended := presets.ended_at(endpoint.url)) is not None:
            error.hint = f"{ended.end}: {ended.instead}"
        error.operation = error.operation or operation
        error.request = error.request or f"{method} {masked_url(endpoint.url)}"
        entry = self.config.providers.get(endpoint.provider)
        manifest = entry.base_url if entry is not None and entry.by_manifest else None
        about = About(endpoint.provider, self.config.path, manifest, model, self._face, self.config.providers)
        return without_frames(explain(error, about))

    async def respond(self, sending: Sending) -> "AnyResponse":
        """The response to a call, for a reply that is passed on unread. Close it. The call is not retried.

        Raises:
            ModelbayError: there is no response, or its status is 400 or more.
        """
        try:
            return await self.attempt(sending)
        except ModelbayError as error:
            raise self.explained(error, sending.endpoint, model=sending.target.model.id) from None

    async def ask(self, sending: Sending, method: str) -> "AnyResponse":
        """Like `respond`, for a request without a body."""
        return await self._respond_with(sending, b"" if method == "POST" else None, method=method)

    async def upload(self, sending: Sending, body: AsyncIterable[bytes], length: int | None) -> "AnyResponse":
        """Like `respond`, for a body in pieces, which is not recorded. `length`: its length, if it is known."""
        return await self._respond_with(sending, b"", body=body, length=length)

    async def _respond_with(self, sending: Sending, usual: bytes | None, **changes: Any) -> "AnyResponse":
        """Like `respond`, for the request of a call with the body `usual`, with `changes` of its fields."""
        endpoint = sending.endpoint
        try:
            if endpoint.wants_token:
                endpoint = endpoint.with_token(await self.token_of(endpoint))
            request = replace(_request(endpoint, usual, sending.call.headers), **changes)
            start = logs.sent(request, endpoint)
            sending.attempts.made += 1
            response = await self.transport().send(request)
            logs.answered(response.status, response.headers, start)
            return await self._accepted(sending, response)
        except ModelbayError as error:
            raise self.explained(error, endpoint, model=sending.target.model.id) from None

    def begin(self, sending: Sending) -> "DirectResponse | None":
        """Send a call at once; None if `attempt` must do it, for which it may wait. The result is for `Opening`, unless its caller
        needs no more than a reply that has arrived completely."""
        endpoint, call = sending.endpoint, sending.call
        if endpoint.wants_token or self.recorder is not None or logs.LOG.isEnabledFor(DEBUG):
            return None
        try:
            return self.transport().begin(_request(endpoint, call.encode(), call.headers))
        except ModelbayError:
            return None  # `attempt` reports it

    async def attempt(self, sending: Sending, begun: "DirectResponse | None" = None) -> "AnyResponse":
        """The response to one attempt of a call. `begun`: the result of `begin` for it.

        Raises:
            ModelbayError: there is none, or its status is 400 or more.
        """
        call, attempts = sending.call, sending.attempts
        attempts.made += 1
        if begun is None:
            response = await self._send_with_token(
                sending.endpoint, call.encode(), call.headers, attempts, stream=call.stream
            )
        else:
            response = await self.transport().send(_request(sending.endpoint, call.encode(), call.headers), begun)
        if response.status == 401 and attempts.left and await self._renewed(sending):
            await response.aclose()
            attempts.made += 1
            response = await self._send_with_token(
                sending.endpoint, call.encode(), call.headers, attempts, stream=call.stream
            )
        return await self._accepted(sending, response)

    async def _accepted(self, sending: Sending, response: "AnyResponse") -> "AnyResponse":
        """The response, if its status is below 400. Raises the error in it otherwise."""
        if response.status < 400:
            return response
        async with response:
            body = await response.read()
        refusal = _refused(sending.target.codec, response, body)
        if isinstance(refusal, ProviderError):
            refusal.headers = response.headers
            refusal.received = HiddenBytes(body)
        raise refusal

    async def _renewed(self, sending: Sending) -> bool:
        """Whether a rejected API key has been replaced since it was read, in its keyring, file or command's output."""
        target, old = sending.target, sending.endpoint
        if old.credential is not None and old.credential.kind != "key":
            return False
        if not target.references:
            return False
        try:
            new = await self.endpoint(target, sending.call.path, stream=sending.call.stream, again=True)
        except ModelbayError:
            return False  # the rejection says more
        sending.endpoint = new
        return new.headers != old.headers

    async def _send_with_token(
        self,
        endpoint: Endpoint,
        body: bytes | None,
        headers: dict[str, str],
        attempts: Attempts,
        *,
        stream: bool = False,
    ) -> "AnyResponse":
        """The response to a request with the token of a login, if the endpoint needs one. A revoked token is replaced once."""
        if not endpoint.wants_token:
            return await self._send_once(endpoint, body, headers, stream=stream)
        token = await self.token_of(endpoint)
        answer = await self._send_once(endpoint.with_token(token), body, headers, stream=stream)
        oauth = endpoint.credential is not None and endpoint.credential.kind == "oauth"
        if answer.status != 401 or not oauth or not attempts.left:
            return answer
        async with answer:
            await answer.read()
        token = await self.token_of(endpoint, refused=token)  # the token was revoked before it expired
        attempts.made += 1
        return await self._send_once(endpoint.with_token(token), body, headers, stream=stream)

    async def _send_once(
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


def adapted(lesson: Adaptation) -> Warned:
    """The warning about an adapted parameter."""
    rejected = "the usual form" if lesson.most is None else "more"
    lost = lesson.parameter if lesson.drops or lesson.most is not None else None
    return Warned(f"{lesson}: the endpoint rejects {rejected}", lost, dropped=lesson.drops)


def _refused(of: Codec, response: "AnyResponse", body: bytes) -> ModelbayError:
    """The error in a response with an error status."""
    error = of.parse_error(response.status, response.headers, body)
    heed(error, response.headers, body, time())
    return response.of_hop(error, body)


def _request(endpoint: Endpoint, body: bytes | None, headers: dict[str, str]) -> "Request":
    key = body is None, *headers.items()
    request = endpoint.requests.get(key)
    if request is None:
        from modelbay import transport

        usual = {"Content-Type": "application/json"} if body is not None else {}
        sent = endpoint.sent_headers({**usual, "User-Agent": USER_AGENT, **headers})
        method, limits = "GET" if body is None else "POST", _limits(endpoint)
        request = transport.Request(method, endpoint.url, sent, None, limits, endpoint.proxy, endpoint.tls)
        if len(endpoint.requests) >= _MOST_REQUESTS:
            endpoint.requests.clear()  # a client may send any headers
        endpoint.requests[key] = request
    return request.with_body(body)


def _limits(endpoint: Endpoint) -> "Limits":
    from modelbay.transport import Limits

    given = {**asdict(endpoint.timeout), **asdict(endpoint.limits)}
    limits = Limits(**{name: limit for name, limit in given.items() if limit is not None})
    return replace(  # a user who allows more silence before bytes allows as much before content
        limits,
        first_event=endpoint.timeout.first_event or max(limits.first_event, limits.first_byte),
        content=endpoint.timeout.content or max(limits.content, limits.idle),
    )
