"""One call of a model for a client: its request becomes a call to a provider, and the reply its response."""

import asyncio
from collections.abc import Iterable
from time import perf_counter

from msgspec.structs import replace

from modelbay.calling.opened import Consume, Opened, Sending
from modelbay.calling.opening import Opening
from modelbay.calling.provider_client import adapted
from modelbay.calling.target import Target
from modelbay.conversation import Conversation, Extra, ServerToolCall, ToolCall
from modelbay.counting.learned_counts import Expected
from modelbay.errors import AuthenticationFailed, ModelbayError, ProviderError, ReplyError, Unsupported
from modelbay.events import (
    Event,
    Failed,
    Finished,
    PartDelta,
    PartEnded,
    PartStarted,
    Reply,
    Started,
    UsageReported,
    Warned,
    collect,
)
from modelbay.gateway import cache_ttl, client_login, headers
from modelbay.gateway.client_request import MISREAD, ClientRequest
from modelbay.gateway.compaction import Compaction, compacted, compaction, may_compact, with_summaries
from modelbay.gateway.framing import (
    PassedStream,
    RenderedStream,
    failed_stream,
    failure_array,
    failure_event,
    names_failure,
)
from modelbay.gateway.passing import ClientBody, changed_text
from modelbay.gateway.reasoning_store import may_have_state
from modelbay.gateway.responder import KeepAlive, Responder
from modelbay.gateway.response_store import ResolvedRequest, with_reasoning
from modelbay.gateway.retries import policy
from modelbay.gateway.revision import Revision
from modelbay.gateway.search.search_loop import SearchLoop, made_by_model, with_searches
from modelbay.gateway.stores import Stores
from modelbay.gateway.translating import Prepared, asked_of, complete, unsent_previews
from modelbay.json_text import decode, encode
from modelbay.logs import LOG
from modelbay.protocols.openai_responses.client_tools import as_functions
from modelbay.providers.unknown_fields import HEADER
from modelbay.routing.retry import Policy
from modelbay.secrecy import HiddenBytes
from modelbay.serving.refusals import not_valid, repetition
from modelbay.serving.replies import JSON
from modelbay.usage import Usage

PATIENCE = 25.0
"""Seconds after which a stream begins although its provider is still silent. Proxies cut connections off after 30."""
EVENT_STREAM = b"text/event-stream; charset=utf-8"
PINGS = {
    "anthropic": KeepAlive(b'event: ping\ndata: {"type": "ping"}\n\n'),
    # Google's SDK for Python reads a comment as JSON, and its older one for JavaScript then finds no further event
    "google": KeepAlive(b"\n"),
}
"""Keep-alives that clients of a protocol ignore. In the others, it is a comment."""
COMMENT = KeepAlive(b": keep-alive\n\n")
WHITE_SPACE = KeepAlive(b"\n", (b"}",))
"""Between two elements of a JSON array."""
_APART = 0.05
"""Seconds after which a client has read what was sent before. Node.js joins chunks that arrive together."""


