"""One request of a client: who sent it, what is asked, and the response or refusal."""

import asyncio
import os
from collections.abc import Iterable
from time import perf_counter
from typing import Any
from urllib.parse import parse_qsl

from modelbay.calling.target import Target
from modelbay.errors import ModelbayError, ProviderError
from modelbay.gateway import client_login, headers
from modelbay.gateway.catalogs import catalog
from modelbay.gateway.client_request import ClientRequest
from modelbay.gateway.compaction import as_reply
from modelbay.gateway.count_call import CountCall
from modelbay.gateway.exchange import Exchange
from modelbay.gateway.gateway import Gateway
from modelbay.gateway.limits import InProgress
from modelbay.gateway.responder import Responder
from modelbay.gateway.side_call import SideCall
from modelbay.json_text import encode
from modelbay.logs import LOG
from modelbay.protocols.codec import codec
from modelbay.secrecy import Hidden, without_frames
from modelbay.serving import refusals
from modelbay.serving.http_request import ClientLeft, HttpRequest
from modelbay.serving.keys import keys_of, query_without_key
from modelbay.serving.paths import is_plain
from modelbay.serving.refusals import ErrorResponse
from modelbay.serving.replies import JSON
from modelbay.serving.routes import STATUS, TABLE, Action, Route, protocol_of

FORMS: frozenset[Action] = frozenset(("images", "audio"))
"""Actions whose requests may be multipart forms."""
BUSY = 1.0
"""Seconds after which a client may try again that has too many requests in progress."""


