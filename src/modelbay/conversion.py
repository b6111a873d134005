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


class TypeForm:
    """The JSON form of a type that a program declared: its schema, and values from JSON. Dataclasses, TypedDicts, msgspec's and
    pydantic's classes, and the types of Python's own that JSON has can be used, also inside each other."""

    def __init__(self, type: Any) -> None:
        """Raises:
        TypeError: JSON has no form for the type, or for one inside it.
        """
        with _lock:
            (found,), defs = msgspec.json.schema_components([type], schema_hook=_schema, ref_template="#/$defs/{name}")
            self._decode = msgspec.json.Decoder(type, strict=False, dec_hook=_validated).decode
        self.schema: dict[str, Any] = _inlined(found, dict(defs))
        """A JSON Schema, whose root is not a reference."""

    def read(self, data: bytes | str) -> Any:
        """A value from JSON.

        Raises:
            ValueError: not JSON, or a value of another type; the message says where.
        """
        return self._decode(data)


def plain(value: Any) -> Any:
    """A value of a type that `TypeForm` accepts, as values that JSON has.

    Raises:
        TypeError: JSON has no form for it.
    """
    return msgspec.to_builtins(value, enc_hook=_dumped, str_keys=True)


# pydantic is not a dependency: its classes are known by their methods


def _schema(type: Any) -> dict[str, Any]:
    if hasattr(type, "model_json_schema"):
        found: dict[str, Any] = type.model_json_schema()
        return found
    raise NotImplementedError


def _validated(type: Any, value: Any) -> Any:
    if hasattr(type, "model_validate"):
        return type.model_validate(value)
    raise NotImplementedError


def _dumped(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__qualname__} has no form in JSON")


def _inlined(root: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """A schema whose root is not a reference, with all definitions at the root."""
    for _ in range(len(defs) + 1):
        if "$ref" not in root:
            break
        root = {
            **defs[root["$ref"].rpartition("/")[2]],
            **{name: word for name, word in root.items() if name != "$ref"},
        }
    waiting: list[Any] = [root, *defs.values()]
    while waiting:
        schema = waiting.pop()
        if isinstance(schema, dict):
            for name, inner in schema.pop("$defs", {}).items():
                if name not in defs:
                    defs[name] = inner
                    waiting.append(inner)
            waiting += schema.values()
        elif isinstance(schema, list):
            waiting += schema
    used = f"{root}{list(defs.values())}"
    kept = {name: inner for name, inner in defs.items() if f"#/$defs/{name}'" in used}
    return {**root, "$defs": kept} if kept else root
