"""Functions as tools for models: the schema from the signature, descriptions from the docstring, and calls with JSON."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any, get_type_hints

import msgspec

from modelbay.conversion import TypeForm, readable

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""A name that all protocols accept."""
_SECTION = re.compile(r"(Args|Arguments|Parameters|Returns|Raises|Yields|Examples?|Notes?):?\s*$")
"""The line that begins a section of a docstring in Google's or NumPy's style."""
_PARAMETERS = ("Args", "Arguments", "Parameters")
_GOOGLE = re.compile(r"(\w+)\s*(?:\([^)]*\))?:\s+(.+)")
"""A parameter with its description in one line."""
_NUMPY = re.compile(r"(\w+)\s*(?::.*)?$")
_UNDERLINE = re.compile(r"-{3,}$")
_SPHINX = re.compile(r":param\s+(?:\w+\s+)?(\w+):\s*(.*)")


class Signature:
    """A function as a tool for models.

    Raises:
        TypeError: it has a parameter without a name of its own, or of a type without a form in JSON, or no name for models.
    """

    def __init__(self, function: Callable[..., Any], name: str | None = None) -> None:
        self.function = function
        inner = _within(function)
        self.name = name or getattr(inner, "__name__", None) or type(inner).__name__
        if not _NAME.fullmatch(self.name):
            raise TypeError(f"{self.name} is not a name of a tool; give it one: Tool.of(function, name=…)")
        said, about = _documented(_docstring(inner))
        self.description = said or None
        try:
            fields = msgspec.defstruct("arguments", self._fields(), kw_only=True, forbid_unknown_fields=True)
            self._arguments = TypeForm(fields)
        except TypeError as error:
            raise TypeError(f"{self.name} cannot be a tool: {error}") from None
        self.schema = {word: value for word, value in self._arguments.schema.items() if word != "title"}
        """JSON Schema of the arguments, with the descriptions of parameters in the docstring."""
        self.schema["properties"] = {
            parameter: {"description": about[parameter], **inner} if parameter in about else inner
            for parameter, inner in self.schema.get("properties", {}).items()
        }

    def __repr__(self) -> str:
        return f"Signature({self.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Signature, (self.function, self.name)  # the decoder of the arguments cannot be pickled

    def _fields(self) -> list[tuple[str, Any, Any]]:
        from inspect import isasyncgenfunction, isgeneratorfunction, isroutine, signature

        inner = _within(self.function)
        if isgeneratorfunction(inner) or isasyncgenfunction(inner):
            raise TypeError("its values are yielded one by one: return them as a list")
        typed = inner if isroutine(inner) else type(inner).__call__
        try:
            hints = get_type_hints(typed, include_extras=True)
        except NameError as error:
            raise TypeError(f"the types of its parameters cannot be read: {error}") from None
        try:
            parameters = signature(self.function).parameters
        except ValueError as error:  # a class or function in C
            raise TypeError(str(error)) from None
        fields: list[tuple[str, Any, Any]] = []
        for parameter in parameters.values():
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise TypeError(f"models pass arguments by name, which {parameter} does not allow")
            default = msgspec.NODEFAULT if parameter.default is parameter.empty else parameter.default
            fields.append((parameter.name, readable(hints.get(parameter.name, Any)), _default(default)))
        return fields

    async def call(self, arguments: str) -> Any:
        """The result of the function for arguments in JSON. A function without `async` runs in a thread.

        Raises:
            ValueError: the arguments are not JSON, or of other types.
            Exception: what the function raises.
        """
        from asyncio import to_thread
        from inspect import isawaitable, iscoroutinefunction

        read = self._arguments.read(arguments or "{}")
        given = {name: getattr(read, name) for name in read.__struct_fields__}
        if iscoroutinefunction(self.function):
            return await self.function(**given)
        found = await to_thread(self.function, **given)
        return await found if isawaitable(found) else found


def _within(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function that a `functools.partial` calls: its name, its text and its types are those for the model."""
    while isinstance(function, partial):
        function = function.func
    return function


def _docstring(function: Callable[..., Any]) -> str:
    """The docstring of a function, or of a class itself: those of its bases, and the signature that a dataclass has as one, do not
    describe it."""
    from inspect import cleandoc, getdoc, isclass

    if not isclass(function):
        return getdoc(function) or ""
    said = cleandoc(function.__dict__.get("__doc__") or "")
    return "" if said.startswith(f"{function.__name__}(") else said


def _default(value: Any) -> Any:
    """The default of a field: msgspec accepts no values that can change, except empty ones."""
    if isinstance(value, list | dict | set | bytearray) and value:
        return msgspec.field(default_factory=lambda: value)
    return value


def _documented(text: str) -> tuple[str, dict[str, str]]:
    """The description in a docstring, and those of the parameters: in the style of Google, NumPy or Sphinx."""
    said: list[str] = []
    about: dict[str, list[str]] = {}
    section, current, margin = "", "", -1  # `margin`: the columns before the names of parameters
    for line in text.splitlines():
        stripped = line.strip()
        column = len(line) - len(line.lstrip())
        if found := _SPHINX.match(stripped):
            section, current, margin = "Parameters", found[1], -1
            about[current] = [found[2]]
        elif stripped.startswith(":"):
            section = stripped
        elif column == 0 and (heading := _SECTION.match(stripped)):
            section, current, margin = heading[1], "", -1
        elif section in _PARAMETERS and _UNDERLINE.match(stripped):
            margin = 0
        elif section in _PARAMETERS and stripped:
            margin = column if margin < 0 and not current else margin
            found = (_NUMPY if margin == 0 else _GOOGLE).match(stripped) if column == margin else None
            if found:
                current = found[1]
                about[current] = [] if margin == 0 else [found[2]]
            elif current:
                about[current].append(stripped)
        elif not section:
            said.append(stripped)
    return "\n".join(said).strip(), {name: " ".join(words) for name, words in about.items() if any(words)}
