"""Requests about a stored response: it is read, deleted or cancelled.

The gateway answers them itself, except where only the provider that keeps the response knows more: while it runs in the
background, and when the client resumes its stream. It is also deleted there.
"""

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote

from modelbay.calling.opened import Sending
from modelbay.conversation import Conversation, Extra
from modelbay.dialect import PLAIN
from modelbay.errors import MalformedReply, NotFound
from modelbay.events import Started
from modelbay.gateway import headers
from modelbay.gateway.exchange import EVENT_STREAM
from modelbay.gateway.kept_items import KeptResponse
from modelbay.gateway.side_call import SideCall
from modelbay.json_text import decode, encode
from modelbay.protocols.codec import Call, codec
from modelbay.protocols.openai_responses.stream_out import REPEATED
from modelbay.serving.replies import JSON
from modelbay.serving.value_errors import check_included, refused

if TYPE_CHECKING:
    from modelbay.calling.opened import AnyResponse

_METHODS = {"retrieve": "GET", "cancel": "POST", "delete": "DELETE"}
"""The methods of requests that a provider may get, by action."""


class StoredCall(SideCall):
    async def run(self) -> None:
        """Answer the request.

        Raises:
            ModelbayError: it failed, and nothing was sent to the client.
        """
        request, stores = self._request, self._stores
        action, id, query = request.route.action, request.route.id or "", dict(parse_qsl(request.query))
        check_included(request.query)
        streams = action == "retrieve" and query.get("stream") == "true"
        kept = await stores.kept_response(request.client, id)
        if kept is not None and kept.keeper and (kept.runs or action == "delete" or (streams and kept.in_background)):
            sending = await self._sending(kept) if action in _METHODS else None
            if sending is not None and action == "delete":
                await self._delete(sending)
            elif sending is not None:
                await self._relay(sending, self._revision.providers.ask(sending, _METHODS[action]))
                return
        found = await stores.response(action, request.client, id, query)
        if streams:
            if "starting_after" in query:
                raise refused("Only the stream of a response with `background: true` can be resumed.", "starting_after")
            self._responder.whole(200, replay(found), [(b"content-type", EVENT_STREAM)])
        else:
            self._responder.whole(200, encode(found), [JSON])
        self.finished = True

    async def _sending(self, kept: KeptResponse) -> Sending | None:
        """The call of the provider that keeps the response; None if the model that was asked is another account's now.
        Raises what `Revision.target` and `ProviderClient.endpoint` raise."""
        request, revision = self._request, self._revision
        target = await self._found(kept.asked)
        if await revision.keeper(target, request) != kept.keeper:
            self.target = None
            return None
        path = f"{request.codec.PASS.path('generate', target.model.id)}/{quote(request.route.id or '', safe='')}"
        if request.route.action == "cancel":
            path += "/cancel"
        elif request.query:
            path += f"?{request.query}"
        call = Call(path, {}, headers.sent_on(request.headers, request.codec.PASS))
        return Sending(target, call, await revision.providers.endpoint(target, path, stream=False))

    async def _delete(self, sending: Sending) -> None:
        try:
            response = await self._revision.providers.ask(sending, "DELETE")
        except NotFound:
            return  # it has expired there
        async with response:
            await response.read()

    async def _stream(self, response: "AnyResponse", fields: list[headers.Field]) -> None:
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            await super()._stream(response, fields)
            return
        body = await response.read()
        try:
            found = decode(body)
        except MalformedReply:
            found = None
        if isinstance(found, dict):
            await self._stores.update_response(self._request.client, self._request.route.id or "", found)
        self._responder.whole(response.status, body, fields)


def replay(response: Extra) -> bytes:
    """The stream of a complete response."""
    of = codec("openai_responses")
    render = of.stream_renderer(Conversation()).feed
    out: list[bytes] = []
    for event in of.parse_reply(encode(response), PLAIN):
        if type(event) is Started:
            own = {name: value for name, value in response.items() if name not in _FROM_EVENTS}
            event.extra = {**(event.extra or {}), REPEATED: own}
        out.append(render(event))
    return b"".join(out)


_FROM_EVENTS = frozenset(("id", "status", "output", "usage", "error", "incomplete_details"))
"""Fields of a response that its events have."""
