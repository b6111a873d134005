"""The usual form of a reply with nothing but text, decoded by type, which takes a fraction of the time.

The type accepts only what the lenient reader would read in the same way.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from modelbay.dialect import Dialect
from modelbay.json_text import is_flat, reader_of


class _Text(Struct, forbid_unknown_fields=True):
    text: str


class _Content(Struct, forbid_unknown_fields=True):
    parts: Annotated[list[_Text], Meta(min_length=1)]
    role: Literal["model"]


class _Candidate(Struct, rename="camel", forbid_unknown_fields=True):
    content: _Content
    finish_reason: Literal["STOP", "MAX_TOKENS"]
    index: Literal[0] = 0
    avg_logprobs: float | None = None
    safety_ratings: list[Any] | None = None
    token_count: int | None = None


class _Response(Struct, rename="camel"):
    candidates: Annotated[list[_Candidate], Meta(min_length=1, max_length=1)]
    error: None = None
    prompt_feedback: None = None


_response = reader_of(_Response)


def is_plain(body: bytes, dialect: Dialect) -> bool:
    """See `PassRules.is_plain`."""
    return is_flat(body) and _response(body) is not None
