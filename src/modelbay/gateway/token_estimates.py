"""Estimates of input tokens, for providers that do not count them.

Tokens of a text are estimated from its letters, words, digits, punctuation and scripts, without a tokenizer. Each model
family then has its own factors: for text, for the tokens that a message, a tool or a schema adds, and for media. They
are in `token_estimates.toml`.
"""

from base64 import b64decode
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct, field

from modelbay.conversation import (
    AnyPart,
    Conversation,
    Json,
    Media,
    Refusal,
    ServerToolCall,
    ServerToolResult,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
    UnknownPart,
)
from modelbay.gateway.image_sizes import image_size
from modelbay.json_text import encode
from modelbay.model import Model
from modelbay.protocols.documents import plain_text

TABLE = Path(__file__).with_name("token_estimates.toml")
_UNKNOWN_SIZE = (1024, 1024)
"""Assumed width and height of an image that is not in the request, or is not readable."""
_UNKNOWN_PAGES = 3
_UNKNOWN_SECONDS = 30.0
_BYTES_PER_PAGE = 50_000
_BYTES_PER_SECOND = {"audio": 16_000, "video": 80_000}
"""Assumed sizes of media whose length is not in their header."""


class ImageRule(Struct, frozen=True, kw_only=True):
    """How a family counts the tokens of an image."""

    kind: Literal["area", "tiles", "patches", "flat"]
    """`area`: by the number of pixels. `tiles` and `patches`: by squares of `edge` pixels. `flat`: always `base`."""
    base: float = 0
    """Tokens of every image; for `tiles` also those of one with low detail."""
    pixels: float = 750
    """Pixels per token."""
    edge: int = 512
    """Width and height of a square in pixels."""
    each: float = 1
    """Tokens per square."""
    long_side: int = 0
    """A larger image is scaled down to this; 0: not at all."""
    short_side: int = 0
    most: int = 0
    """Maximum tokens without `base`; 0: no maximum."""

    def tokens(self, size: tuple[int, int], detail: str | None) -> float:
        if self.kind == "flat" or (self.kind == "tiles" and detail == "low"):
            return self.base
        long, short = float(max(size)), float(max(1, min(size)))
        if self.long_side and long > self.long_side:
            long, short = self.long_side, short * self.long_side / long
        if self.short_side and short > self.short_side:
            long, short = long * self.short_side / short, self.short_side
        squares = ceil(long / self.edge) * ceil(short / self.edge) * self.each
        found = long * short / self.pixels if self.kind == "area" else squares
        return self.base + (min(found, self.most) if self.most else found)


class FactorRow(Struct, frozen=True, kw_only=True):
    family: str
    """The family; "" is the default."""
    models: list[str] = field(default_factory=lambda: ["*"])
    """Patterns of model IDs. The first row that matches is used."""


class TextFactors(FactorRow, frozen=True, kw_only=True):
    """Tokens that models count for the contents of a conversation."""

    base: float
    system: float
    """For a system prompt, besides its text."""
    turn: float
    tools: float
    """For any number of tools: the instructions for calling them."""
    tool: float
    property: float
    """For each property in the schemas of tools."""
    text: float
    """Factor for texts."""
    schema: float
    """Factor for names and descriptions of tools and their properties."""
    call: float
    result: float
    thinking: float
    """Factor for thinking in the current tool loop. Older thinking is not counted."""
    opaque: float
    """For 1,000 characters of encrypted reasoning in the current tool loop."""
    format: float
    """Factor for the schema of an output format."""
    has_format: float


class MediaFactors(FactorRow, frozen=True, kw_only=True):
    image: ImageRule
    page: float
    """For a page of a document."""
    audio: float
    """For a second of audio."""
    video: float
    """For a second of video."""


class FactorTable(Struct):
    text: dict[str, float]
    """Tokens per letter, word and so on: see `text_tokens`."""
    family: list[TextFactors]
    media: list[MediaFactors]


@cache
def _table() -> FactorTable:
    import tomllib

    return msgspec.convert(tomllib.loads(TABLE.read_text(encoding="utf-8")), FactorTable)


_Row = TypeVar("_Row", bound=FactorRow)


def _row(rows: list[_Row], model: Model) -> _Row:
    name = model.identity.lower().rpartition("/")[2]
    found = (row for row in rows if row.family in ("", model.family))
    return next(row for row in found if any(fnmatch(name, pattern) for pattern in row.models))


def estimate(conversation: Conversation, model: Model) -> int:
    """The estimated input tokens of a conversation, at least 1."""
    contents, table = Contents.of(conversation), _table()
    media = _row(table.media, model)
    tokens = _text_tokens(contents, _row(table.family, model)) + sum(
        _media_tokens(one, media) for one in contents.media
    )
    return max(1, round(tokens))


