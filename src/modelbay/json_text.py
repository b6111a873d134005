"""JSON as text: read from others, and written for them. No other module calls a JSON decoder.

Whatever anybody sends ends in a value or in one exception. Values are at most `DEPTH` levels deep, so that code that walks
through them cannot run out of stack, and their strings have whole characters only, so that they can be written as UTF-8.
"""

import re
from collections import Counter
from functools import cache
from typing import Any, TypeVar

import msgspec

from modelbay.errors import MalformedReply, Unsupported

T = TypeVar("T")

DEPTH = 200
"""Levels of lists and objects. Google's APIs and Rust's serde_json stop at 100 and 128; a stack of Python holds 1,000."""
_FLAT = 2 * DEPTH
"""A text that is no longer cannot be nested more deeply."""
_decode = msgspec.json.Decoder().decode
_BRACKETS = {bytes: (b"{", b"["), str: ("{", "[")}
BOM = b"\xef\xbb\xbf"
"""The mark that Windows editors put before a text."""
_FENCE = re.compile(rb"^[ \t]*(`{3,}|~{3,})[^`\n]*$", re.MULTILINE)
_FAULTS = (msgspec.DecodeError, ValueError, RecursionError)


def decode(data: bytes | str) -> Any:
    """JSON from the wire. Text that is nearly JSON is read all the same.

    Raises:
        MalformedReply: it is not JSON, or nested too deeply; the message is the reason alone.
    """
    try:
        value = _decode(data)
    except _FAULTS as error:
        return _decode_leniently(data, error)
    if len(data) > _FLAT and sum(map(data.count, _BRACKETS[bytes if isinstance(data, bytes) else str])) > DEPTH:  # type: ignore[arg-type]
        _check_depth(value)
    return value


def decode_as(data: bytes | str, type: type[T]) -> T:
    """A value that modelbay wrote itself, or that must have exactly this shape. Numbers may be written as strings.

    Raises:
        MalformedReply: it is not JSON of that shape; the message is the reason alone.
    """
    try:
        return _decoder(type).decode(data)  # type: ignore[no-any-return,arg-type]
    except _FAULTS as error:
        raise MalformedReply(_reason(error)) from None


@cache
def _decoder(type: Any) -> Any:
    """The decoder of a type, of which there are few: to build one takes longer than to read the arguments of a call."""
    return msgspec.json.Decoder(type, strict=False)


def encode(value: Any) -> bytes:
    """A value as JSON. Halves of surrogate pairs, which UTF-8 cannot carry, become U+FFFD.

    Raises:
        Unsupported: the value is nested too deeply.
    """
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_whole(msgspec.to_builtins(value)))
    except RecursionError:
        raise Unsupported("the request is nested too deeply to be written as JSON", setting="messages") from None


def whole_text(text: str) -> str:
    """The text with U+FFFD for every half of a surrogate pair.

    Python reads bytes that are not UTF-8 in arguments and file names as such halves.
    """
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def values(text: str) -> list[Any] | None:
    """The JSON values that follow each other in a text; None if anything else stands there."""
    import json

    found, at, decoder = [], 0, json.JSONDecoder(strict=False)
    text = text.strip()
    try:
        while at < len(text):
            value, at = decoder.raw_decode(text, at)
            found.append(value)
            at += len(text) - at - len(text[at:].lstrip())
    except (ValueError, RecursionError):
        return None
    return found


def unfenced(data: bytes) -> bytes:
    """The code block of a text in Markdown, as chat programs and issue trackers give JSON away; any other text as it is.

    The lines around the block become empty, so that a place in the result is the same place in `data`.
    """
    if not _FENCE.search(data) or data.removeprefix(BOM).lstrip()[:1] in (b"{", b"["):
        return data
    found: list[list[bytes]] = []
    fence = b""
    lines = data.removeprefix(BOM).splitlines(keepends=True)
    for number, line in enumerate(lines):
        mark = _FENCE.match(line)
        if fence and line.strip() == fence:
            fence = b""
        elif fence:
            found[-1].append(line)
        elif mark:
            fence = mark[1]
            found.append([b"\n"] * (number + 1))
    return b"".join(found[0]) if len(found) == 1 else data


def fault(data: bytes) -> tuple[int, int, str] | None:
    """Where a text stops being JSON, as line and column from 1, and why; None if it is JSON, or does not begin like JSON."""
    import json

    text = _text(data)
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        json.loads(text, strict=False)
    except json.JSONDecodeError as error:
        return error.lineno, error.colno, (error.msg[:1].lower() + error.msg[1:]).removesuffix(" starting at")
    except (ValueError, RecursionError) as error:
        return 1, 1, _reason(error)
    return None


def repeated_names(data: bytes) -> list[str]:
    """The names that occur more than once in one object, each once per object. Empty if `data` is not JSON."""
    import json

    found: list[str] = []

    def once(pairs: list[tuple[str, Any]]) -> None:
        found.extend(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)

    try:
        json.loads(_text(data), strict=False, object_pairs_hook=once)
    except (ValueError, RecursionError):
        return []
    return found


def _decode_leniently(data: bytes | str, error: Exception) -> Any:
    """Half an emoji (JavaScript proxies cut between surrogates), NaN (Python servers), raw tabs, a byte order mark, NUL
    around the text, bytes that are not UTF-8."""
    import json

    value, is_json = None, True
    try:
        value = json.loads(_text(data), strict=False)
    except (ValueError, RecursionError):
        is_json = False
    if not is_json:  # raised out here, because a JSONDecodeError holds the whole text
        raise MalformedReply(_reason(error)) from None
    _check_depth(value)
    return _whole(value)


def _text(data: bytes | str) -> str:
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    return text.strip("\0").removeprefix("\ufeff")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEPTH):
        level = [
            item
            for holder in level
            if isinstance(holder, dict | list)
            for item in (holder.values() if isinstance(holder, dict) else holder)
            if isinstance(item, dict | list)
        ]
        if not level:
            return
    raise MalformedReply(f"nested more than {DEPTH} levels deep")


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return f"nested more than {DEPTH} levels deep"
    return re.sub(r"\s+", " ", str(error))[:300]


def _whole(value: Any) -> Any:
    """The value with whole characters only."""
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {_whole(name): _whole(item) for name, item in value.items()}
    return value
