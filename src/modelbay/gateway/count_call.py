"""Token counts for clients: the provider's own, or an estimate."""

from modelbay.calling.opened import Sending
from modelbay.calling.target import Target
from modelbay.counting.provider_count import (
    count_call,
    count_endpoint,
    count_path,
    counted,
    counting_target,
    counts_all,
    tokens_in,
)
from modelbay.errors import ModelbayError
from modelbay.gateway import client_login, headers
from modelbay.gateway.client_request import ClientRequest
from modelbay.gateway.passing import ClientBody, passed_path
from modelbay.gateway.responder import Responder
from modelbay.gateway.revision import Revision
from modelbay.gateway.stores import Stores
from modelbay.json_text import encode
from modelbay.protocols.empty_requests import has_messages, without_messages
from modelbay.routing.retry import Policy
from modelbay.serving.replies import JSON, token_count

_ONCE = Policy(attempts=1)
"""An estimate now is better than a count after retries."""


class CountCall:
    """A count for an agent that decides when to shorten its conversation. It never fails because of the provider."""

    def __init__(self, revision: Revision, stores: Stores, request: ClientRequest, responder: Responder) -> None:
        self._revision = revision
        self._stores = stores
        self._request = request
        self._responder = responder
        self.target: Target | None = None

    async def run(self) -> None:
        """Answer the request.

        Raises:
            ModelbayError: the request cannot be read, or no model has the name.
        """
        request = self._request
        body = ClientBody(request.body, request.codec.PASS)
        self.target = target = await self._revision.target(request.route.model or body.model)
        whole = await self._stores.whole(request, await self._revision.keeper(target, request))
        if whole is not request:
            self._request, body = whole, ClientBody(whole.body, request.codec.PASS)
            request = whole
        reply = await self._counted(target, body)
        estimated = reply is None
        if reply is None:
            conversation = request.conversation(request.fields())
            if not has_messages(conversation):
                raise without_messages(request.protocol)
            expected = await self._stores.expected_count(target, conversation, asked=True)
            reply = encode(token_count(request.protocol, expected.tokens))
        fields = headers.own(provider=target.upstream.provider.id, model=target.model.id, estimated=estimated)
        self._responder.whole(200, reply, [JSON, *fields])

    async def _counted(self, target: Target, body: ClientBody) -> bytes | None:
        """The response with the provider's own count; None if it has none for this request."""
        login = client_login.for_call(self._request, target)
        if login is not None:
            target = client_login.without_credential(target)
        try:
            target = counting_target(self._revision.providers, target)
            sending = await self._sending(target, body)
            if sending is None:
                return None
            if login is not None:
                client_login.lend(sending, login, self._request.headers)
            found = await counted(self._revision.providers, sending, _ONCE)
        except ModelbayError:
            return None
        if found is None or self._passes_to(target):
            return found
        return encode(token_count(self._request.protocol, tokens_in(found) or 0))

    def _passes_to(self, target: Target) -> bool:
        """Whether the target counts requests of the client's protocol, in the form of that protocol."""
        return target.upstream.protocol == self._request.protocol and "count" in target.codec.PASS.paths

    async def _sending(self, target: Target, body: ClientBody) -> Sending | None:
        """The call that counts; None if the provider does not count. A request in the provider's protocol is passed on."""
        request, providers = self._request, self._revision.providers
        same, rules = self._passes_to(target), target.codec.PASS
        if (path := count_path(target)) is None:
            return None
        passed = same and body.is_of(request.protocol) and not body.sealed
        conversation = None if passed and counts_all(target) else request.conversation(request.fields())
        if conversation is not None and not counts_all(target, conversation):
            return None
        if same:
            path = passed_path(rules, "count", target.model.id, request.query)
        endpoint = await count_endpoint(providers, target, path)
        if endpoint is None:
            return None
        lessons = providers.adaptations(target)
        if passed or conversation is None:
            call = body.call(target, path, generates=False, lessons=lessons)
        else:
            restored = await self._stores.restored(request.client, target, conversation)
            call = count_call((await providers.ready(restored, target)).call, target, path)
        if same:
            unknown = [lesson.parameter for lesson in headers.unknown_previews(request.headers, lessons)]
            call.headers |= headers.sent_on(request.headers, rules, [*headers.changes(call.warnings), *unknown])
        return Sending(target, call, endpoint)
