"""The streamed arguments of a tool call.

They arrive as fragments of JSON text or as objects. Some providers send `{}` first and the real arguments after it
(Bedrock behind gateways), all of them again at the end, or all of them so far in every fragment (Baidu). Some models encode
the object as a JSON string (Granite), write line breaks inside strings, or end with a bracket or tag too many. Text that was
passed on cannot be taken back, so text is held while what follows may change its meaning: an empty object or a string at the
beginning, and anything after a complete value.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from modelbay.conversation import Json, ToolCall
from modelbay.errors import MalformedReply
from modelbay.json_text import decode, encode, members, values

_OUTSIDE = re.compile(r'["{}\[\]]')
_INSIDE = re.compile(r'["\\]')
_CONTROL = re.compile("[\x00-\x1f]")
_MARKS = re.compile('["\\\\\x00-\x1f]')
_BLANK = re.compile(r"\s*")
_NO_ARGUMENTS = ("{}", "null", '""')
_EMPTY = re.compile(r'(?:\s*(?:\{\s*\}|""|"\s*\{\s*\}\s*"))+')
"""Further empty values, of which a model that fails may write thousands."""
_MAYBE_NONE = {word[:length] for word in _NO_ARGUMENTS for length in range(len(word) + 1)}


def is_cut(call: ToolCall) -> bool:
    """Whether a call's arguments are truncated. Such a call must not be run."""
    if call.format == "text":
        return call.cut
    scan = _Scan()
    scan.feed(call.arguments)
    return scan.open


def normal(arguments: str) -> str:
    """Complete arguments without the oddities that streams have too."""
    with suppress(MalformedReply):  # nearly all are an object
        members(arguments.encode())
        return arguments
    once = Arguments()
    return once.feed(arguments) + once.close()


def readings(arguments: str) -> Iterator[str]:
    """Complete arguments as they are, and without such oddities."""
    yield arguments
    yield normal(arguments)


class _Scan:
    """Tracks the nesting of a JSON value that arrives in pieces."""

    __slots__ = ("_depth", "_escaped", "_in_string")

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._escaped = False

    @property
    def open(self) -> bool:
        return self._depth > 0 or self._in_string

    @property
    def in_string(self) -> bool:
        return self._in_string

    def escaped(self, text: str) -> str:
        """The text that follows, with JSON escapes for control characters in strings, which JSON forbids."""
        out: list[str] = []
        start, at, inside = 0, int(self._escaped), self._in_string
        while (found := _MARKS.search(text, at)) is not None:
            mark, at = found.group(), found.end()
            if mark == '"':
                inside = not inside
            elif mark == "\\":
                at += 1
            elif inside:
                out += [text[start : found.start()], encode(mark).decode()[1:-1]]
                start = at
        return "".join([*out, text[start:]])

    def feed(self, text: str) -> int:
        """Position in `text` at which the value ends; -1 if it continues."""
        at = 0
        if self._escaped and text:
            self._escaped, at = False, 1
        while (found := (_INSIDE if self._in_string else _OUTSIDE).search(text, at)) is not None:
            mark, at = found.group(), found.end()
            if mark == "\\":
                self._escaped = at == len(text)
                at += 1
            elif mark == '"':
                self._in_string = not self._in_string
            else:
                self._depth += 1 if mark in "{[" else -1
            if not self.open:
                return at
        return -1


