"""Calls other than those of a model's answer: embeddings, images, audio, reranking, moderation, legacy completions. They are
sent on to the model's provider, whose protocol must be the client's; only embeddings are translated."""

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable
from contextlib import aclosing
from typing import TYPE_CHECKING

from modelbay.calling.embedding_call import EmbeddingCall
from modelbay.calling.opened import Sending
from modelbay.calling.target import Target
from modelbay.errors import AuthenticationFailed, BadRequest, ModelbayError, ProviderError, RequestTooLarge
from modelbay.gateway import headers
from modelbay.gateway.client_request import ClientRequest
from modelbay.gateway.embeddings import as_asked, is_translated
from modelbay.gateway.exchange import COMMENT
from modelbay.gateway.forms import UploadForm
from modelbay.gateway.framing import WholeEvents, failure_event
from modelbay.gateway.passing import ClientBody, passed_path
from modelbay.gateway.responder import Responder
from modelbay.gateway.revision import Revision
from modelbay.gateway.stores import Stores
from modelbay.protocols.codec import Call
from modelbay.protocols.form import form_of, web_page
from modelbay.serving.http_request import ClientLeft
from modelbay.serving.refusals import repetition
from modelbay.serving.replies import JSON
from modelbay.serving.routes import Route

if TYPE_CHECKING:
    from modelbay.calling.opened import AnyResponse

_OPENAI = frozenset(("openai_chat", "openai_responses"))
_EVENTS = "text/event-stream"


