"""The rules of calls that are translated: what is asked of the target, and what its reply needs for the client."""

from collections.abc import Mapping
from random import getrandbits
from time import time

from msgspec import Struct
from msgspec.structs import replace

from modelbay.calling.opened import Sending
from modelbay.calling.target import Target
from modelbay.conversation import Conversation, Settings
from modelbay.errors import Unsupported
from modelbay.events import Reply, Started, Warned
from modelbay.gateway.response_store import RESPONSE_ID, ResolvedRequest, repeated
from modelbay.protocols.limits import within_output_limit
from modelbay.protocols.member_names import member
from modelbay.protocols.openai_responses.stream_out import REPEATED
from modelbay.providers.unknown_fields import HEADER
from modelbay.transport.direct import DirectResponse

REPLY_IDS = {"openai_chat": "chatcmpl-", "openai_responses": RESPONSE_ID, "anthropic": "msg_"}
"""Beginnings of the IDs of replies that the gateway gives one."""


class Prepared(Struct):
    """A call that is ready to be sent for a client."""

    sending: Sending
    stream: bool
    """Whether the client asked for a stream."""
    conversation: Conversation | None = None
    """The client's conversation; None if request and reply are passed on as bytes."""
    array: bool = False
    """Whether the stream is a JSON array. Its elements are rendered again, because a failure must close the array."""
    warnings: list[Warned] = []
    begun: DirectResponse | None = None
    """The reply, if the call was sent already."""
    overhead: float = 0.0
    """Seconds from the request until then."""


def asked_of(conversation: Conversation, target: Target) -> tuple[Conversation, list[Warned]]:
    """A client's conversation as it is asked of a target, with warnings about changes. It may be changed.

    Raises:
        Unsupported: it asks for several replies, of which codecs read the first one only.
    """
    if (conversation.settings.n or 1) > 1:
        name = member("n", conversation.protocol)
        why = f"a request with `{name}` above 1 cannot be translated"
        raise Unsupported(why, setting=name, hint="send it once for each reply")
    asked = replace(conversation, settings=replace(conversation.settings), turns=list(conversation.turns))
    if asked.settings.max_output_tokens is None and target.model.output_tokens_explicit:
        asked.settings.max_output_tokens = target.model.max_output_tokens
    return asked, within_output_limit(asked.settings, target.model)


def unsent_previews(headers: Mapping[str, str]) -> list[Warned]:
    """The warning about previews of the client's protocol, which another one does not have."""
    if HEADER not in headers:  # many are always sent, so a strict gateway does not refuse them
        return []
    return [Warned(f"`{HEADER}` is not sent: it belongs to the client's protocol", HEADER)]


def complete(
    reply: Started | Reply, model: str, protocol: str, settings: Settings, resolution: ResolvedRequest | None = None
) -> None:
    """Add what a translated reply, or its beginning, needs and its provider may not send: its `model`, an ID, the time, which
    clients show as 1970 if it is missing, and fields of the request. `protocol` and `settings`: the client's; `resolution`: see
    `repeated`."""
    reply.model = reply.model or model
    if not reply.id or protocol == "openai_responses":  # clients continue a response by its ID: it must be unique
        # it gives no access: a stored response belongs to its client
        reply.id = f"{REPLY_IDS.get(protocol, '')}{getrandbits(128):032x}"
    reply.extra = {"created": int(time()), **(reply.extra or {})}
    if protocol == "openai_responses":
        reply.extra[REPEATED] = repeated(settings, resolution)