class Arguments:
    """The arguments of a call. Every method returns the text that can be passed on."""

    __slots__ = ("_cumulative", "_held", "_object", "_parts", "_quoted", "_rest", "_scan", "_size", "_whole")

    def __init__(self) -> None:
        self._scan = _Scan()
        self._object: dict[str, Any] | None = None
        """Arguments that arrived as objects, merged."""
        self._held = ""
        """Text that may turn out to be no arguments at all, or only a first, empty object."""
        self._quoted: list[str] = []
        """Pieces of a string that may contain the object as text, until it is complete."""
        self._parts: list[str] = []
        """Text that was passed on, until the value is complete."""
        self._size = 0
        """Characters in them: they are joined only for a fragment that is longer."""
        self._whole: str | None = None
        """The complete value; "" while it is held."""
        self._rest: list[str] = []
        """Text after the value."""
        self._cumulative = False
        """Whether a fragment has repeated all text before it."""

    def repeats(self, fragment: Json) -> bool:
        """Whether a fragment only repeats the complete value, or continues an empty one."""
        if not self._whole:
            return self._whole == ""
        text = fragment if isinstance(fragment, str) else encode(fragment).decode()
        return _repeats(self._whole, text)

    @property
    def cut(self) -> bool:
        """Whether they are incomplete so far."""
        return self._scan.open

    def feed(self, fragment: Json) -> str:
        if fragment is None or fragment == "":
            return ""
        if isinstance(fragment, dict) and not self._parts and self._whole in (None, "") and not self._scan.open:
            self._held, self._whole, self._scan = "", None, _Scan()
            self._object = {**(self._object or {}), **fragment}
            return ""
        if not isinstance(fragment, str):
            fragment = encode(fragment).decode()
        if self._object is not None:
            before, self._object = self._object, None
            return (self._text(encode(before).decode()) if before else "") + self._text(fragment)
        return self._text(fragment)

    def _text(self, text: str) -> str:
        if self._whole:
            self._rest.append(text)
            return ""
        if self._whole == "" and text.strip():  # real arguments after an empty object
            self._held, self._whole, self._scan = "", None, _Scan()
        text = self._unrepeated(text)
        if _CONTROL.search(text):
            text = self._scan.escaped(text)
        if not self._parts:
            return self._begin(text)
        end = self._scan.feed(text)
        if end < 0:
            self._pass(text)
            return text
        return self._complete(text, end)

    def _pass(self, text: str) -> None:
        self._parts.append(text)
        self._size += len(text)

    def _unrepeated(self, text: str) -> str:
        """A fragment without the text before it, if it repeats all of that.

        It does so if the other reading is invalid: an object can follow a colon, but not a value, and in a string, the
        first quote ends it.
        """
        if text[:1] != "{" or self._whole is not None or len(text) < self._size:
            return text
        before = "".join(self._parts) or self._held
        if not before or not text.startswith(before):
            return text
        if not self._cumulative:
            after = text.find('"') + 1
            if text[after : after + 1] in ":,}] \t\r\n" if self._scan.in_string else before.rstrip()[-1] in ":,[":
                return text
        self._cumulative = True
        return text[len(before) :]

    def _begin(self, text: str) -> str:
        """Add text while none was passed on yet."""
        end = self._scan.feed(text) if self._whole is None else -1
        if self._quoted:
            if end < 0:
                self._quoted.append(text)
                return ""
            before = "".join(self._quoted)
            self._quoted, text, end = [], before + text, len(before) + end
        begun = self._held + (text if end < 0 else text[:end])
        bare = "".join(begun.split())
        if bare[:1] == '"' and bare not in _MAYBE_NONE:
            if end < 0:
                self._held, self._quoted = "", [begun]
                return ""
            if (inner := _object_in(begun)) is not None:
                self._held, self._scan = "", _Scan()
                out = self._text(inner)
                return out + self._text(text[end:] if self._whole else _without_empty(text[end:]))
        if bare not in _MAYBE_NONE:
            self._held, rest = "", "" if end < 0 else text[end:]
            if end >= 0:
                return self._complete(begun + rest, len(begun))
            self._pass(begun)
            return begun
        self._held = begun
        if bare in _NO_ARGUMENTS:
            self._whole = ""
            if end >= 0 and (rest := _without_empty(text[end:])):
                return self._text(rest) if rest.strip() else self._hold(rest)
        return ""

    def _hold(self, blank: str) -> str:
        self._held += blank
        return ""

    def _complete(self, text: str, end: int) -> str:
        """Complete the value at `end`; the text after it is held."""
        self._parts.append(text[:end])
        self._whole = "".join(self._parts)
        if text[end:]:
            self._rest.append(text[end:])
        return text[:end]

    def close(self) -> str:
        """End the arguments. Returns the rest, unless it only repeats them."""
        if self._object is not None:
            before, self._object = self._object, None
            out = self._text(encode(before).decode())
            return out + self.close()
        if held := self._held or "".join(self._quoted):
            self._held, self._quoted = "", []
            if held.strip() in ("null", '""'):
                return ""
            self._parts.append(held)
            return held
        rest, self._rest = "".join(self._rest), []
        needless = ("{" not in rest and "[" not in rest) or bool(self._whole and _repeats(self._whole, rest))
        return "" if rest.strip() and needless else rest

    def final(self, text: str) -> str:
        """The text still to be passed on when a provider repeats the complete arguments at the end.

        Raises:
            MalformedReply: they differ from the arguments received before, parts of which were passed on.
        """
        if not text.strip() or "".join(text.split()) in _NO_ARGUMENTS:
            return self.close()
        once = Arguments()  # the complete arguments may have the same oddities as the fragments
        text = once.feed(text) + once.close()
        passed = "".join(self._parts)
        self._object, self._held, self._rest = None, "", []
        if text.startswith(passed):
            self._scan = _Scan()
            self._scan.feed(text)
            self._parts, self._whole = [text], text
            return text[len(passed) :]
        try:
            same = decode(passed) == decode(text)
        except MalformedReply:
            same = False
        if not same:
            raise MalformedReply("the arguments of a tool call were sent twice and differ")
        return ""


def _without_empty(text: str) -> str:
    """The text after empty values at its beginning."""
    found = _EMPTY.match(text)
    return text if found is None else text[found.end() :]


def _object_in(text: str) -> str | None:
    """The object that a JSON string contains as text, or None."""
    try:
        inner = decode(text)
    except MalformedReply:
        return None
    return inner if isinstance(inner, str) and inner.lstrip()[:1] == "{" else None


def _repeats(whole: str, rest: str) -> bool:
    """Whether text after a complete value only repeats it, once or more, possibly truncated."""
    rest, at = rest.strip(), 0
    while rest.startswith(whole, at):
        at = _BLANK.match(rest, at + len(whole)).end()  # type: ignore[union-attr]
    rest = rest[at:]
    if whole.startswith(rest):
        return True
    found = values(rest)
    return found is not None and all(value == decode(whole) for value in found)