def _text_tokens(contents: "Contents", row: TextFactors) -> float:
    return (
        row.base
        + row.system * contents.system
        + row.turn * contents.turns
        + row.tools * (contents.tools > 0)
        + row.tool * contents.tools
        + row.property * contents.properties
        + row.text * contents.text
        + row.schema * contents.schema
        + row.call * contents.calls
        + row.result * contents.results
        + row.thinking * contents.thinking
        + row.opaque * contents.opaque / 1000
        + row.format * contents.format
        + row.has_format * (contents.format > 0)
    )


# --- what a conversation contains --------------------------------------------------------------------------------------


class Contents(Struct):
    """The contents of a conversation that count as tokens."""

    system: bool = False
    turns: int = 0
    tools: int = 0
    properties: int = 0
    text: float = 0
    """Tokens of all texts, arguments and results, before the family's factor."""
    schema: float = 0
    calls: int = 0
    results: int = 0
    thinking: float = 0
    opaque: int = 0
    """Characters."""
    format: float = 0
    media: list[Media] = field(default_factory=list)

    @classmethod
    def of(cls, conversation: Conversation) -> "Contents":
        found = cls()
        texts: list[str] = []
        thoughts: list[str] = []
        loop = _current_loop(conversation.turns)
        for index, turn in enumerate(conversation.turns):
            if turn.role in ("system", "developer"):
                found.system = True
            else:
                found.turns += 1
            for part in turn.parts:
                found._add(part, texts)
                if index >= loop:
                    found.opaque += len(part.opaque or "")
                    if type(part) is Thinking:
                        thoughts += part.texts
        # one text is counted faster than many
        found.text, found.thinking = text_tokens("".join(texts)), text_tokens("".join(thoughts))
        found._add_settings(conversation)
        return found

    def _add(self, part: AnyPart, texts: list[str]) -> None:
        match part:
            case Text() | Refusal():
                texts.append(part.text)
            case ToolCall():
                self.calls += 1
                texts += [part.name, " ", part.arguments]
            case ToolResult():
                self.results += 1
                for inner in part.parts:
                    self._add(inner, texts)
            case Media():
                text = plain_text(part)
                if text is None:
                    self.media.append(part)
                else:
                    texts.append(text)
            case ServerToolCall():
                texts += [part.name, " ", part.arguments]
            case ServerToolResult():
                texts.append(encode(part.content).decode())
            case UnknownPart():
                texts.append(encode(part.raw).decode())

    def _add_settings(self, conversation: Conversation) -> None:
        settings = conversation.settings
        names: list[str] = []
        if settings.tool_choice is None or settings.tool_choice.mode != "none":
            for tool in _each(settings.tools or ()):
                self.tools += 1
                names += [tool.name, " ", tool.description or ""]
                self.properties += _read_schema(tool.schema, names)
        self.schema = text_tokens(" ".join(names))
        if settings.output_format is not None and settings.output_format.schema is not None:
            self.format = text_tokens(encode(settings.output_format.schema).decode())


def _current_loop(turns: list[Turn]) -> int:
    """Index of the first turn after the last message of the user."""
    asked = (
        index
        for index in range(len(turns) - 1, -1, -1)
        if turns[index].role == "user"
        and not any(type(part) is ToolResult for part in turns[index].parts)
        and any(type(part) is Text and part.text for part in turns[index].parts)
    )
    return next(asked, -1) + 1


def _each(tools: Iterable[Tool]) -> Iterator[Tool]:
    for tool in tools:
        if tool.tools:
            yield from _each(tool.tools)
        else:
            yield tool


def _read_schema(schema: Json, names: list[str]) -> int:
    """The number of properties in a schema. Their names, descriptions and values are added to `names`."""
    count = 0
    waiting: list[Any] = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        if not isinstance(value, dict):
            continue
        for table in ("properties", "$defs", "definitions"):
            if isinstance(inner := value.get(table), dict):
                count += len(inner)
                names += inner
                waiting += inner.values()
        waiting += [
            value.get(name) for name in ("items", "additionalProperties", "anyOf", "oneOf", "allOf", "prefixItems")
        ]
        names += [value["description"]] if isinstance(value.get("description"), str) else []
        names += map(str, value["enum"]) if isinstance(value.get("enum"), list) else []
    return count


# --- texts -------------------------------------------------------------------------------------------------------------


_UPPER, _LOWER = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"abcdefghijklmnopqrstuvwxyz"
_DIGITS, _SPACES = b"0123456789", b" "
_BREAKS = b"\t\n\v\f\r"
_PUNCTUATION = bytes(set(range(128)) - {*_UPPER, *_LOWER, *_DIGITS, *_SPACES, *_BREAKS})


