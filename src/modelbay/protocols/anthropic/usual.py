"""The usual form of a reply with nothing but text, decoded by type, which takes a fraction of the time.

The type accepts only what the lenient reader would read in the same way.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from modelbay.dialect import Dialect
from modelbay.json_text import reader_of


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


_message = reader_of(_Message)


def is_plain(body: bytes, dialect: Dialect) -> bool:
    """See `PassRules.is_plain`."""
    return _message(body) is not None
