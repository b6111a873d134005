"""Tokens of a text for some tokenizers, without their vocabularies: counted from its words, digits, punctuation and scripts.

Each tokenizer has its own weights, in `text_tokens.toml`. Half of the estimates of texts of 25 tokens and more are within 4 %.
"""

import tomllib
from functools import cache
from pathlib import Path

from msgspec import Struct

from modelbay.conversion import convert

TABLE = Path(__file__).with_name("text_tokens.toml")

_UPPER, _LOWER = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"abcdefghijklmnopqrstuvwxyz"
_DIGITS, _SPACES = b"0123456789", b" "
_BREAKS = b"\t\n\v\f\r"
_SIGNS = bytes(set(range(128)) - {*_UPPER, *_LOWER, *_DIGITS, *_SPACES, *_BREAKS})


def _marks(*groups: tuple[bytes, bytes]) -> bytes:
    """A table for `bytes.translate`: a mark for each group of bytes, and "~" for all others."""
    table = bytearray(b"~" * 256)
    for characters, mark in groups:
        for character in characters:
            table[character] = mark[0]
    return bytes(table)


_CASED = _marks((_UPPER, b"A"), (_LOWER, b"a"), (_DIGITS, b"0"), (_SPACES, b" "), (_BREAKS, b"\n"), (_SIGNS, b"."))
_OTHER = ord("~")
_UNCASED = bytes.maketrans(b"A", b"a")
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
_NO_SCRIPT = {name: bytes(set(range(256)) - set(first)) for name, first in _SCRIPTS.items()}

_WHOLE = 65_536
"""Approximate maximum number of characters that are read of a text."""
_SLICE = 1_024
"""Characters that are read of each part of a longer text. The parts stay where they are when a conversation grows, so that
the difference to an earlier estimate is that of the new part."""
_BLOCK = 4_096
"""Characters of other texts that are counted together."""
_MOST_KNOWN = 4_096
"""Maximum number of slices and blocks whose tokens are kept for a tokenizer. An agent sends the same history with each request."""


class TokenWeights(Struct, frozen=True):
    """Tokens per occurrence. A long word has more tokens than a short one, and a mark that follows a letter more than one
    that follows a mark."""

    pattern: dict[str, float]
    """By marks: `a` letter, `0` digit, `.` punctuation, space, line break. Repeated marks do not overlap."""
    cased: dict[str, float]
    """By marks in which `A` is an upper-case letter."""
    script: dict[str, float]
    """For a character of each other script."""


@cache
def _table() -> dict[str, TokenWeights]:
    return convert(tomllib.loads(TABLE.read_text(encoding="utf-8")), dict[str, TokenWeights])


@cache
def _weights(tokenizer: str) -> tuple[list[tuple[bytes, float]], list[tuple[bytes, float]], dict[str, float]]:
    found = _table()[tokenizer]
    plain, cased = ([(marks.encode(), each) for marks, each in one.items()] for one in (found.pattern, found.cased))
    return plain, cased, found.script


def text_tokens(text: str, tokenizer: str = "o200k") -> float:
    """The tokens of a text. `tokenizer`: its name in `text_tokens.toml`."""
    part = _SLICE
    while len(text) * _SLICE > _WHOLE * part:
        part *= 2
    sliced = 0 if part == _SLICE else len(text) // part * part
    known = _tokens.setdefault(tokenizer, {})
    found = sum([_known(text[at : at + _SLICE], tokenizer, known) for at in range(0, sliced, part)]) * (part / _SLICE)
    rest = len(text) - (len(text) - sliced) % _BLOCK
    found += sum([_known(text[at : at + _BLOCK], tokenizer, known) for at in range(sliced, rest, _BLOCK)])
    return found + _counted(text[rest:], tokenizer)


_tokens: dict[str, dict[int, float]] = {}
"""By tokenizer, the tokens of slices and blocks by their hash, which is keyed by Python: texts of clients are not kept."""


def _known(text: str, tokenizer: str, known: dict[int, float]) -> float:
    tokens = known.get(hash(text))
    if tokens is None:
        if len(known) >= _MOST_KNOWN:
            known.clear()
        tokens = known[hash(text)] = _counted(text, tokenizer)
    return tokens


def _counted(text: str, tokenizer: str) -> float:
    plain, cased, scripts = _weights(tokenizer)
    data = text.encode("utf-8", "replace")
    marks = data.translate(_CASED)
    found = sum([each * marks.count(pattern) for pattern, each in cased])
    marks = b"\n" + marks.translate(_UNCASED)  # a first word counts like one after a line break
    ascii = text.isascii()
    found += sum([each * marks.count(pattern) for pattern, each in plain if not (ascii and pattern[0] == _OTHER)])
    if not ascii:
        found += sum([scripts[name] * len(data.translate(None, others)) for name, others in _NO_SCRIPT.items()])
    return max(1.0, found) if text else 0.0
