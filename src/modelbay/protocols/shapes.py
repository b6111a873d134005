"""Readers of JSON from others, which may have another shape than its documentation says.

What a provider sends is read leniently: where something else stands than was expected, there is nothing. What a client
sends is checked as a whole against a shape, a TypedDict, and refused with the place of the fault.
"""

import re
from typing import Any

import msgspec

from modelbay.conversation import Extra, Json
from modelbay.errors import Unsupported
from modelbay.json_text import encode

EXACT = 2**53
"""From here on JSON numbers are not exact: JavaScript and others read them as floats."""


def word(value: Json) -> str | None:
    """A string, or None."""
    return value if type(value) is str else None


def shown(value: Json) -> str:
    """What a reply shows in the place of a text: a string as it is, anything else as JSON; "" for null and what is empty."""
    if type(value) is str:
        return value
    return "" if value is None or value in ([], {}) else encode(value).decode()


def items(value: Json) -> list[Json]:
    """The items of a list. One thing in the place of a list is a list of it; null is none."""
    if type(value) is list:
        return value
    return [] if value is None or value in ({}, "") else [value]


def count(value: Json) -> int | None:
    """A number of things, or None; some servers write 5.0. -1, which some write for what they do not know, and numbers too
    large to be exact everywhere count as none."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value < EXACT else None


def mapping(value: Json) -> dict[str, Any]:
    """An object, or an empty one."""
    return value if type(value) is dict else {}


def objects(value: Json) -> list[dict[str, Any]]:
    """The objects of a list, or none."""
    return [item for item in value if type(item) is dict] if type(value) is list else []


def without(value: dict[str, Any], *known: str) -> Extra | None:
    """The fields that are not known and not null."""
    return {name: item for name, item in value.items() if name not in known and item is not None} or None


def check(body: dict[str, Json], shape: Any) -> None:
    """Raises `Unsupported`, naming the field, where a client's body has another shape."""
    try:
        msgspec.convert(body, shape)
    except msgspec.ValidationError as error:
        fault, _, place = str(error).partition(" - at `$.")
        place = place.rstrip("`")
        name = re.match(r"\w*", place or fault.rpartition("field `")[2])
        fault = f"`{place}`: {fault[:1].lower()}{fault[1:]}" if place else fault
        raise Unsupported(f"the request has another shape: {fault}", setting=name.group() if name else "") from None
