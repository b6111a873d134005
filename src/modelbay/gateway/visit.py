"""One request of a client: who sent it, what is asked, and the response or refusal."""

import asyncio
from collections.abc import Iterable
from random import getrandbits
from time import perf_counter
from typing import Any
from urllib.parse import parse_qsl

from modelbay.calling.target import Target
from modelbay.errors import ModelbayError, ProviderError
from modelbay.gateway import client_login, headers, retries
from modelbay.gateway.access_log import EndedRequest
from modelbay.gateway.asked import Asked
from modelbay.gateway.catalogs import catalog
from modelbay.gateway.client_request import ClientRequest
from modelbay.gateway.compaction import as_reply
from modelbay.gateway.count_call import CountCall
from modelbay.gateway.exchange import Exchange
from modelbay.gateway.gateway import Gateway
from modelbay.gateway.limits import InProgress
from modelbay.gateway.passage import Passage
from modelbay.gateway.responder import Responder
from modelbay.gateway.side_call import SideCall
from modelbay.gateway.stored_call import StoredCall
from modelbay.json_text import encode
from modelbay.logs import LOG
from modelbay.protocols.codec import codec
from modelbay.secrecy import Hidden, without_frames
from modelbay.serving import refusals
from modelbay.serving.http_request import ClientLeft, HttpRequest
from modelbay.serving.keys import keys_of, query_without_key
from modelbay.serving.paths import NOT_PLAIN, is_plain
from modelbay.serving.refusals import ErrorResponse
from modelbay.serving.replies import JSON
from modelbay.serving.routes import STATUS, TABLE, Action, Route, protocol_of

FORMS: frozenset[Action] = frozenset(("images", "audio"))
"""Actions whose requests may be multipart forms."""
CONVERSATIONS: frozenset[Action] = frozenset((
    "create_conversation", "get_conversation", "update_conversation", "delete_conversation",
    "list_items", "add_items", "get_item", "delete_item",
))  # fmt: skip
"""Actions on stored conversations."""
BUSY = 1.0
"""Seconds after which a client with too many requests in progress may try again."""


