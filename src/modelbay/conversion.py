"""Converts plain values to declared types. No other module gives msgspec a type to read.

msgspec reads a type at its first use, and its classes with it, field by field. Another thread that uses one of them meanwhile gets
an incomplete description, and the process ends with a segmentation fault (msgspec 0.22). Here, one thread at a time reads types.
"""

from threading import Lock
from typing import Any, TypeVar, overload

import msgspec

T = TypeVar("T")

_lock = Lock()
_decoders: dict[tuple[Any, bool], msgspec.json.Decoder[Any]] = {}


def decoder(type: Any, *, strict: bool = False) -> "msgspec.json.Decoder[Any]":
    """The JSON decoder of a type. Creating one takes longer than decoding the arguments of a call. `strict`: numbers may not be
    strings."""
    found = _decoders.get((type, strict))
    if found is None:
        with _lock:
            found = _decoders.setdefault((type, strict), msgspec.json.Decoder(type, strict=strict))
    return found


@overload
def convert(value: Any, type: type[T]) -> T: ...
@overload
def convert(value: Any, type: Any) -> Any: ...
def convert(value: Any, type: Any) -> Any:
    """A value as that type.

    Raises:
        msgspec.ValidationError: the value has another shape.
    """
    decoder(type)
    return msgspec.convert(value, type)
