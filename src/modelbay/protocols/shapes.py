"""Reads JSON of unknown shape.

Providers' JSON is read leniently: a value of the wrong type is treated as missing. Clients' JSON is validated as a
whole against a TypedDict and rejected with the path of the fault.
"""

import re
from typing import Any

import msgspec

from modelbay.conversation import Extra, Json
from modelbay.conversion import convert
from modelbay.errors import Unsupported
from modelbay.json_text import encode

_DIGITS = 18
_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")
EXACT = 2**53
"""From here on JSON numbers are not exact: JavaScript and others read them as floats."""


def word(value: Json) -> str | None:
    """A string, or None."""
    return value if type(value) is str else None


def shown(value: Json) -> str:
    """A value as text: strings unchanged, other values as JSON; "" for null and empty values."""
    if type(value) is str:
        return value
    return "" if value is None or value in ([], {}) else encode(value).decode()


def items(value: Json) -> list[Json]:
    """The items of a list. A single value counts as a list of one, null as none."""
    if type(value) is list:
        return value
    return [] if value is None or value in ({}, "") else [value]


def count(value: Json) -> int | None:
    """A non-negative integer, or None.

    Some servers write 5.0. -1, which some write for unknown values, and numbers too large to be exact count as None.
    """
    if type(value) is int:
        return value if 0 <= value < EXACT else None
    return count(int(value)) if type(value) is float and value.is_integer() else None


def as_text(number: float) -> str:
    """A client's number for a message. It may have hundreds of digits, and formatting one as a float would fail."""
    if abs(number) >= EXACT:
        return "above 2^53" if number > 0 else "below -2^53"
    return str(as_integer(number))


def as_integer(value: Json) -> Json:
    """The integer for a number such as 5.0, as Lua and PHP write integers; other values unchanged."""
    return int(value) if type(value) is float and value.is_integer() and abs(value) < EXACT else value


def as_number(value: Json) -> Json:
    """The number in a text, as JSON of protocol buffers may have it; other values unchanged."""
    if type(value) is not str or not _NUMBER.fullmatch(value):
        return value
    return float(value) if "." in value else int(value)


def whole_number(text: str) -> int | None:
    """The number in a text of ASCII digits, or None. Python reads other digits too, and refuses thousands of them."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS else None


def mapping(value: Json) -> dict[str, Any]:
    """An object; empty if the value is not one."""
    return value if type(value) is dict else {}


def objects(value: Json) -> list[dict[str, Any]]:
    """The objects in a list."""
    return [item for item in value if type(item) is dict] if type(value) is list else []


def unknown(value: dict[str, Any], known: frozenset[str]) -> Extra | None:
    """Fields other than `known` that are not null."""
    if known.issuperset(value):  # almost always
        return None
    return {name: item for name, item in value.items() if name not in known and item is not None} or None


def without(value: dict[str, Any], *known: str) -> Extra | None:
    """`unknown` for objects that are not in every message."""
    return unknown(value, frozenset(known))


def check(body: dict[str, Json], shape: Any) -> None:
    """Validate a client's request body. Whole numbers that are written as floats become integers if the shape requires it.

    Raises:
        Unsupported: the body has another shape; the message contains the path of the field.
    """
    try:
        try:
            convert(body, shape)
        except msgspec.ValidationError:
            body.update({name: as_integer(value) for name, value in body.items()})
            convert(body, shape)
    except msgspec.ValidationError as error:
        fault, _, place = str(error).partition(" - at `$.")
        place = place.rstrip("`")
        name = re.match(r"\w*", place or fault.rpartition("field `")[2])
        fault = f"`{place}`: {fault[:1].lower()}{fault[1:]}" if place else fault
        raise Unsupported(f"invalid request: {fault}", setting=name.group() if name else "") from None
