"""Token counts: the provider's own, or an estimate."""

from modelbay.calling.opened import Sending
from modelbay.calling.target import Target
from modelbay.errors import ModelbayError
from modelbay.gateway import client_login, headers
from modelbay.gateway.client_request import ClientRequest
from modelbay.gateway.passing import ClientBody, passed_path
from modelbay.gateway.responder import Responder
from modelbay.gateway.revision import Revision
from modelbay.gateway.stores import Stores
from modelbay.json_text import encode
from modelbay.serving.replies import JSON, token_count


class TokenCount:
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
        counted = await self._counted(target, body)
        estimated = counted is None
        if counted is None:
            conversation = request.conversation(request.fields())
            expected = await self._stores.expected_count(target, conversation, asked=True)
            counted = encode(token_count(request.protocol, expected.tokens))
        fields = headers.own(provider=target.upstream.provider.id, model=target.model.id, estimated=estimated)
        self._responder.whole(200, counted, [JSON, *fields])

    async def _counted(self, target: Target, body: ClientBody) -> bytes | None:
        """The provider's own count; None if it has none for this request."""
        request, providers = self._request, self._revision.providers
        rules = request.codec.PASS
        if target.upstream.protocol != request.protocol or "count" not in rules.paths or body.sealed:
            return None
        path = passed_path(rules, "count", target.model.id, request.query)
        login = client_login.for_call(request, target)
        if login is not None:
            target = client_login.without_credential(target)
        try:
            lessons = providers.adaptations(target)
            call = body.call(target, path, generates=False, lessons=lessons)
            unknown = [lesson.parameter for lesson in headers.unknown_previews(request.headers, lessons)]
            call.headers |= headers.sent_on(request.headers, rules, [*headers.changes(call.warnings), *unknown])
            sending = Sending(target, call, await providers.endpoint(target, path, stream=False))
            if login is not None:
                client_login.lend(sending, login, request.headers)
            async with await providers.respond(sending) as response:
                kind = response.headers.get("content-type", "")
                counted = await response.read()
        except ModelbayError:
            return None  # most compatible servers have no such endpoint
        return counted if "json" in kind else None