class Visit:
    """One request, from its head to the end of its response."""

    def __init__(self, gateway: Gateway, http: HttpRequest, in_progress: InProgress) -> None:
        self.id = f"req_{os.urandom(16).hex()}"
        self.began = perf_counter()
        self.responder = Responder(http, [headers.request_id(self.id)])
        self.client = ""
        """The name of the client whose key was used."""
        self.exchange: Exchange | SideCall | None = None
        self._count: CountCall | None = None
        self.error: BaseException | None = None
        self.disconnected = False
        """Whether the client closed the connection before the end of the response."""
        self.http = http
        self._gateway = gateway
        self._revision = gateway.revision
        self._in_progress = in_progress
        self._headers = headers.read(http.headers)
        self._protocol = ""
        """The protocol of the response, if the route decides."""
        self._login: Hidden | None = None
        """The login beside the client's key."""

    @property
    def target(self) -> Target | None:
        """The model that was asked."""
        asked = self.exchange or self._count
        return asked.target if asked is not None else None

    async def answer(self) -> None:
        self.http.on_left = self._left
        try:
            await self._answer()
        except ModelbayError as error:
            self.error = error
            self.responder.fields += self._described(error)
            self._refuse(refusals.refusal(self._spoken(), error))
        except ClientLeft:
            self.disconnected = True
        except asyncio.CancelledError as error:
            if not self.disconnected:
                self.error = error
                raise
            self.http.task.uncancel()
        except Exception as error:  # noqa: BLE001 the edge: a client must get an answer, and the gateway must run on
            self.error = error
            LOG.exception("internal error while answering %s %s (%s)", self.http.method, self.http.path, self.id)
            said = Exception("internal error of the gateway; its log has the details")
            status, body = codec(self._spoken()).render_error(said)
            self._refuse(ErrorResponse(status, body, [JSON]))

    def drop_frames(self) -> None:
        """Remove the tracebacks of errors. Their frames refer to this request, which would wait for the garbage collector."""
        for failed in (self, self.exchange):
            if failed is not None and failed.error is not None:
                without_frames(failed.error)

    def _left(self) -> None:
        """Stop as soon as the client closes the connection before the end of the response."""
        if not self.responder.ended:
            self.disconnected = True
            self.http.task.cancel()

    def _spoken(self) -> str:
        """The protocol of the response."""
        return self._protocol or protocol_of(self.http.path, self._headers, self.http.query)

    def _described(self, error: ModelbayError) -> list[headers.Field]:
        """The headers about a call that failed: the provider's, and the gateway's own."""
        if self.exchange is None or self.exchange.target is None:
            return []
        given = headers.returned(error.headers, passed=False) if isinstance(error, ProviderError) else []
        # `retry-after` follows from the error, which may name a time in its text
        return [*(field for field in given if field[0] != b"retry-after"), *self.exchange.fields()]

    def _refuse(self, refusal: ErrorResponse) -> None:
        if not self.responder.started:
            self.responder.whole(refusal.status, refusal.body, refusal.headers)

    async def _answer(self) -> None:
        http = self.http
        if reason := self._gateway.callers.refusal(http.headers):
            raise refusals.not_allowed(reason)
        if (origin := self._headers.get("origin")) in self._revision.settings.cors_origins:
            self.responder.fields += headers.cors(origin)
            if http.method == "OPTIONS":
                self.responder.whole(204, b"", headers.preflight(self._headers))
                return
        if not is_plain(http.path):
            raise refusals.not_valid("the path is not valid")
        route, methods = TABLE.find(http.method, http.path)
        if route is None:
            upgrade = self._headers.get("upgrade", "").lower() == "websocket"
            self._refuse(refusals.no_route(self._spoken(), http.method, http.path, methods, upgrade=upgrade))
            return
        self._protocol = route.protocol or self._spoken()
        if route.action in STATUS:
            self._status(route)
            return
        if route.action == "proof":
            await self._prove()
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
        keys = keys_of(self._headers, self.http.query if self._protocol == "google" else "")
        beside = self._headers.get(client_login.KEY)
        for key in keys if beside is None else [beside, *keys]:
            if (client := self._gateway.clients.find(key)) is not None:
                self.client = client.name
                self._login = client_login.brought(self._headers) if key is beside else None
                return client.sha256
        if beside is not None:
            raise refusals.wrong_key_beside(client_login.KEY)
        raise refusals.wrong_key() if keys else refusals.missing_key()

    async def _act(self, route: Route, digest: str) -> None:
        http = self.http
        query = query_without_key(http.query)
        request = ClientRequest(self.id, digest, route, self._protocol, http.path, query, self._headers)
        request.login = self._login
        limit = self._revision.settings.body_bytes
        if (encoding := self._headers.get("content-encoding", "identity")) != "identity":
            raise refusals.compressed(encoding)
        if route.action in FORMS and self._headers.get("content-type", "").startswith("multipart/"):
            self.exchange = call = SideCall(self._revision, self._gateway.stores, request, self.responder)
            await call.upload(http.pieces(limit))
            return
        if http.method not in ("GET", "HEAD"):
            request.body = await http.read(limit)
        await self._answer_to(request)

    async def _answer_to(self, request: ClientRequest) -> None:
        match request.route.action:
            case "generate":
                await self._exchange(request)
            case "compact" if (reply := await as_reply(self._revision, request)) is not None:
                await self._exchange(reply)
            case "count":
                self._count = CountCall(self._revision, self._gateway.stores, request, self.responder)
                await self._count.run()
            case "embed" | "completions" | "images" | "audio" | "rerank" | "moderations" | "compact":
                self.exchange = call = SideCall(self._revision, self._gateway.stores, request, self.responder)
                await call.run()
            case "models" | "model" | "model_info" | "api_json" | "registry":
                self._json(*await catalog(self._revision, request))
            case "retrieve" | "delete" | "input_items" | "cancel" as action:
                query = dict(parse_qsl(request.query))
                found = await self._gateway.stores.response(action, request.client, request.route.id or "", query)
                self._json(found)
            case "create_conversation" | "get_conversation" | "delete_conversation" as action:
                fields = request.fields() if request.body else {}
                self._json(
                    await self._gateway.stores.conversation(action, request.client, request.route.id or "", fields)
                )
            case action:
                raise refusals.not_valid(f"{action} is not available")

    async def _exchange(self, request: ClientRequest) -> None:
        self.exchange = exchange = Exchange(self._revision, self._gateway.stores, request, self.responder)
        await exchange.run()

    def _json(self, body: Any, fields: Iterable[headers.Field] = ()) -> None:
        self.responder.whole(200, encode(body), [JSON, *fields])

    async def _prove(self) -> None:
        """Prove that this is the user's gateway. A program asks before it sends its key, so no key is required."""
        challenge = dict(parse_qsl(self.http.query)).get("challenge", "")
        answer = await self._gateway.proof(challenge, self.http.port)
        if answer is None:
            raise refusals.not_valid("the challenge is not valid, or the gateway cannot answer it")
        self._json({"proof": answer})

    def _status(self, route: Route) -> None:
        """The state of the server. It contains no secrets, and no provider is called."""
        draining = self.http.is_draining()
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
        self.responder.whole(status, encode(body), [JSON])
