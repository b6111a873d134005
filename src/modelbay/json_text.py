"""JSON decoding and encoding. No other module calls a JSON decoder.

Any input results in a value or in one exception. Values have at most `DEPTH` levels, so that recursive code cannot
exceed the stack, and their strings contain no lone surrogates, so that they can be encoded as UTF-8.
"""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from modelbay.conversion import decoder, exact
from modelbay.errors import MalformedReply, Unsupported

T = TypeVar("T")

DEPTH = 200
"""Maximum levels of lists and objects. Google's APIs stop at 100, serde_json at 128; Python's stack allows 1,000."""
_FLAT = 2 * DEPTH
"""Texts up to this length cannot exceed the maximum depth."""
_COUNTED = 4096
"""Up to this length, counting the brackets of a text is faster than visiting its values."""
_encode = msgspec.json.Encoder(enc_hook=exact).encode
_decode = msgspec.json.Decoder().decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
BOM = b"\xef\xbb\xbf"
"""Byte order mark, which Windows editors write at the beginning of a file."""
_FENCE = re.compile(rb"^[ \t]*(`{3,}|~{3,})[^`\n]*$", re.MULTILINE)
_FAULTS = (msgspec.DecodeError, ValueError, RecursionError)


def decode(data: bytes | str) -> Any:
    """Decode JSON from the wire. Near-JSON is accepted too.

    Raises:
        MalformedReply: not JSON, or nested too deeply; the message contains only the reason.
    """
    try:
        value = _decode(data)
    except _FAULTS as error:
        return _decode_leniently(data, error)
    if len(data) > _FLAT and not is_flat(data):
        _check_depth(value)
    return value


def is_flat(data: bytes | str) -> bool:
    """Whether a text obviously does not exceed the maximum depth. False also for a long one, which takes time to examine."""
    return len(data) <= _FLAT or (len(data) <= _COUNTED and _brackets(data) <= DEPTH)


def decode_as(data: bytes | str, type: type[T]) -> T:
    """Decode a value of a known type, such as one that modelbay wrote. Numbers may be strings.

    Raises:
        MalformedReply: not JSON of that type; the message contains only the reason.
    """
    try:
        return decoder(type).decode(data)  # type: ignore[no-any-return]
    except _FAULTS as error:
        raise MalformedReply(_reason(error)) from None


def reader_of(type: type[T], *, skips: bool = True) -> Callable[[bytes], T | None]:
    """A function that decodes a value of a type, for the usual form of a text. It returns None for any other text, which
    `decode` then reads. `skips`: whether the type accepts values that it does not name, which may be nested too deeply."""
    decode_type = decoder(type, strict=True).decode

    def read(data: bytes) -> T | None:
        if skips and len(data) > _FLAT and not is_flat(data):
            return None
        try:
            return decode_type(data)  # type: ignore[no-any-return]
        except _FAULTS:
            return None

    return read


def members(data: bytes | memoryview) -> dict[str, msgspec.Raw]:
    """The members of an object as they are written: their values are not decoded. Only valid JSON is accepted; of members
    with the same name, only the last is returned.

    Raises:
        MalformedReply: not an object in JSON; the message contains only the reason.
    """
    try:
        return _members(data)
    except _FAULTS as error:
        raise MalformedReply(_reason(error)) from None


def encode(value: Any) -> bytes:
    """Encode a value as JSON. Lone surrogates, which UTF-8 cannot represent, become U+FFFD.

    Raises:
        Unsupported: the value is nested too deeply.
    """
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _encode(_whole(msgspec.to_builtins(value, enc_hook=exact)))
    except RecursionError:
        raise Unsupported("the request is nested too deeply for JSON", setting="messages") from None


def spaced(text: str, indent: int = 0) -> str:
    """JSON with a space after each comma and colon: in one line, or with a line for each member, by the spaces of its indent."""
    return msgspec.json.format(text, indent=indent)


def whole_text(text: str) -> str:
    """The text with U+FFFD for each lone surrogate.

    Python decodes bytes that are not UTF-8 in arguments and file names to lone surrogates.
    """
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def values(text: str) -> list[Any] | None:
    """The JSON values in a text, one after another; None if the text contains anything else."""
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
    """The content of the only Markdown code block in a text, as copied from chat programs and issue trackers; else the
    text unchanged.

    Lines around the block become empty lines, so that line numbers stay the same.
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
    """Line and column (from 1) where a text stops being JSON, and the reason. None if it is JSON, or does not begin
    like JSON."""
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
    """Names that occur more than once in an object, once per object. Empty if `data` is not JSON."""
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
    """Decode near-JSON: lone surrogates (proxies in JavaScript split emoji), NaN (servers in Python), raw tabs, a byte
    order mark, NUL around the text, bytes that are not UTF-8."""
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


def _brackets(data: bytes | str) -> int:
    """The number of opening brackets in a text, including those in strings."""
    if isinstance(data, bytes):
        return data.count(b"{") + data.count(b"[")
    return data.count("{") + data.count("[")


def _check_depth(value: Any) -> None:
    level: list[Any] = [[value]]
    for _ in range(DEPTH + 1):
        level = [
            item
            for holder in level
            for item in (holder.values() if type(holder) is dict else holder)
            if (kind := type(item)) is dict or kind is list
        ]
        if not level:
            return
    raise MalformedReply(f"nested more than {DEPTH} levels deep")


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return f"nested more than {DEPTH} levels deep"
    return re.sub(r"\s+", " ", str(error))[:300]


def _whole(value: Any) -> Any:
    """The value with U+FFFD for lone surrogates."""
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {_whole(name): _whole(item) for name, item in value.items()}
    return value