class Exchange:
    target: Target | None = None
    attempts = 0
    finished = False
    """Whether the whole reply was received."""
    error: ModelbayError | None = None
    """The failure of a reply that had begun."""
    _overhead = 0.0
    _lent = False
    """Whether the client's own login is used: see `client_login`."""
    _search: SearchLoop | None = None
    """The web searches of a client whose provider has none."""
    _compaction: Compaction | None = None
    """The summary for a client whose provider has no compaction."""
    _resolution: ResolvedRequest | None = None
    """A request of Responses whose response is stored."""
    _expected: asyncio.Future[Expected | None] | None = None
    """The expected count of the input, if a client uses it."""
    _client_tools: dict[str, str] | None = None
    """The functions in place of tools that the client runs: the type of the item that it gets for a call, by name."""
    _ended = False
    """Whether the end of the reply, or its failure, was received."""
    _rest = b""
    """The end of a stream, which is sent last, or its beginning until the response is stored."""
    _policy: Policy
    """The retries of the call."""
    _keeping: asyncio.Future[None] | None = None
    """The storing of a response that runs in the background, until it is stored."""

    def __init__(
        self,
        revision: Revision,
        stores: Stores,
        request: ClientRequest,
        responder: Responder,
        prepared: Prepared | None = None,
    ) -> None:
        """`prepared`: the call, if it was sent already."""
        self._sent = prepared
        self._revision = revision
        self._stores = stores
        self._request = request
        self._responder = responder
        self._began = perf_counter()
        self._warnings: list[Warned] = []
        self._translates: Conversation | None = None
        """The client's conversation, if the request is translated."""
        self._events: list[Event] = []
        """The events of the reply, without the pieces of its parts."""

    async def run(self) -> None:
        """Answer the request.

        Raises:
            ModelbayError: the call failed, and nothing was sent to the client.
        """
        self._policy = policy(self._request.headers)
        prepared = self._sent or await self._prepared()
        if self._sent is not None:
            self.target, self._warnings = prepared.sending.target, prepared.warnings
            self._translates = prepared.conversation
        self._responder.reveal(self._request.body)
        self._overhead = prepared.overhead or perf_counter() - self._began
        if self._uses_counts(prepared):
            self._expected = asyncio.ensure_future(self._expect(prepared))
        try:
            await (self._stream(prepared) if prepared.stream else self._whole(prepared))
        except ProviderError as error:
            same = self.target is not None and self.target.upstream.protocol == self._request.protocol
            # a rejected key is not the client's, so a 401 would mislead it; its own login it can renew
            rejected = isinstance(error, AuthenticationFailed) and not self._lent
            if error.received is None or rejected or not same:
                raise
            self.error = error
            status = error.status or 502
            fields = [*headers.returned(error.headers, passed=True), *repetition(error, status), *self.fields()]
            self._responder.whole(status, error.received, fields)
        except ReplyError as error:
            passed = prepared.conversation is None and not prepared.array and not self._responder.started
            stream = prepared.stream
            if not passed or not names_failure(self._request.protocol, error.received or b"", stream=stream):
                raise
            self.error = error
            kind = (b"content-type", EVENT_STREAM) if stream else JSON
            self._responder.whole(200, error.received or b"", [kind, *self.fields()])

    # --- the call ---

    async def _prepared(self) -> Prepared:
        request = self._request
        body = ClientBody(request.body, request.codec.PASS, request.route.stream)
        self.target = target = await self._revision.target(request.route.model or body.model)
        if (login := client_login.for_call(request, target)) is not None:
            self.target = target = client_login.without_credential(target)
        if body.threaded:  # of a provider's own threads, a gateway sees only the last turn
            raise Unsupported("threads are not supported; send the whole conversation", setting="thread")
        if self._stores.must_resolve(request.protocol, body, request.body):
            body = await self._resolved(target, body)
        passes = await self._passes(target, body)
        prepared = await (self._passed(target, body) if passes else self._translated(target, body))
        if target.upstream.protocol == request.protocol:
            self._add_headers(prepared.sending)
        else:
            self._warnings += unsent_previews(request.headers)
        ttl = self._revision.settings.cache_ttl
        if ttl is not None and cache_ttl.accepted(target, self._revision.providers.adaptations(target)):
            cache_ttl.lengthen(prepared.sending.call, ttl)
        if login is not None:
            self._lent = True
            client_login.lend(prepared.sending, login, request.headers)
        self._refuse_dropped()
        prepared.array = prepared.stream and request.wants_array
        return prepared

    def _warned(self, warning: Warned) -> None:
        """Note what happens while a call is opened. Raises what `_refuse_dropped` raises, before the call is repeated."""
        self._warnings.append(warning)
        self._refuse_dropped()

    def _refuse_dropped(self) -> None:
        """Check in a strict gateway that all settings are sent.

        Raises:
            Unsupported: the provider or its protocol does not support one.
        """
        if not self._revision.settings.strict:
            return
        if dropped := self._changes(warning for warning in self._warnings if warning.dropped):
            raise Unsupported(
                f"the provider does not support {', '.join(dropped)}",
                setting=dropped[0],
                hint="remove it, or set `strict = false` under [gateway] to drop such settings",
            )

    def _changes(self, warnings: Iterable[Warned]) -> list[str]:
        assert self.target is not None
        return headers.changes_for(self._translates, self.target, warnings, self._request.body)

    async def _resolved(self, target: Target, body: ClientBody) -> ClientBody:
        """The body with what its target does not keep: the history that it refers to, and a request for reasoning state."""
        request, keeper = self._request, await self._revision.keeper(target, self._request)
        fields = request.fields()
        self._resolution = resolution = await self._stores.resolved(request.client, fields, keeper)
        sent = resolution.body
        if not keeper and target.upstream.protocol == request.protocol and target.model.can("thinking"):
            sent = with_reasoning(sent)
        if sent is fields:
            return body
        self._request = replace(request, body=changed_text(request.body, sent))
        return ClientBody(self._request.body, request.codec.PASS, request.route.stream)

    async def _passes(self, target: Target, body: ClientBody) -> bool:
        """Whether request and reply can be passed on as bytes."""
        if not body.may_pass(target, self._request.protocol):
            return False
        for lesson in self._revision.providers.adaptations(target):
            if lesson.cuts and f'"{lesson.parameter}"'.encode() in self._request.body:
                return False
        request = self._request
        may_change = self._stores.may_change(request.client, target, request.body, passes=True)
        return not (may_change and await self._needs_state(target))

    async def _needs_state(self, target: Target) -> bool:
        """Whether the body must be changed by what is stored: it has reasoning state of another provider, or lacks the target's."""
        client, stores = self._request.client, self._stores
        return await stores.is_foreign(client, target, self._request.body) or await stores.lacks_state(
            client, target, self._request
        )

    async def _passed(self, target: Target, body: ClientBody) -> Prepared:
        providers = self._revision.providers
        call = body.call_for_reply(target, self._request.query, providers.adaptations(target))
        self._warnings = call.warnings
        endpoint = await providers.endpoint(target, call.path, stream=call.stream)
        return Prepared(Sending(target, call, endpoint), call.stream)

    def _add_headers(self, sending: Sending) -> None:
        """Add the client's headers to a call in its own protocol. A body that was rendered again has the fields of previews, too,
        which providers reject without the names of these previews."""
        request = self._request
        if HEADER in request.headers:
            lessons = self._revision.providers.adaptations(sending.target)
            self._warnings += map(adapted, headers.unknown_previews(request.headers, lessons))
        changes = headers.changes(self._warnings)
        sending.call.headers |= headers.sent_on(request.headers, request.codec.PASS, changes)

    async def _translated(self, target: Target, body: ClientBody) -> Prepared:
        conversation = self._request.conversation(body.fields())
        if conversation.protocol != target.upstream.protocol:
            conversation, self._client_tools = as_functions(conversation)
        self._translates = conversation
        asked, clamped = asked_of(conversation, target)
        asked = await self._stores.restored(self._request.client, target, asked)
        revision = self._revision
        if may_compact(asked):
            asked = self._compacting(target, asked)
        asked, self._search, warnings = with_searches(asked, target, revision.search, strict=revision.settings.strict)
        try:
            sending = await revision.providers.ready(asked, target)
        except MISREAD as error:
            raise not_valid(f"invalid request: {type(error).__name__}: {error}") from error
        self._warnings = clamped + warnings + sending.call.warnings
        return Prepared(sending, bool(conversation.stream), conversation)

    def _compacting(self, target: Target, asked: Conversation) -> Conversation:
        """The conversation with summaries in place of our compaction items, and a request for one in place of the client's.
        Raises what `with_summaries` raises."""
        asked = with_summaries(asked, target)
        self._compaction = found = compaction(asked, target)
        return asked if found is None else found.conversation

    # --- the response ---

    async def _stream(self, prepared: Prepared) -> None:
        if self._search is None and prepared.begun is None and self._begins_with_count(prepared):
            # the provider works while the input is counted
            prepared.begun = self._revision.providers.begin(prepared.sending)
        try:
            await self._streamed(prepared, await self._counted(prepared))
        finally:
            if prepared.begun is not None:
                prepared.begun.leave()

    async def _streamed(self, prepared: Prepared, counted: int | None) -> None:
        """Answer with a stream. `counted`: the input tokens at its start, if its client reads them there."""
        # if the provider is silent for long, the stream begins before its reply
        begin = asyncio.get_running_loop().call_later(PATIENCE, self._begin, prepared)
        stream: PassedStream | RenderedStream | None = None

        def consume(opened: Opened, events: list[Event]) -> None:
            nonlocal stream
            if stream is None:
                begin.cancel()
                stream = self._begun(prepared, opened, counted)
            if len(events) == 1 and type(delta := events[0]) is PartDelta:
                piece = stream.more(opened.data, delta)
            else:
                self._note(events, prepared.conversation)
                self._keep_running(events)
                piece = stream.feed(opened.data, events)
            if self._ended or self._keeping is not None:  # stored before the client sees it: it may ask for it at once
                self._rest += piece
            else:
                self._responder.write(piece)

        try:
            await self._relay(prepared, consume)
        except ModelbayError as error:
            if not self._responder.started:
                raise
            if self._keeping is not None:
                await self._keeping
            self._failed(error)
            begun = failed_stream if stream is None else failure_event
            await self._end(
                prepared, stream, (failure_array if prepared.array else begun)(self._request.protocol, error)
            )
            return
        finally:
            begin.cancel()
        if self._keeping is not None:
            await self._keeping
        if self.finished:
            await self._keep(collect(self._events), prepared.conversation)
        assert stream is not None
        await self._end(prepared, stream, self._rest + stream.close())

    async def _end(self, prepared: Prepared, stream: PassedStream | RenderedStream | None, data: bytes) -> None:
        """End a stream with its last bytes."""
        bare = self._request.codec.PASS.bare_failure
        named = stream is not None and stream.named
        if self.error is not None and bare is not None and not prepared.array and not named:
            self._responder.write(data)
            self._responder.stop()
            await asyncio.sleep(_APART)
            data = encode(bare(self.error)[1])
        self._responder.end(data)

    async def _counted(self, prepared: Prepared) -> int | None:
        """Input tokens for the start of a stream, if its client reads them there."""
        if self._expected is None or not self._begins_with_count(prepared):
            return None
        expected = await self._expected
        return None if expected is None else expected.tokens

    async def _relay(self, prepared: Prepared, consume: Consume) -> None:
        providers = self._revision.providers
        if self._compaction is not None:
            consume = self._compaction.of(consume)
        try:
            if self._search is not None:
                await self._search.relay(providers, prepared.sending, consume, self._warned, self._policy)
            else:
                await Opening(providers, prepared.sending, self._policy, consume, prepared.begun).opened(self._warned)
        except ModelbayError as error:
            self.attempts = error.attempts
            raise
        if prepared.sending.call.reasoning_refused and self.finished:
            await self._remember_refusal(prepared)

    async def _remember_refusal(self, prepared: Prepared) -> None:
        """Store which reasoning state in the history the target refused: the client will send it again."""
        assert self.target is not None
        request = self._request
        conversation = prepared.conversation or request.conversation(request.fields())
        sent = prepared.sending.call.encode()
        await self._stores.refuse_reasoning(request.client, self.target, conversation, sent)

    def _begun(self, prepared: Prepared, opened: Opened, counted: int | None) -> PassedStream | RenderedStream:
        """Begin the response with that of a provider."""
        self.attempts = opened.attempts
        if not self._responder.started:
            self._begin(prepared, opened)
        self._responder.follow(opened)
        protocol = self._request.protocol
        if prepared.conversation is None and opened.framed and not prepared.array and not opened.sending.call.stops:
            return PassedStream(protocol)
        conversation = prepared.conversation or self._request.conversation(self._request.fields())
        stream = RenderedStream(protocol, conversation)
        if counted is not None:
            stream.feed(b"", [UsageReported(Usage(input=counted))])
        return stream

    def _begin(self, prepared: Prepared, opened: Opened | None = None) -> None:
        # some providers name another content type than that of their stream
        kind, ping = EVENT_STREAM, PINGS.get(self._request.protocol, COMMENT)
        if prepared.array:
            kind, ping = JSON[1], WHITE_SPACE
        returned = [] if opened is None else headers.returned(opened.headers, passed=False)
        own = self.fields()
        self._responder.start(200, [*returned, (b"content-type", kind), (b"cache-control", b"no-cache"), *own], ping)

    async def _whole(self, prepared: Prepared) -> None:
        data: list[bytes] = []
        call: list[Opened] = []

        def consume(opened: Opened, events: list[Event]) -> None:
            call[:] = [opened]
            data.append(opened.data)
            self._note(events, prepared.conversation)

        await self._relay(prepared, consume)
        opened = call.pop()  # `consume` must not refer to it any more
        self.attempts = opened.attempts
        if self.error is not None:
            if isinstance(self.error, ReplyError):
                self.error.received = HiddenBytes(b"".join(data))
            raise self.error
        reply = collect(self._events)
        await self._keep(reply, prepared.conversation)
        passes = prepared.conversation is None and not opened.framed and not opened.sending.call.stops
        body = b"".join(data) if passes else self._request.codec.render_reply(reply)
        if self._request.route.action == "compact":
            body = compacted(body)
        fields = headers.returned(opened.headers, passed=False)
        self._responder.whole(200, body, [JSON, *fields, *self.fields()])

    def _note(self, events: list[Event], conversation: Conversation | None) -> None:
        """Read events beside the response."""
        for event in events:
            if type(event) is PartDelta:  # most
                continue
            if self._client_tools and isinstance(event, PartStarted | PartEnded) and type(event.part) is ToolCall:
                event.part.native = self._client_tools.get(event.part.name, event.part.native)
            if type(event) is Started and conversation is not None:
                assert self.target is not None
                settings, asked = conversation.settings, self._request.protocol
                complete(event, self.target.model.id, asked, settings, self._resolution)
            elif type(event) is Failed:
                self._failed(event.error)
                self._ended = True
            elif type(event) is Finished:
                self.finished = self._ended = True
            self._events.append(event)

    def _failed(self, error: ModelbayError) -> None:
        """Note the failure of a reply. It gets an ID for the client: Qwen Code repeats a request that broke off only with one."""
        self.error = error
        if error.request_id is None:
            error.request_id = self._request.id

    async def _keep(self, reply: Reply, conversation: Conversation | None) -> None:
        """Store what later requests need."""
        await self._learn(reply)
        request, target = self._request, self.target
        if self._resolution is not None:
            response = decode(request.codec.render_reply(reply))
            await self._stores.keep_response(request.client, self._resolution, response)
        if target is None or not may_have_state(reply):
            return
        if conversation is None:
            conversation = request.conversation(request.fields())
        if self._search is not None:
            reply = made_by_model(reply)
        await self._stores.keep_reasoning(request.client, target, conversation, reply)

    def _keep_running(self, events: list[Event]) -> None:
        """Store a response that runs in the background as soon as it begins: its client may leave, and resumes it by its ID."""
        resolution = self._resolution
        if resolution is None or resolution.body.get("background") is not True:
            return
        begun = next((event for event in events if type(event) is Started), None)
        if begun is None:
            return
        running: Extra = {
            "id": begun.id,
            "object": "response",
            "status": "in_progress",
            "model": begun.model,
            "output": [],
        }
        kept = self._stores.keep_response(self._request.client, resolution, running)
        self._keeping = asyncio.ensure_future(kept)
        self._keeping.add_done_callback(self._kept_running)

    def _kept_running(self, _: asyncio.Future[None]) -> None:
        self._keeping = None
        if not self._ended:
            rest, self._rest = self._rest, b""
            self._responder.write(rest)

    # --- counts of input tokens ---

    def _uses_counts(self, prepared: Prepared) -> bool:
        """Whether a client reads an expected count, now or with later requests."""
        return self._begins_with_count(prepared) or (self.target is not None and self._stores.needs_counts(self.target))

    def _begins_with_count(self, prepared: Prepared) -> bool:
        """Whether the client reads the input tokens at the start of the stream. Only Anthropic reports them there."""
        return prepared.stream and self._request.protocol == "anthropic" and prepared.conversation is not None

    async def _expect(self, prepared: Prepared) -> Expected | None:
        """The expected count of the input; None if there is none, as for a request that is passed on and cannot be read."""
        request, conversation = self._request, prepared.conversation
        assert self.target is not None
        try:
            if conversation is None:
                conversation = await asyncio.to_thread(lambda: request.conversation(request.fields()))
            return await self._stores.expected_count(self.target, conversation)
        except ModelbayError:
            return None
        except Exception:  # noqa: BLE001 the reply is worth more: an upgrade may have replaced tables, which are read late
            LOG.exception("the input tokens of a request could not be estimated")
            return None

    async def _learn(self, reply: Reply) -> None:
        """Learn from the provider's count of the input."""
        if self._expected is None:
            return
        expected = await self._expected
        # a provider's own tools count what they found, too
        plain = self._search is None and not any(type(part) is ServerToolCall for part in reply.parts)
        if expected is not None and self.target is not None and plain and reply.usage and reply.usage.input_total:
            await self._stores.learn_count(self.target, expected, reply.usage.input_total)

    def fields(self) -> list[headers.Field]:
        """The headers that describe the call."""
        assert self.target is not None
        return self._revision.tag_for(self._request.protocol) + headers.own(
            provider=self.target.upstream.provider.id,
            model=self.target.model.id,
            attempts=self.attempts or None,
            dropped=self._changes(self._warnings),
            overhead=self._overhead,
            search=None if self._search is None else self._search.backend,
        )
