"""Converts plain values to declared types. No other module gives msgspec a type to read.

msgspec reads a type at its first use, and its classes with it, field by field. Another thread that uses one of them meanwhile gets
an incomplete description, and the process ends with a segmentation fault (msgspec 0.22). Here, one thread at a time reads types.
"""

import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import count
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
        from msgspec.inspect import type_info

        from modelbay.type_details import add_details

        definitions: dict[str, Any] = {}
        type = readable(type)
        with _lock:
            try:
                (found,), defs = msgspec.json.schema_components(
                    [type], schema_hook=lambda one: _apart(_schema(one), definitions), ref_template="#/$defs/{name}"
                )
            except TypeError as error:
                raise TypeError(f"{error}{_advice(error)}") from None
            self._decode = msgspec.json.Decoder(type, strict=False, dec_hook=_validated).decode
            add_details(type_info(type), found, defs)
        self.schema: dict[str, Any] = _inlined(found, {**definitions, **defs})
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


def exact(value: Any) -> Any:
    """A text or number of a subclass as one that msgspec encodes: of a template engine, an enumeration or numpy.

    Raises:
        NotImplementedError: it is something else; msgspec then raises TypeError, with its type.
    """
    for kind, plain_value in _EXACT.items():
        if isinstance(value, kind):
            return plain_value(value)
    raise NotImplementedError


_EXACT: dict[type, Callable[[Any], Any]] = {str: str.__str__, int: int.__int__, float: float.__float__}
"""How a class makes an exact value of one of its subclasses, whose own methods may return something else."""


# pydantic is not a dependency: its classes are known by their methods


class _AnyValue(type):
    """The class of stand-ins, of which every value is an instance, as msgspec requires."""

    def __instancecheck__(cls, value: object) -> bool:
        return True


def readable(type: Any) -> Any:
    """The type, or a stand-in that pydantic reads: for unions and other types with pydantic's classes or limits inside. The schemas
    of such classes have definitions in common, and msgspec refuses the types, reads them one by one, or ignores the limits."""
    from modelbay.type_details import uses_pydantic

    pydantic = sys.modules.get("pydantic")
    if pydantic is None or hasattr(type, "model_validate_json") or not uses_pydantic(type):
        return type
    try:
        adapter = pydantic.TypeAdapter(type)
        schema = adapter.json_schema()
    except (RuntimeError, TypeError, NameError):  # it has classes that pydantic cannot read, such as msgspec's
        return type
    made = {"model_json_schema": lambda: deepcopy(schema), "model_validate_json": adapter.validate_json}
    return _AnyValue(str(getattr(type, "__name__", type)), (), {name: staticmethod(one) for name, one in made.items()})


def _advice(error: TypeError) -> str:
    """The fix for a type that msgspec refuses, as the end of its message."""
    if "unions" in str(error):
        return ": use pydantic's classes, or msgspec's with `tag=True`"
    return "" if "has no form in JSON" in str(error) else f": {_FORMS}"


def _schema(type: Any) -> dict[str, Any]:
    if hasattr(type, "model_json_schema"):
        found: dict[str, Any] = type.model_json_schema()
        return found
    name = getattr(type, "__qualname__", type)
    raise TypeError(f"{name} has no form in JSON: {_FORMS}")


_FORMS = "use a dataclass, a TypedDict, or a class of msgspec or pydantic"


def _validated(type: Any, value: Any) -> Any:
    if hasattr(type, "model_validate_json"):
        # strict classes accept a date as a text in JSON only
        return type.model_validate_json(msgspec.json.encode(value))
    raise NotImplementedError


def _dumped(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    try:
        return exact(value)
    except NotImplementedError:
        raise TypeError(f"{type(value).__qualname__} has no form in JSON") from None


def _apart(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema without its definitions, which are added to the others. Classes of one name get different ones."""
    own = schema.pop("$defs", {})
    names = {
        name: next(free for free in _numbered(name) if definitions.get(free, inner) == inner)
        for name, inner in own.items()
    }
    definitions |= {names[name]: _renamed(inner, names) for name, inner in own.items()}
    found: dict[str, Any] = _renamed(schema, names)
    return found


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}_{number}" for number in count(2))


def _renamed(schema: Any, names: dict[str, str]) -> Any:
    """The schema with other names of definitions."""
    if isinstance(schema, list):
        return [_renamed(one, names) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {word: _renamed(value, names) for word, value in schema.items()}
    if isinstance(ref := schema.get("$ref"), str):
        found["$ref"] = f"#/$defs/{names.get(ref.rpartition('/')[2], ref.rpartition('/')[2])}"
    return found


def _inlined(root: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """A schema whose root is not a reference, with the definitions that it uses."""
    for _ in range(len(defs) + 1):
        if "$ref" not in root:
            break
        root = {
            **defs[root["$ref"].rpartition("/")[2]],
            **{name: word for name, word in root.items() if name != "$ref"},
        }
    used = f"{root}{list(defs.values())}"
    kept = {name: inner for name, inner in defs.items() if f"#/$defs/{name}'" in used}
    return {**root, "$defs": kept} if kept else root
