"""Reads which keys a Kimi Code knows in its `config.toml`, out of the program as npm installs it.

Its schemas are in the bundle as calls (`object({ apiKey: string().optional() })`), each section registered by name. They are read
as text: to run the bundle would start the program.
"""

import re
from collections.abc import Iterator

SECTION = re.compile(r"(?<!function )\bregisterConfigSection\(\s*([\w$]+|\"[^\"]+\")\s*,\s*([\w$]+)")
DEFINITION = re.compile(r"(?<![\w$.])([\w$]+) = (?=[\w${\"])")
WHOLE = "KimiConfigSchema"
"""The schema of the older of its two engines, which is of the whole file."""
OBJECTS = ("object", "looseObject", "strictObject", "strictObject$1", "looseObject$1", "object$1")
CLOSING = {"(": ")", "[": "]", "{": "}"}


class Unreadable(Exception):
    """The bundle has another form than this module knows."""


def keys_of(bundle: str) -> list[str]:
    """Every key of the file, dotted, as it is written there; `*` is a name of the user's.

    Raises:
        Unreadable: the schemas were not found.
    """
    reader = _Reader(bundle)
    found: set[str] = set()
    for match in SECTION.finditer(bundle):
        name, schema = match[1].strip('"'), match[2]
        name = name if match[1].startswith('"') else reader.text(name)
        if name:
            found |= {name, *(f"{name}.{key}" for key in reader.keys(reader.definition(schema)))}
    found |= reader.keys(reader.definition(WHOLE))
    written = sorted({_snake(key) for key in found if key.partition(".")[0] != "raw"})
    for wanted in ("providers.*.api_key", "models.*.model", "thinking.enabled"):
        if wanted not in written:
            raise Unreadable(
                f"no {wanted} in what was read: Kimi Code's bundle has another form now; change tools/kimi.py"
            )
    return written


def _snake(path: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: f"_{match[1].lower()}", path)


class _Reader:
    def __init__(self, bundle: str) -> None:
        self._bundle = bundle
        self._places: dict[str, int] = {}
        """Where the expression begins that a name stands for."""
        for match in DEFINITION.finditer(bundle):
            self._places.setdefault(match[1], match.end())
        self._open: set[str] = set()
        """The schemas that are being read, which may name each other."""

    def text(self, name: str) -> str | None:
        """The value of a constant that is a text."""
        value = self.definition(name).strip()
        return value[1:-1] if value[:1] == '"' else None

    def definition(self, name: str) -> str:
        """The expression that a name stands for; "" where there is none."""
        if name not in self._places or name in self._open:
            return ""
        return _expression(self._bundle, self._places[name])

    def keys(self, expression: str) -> set[str]:
        """The keys of a schema, below it."""
        match = re.match(r"\s*([\w$]+)\s*", expression)
        if match is None:
            return set()
        head, rest = match[1], expression[match.end() :]
        if not rest.startswith("("):
            found = self._named(head)
        else:
            inside, rest = _inside(rest)
            found = self._called(head, inside)
        while method := re.match(r"\s*\.(\w+)\s*(?=\()", rest):
            inside, rest = _inside(rest[method.end() :])
            if method[1] in ("extend", "safeExtend"):
                found |= self._members(inside)
            elif method[1] == "merge":
                found |= self.keys(inside)
            elif method[1] == "omit":
                gone = self._members(inside)
                found = {key for key in found if key.partition(".")[0] not in gone}
        return found

    def _named(self, name: str) -> set[str]:
        definition = self.definition(name)
        self._open.add(name)
        try:
            return self.keys(definition)
        finally:
            self._open.discard(name)

    def _called(self, head: str, inside: str) -> set[str]:
        if head in OBJECTS:
            return self._members(inside)
        arguments = list(_split(inside))
        if head.startswith("record"):
            return {"*", *(f"*.{key}" for key in self.keys(arguments[-1]))}
        if head.startswith(("array", "preprocess", "lazy")):
            return self.keys(arguments[-1])
        if head.startswith(("union", "discriminatedUnion")):
            listed, _ = _inside(arguments[-1].strip())
            return {key for one in _split(listed) for key in self.keys(one)}
        return set()

    def _members(self, inside: str) -> set[str]:
        """The keys of an object's literal, `{ a: …, ...Other }`."""
        found: set[str] = set()
        literal, _ = _inside(inside.strip())
        for member in _split(literal):
            key, colon, value = member.strip().partition(":")
            if key.startswith("..."):
                found |= self._spread(key[3:])
            elif colon:
                key = key.strip().strip('"')
                found |= {key, *(f"{key}.{inner}" for inner in self.keys(value))}
        return found

    def _spread(self, name: str) -> set[str]:
        return self._members(self.definition(name.strip()))


def _expression(text: str, start: int) -> str:
    """The expression that begins at a place: to the `;`, `,` or bracket that ends it."""
    return next(_split(text[start : start + 20_000], end=";"), "")


def _inside(text: str) -> tuple[str, str]:
    """The text inside the leading bracket and its closing one, and the rest."""
    if not text or text[0] not in CLOSING:
        return "", text
    depth = 0
    for at, char in _code(text):
        depth += (char in CLOSING) - (char in CLOSING.values())
        if depth == 0:
            return text[1:at], text[at + 1 :]
    return text[1:], ""


def _split(text: str, end: str = "") -> Iterator[str]:
    """The parts between commas that are in no bracket, up to a bracket that is closed and was not opened here."""
    depth, start = 0, 0
    for at, char in _code(text):
        depth += (char in CLOSING) - (char in CLOSING.values())
        if depth < 0 or (depth == 0 and char and char in end):
            yield text[start:at]
            return
        if depth == 0 and char == ",":
            yield text[start:at]
            start = at + 1
    if text[start:].strip():
        yield text[start:]


def _code(text: str) -> Iterator[tuple[int, str]]:
    """The characters of a program that are not in a text."""
    quote, escaped = "", False
    for at, char in enumerate(text):
        if quote:
            if not escaped and char == quote:
                quote = ""
            escaped = char == "\\" and not escaped
        elif char in "\"'`":
            quote = char
        else:
            yield at, char
