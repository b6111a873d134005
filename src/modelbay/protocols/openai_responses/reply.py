"""Responses replies: parsing and rendering. Streams end with one too."""

from typing import Any

import msgspec

from modelbay.conversation import Conversation, Extra, Provenance
from modelbay.dialect import Dialect
from modelbay.errors import IncompleteReply, MalformedReply
from modelbay.events import Event, Failed, Finished, PartEnded, PartStarted, Reply, Started, UsageReported
from modelbay.json_text import decode
from modelbay.protocols.assembly import Assembly
from modelbay.protocols.failures import unreadable
from modelbay.protocols.finishing import REASONS, finish, normalized
from modelbay.protocols.openai_errors import error_in, parse_error_object
from modelbay.protocols.openai_responses.items import reply_parts
from modelbay.protocols.openai_responses.parts import reply_content
from modelbay.protocols.openai_responses.stream_out import StreamRenderer
from modelbay.protocols.openai_responses.usage import parse_usage
from modelbay.protocols.shapes import items, without, word

_TOP = ("id", "object", "created_at", "status", "error", "incomplete_details", "model", "output", "usage")


def parse_reply(body: bytes, dialect: Dialect, origin: Provenance | None = None) -> list[Event]:
    assembly = Assembly(origin)
    try:
        reply = decode(body)
    except MalformedReply as error:
        assembly.fail(unreadable(f"the reply is not JSON: {error}", body))
        return assembly.take()
    output = reply.get("output") if isinstance(reply, dict) else None
    if output is not None and not (isinstance(output, dict) and error_in(reply)):
        start(reply, assembly)
        for item in items(output):
            for part in reply_parts(item) if isinstance(item, dict) else reply_content(item):
                assembly.whole(part)
        end(reply, assembly, dialect)
    else:
        missing = unreadable("the reply has no `output`: is this the right URL for Responses?", body)
        assembly.fail(error_in(reply) or missing)
    return assembly.take()


def start(response: dict[str, Any], assembly: Assembly) -> None:
    extra = without(response, *_TOP) or {}
    if isinstance(response.get("created_at"), int | float):
        extra["created"] = response["created_at"]
    assembly.start(word(response.get("id")) or None, word(response.get("model")) or None, extra)


def end(response: dict[str, Any], assembly: Assembly, dialect: Dialect) -> None:
    """Set how the reply ended, from the response's status."""
    assembly.usage = parse_usage(response.get("usage"), dialect)
    error, status = response.get("error"), word(response.get("status"))
    details = response.get("incomplete_details")
    why = word(details.get("reason")) if isinstance(details, dict) else None
    if isinstance(error, dict) and error:
        assembly.fail(parse_error_object(error, None))
    elif status in ("failed", "cancelled"):
        assembly.fail(IncompleteReply(f"the provider reports that the response was {status}, without a reason"))
    elif status == "incomplete":
        reason = REASONS.get(normalized(why or "length"))
        assembly.finish(reason if reason in ("length", "content_filter", "refusal") else "other", why or status)
    else:  # "queued" and "in_progress" run in the background; the client asks the provider for them later
        finish(assembly, status)


def render_reply(reply: Reply) -> bytes:
    return msgspec.json.encode(response_object(reply))


def response_object(reply: Reply) -> Extra:
    """The final event type of a stream of the same reply."""
    renderer = StreamRenderer(Conversation(), silent=True)
    renderer.feed(Started(reply.id, reply.model, reply.extra))
    for key, part in enumerate(reply.parts):
        renderer.feed(PartStarted(key, part))
        renderer.feed(PartEnded(key, part))
    if reply.usage is not None:
        renderer.feed(UsageReported(reply.usage))
    renderer.feed(Failed(reply.error) if reply.error is not None else reply.finish or Finished("stop"))
    return renderer.response
