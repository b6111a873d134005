"""The usual request without a stream: it is passed on as it is, and its reply needs no reading. Two connections answer it by
callbacks, without a task.

Everything else is for a `Visit`: before anything was sent, or together with the reply that has begun.
"""

from collections.abc import Callable
from random import getrandbits
from time import perf_counter

from modelbay.calling.opened import Sending
from modelbay.calling.target import Target
from modelbay.errors import ModelbayError
from modelbay.gateway import headers
from modelbay.gateway.access_log import EndedRequest
from modelbay.gateway.asked import Asked
from modelbay.gateway.clients import GatewayClient
from modelbay.gateway.gateway import Gateway
from modelbay.gateway.limits import InProgress
from modelbay.gateway.passing import ClientBody, passed_path
from modelbay.gateway.response_store import may_refer
from modelbay.gateway.revision import Revision
from modelbay.logs import LOG
from modelbay.protocols.codec import codec
from modelbay.reply_secrecy import redacted_reply
from modelbay.serving.http_request import HttpRequest
from modelbay.serving.replies import JSON
from modelbay.transport.direct import DirectResponse


class Passage:
    """One such request. It is sent by `begin`."""

    begun: DirectResponse
    """The reply that arrives."""
    revision: Revision
    _target: Target
    _client: GatewayClient | None
    _overhead: float

    def __init__(
        self,
        gateway: Gateway,
        http: HttpRequest,
        in_progress: InProgress,
        ended: Callable[[EndedRequest], None],
        go_on: Callable[["Passage"], None],
    ) -> None:
        """`ended` is called at the end; `go_on` instead, if a `Visit` must answer with what has begun, and then close it."""
        self.began = perf_counter()
        self._gateway = gateway
        self.http = http
        self._in_progress = in_progress
        self._ended = ended
        self._go_on = go_on

    def begin(self, asked: Asked) -> bool:
        """Send the request. Returns whether it was sent; nothing has happened otherwise."""
        self.revision = revision = self._gateway.revision
        try:
            sending = self._sending(asked)
        except ModelbayError:  # the visit reports it
            return False
        if sending is None or not self._in_progress.enter(self._digest, revision.settings.concurrent):
            return False
        begun = revision.providers.begin(sending)
        if begun is None:
            self._in_progress.leave(self._digest)
            return False
        self._gateway.enter()
        self.id = f"req_{getrandbits(128):032x}"  # unique; it gives no access
        self.begun = begun
        begun.on_arrival = self._arrived
        self.http.on_left = self._left
        self._overhead = perf_counter() - self.began
        return True

    def close(self) -> None:
        """End it, when the reply has ended or was left."""
        self.http.on_left = None
        self._in_progress.leave(self._digest)
        self._gateway.leave(self.revision)

    @property
    def _digest(self) -> str:
        """Identifies the client."""
        return "" if self._client is None else self._client.sha256

    def _sending(self, asked: Asked) -> Sending | None:
        """The call; None if it is not the usual one. Raises what a visit reports."""
        revision, stores, text = self.revision, self._gateway.stores, self.http.whole
        if asked.sent_on is None or text is None or len(text) > revision.settings.body_bytes:
            return None
        self._client = client = self._gateway.client_of(asked.keys)
        if client is None and revision.settings.auth != "none":
            return None
        rules = codec(asked.protocol).PASS
        body = ClientBody(text, rules)
        stream = body.stream if asked.route.stream is None else asked.route.stream
        target = revision.known_target(asked.route.model or body.model)
        if target is None or stream or not body.may_pass(target, asked.protocol, stream=False):
            return None
        keeps = asked.protocol == "openai_responses" and stores.keeps_responses
        if body.threaded or (keeps and (not body.unstored or may_refer(text))):
            return None
        providers = revision.providers
        if (
            stores.has_state
            or stores.needs_counts(target)
            or revision.settings.cache_ttl
            or providers.adaptations(target)
        ):
            return None
        path = passed_path(rules, "generate", target.model.id, asked.query)
        endpoint = providers.known_endpoint(target, path, stream=False)
        if endpoint is None:
            return None
        call = body.call(target, path, generates=True)
        if call.warnings:
            return None
        call.headers = asked.sent_on
        self._target, self._rules, self._asked = target, rules, asked
        return Sending(target, call, endpoint)

    def _arrived(self) -> None:
        """The reply has arrived, or part of it, or none."""
        try:
            body = self._usual()
            if body is not None:
                self._respond(body)
                return
        except Exception:  # noqa: BLE001 the edge: the visit fails in the same way, and reports it
            LOG.debug("the usual response failed", exc_info=True)
        self.http.on_left = None
        self._go_on(self)

    def _usual(self) -> bytes | None:
        """The reply, if it has arrived as a whole and need not be read, as most. None otherwise."""
        begun, is_plain = self.begun, self._rules.is_plain
        body = begun.whole
        if is_plain is None or body is None or begun.status != 200:
            return None
        if not begun.headers.get("content-type", "").startswith("application/json"):
            return None
        return body if is_plain(body, self._target.upstream.dialect) else None

    def _respond(self, body: bytes) -> None:
        target, http = self._target, self.http
        body = redacted_reply(body, http.whole or b"")
        fields = [
            JSON,
            *headers.returned(self.begun.headers, passed=False),
            *headers.own(
                provider=target.upstream.provider.id,
                model=target.model.id,
                attempts=1,
                overhead=self._overhead,
            ),
            *self.revision.tag_for(self._asked.protocol),
            headers.request_id(self.id),
            *self._asked.cors,
        ]
        http.respond(200, fields, body)
        self.close()
        self._ended(self._record(sent=len(body)))

    def _left(self) -> None:
        """The client has closed the connection."""
        self.begun.leave()
        self.close()
        self._ended(self._record(disconnected=True))

    def _record(self, *, sent: int = 0, disconnected: bool = False) -> EndedRequest:
        head = self.http.head
        client = "" if self._client is None else self._client.name
        status = 0 if disconnected else 200
        attempts = 0 if disconnected else 1
        seconds = perf_counter() - self.began
        return EndedRequest(
            self.id, head.method, head.path, seconds, client, status, disconnected, sent, self._target, attempts
        )