class Visit:
    """One request, from its head to the end of its response."""

    client = ""
    """The name of the client whose key was used."""
    disconnected = False
    """Whether the client closed the connection before the end of the response."""
    _protocol = ""
    """The protocol of the response, if the route decides."""

    def __init__(
        self, gateway: Gateway, http: HttpRequest, in_progress: InProgress, passage: Passage | None = None
    ) -> None:
        """`passage`: the request, if a passage has sent it."""
        self.id = f"req_{getrandbits(128):032x}" if passage is None else passage.id  # unique; it gives no access
        self.began = perf_counter() if passage is None else passage.began
        self.responder = Responder(http, [headers.request_id(self.id)])
        self.exchange: Exchange | SideCall | None = None
        self._count: CountCall | None = None
        self.error: BaseException | None = None
        self.http = http
        self._head = http.head
        self._gateway = gateway
        self._revision = gateway.revision if passage is None else passage.revision
        self._passage = passage
        self._in_progress = in_progress

    @property
    def target(self) -> Target | None:
        """The model that was asked."""
        asked = self.exchange or self._count
        return asked.target if asked is not None else None

    async def answer(self) -> None:
        self.http.on_left = self._left
        try:
            if self.http.disconnected:  # before it began
                raise ClientLeft
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
            LOG.exception("internal error while answering %s %s (%s)", self._head.method, self._head.path, self.id)
            said = Exception("internal error of the gateway; its log has the details")
            status, body = codec(self._spoken()).render_error(said)
            self._refuse(ErrorResponse(status, body, [JSON]))

    @property
    def record(self) -> EndedRequest:
        """The request for the log, when it has ended."""
        exchange, responder = self.exchange, self.responder
        return EndedRequest(
            id=self.id,
            method=self._head.method,
            path=self._head.path,
            seconds=perf_counter() - self.began,
            client=self.client,
            status=responder.status,
            # a client that leaves at the end of its reply, or at the event of its failure, has read all that it needs
            disconnected=self.disconnected and (exchange is None or not (exchange.finished or exchange.error)),
            sent=responder.sent,
            target=self.target,
            attempts=None if exchange is None else exchange.attempts,
            error=self.error or (None if exchange is None else exchange.error),
        )

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
        return self._protocol or protocol_of(self._head.path, self._head.headers, self._head.query)

    def _described(self, error: ModelbayError) -> list[headers.Field]:
        """The headers about a call that failed: the provider's, and the gateway's own."""
        if self.exchange is None or self.exchange.target is None:
            return []
        given = headers.returned(error.headers, passed=False) if isinstance(error, ProviderError) else []
        # `retry-after` follows from the error, which may name a time in its text
        return [*(field for field in given if field[0] != b"retry-after"), *self.exchange.fields()]

    def _refuse(self, refusal: ErrorResponse) -> None:
        if not self.responder.started:
            fields = [field for field in refusal.headers if field[0] != b"content-length"]  # secrets in it are masked
            self.responder.whole(refusal.status, refusal.body, fields)

    async def _answer(self) -> None:
        known: Asked | None = self._head.derived
        if known is None or known.callers is not self._gateway.callers:
            known = self._head.derived = self._read_head()
        if known is None:
            return
        self._protocol = known.protocol
        self.responder.fields += known.cors
        if known.route.action in STATUS:
            self._status(known.route)
            return
        if known.route.action == "proof":
            await self._prove()
            return
        digest, login = self._admitted(known)
        request = ClientRequest(
            self.id, digest, known.route, known.protocol, self._head.path, known.query, self._head.headers
        )
        request.login = login
        if self._passage is not None:  # it is counted
            await self._act(request)
            return
        limit = self._revision.settings.concurrent
        if not self._in_progress.enter(digest, limit):
            raise refusals.too_many(limit, BUSY)
        try:
            await self._act(request)
        finally:
            self._in_progress.leave(digest)

    def _read_head(self) -> Asked | None:
        """The facts in the head; None if the request is answered already."""
        head, callers = self._head, self._gateway.callers
        if reason := callers.refusal(head.fields):
            raise refusals.not_allowed(reason)
        cors: list[headers.Field] = []
        if (origin := head.headers.get("origin")) in callers.origins:
            assert origin is not None
            cors = headers.cors(origin)
            if head.method == "OPTIONS":
                self.responder.whole(204, b"", [*headers.preflight(head.headers), *cors])
                return None
        if not is_plain(head.path):
            self.responder.fields += cors
            raise refusals.not_valid(f"{NOT_PLAIN}; name a model whose ID has one by an alias")
        route, methods = TABLE.find(head.method, head.path)
        if route is None:
            self.responder.fields += cors
            upgrade = head.headers.get("upgrade", "").lower() == "websocket"
            self._refuse(refusals.no_route(self._spoken(), head.method, head.path, methods, upgrade=upgrade))
            return None
        protocol = route.protocol or self._spoken()
        # only Gemini's clients put the key into the query, which other servers write to logs
        keys = [Hidden(key) for key in keys_of(head.headers, head.query if protocol == "google" else "")]
        separate = head.headers.get(client_login.KEY)
        query = query_without_key(head.query)
        separate_key = None if separate is None else Hidden(separate)
        usual = separate_key is None and route.action == "generate" and "content-encoding" not in head.headers
        usual = usual and retries.is_number(head.headers.get(retries.HEADER, "0"))
        sent_on = headers.sent_on(head.headers, codec(protocol).PASS) if usual else None
        return Asked(callers, route, protocol, query, keys, separate_key, cors, sent_on)

    def _admitted(self, asked: Asked) -> tuple[str, Hidden | None]:
        """The digest of the client's key ("" if no key is required), and the login beside it.

        Raises:
            AuthenticationFailed: the request has no key, or no client has its key.
        """
        if self._revision.settings.auth == "none" or (asked.route.action == "api_json" and self._gateway.is_local):
            return "", None
        if asked.separate_key is not None and (client := self._gateway.clients.find(asked.separate_key)) is not None:
            self.client = client.name
            return client.sha256, client_login.brought(self._head.headers)
        if (client := self._gateway.client_of(asked.keys)) is not None:
            self.client = client.name
            return client.sha256, None
        if asked.separate_key is not None:
            raise refusals.wrong_key_beside(client_login.KEY)
        raise refusals.wrong_key() if asked.keys else refusals.missing_key()

    async def _act(self, request: ClientRequest) -> None:
        limit = self._revision.settings.body_bytes
        if (encoding := request.headers.get("content-encoding", "identity")) != "identity":
            raise refusals.compressed(encoding)
        if request.route.action in FORMS and request.headers.get("content-type", "").startswith("multipart/"):
            self.exchange = call = SideCall(self._revision, self._gateway.stores, request, self.responder)
            await call.upload(self.http.pieces(limit), self.http.length)
            return
        if self._head.method not in ("GET", "HEAD"):
            request.body = await self.http.read(limit)
        await self._answer_to(request)

    async def _answer_to(self, request: ClientRequest) -> None:
        match request.route.action:
            case "generate":
                sent = None if self._passage is None else self._passage.prepared
                stores = self._gateway.stores
                self.exchange = exchange = Exchange(self._revision, stores, request, self.responder, sent)
                await exchange.run()
            case "compact" if (reply := await as_reply(self._revision, request)) is not None:
                self.exchange = exchange = Exchange(self._revision, self._gateway.stores, reply, self.responder)
                await exchange.run()
            case "count":
                self._count = CountCall(self._revision, self._gateway.stores, request, self.responder)
                await self._count.run()
            case "embed" | "completions" | "images" | "audio" | "rerank" | "moderations" | "compact":
                self.exchange = call = SideCall(self._revision, self._gateway.stores, request, self.responder)
                await call.run()
            case "models" | "model" | "model_info" | "api_json" | "registry":
                self._json(*await catalog(self._revision, request))
            case "retrieve" | "delete" | "input_items" | "cancel":
                self.exchange = call = StoredCall(self._revision, self._gateway.stores, request, self.responder)
                await call.run()
            case action if action in CONVERSATIONS:
                self._json(await self._gateway.stores.conversation(request))
            case action:
                raise refusals.not_valid(f"{action} is not available")

    def _json(self, body: Any, fields: Iterable[headers.Field] = ()) -> None:
        self.responder.whole(200, encode(body), [JSON, *fields])

    async def _prove(self) -> None:
        """Prove that this is the user's gateway. A program asks before it sends its key, so no key is required."""
        challenge = dict(parse_qsl(self._head.query)).get("challenge", "")
        answer = await self._gateway.proof(challenge, self.http.port)
        if answer is None:
            raise refusals.not_valid("the challenge is not valid, or the gateway cannot answer it")
        self._json({"proof": answer})

    def _status(self, route: Route) -> None:
        """The state of the server. It contains no secrets, and no provider is called."""
        draining = self.http.is_draining
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
