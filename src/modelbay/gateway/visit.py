"""One request of a client: who sent it, what is asked, and the response or refusal."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

from modelbay.errors import ModelbayError, ProviderError
from modelbay.gateway import headers
from modelbay.gateway.catalogs import catalog
from modelbay.gateway.client_request import ClientRequest
from modelbay.gateway.counting import TokenCount
from modelbay.gateway.exchange import Exchange
from modelbay.gateway.gateway import Gateway
from modelbay.gateway.limits import InProgress
from modelbay.gateway.responder import Responder
from modelbay.gateway.side_call import SideCall
from modelbay.json_text import encode
from modelbay.logs import LOG
from modelbay.protocols.codec import codec
from modelbay.serving import refusals
from modelbay.serving.asgi import ClientLeft, Message, Receive, Send, body_of, check_length, disconnected, is_draining
from modelbay.serving.keys import keys_of, query_without_key
from modelbay.serving.paths import is_plain
from modelbay.serving.refusals import ErrorResponse
from modelbay.serving.routes import STATUS, TABLE, Action, Route, protocol_of
from modelbay.target import Target

JSON = (b"content-type", b"application/json")
FORMS: frozenset[Action] = frozenset(("images", "audio"))
"""Actions whose requests may be multipart forms."""
BUSY = 1.0
"""Seconds after which a client may try again that has too many requests in progress."""


class Visit:
    """One request, from its head to the end of its response."""

    def __init__(self, gateway: Gateway, scope: Message, receive: Receive, send: Send, in_progress: InProgress) -> None:
        self.id = f"req_{uuid4().hex}"
        self.began = perf_counter()
        self.method: str = scope["method"]
        self.path: str = scope["raw_path"].decode("latin-1")
        self.responder = Responder(send, headers.own(request_id=self.id))
        self.client = ""
        """The name of the client whose key was used."""
        self.exchange: Exchange | SideCall | None = None
        self._count: TokenCount | None = None
        self.error: BaseException | None = None
        self.disconnected = False
        """Whether the client closed the connection before the end of the response."""
        self._gateway = gateway
        self._revision = gateway.revision
        self._scope = scope
        self._receive_message = receive
        self._in_progress = in_progress
        self._query: str = scope["query_string"].decode("latin-1")
        self._headers = headers.read(scope["headers"])
        self._protocol = protocol_of(self.path, self._headers, self._query)
        self._read = asyncio.Event()
        """Set when the whole body was read."""

    @property
    def target(self) -> Target | None:
        """The model that was asked."""
        asked = self.exchange or self._count
        return asked.target if asked is not None else None

    async def answer(self) -> None:
        try:
            await self._answer()
        except ModelbayError as error:
            self.error = error
            self.responder.fields += self._described(error)
            await self._refuse(refusals.refusal(self._protocol, error, () if self._read.is_set() else refusals.UNREAD))
        except asyncio.CancelledError as error:
            self.error = error
            raise
        except Exception as error:  # noqa: BLE001 the edge: a client must get an answer, and the gateway must run on
            self.error = error
            LOG.exception("internal error while answering %s %s (%s)", self.method, self.path, self.id)
            said = Exception("internal error of the gateway; its log has the details")
            status, body = codec(self._protocol).render_error(said)
            await self._refuse(ErrorResponse(status, body, [JSON]))

    def _described(self, error: ModelbayError) -> list[headers.Field]:
        """The headers about a call that failed: the provider's, and the gateway's own."""
        if self.exchange is None or self.exchange.target is None:
            return []
        given = headers.returned(error.headers, passed=False) if isinstance(error, ProviderError) else []
        # `retry-after` follows from the error, which may name a time in its text
        return [*(field for field in given if field[0] != b"retry-after"), *self.exchange.fields()]

    async def _refuse(self, refusal: ErrorResponse) -> None:
        if not self.responder.started:
            unread = None if self._read.is_set() else self._receive
            await self.responder.whole(refusal.status, refusal.body, refusal.headers, unread)

    async def _answer(self) -> None:
        if reason := self._gateway.callers.refusal(self._scope["headers"]):
            raise refusals.not_allowed(reason)
        if (origin := self._headers.get("origin")) in self._revision.settings.cors_origins:
            self.responder.fields += headers.cors(origin)
            if self.method == "OPTIONS":
                await self.responder.whole(204, b"", headers.preflight(self._headers))
                return
        if not is_plain(self.path):
            raise refusals.not_valid("the path is not valid")
        route, methods = TABLE.find(self.method, self.path)
        if route is None:
            upgrade = self._headers.get("upgrade", "").lower() == "websocket"
            refusal = refusals.no_route(self._protocol, self.method, self.path, methods, upgrade=upgrade)
            await self._refuse(refusal)
            return
        self._protocol = route.protocol or self._protocol
        if route.action in STATUS:
            await self._status(route)
            return
        digest = self._admitted(route)
        limit = self._revision.settings.concurrent
        if not self._in_progress.enter(digest, limit):
            raise refusals.too_many(limit, BUSY)
        try:
            await self._act(route, digest)
        finally:
            self._in_progress.leave(digest)

    def _admitted(self, route: Route) -> str:
        """The digest of the client's key; "" if no key is required.

        Raises:
            AuthenticationFailed: the request has no key, or none of a client.
        """
        if self._revision.settings.auth == "none" or (route.action == "api_json" and self._gateway.is_local):
            return ""
        # only Gemini's clients put the key into the query, which other servers write to logs
        keys = keys_of(self._headers, self._query if self._protocol == "google" else "")
        for key in keys:
            if (client := self._gateway.clients.find(key)) is not None:
                self.client = client.name
                return client.sha256
        raise refusals.wrong_key() if keys else refusals.missing_key()

    async def _act(self, route: Route, digest: str) -> None:
        request = ClientRequest(
            self.id, digest, route, self._protocol, self.path, query_without_key(self._query), self._headers
        )
        limit = self._revision.settings.body_bytes
        if route.action in FORMS and self._headers.get("content-type", "").startswith("multipart/"):
            self.exchange = call = SideCall(self._revision, self._gateway.stores, request, self.responder)
            try:
                check_length(self._scope, limit)
                async with self._until_gone():
                    await call.upload(self._receive, limit)
            except ClientLeft:
                self.disconnected = True
            return
        if self.method not in ("GET", "HEAD"):
            body = await body_of(self._scope, self._receive, limit)
            if body is None:
                self.disconnected = True
                return
            request.body = body
        self._read.set()
        async with self._until_gone():
            await self._answer_to(request)

    async def _answer_to(self, request: ClientRequest) -> None:
        match request.route.action:
            case "generate":
                self.exchange = exchange = Exchange(self._revision, self._gateway.stores, request, self.responder)
                await exchange.run()
            case "count":
                self._count = TokenCount(self._revision, self._gateway.stores, request, self.responder)
                await self._count.run()
            case "embed" | "completions" | "images" | "audio" | "rerank" | "moderations" | "compact":
                self.exchange = call = SideCall(self._revision, self._gateway.stores, request, self.responder)
                await call.run()
            case "models" | "model" | "model_info" | "api_json" | "registry":
                await self._json(await catalog(self._revision, request))
            case "retrieve" | "delete" | "input_items" | "cancel" as action:
                query = dict(parse_qsl(request.query))
                found = await self._gateway.stores.response(action, request.client, request.route.id or "", query)
                await self._json(found)
            case "create_conversation" | "get_conversation" | "delete_conversation" as action:
                fields = request.fields() if request.body else {}
                await self._json(
                    await self._gateway.stores.conversation(action, request.client, request.route.id or "", fields)
                )
            case action:
                raise refusals.not_valid(f"{action} is not available")

    async def _json(self, body: Any, fields: Iterable[headers.Field] = ()) -> None:
        await self.responder.whole(200, encode(body), [JSON, *fields])

    @asynccontextmanager
    async def _until_gone(self) -> AsyncGenerator[None, None]:
        """Cancel what is done inside as soon as the client closes the connection before the end of the response."""
        task = asyncio.current_task()
        assert task is not None

        def left(_: "asyncio.Future[None]") -> None:
            if not self.responder.ended:
                self.disconnected = True
                task.cancel()

        gone = asyncio.ensure_future(self._gone())
        gone.add_done_callback(left)
        try:
            yield
        except asyncio.CancelledError:
            if not self.disconnected:
                raise
            task.uncancel()
        finally:
            gone.remove_done_callback(left)
            gone.cancel()

    async def _gone(self) -> None:
        """Wait until the client disconnects. While its body is read, its reader notices that."""
        await self._read.wait()
        await disconnected(self._receive)

    async def _receive(self) -> Message:
        message = await self._receive_message()
        if message["type"] == "http.request" and not message.get("more_body"):
            self._read.set()
        return message

    async def _status(self, route: Route) -> None:
        """The state of the server. It contains no secrets, and no provider is called."""
        draining = is_draining(self._scope)
        state = "draining" if draining else "ok"
        if route.action == "root":
            body = {"name": "modelbay", "status": state}
        elif route.action == "live":
            body = {"status": "ok"}
        elif route.action == "ready":
            body = {"status": state}
        else:
            body = self._gateway.health(state)
        status = 503 if route.action == "ready" and draining else 200
        await self.responder.whole(status, encode(body), [JSON])
