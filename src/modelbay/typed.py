"""Checks values against their declared types at run time.

Type checkers find a wrong argument before a program runs, but many programs are not type-checked. Without a check, a value
of the wrong type is not sent, is sent in a wrong form, or fails far from the call that passed it.
"""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

from msgspec import Meta, Struct, to_builtins

Inner: TypeAlias = Callable[[Any, str], None]
"""Checks the content of a value whose outer type is right: (value, where)."""

NAMES: dict[Any, str] = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "True or False",
    dict: "a dict",
    Callable: "a function",
    Path: "a path",
}
_PLURALS: dict[tuple[type, ...], str] = {(str,): "strings", (int,): "integers", (int, float): "numbers"}
Name: TypeAlias = Annotated[str, Meta(min_length=1)]
"""A text that must not be empty. An empty one usually comes from a variable that is not set."""
LONGEST = 40
"""Maximum characters of a wrong value in a message."""


class Alternative(Struct):
    """One accepted type of a value."""

    outer: tuple[type, ...]
    name: str
    inner: Inner | None = None

    def fits(self, value: object) -> bool:
        if isinstance(value, bool):
            return bool in self.outer or object in self.outer
        if isinstance(value, str | bytes | bytearray) and str not in self.outer:
            return object in self.outer  # strings are sequences too, but never the ones that are expected
        return isinstance(value, self.outer)


class Checker:
    """Checks values. `examples` show how to write a type; values for which `trusted` returns True are not inspected."""

    def __init__(self, examples: Mapping[Any, str], trusted: Callable[[object], bool]) -> None:
        self._examples = examples
        self._trusted = trusted
        self._alternatives: dict[Any, list[Alternative]] = {}
        self._fields: dict[type[Struct], list[tuple[str, list[Alternative]]]] = {}

    def check(self, value: object, wanted: Any, where: str) -> None:
        """Check that a value has a type.

        Raises:
            TypeError: it has another type. The message contains `where`, the accepted types and the actual type.
            ValueError: the type is right but the value is not, such as a number out of range.
        """
        self._check(value, self._of(wanted), where)

    def _check(self, value: object, alternatives: list[Alternative], where: str) -> None:
        for one in alternatives:
            if one.fits(value):
                if one.inner is not None:
                    one.inner(value, where)
                return
        names = [one.name for one in alternatives if one.outer != (NoneType,)]
        came = "None" if value is None else type(value).__qualname__
        raise TypeError(f"{where} must be {_listed(names)}, not {came}")

    def _of(self, wanted: Any) -> list[Alternative]:
        found = self._alternatives.get(wanted)
        if found is None:
            found = self._alternatives[wanted] = list(self._made(wanted))
        return found

    def _made(self, wanted: Any) -> list[Alternative]:
        origin, arguments = get_origin(wanted), get_args(wanted)
        if origin in (Union, UnionType):
            return [one for member in arguments for one in self._of(member)]
        if origin is Annotated:
            [limits] = [limits for limits in arguments[1:] if isinstance(limits, Meta)]
            inner = _within(limits) if limits.min_length is None else _not_empty
            return [Alternative(one.outer, one.name, inner) for one in self._of(arguments[0])]
        if origin is Literal:
            return [Alternative((str,), "a string", _one_of(arguments))]
        if origin is not None and issubclass(origin, Sequence):
            return [self._sequence(origin, arguments[0])]
        if origin is not None and issubclass(origin, Mapping):
            return [self._mapping(arguments[1])]
        if wanted is Any:
            return [Alternative((object,), "anything", _json)]
        if isinstance(wanted, type) and issubclass(wanted, Struct):
            name = f"{wanted.__name__}, as {self._examples[wanted]}" if wanted in self._examples else wanted.__name__
            return [Alternative((wanted,), name, self._struct)]
        outer = origin or wanted
        return [Alternative((int, float) if outer is float else (outer,), NAMES.get(outer, outer.__name__))]

    def _sequence(self, origin: type, member: Any) -> Alternative:
        members = self._of(member)

        def each(value: Sequence[Any], where: str) -> None:
            for index, one in enumerate(value):
                self._check(one, members, f"{where}[{index}]")

        plural = _PLURALS.get(members[0].outer) if len(members) == 1 else None
        name = f"a list of {plural or _listed([one.name for one in members])}"
        return Alternative((origin,), self._examples.get(list[member], name), each)

    def _mapping(self, member: Any) -> Alternative:
        members = self._of(member)

        def each(value: Mapping[Any, Any], where: str) -> None:
            for name, one in value.items():
                if not isinstance(name, str):
                    raise TypeError(f"the names in {where} must be strings, not {type(name).__qualname__}")
                self._check(one, members, f"{where}[{name!r}]")

        return Alternative(
            (Mapping,), "a dict" if member is Any else f"a dict of {NAMES[member].partition(' ')[2]}s", each
        )

    def _struct(self, value: Struct, where: str) -> None:
        if self._trusted(value):
            return
        kind = type(value)
        fields = self._fields.get(kind)
        if fields is None:
            hints = get_type_hints(kind, include_extras=True)
            fields = [(name, self._of(hints[name])) for name in kind.__struct_fields__]
            self._fields[kind] = fields
        for name, alternatives in fields:
            self._check(getattr(value, name), alternatives, f"{where}.{name}")


def _within(limit: Meta) -> Inner:
    least, most, above = limit.ge, limit.le, limit.gt

    def inner(value: float, where: str) -> None:
        outside = (least is not None and value < least) or (most is not None and value > most)
        if not isfinite(value) or outside or (above is not None and value <= above):
            if above is not None:
                bounds = f"more than {above:g}"
            else:
                bounds = f"at least {least:g}" if most is None else f"from {least:g} to {most:g}"
            raise ValueError(f"{where} must be {bounds}, not {value!r}")

    return inner


def _not_empty(value: str, where: str) -> None:
    if not value.strip():
        raise ValueError(f"{where} must not be empty: leave it out, or set the variable that it comes from")


def _json(value: object, where: str) -> None:
    """Check that a value can be written as JSON and remains what it is. `Any` is the type of such values."""
    try:
        _check_json(value, where)
    except RecursionError:
        raise ValueError(f"{where} is nested too deeply for JSON") from None


def _check_json(value: object, where: str) -> None:
    if value is None or isinstance(value, str | int):
        return
    if isinstance(value, float):
        if not isfinite(value):
            raise ValueError(f"{where} must be a finite number: JSON does not have {value!r}")
    elif isinstance(value, Mapping):
        for name, member in value.items():
            if not isinstance(name, str | int):
                raise TypeError(f"the names in {where} must be strings, not {type(name).__qualname__}")
            _check_json(member, f"{where}[{name!r}]")
    elif isinstance(value, list | tuple):
        for index, member in enumerate(value):
            _check_json(member, f"{where}[{index}]")
    else:
        try:
            value = to_builtins(value)
        except TypeError:
            raise TypeError(f"{where} must be a value of JSON, not {type(value).__qualname__}") from None
        _check_json(value, where)


def _one_of(words: tuple[str, ...]) -> Inner:
    def inner(value: str, where: str) -> None:
        if value not in words:
            raise ValueError(f"{where} must be {_listed([repr(word) for word in words])}, not {value[:LONGEST]!r}")

    return inner


def _listed(names: list[str]) -> str:
    *others, last = dict.fromkeys(names)
    return f"{', '.join(others)} or {last}" if others else last