def _shape(*groups: tuple[bytes, bytes]) -> bytes:
    """A table for `bytes.translate`: a character for each group of bytes, and a space for all others."""
    table = bytearray(b" " * 256)
    for characters, mark in groups:
        for character in characters:
            table[character] = mark[0]
    return bytes(table)


def _others(characters: bytes) -> bytes:
    return bytes(set(range(256)) - set(characters))


_LETTERS = _shape((_UPPER + _LOWER, b"a"))
_CASES = _shape((_UPPER, b"A"), (_LOWER, b"a"))
_NUMBERS = _shape((_DIGITS, b"a"))
_SIGNS = _shape((_PUNCTUATION, b"a"))
_LINES = _shape((_BREAKS, b"a"))
_NO_LETTERS, _NO_SIGNS = _others(_UPPER + _LOWER), _others(_PUNCTUATION)
_SCRIPTS = {
    "latin": range(0xC2, 0xCE),
    "greek": range(0xCE, 0xD0),
    "cyrillic": range(0xD0, 0xD5),
    "hebrew": range(0xD5, 0xD8),
    "arabic": range(0xD8, 0xE0),
    "indic": range(0xE0, 0xE1),
    "other": range(0xE1, 0xE2),
    "symbols": range(0xE2, 0xE3),
    "kana": range(0xE3, 0xE4),
    "han": range(0xE4, 0xEA),
    "hangul": range(0xEA, 0xEE),
    "wide": range(0xEE, 0xF0),
    "emoji": range(0xF0, 0xF5),
}
"""Scripts by the first byte of a character in UTF-8."""
_NO_SCRIPT = {name: _others(bytes(first)) for name, first in _SCRIPTS.items()}


_WHOLE = 131_072
"""Characters up to which a text is read completely. Of a longer one, slices of this total length are read."""
_SLICE = 4_096


def text_tokens(text: str) -> float:
    """The tokens of a text for an average tokenizer."""
    if len(text) <= _WHOLE:
        return _counted(text)
    every = len(text) * _SLICE // _WHOLE
    slices = "".join([text[start : start + _SLICE] for start in range(0, len(text), every)])
    return _counted(slices) * len(text) / len(slices)


def _counted(text: str) -> float:
    weights = _table().text
    data = text.encode("utf-8", "replace")
    found = (
        weights["letter"] * len(data.translate(None, _NO_LETTERS))
        + weights["word"] * _runs(data, _LETTERS)
        + weights["hump"] * data.translate(_CASES).count(b"aA")
        + weights["number"] * _runs(data, _NUMBERS)
        + weights["sign"] * len(data.translate(None, _NO_SIGNS))
        + weights["signs"] * _runs(data, _SIGNS)
        + weights["break"] * _runs(data, _LINES)
    )
    if not text.isascii():
        found += sum(weights[name] * len(data.translate(None, others)) for name, others in _NO_SCRIPT.items())
    return found


def _runs(data: bytes, shape: bytes) -> int:
    """The number of groups of bytes that the shape marks."""
    marks = data.translate(shape)
    return marks.count(b" a") + marks.startswith(b"a")


# --- media -------------------------------------------------------------------------------------------------------------


def _media_tokens(media: Media, row: MediaFactors) -> float:
    if media.parts is not None:
        return sum(_media_tokens(part, row) for part in media.parts if type(part) is Media)
    size = len(media.data or "") * 3 // 4
    match media.kind:
        case "image":
            found = image_size(_head(media.data)) if media.data else None
            return row.image.tokens(found or _UNKNOWN_SIZE, media.detail)
        case "document":
            return row.page * (_pages(media.data) if media.data else _UNKNOWN_PAGES)
        case _:
            seconds = size / _byte_rate(media) if media.data else _UNKNOWN_SECONDS
            return seconds * (row.audio if media.kind == "audio" else row.video)


def _head(data: str, size: int = 65_536) -> bytes:
    """The first bytes of base64 data; the size of a picture is there."""
    text = data[: size // 3 * 4]
    try:
        return b64decode(text[: len(text) // 4 * 4])
    except ValueError:
        return b""


def _pages(data: str) -> float:
    """The pages of a document. Those in compressed parts of a PDF cannot be seen, then its size decides."""
    by_size = len(data) * 3 / 4 / _BYTES_PER_PAGE
    content = _head(data, 1 << 24)
    if not content.startswith(b"%PDF"):
        return by_size
    seen = sum(content.count(mark) - content.count(mark + b"s") for mark in (b"/Type /Page", b"/Type/Page"))
    return seen or max(1.0, by_size)


def _byte_rate(media: Media) -> int:
    """Bytes per second."""
    head = _head((media.data or "")[:64])
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return int.from_bytes(head[28:32], "little") or _BYTES_PER_SECOND["audio"]
    return _BYTES_PER_SECOND[media.kind]
