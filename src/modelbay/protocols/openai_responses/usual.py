"""The usual event of a stream, a piece of text, decoded by type, which takes half of the time.

The type accepts only what the lenient reader would read in the same way; that one reads all other events.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from modelbay.json_text import reader_of

TEXT: Literal["response.output_text.delta"] = "response.output_text.delta"


class TextDelta(Struct):
    type: Literal["response.output_text.delta"]
    delta: Annotated[str, Meta(min_length=1)]
    output_index: Annotated[int, Meta(ge=0)]
    content_index: Annotated[int, Meta(ge=0)] = 0
    logprobs: Annotated[list[Any], Meta(max_length=0)] | None = None


usual_text = reader_of(TextDelta)
"""Reads the piece of text in an event."""
