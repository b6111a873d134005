"""The usual request, sent at once. Without a stream, it is answered without a task, too: the connections of the client and of the
provider call each other.

Everything else is for a `Visit`: a request that is not sent here, and the reply that has begun if it is a stream or unusual.
"""

from collections.abc import Callable
from random import getrandbits
from time import perf_counter

from modelbay.calling.opened import Sending
from modelbay.calling.target import Target
from modelbay.conversation import Conversation
from modelbay.events import Event, Finished, Reply, collect
from modelbay.gateway import headers
from modelbay.gateway.access_log import EndedRequest
from modelbay.gateway.asked import Asked
from modelbay.gateway.client_request import ClientRequest
from modelbay.gateway.clients import GatewayClient
from modelbay.gateway.compaction import may_compact
from modelbay.gateway.gateway import Gateway
from modelbay.gateway.limits import InProgress
from modelbay.gateway.passing import ClientBody
from modelbay.gateway.reasoning_store import may_have_state
from modelbay.gateway.revision import Revision
from modelbay.gateway.search.search_loop import declares_search, with_earlier_searches
from modelbay.gateway.translating import Prepared, asked_of, complete, unsent_previews
from modelbay.logs import LOG
from modelbay.protocols.codec import codec
from modelbay.protocols.names import Restorer
from modelbay.protocols.openai_responses.client_tools import as_functions
from modelbay.reply_secrecy import redacted_reply
from modelbay.serving.http_request import HttpRequest
from modelbay.serving.replies import JSON
from modelbay.transport.direct import DirectResponse