class SideCall:
    def __init__(self, revision: Revision, stores: Stores, request: ClientRequest, responder: Responder) -> None:
        self._revision = revision
        self._stores = stores
        self._request = request
        self._responder = responder
        self.target: Target | None = None
        self.attempts = 0
        self._broken: ClientLeft | RequestTooLarge | None = None
        """Why a body in pieces ended too early."""
        self.error: ModelbayError | None = None
        self.finished = False
        """Whether the whole response was received."""

    async def run(self) -> None:
        """Answer the request.

        Raises:
            ModelbayError: the call failed, and nothing was sent to the client.
        """
        request = self._request
        body = ClientBody(request.body, request.codec.PASS)
        target = await self._found(request.route.model or body.model)
        if request.route.action == "embed" and is_translated(request, target):
            await self._embed(target)
            return
        path = self._path(target)
        whole = await self._stores.whole(request, await self._revision.keeper(target, request))
        if whole is not request:
            body = ClientBody(whole.body, request.codec.PASS)
        call = body.call(target, path, generates=False)
        call.headers |= headers.sent_on(request.headers, request.codec.PASS)
        sending = Sending(target, call, await self._revision.providers.endpoint(target, path, stream=False))
        asked = body.encoding_format if request.route.action == "embed" else None
        await self._relay(sending, self._revision.providers.respond(sending), asked)

    async def _embed(self, target: Target) -> None:
        """Answer a request for embeddings of a provider with another protocol."""
        request, codec = self._request, self._request.codec.EMBEDDINGS
        assert codec is not None, "a protocol without embeddings has no route for them"
        asked = codec.parse_request(Call(request.target, request.fields(), request.headers))
        call = EmbeddingCall(self._revision.providers, target, asked)
        try:
            reply = await call.run()
        except ModelbayError as error:
            self.error = error
            raise
        finally:
            self.attempts = call.attempts
        self._responder.whole(200, codec.render_reply(reply, asked), [JSON, *self.fields()])
        self.finished = True

    async def upload(self, body: AsyncGenerator[bytes, None], length: int | None) -> None:
        """Answer a request with a multipart form, which is sent on while it arrives. `length`: that of the form, if it is known.
        Raises what `run` and `body` raise."""
        request = self._request
        kind = request.headers.get("content-type", "")
        form = UploadForm(kind)
        pieces = self._received(body)
        while form.model is None and not form.ended and (piece := await anext(pieces, None)) is not None:
            form.feed(piece)
        target = await self._found(form.model)
        path = self._path(target)
        passed = headers.sent_on(request.headers, request.codec.PASS)
        call = Call(path, {}, {**passed, "Content-Type": kind}, text=b"")
        sending = Sending(target, call, await self._revision.providers.endpoint(target, path, stream=False))
        begin = form.begin(target.model.id)
        if length is not None:
            length += form.growth
        await self._relay(sending, self._revision.providers.upload(sending, _edited(begin, form, pieces), length))

    async def _received(self, body: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        try:
            async for piece in body:
                yield piece
        except (ClientLeft, RequestTooLarge) as error:
            self._broken = error
            raise

    async def _found(self, name: str | None) -> Target:
        self.target = target = await self._revision.target(name)
        return target

    def _path(self, target: Target) -> str:
        """The path of the call at its provider.

        Raises:
            BadRequest: the provider has another protocol.
        """
        request, to = self._request, target.upstream
        shared = request.protocol == "openai_chat" and to.protocol in _OPENAI
        if to.protocol != request.protocol and not shared:
            raise BadRequest(
                f"{request.route.path} is not translated: {target.model.alias or target.model.id} is served in the protocol "
                f"{to.protocol}; use a model of a provider with the protocol {request.protocol}",
                status=400,
                param="model",
            )
        rules = request.codec.PASS
        action = _action(request.route)
        return (
            passed_path(rules, action, target.model.id, request.query) if action in rules.paths else request.route.path
        )

    async def _relay(
        self, sending: Sending, sent: "Awaitable[AnyResponse]", encoding_format: str | None = None
    ) -> None:
        try:
            try:
                response = await sent
            finally:
                self.attempts = sending.attempts.made
        except ModelbayError as error:
            if self._broken is not None:  # the body broke off, not the connection to the provider
                raise self._broken from None
            if not isinstance(error, ProviderError):
                raise
            self.error = error
            if error.received is None or isinstance(error, AuthenticationFailed):
                raise
            status = error.status or 502
            fields = [*headers.returned(error.headers, passed=True), *repetition(error, status), *self.fields()]
            self._responder.whole(status, error.received, fields)
            return
        async with response:
            if form_of(response.headers, self._request.protocol, stream=False) == "page":
                raise web_page(await response.read())
            fields = [*headers.returned(response.headers, passed=True), *self.fields()]
            if encoding_format is not None:
                self._responder.whole(response.status, as_asked(await response.read(), encoding_format), fields)
            else:
                await self._stream(response, fields)
        self.finished = self.error is None

    async def _stream(self, response: "AnyResponse", fields: list[headers.Field]) -> None:
        events = WholeEvents() if response.headers.get("content-type", "").startswith(_EVENTS) else None
        async with aclosing(response.stream()) as chunks:
            # a provider that fails before its first byte gets a status of its own
            chunk = await anext(chunks, None)
            self._responder.start(response.status, fields, None if events is None else COMMENT)
            try:
                while chunk is not None:
                    self._responder.write(chunk if events is None else events.feed(chunk))
                    await self._responder.drain()
                    chunk = await anext(chunks, None)
            except ModelbayError as error:
                self.error = error
                if events is None:
                    raise  # closes the connection, so that a part is not taken for the whole
                self._responder.write(failure_event(self._request.protocol, error))
            else:
                self._responder.write(b"" if events is None else events.close())
        self._responder.end()

    def fields(self) -> list[headers.Field]:
        assert self.target is not None
        return headers.own(
            provider=self.target.upstream.provider.id, model=self.target.model.id, attempts=self.attempts or None
        )


def _action(route: Route) -> str:
    """The action in a protocol's rules."""
    return "embed_batch" if route.path.endswith(":batchEmbedContents") else route.action


async def _edited(begin: bytes, form: UploadForm, pieces: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    yield begin
    async for piece in pieces:
        yield form.feed(piece)
