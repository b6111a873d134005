"""The usual forms of replies and chunks, decoded by type, which takes a fraction of the time.

A type here accepts only what the lenient reader would read in the same way: a field that is unusual, or has an unusual
value, makes the decoder fail, and the lenient reader reads the whole text again.
"""

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

from modelbay.conversation import Provenance, Text
from modelbay.dialect import Dialect
from modelbay.events import Finished, Reply
from modelbay.json_text import reader_of
from modelbay.protocols.finishing import REASONS
from modelbay.protocols.openai_chat.usage import parse_usage

_Empty: TypeAlias = Annotated[list[Any], Meta(max_length=0)] | None
_Filled: TypeAlias = Annotated[str, Meta(min_length=1)]
_Number: TypeAlias = int | float | str | None
_Usage: TypeAlias = dict[str, _Number | dict[str, _Number]]


class _Function(Struct, forbid_unknown_fields=True):
    name: _Filled
    arguments: str


class UsualCall(Struct, forbid_unknown_fields=True):
    function: _Function
    id: _Filled
    type: Literal["function"]
    index: int | None = None


class _Message(Struct, forbid_unknown_fields=True):
    content: str | None = None
    tool_calls: list[UsualCall] | None = None
    role: str | None = None
    refusal: None = None
    reasoning: None = None
    reasoning_content: None = None
    function_call: None = None
    audio: None = None
    annotations: _Empty = None


class _Choice(Struct, forbid_unknown_fields=True):
    message: _Message
    finish_reason: _Filled
    index: Literal[0] = 0
    logprobs: None = None
    stop_reason: None = None


class UsualReply(Struct, forbid_unknown_fields=True):
    choices: Annotated[list[_Choice], Meta(min_length=1, max_length=1)]
    id: str | None = None
    model: str | None = None
    created: int | None = None
    object: str | None = None
    usage: _Usage | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None

    @property
    def extra(self) -> dict[str, Any]:
        """The fields that `Started.extra` has."""
        found = {
            "service_tier": self.service_tier,
            "system_fingerprint": self.system_fingerprint,
            "created": self.created,
        }
        return {name: value for name, value in found.items() if value is not None}


class _ArgumentsDelta(Struct):
    arguments: _Filled
    name: Annotated[str, Meta(max_length=0)] | None = None


class CallDelta(Struct, forbid_unknown_fields=True):
    """More arguments of a tool call."""

    index: Annotated[int, Meta(ge=0)]
    function: _ArgumentsDelta
    id: None = None
    type: Literal["function"] | None = None


class UsualDelta(Struct):
    """Text, thinking or arguments. Fields that nothing reads may have any value."""

    content: str | None = None
    reasoning_content: _Filled | None = None
    reasoning: _Filled | None = None
    tool_calls: Annotated[list[CallDelta], Meta(max_length=1)] | None = None
    reasoning_text: None = None
    reasoning_details: None = None
    thinking_blocks: _Empty = None
    refusal: None = None
    function_call: None = None
    audio: None = None
    annotations: _Empty = None
    images: _Empty = None


class _ChunkChoice(Struct):
    delta: UsualDelta
    index: Literal[0] = 0
    finish_reason: None = None
    logprobs: None = None
    error: None = None
    usage: None = None
    stop_reason: None = None


class UsualDeltas(Struct):
    choices: Annotated[list[_ChunkChoice], Meta(min_length=1, max_length=1)]
    error: None = None
    usage: None = None
    x_groq: None = None


usual_reply = reader_of(UsualReply, skips=False)
"""Reads a reply that has text or tool calls, or both."""
usual_chunk = reader_of(UsualDeltas)
"""Reads a chunk that only continues a reply."""


def is_plain(body: bytes, dialect: Dialect) -> bool:
    """See `PassRules.is_plain`."""
    return _text_reply(body, dialect) is not None


def plain_reply(body: bytes, dialect: Dialect, origin: Provenance | None) -> Reply | None:
    """See `Codec.plain_reply`."""
    reply = _text_reply(body, dialect)
    if reply is None:
        return None
    text, native = reply.choices[0].message.content, reply.choices[0].finish_reason
    return Reply(
        reply.id or None,
        reply.model or None,
        [Text(text=text, origin=origin)] if text else [],
        Finished(REASONS[native], native),
        parse_usage(reply.usage, dialect),
        extra=reply.extra or None,
    )


def _text_reply(body: bytes, dialect: Dialect) -> UsualReply | None:
    """A reply that has only text, and ended as usual."""
    reply = None if dialect.think_tags else usual_reply(body)
    if reply is None or reply.choices[0].message.tool_calls:
        return None
    return reply if reply.choices[0].finish_reason in ("stop", "length", "content_filter") else None
