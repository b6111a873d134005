"""The usual forms of replies and chunks with nothing but text, decoded by type, which takes a fraction of the time.

A type here accepts only what the lenient reader would read in the same way.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from modelbay.dialect import Dialect
from modelbay.json_text import reader_of


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


class _Piece(Struct, forbid_unknown_fields=True):
    text: Annotated[str, Meta(min_length=1)]


class _PieceContent(Struct, forbid_unknown_fields=True):
    parts: Annotated[list[_Piece], Meta(min_length=1, max_length=1)]
    role: Any = None


class _PieceCandidate(Struct, rename="camel", forbid_unknown_fields=True):
    content: _PieceContent
    index: Literal[0] = 0
    finish_reason: None = None


class UsualChunk(Struct, rename="camel"):
    """One piece of text. Fields that nothing reads after the first chunk may have any value."""

    candidates: Annotated[list[_PieceCandidate], Meta(min_length=1, max_length=1)]
    usage_metadata: dict[str, Any] | None = None
    error: None = None
    prompt_feedback: None = None

    @property
    def text(self) -> str:
        return self.candidates[0].content.parts[0].text


_response = reader_of(_Response)
usual_chunk = reader_of(UsualChunk)
"""Reads a chunk that only continues a text."""


def is_plain(body: bytes, dialect: Dialect) -> bool:
    """See `PassRules.is_plain`."""
    return _response(body) is not None