class Passage:
    """One such request. It is sent by `begin`."""

    revision: Revision
    prepared: Prepared
    """The call that was sent."""
    begun: DirectResponse
    """The reply that arrives."""
    _client: GatewayClient | None = None
    _digest = ""
    """Identifies the client."""

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
        self.id = f"req_{getrandbits(128):032x}"  # unique; it gives no access
        self._gateway = gateway
        self.http = http
        self._in_progress = in_progress
        self._ended = ended
        self._go_on = go_on

    def begin(self, asked: Asked) -> bool:
        """Send the request. Returns whether it was sent; nothing has happened otherwise."""
        self.revision = revision = self._gateway.revision
        self._asked = asked
        try:
            prepared = self._prepared(asked)
        except Exception:  # noqa: BLE001 the visit fails in the same way, and reports it
            return False
        if prepared is None or not self._in_progress.enter(self._digest, revision.settings.concurrent):
            return False
        begun = revision.providers.begin(prepared.sending)
        if begun is None:
            self._in_progress.leave(self._digest)
            return False
        self._gateway.enter()
        self.prepared = prepared
        self.begun = prepared.begun = begun
        prepared.overhead = perf_counter() - self.began
        if prepared.stream:
            self._go_on(self)
        else:
            begun.on_arrival = self._arrived
            self.http.on_left = self._left
        return True

    def close(self) -> None:
        """End it, when the reply has ended or was left."""
        self.http.on_left = None
        self._in_progress.leave(self._digest)
        self._gateway.leave(self.revision)

    # --- the call ---

    def _prepared(self, asked: Asked) -> Prepared | None:
        """The call; None if `Exchange` must prepare it, which also handles the cases that are excluded here: the two must agree
        (tests/gateway/test_passage_agrees.py). Raises what the visit reports."""
        revision, stores, text = self.revision, self._gateway.stores, self.http.whole
        if asked.sent_on is None or text is None or len(text) > revision.settings.body_bytes:
            return None
        if revision.settings.auth != "none":
            self._client = client = self._gateway.client_of(asked.keys)
            if client is None:
                return None
            self._digest = client.sha256
        body = ClientBody(text, codec(asked.protocol).PASS, asked.route.stream)
        target = revision.known_target(asked.route.model or body.model)
        if target is None:
            return None
        if stores.needs_counts(target) or stores.must_resolve(asked.protocol, body, text):
            return None
        if revision.settings.cache_ttl or body.threaded:
            return None
        self._text = text
        passes = body.may_pass(target, asked.protocol)
        if stores.may_change(self._digest, target, text, passes=passes):
            return None
        prepared = self._passed(target, body) if passes else self._translated(target, body, self._request())
        if prepared is not None and prepared.stream:
            prepared.array = self._request().wants_array
        return prepared

    def _request(self) -> ClientRequest:
        head, asked = self.http.head, self._asked
        return ClientRequest(
            self.id, self._digest, asked.route, asked.protocol, head.path, asked.query, head.headers, self._text
        )

    def _passed(self, target: Target, body: ClientBody) -> Prepared | None:
        asked, providers = self._asked, self.revision.providers
        if (target.codec.PASS.is_plain is None and not body.stream) or providers.adaptations(target):
            return None
        call = body.call_for_reply(target, asked.query)
        endpoint = providers.known_endpoint(target, call.path, stream=call.stream)
        if endpoint is None:
            return None
        assert asked.sent_on is not None
        call.headers = dict(asked.sent_on)  # an adaptation may change them
        return None if call.warnings else Prepared(Sending(target, call, endpoint), call.stream)

    def _translated(self, target: Target, body: ClientBody, request: ClientRequest) -> Prepared | None:
        if target.upstream.protocol == request.protocol:  # the client's headers would have to be added
            return None
        conversation = request.conversation(body.fields())
        wanted, clamped = asked_of(conversation, target)
        if may_compact(wanted) or declares_search(wanted, target) or as_functions(wanted)[1]:
            return None
        sending = self.revision.providers.ready_at_once(with_earlier_searches(wanted), target)
        if sending is None:
            return None
        warnings = [*clamped, *sending.call.warnings]
        if self.revision.settings.strict and any(warning.dropped for warning in warnings):
            return None
        warnings += unsent_previews(request.headers)
        return Prepared(sending, bool(conversation.stream), conversation=conversation, warnings=warnings)

    # --- the reply ---

    def _arrived(self) -> None:
        """The reply has arrived, or part of it, or none."""
        try:
            body = self._usual_reply()
            if body is not None:
                self._respond(body)
                return
        except Exception:  # noqa: BLE001 the edge: the visit fails in the same way, and reports it
            LOG.debug("the usual response failed", exc_info=True)
        self.http.on_left = None
        self._go_on(self)

    def _usual_reply(self) -> bytes | None:
        """The body of the response; None if the reply has not arrived as a whole, or must be stored or reported."""
        begun, sending = self.begun, self.prepared.sending
        body = begun.whole
        if body is None or begun.status != 200:
            return None
        if not begun.headers.get("content-type", "").startswith("application/json"):
            return None
        dialect = sending.endpoint.dialect
        if self.prepared.conversation is None:
            is_plain = sending.target.codec.PASS.is_plain
            assert is_plain is not None
            return body if is_plain(body, dialect) else None
        return self._translated_reply(body, self.prepared.conversation)

    def _translated_reply(self, body: bytes, conversation: Conversation) -> bytes | None:
        """The reply in the client's protocol; None if it failed, has reasoning, which is stored, or is inside of an object."""
        sending, protocol = self.prepared.sending, self._asked.protocol
        target, dialect = sending.target, sending.endpoint.dialect
        if sending.call.wrapped:
            return None
        plain = target.codec.plain_reply
        reply = None if plain is None else plain(body, dialect, target.provenance)
        if reply is None:
            reply = self._collected(target.codec.parse_reply(body, dialect, target.provenance))
        if reply is None:
            return None
        complete(reply, target.model.id, protocol, conversation.settings)
        return codec(protocol).render_reply(reply)

    def _collected(self, events: list[Event]) -> Reply | None:
        """The reply in some events, with the client's names of tools; None as above."""
        if type(events[-1]) is not Finished:
            return None
        call = self.prepared.sending.call
        if call.names or call.offered:
            restorer = Restorer(call.names, call.offered)
            events = [restored for event in events for restored in restorer.feed(event)]
        reply = collect(events)
        return None if may_have_state(reply) else reply

    # --- the response ---

    def _respond(self, body: bytes) -> None:
        target, http = self.prepared.sending.target, self.http
        body = redacted_reply(body, self._text)
        fields = [
            JSON,
            *headers.returned(self.begun.headers, passed=False),
            *headers.own(
                provider=target.upstream.provider.id,
                model=target.model.id,
                attempts=1,
                dropped=headers.changes_for(self.prepared.conversation, target, self.prepared.warnings),
                overhead=self.prepared.overhead,
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
        head, target = self.http.head, self.prepared.sending.target
        client = "" if self._client is None else self._client.name
        return EndedRequest(
            id=self.id,
            method=head.method,
            path=head.path,
            seconds=perf_counter() - self.began,
            client=client,
            status=0 if disconnected else 200,
            disconnected=disconnected,
            sent=sent,
            target=target,
            attempts=0 if disconnected else 1,
        )
