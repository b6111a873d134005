"""The usual form of a reply with nothing but text, decoded by type, which takes a fraction of the time.

The types accept only what the lenient reader would read in the same way.
"""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from modelbay.conversation import Provenance, Text
from modelbay.dialect import Dialect
from modelbay.events import Finished, Reply
from modelbay.json_text import reader_of
from modelbay.protocols.anthropic.usage import parse_usage
from modelbay.protocols.finishing import REASONS

_Number: TypeAlias = int | float | str | None


class _Text(Struct, forbid_unknown_fields=True):
    type: Literal["text"]
    text: str
    citations: None = None


class _Message(Struct):
    content: Annotated[list[_Text], Meta(min_length=1)]
    stop_reason: Literal["end_turn", "max_tokens", "stop_sequence"]
    id: str
    model: str
    type: Literal["message"]
    role: Literal["assistant"]
    error: None = None


class _KnownMessage(_Message, kw_only=True, forbid_unknown_fields=True):
    """One without unknown fields, which would have to be kept."""

    stop_sequence: str | None = None
    stop_details: None = None
    container: None = None
    context_management: None = None
    usage: dict[str, _Number | dict[str, _Number]] | None = None


_message = reader_of(_Message)
_known_message = reader_of(_KnownMessage, skips=False)


def is_plain(body: bytes, dialect: Dialect) -> bool:
    """See `PassRules.is_plain`."""
    return _message(body) is not None


def plain_reply(body: bytes, dialect: Dialect, origin: Provenance | None) -> Reply | None:
    """See `Codec.plain_reply`."""
    reply = _known_message(body)
    if reply is None:
        return None
    return Reply(
        reply.id,
        reply.model,
        [Text(text=block.text, origin=origin) for block in reply.content],
        Finished(REASONS[reply.stop_reason], reply.stop_reason, reply.stop_sequence),
        parse_usage(reply.usage),
    )
