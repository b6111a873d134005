"""Edits members of JSON objects in place, as text: all other bytes stay as they were written.

Prompt caches of providers compare bytes, so a body that is only passed on must not be decoded and encoded again.
"""

import re
from collections.abc import Iterator
from typing import Any

from msgspec import Raw, Struct

from modelbay.json_text import decode, encode, members

_KEY = re.compile(rb'[ \t\r\n]*[{,][ \t\r\n]*("[^"\\]*(?:\\.[^"\\]*)*")[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)
_END = re.compile(rb"[ \t\r\n]*\}")
_OPEN = re.compile(rb"[ \t\r\n]*\{")

Edit = tuple[int, int, bytes]
"""The begin and end of a part of the text, and its replacement."""


class RepeatedName(ValueError):
    """An object has two members with the same name, so it is unknown which of them is read."""


class Member(Struct):
    """A member of an object: where its name and value are, and how they are changed."""

    name_begin: int
    name_end: int
    begin: int
    """Where the value begins."""
    end: int
    raw: Raw
    """The value as it is written."""
    name: bytes | None = None
    """The new name, as JSON."""
    value: bytes | None = None
    """The new value, as JSON."""
    removed: bool = False


class ObjectText:
    """An object in a JSON text. Changes are made when `edited` is called.

    Raises:
        MalformedReply: not an object in valid JSON.
        RepeatedName: a name occurs twice.
    """

    def __init__(
        self, text: bytes, begin: int = 0, end: int | None = None, written: dict[str, Raw] | None = None
    ) -> None:
        """`written`: the `members` of the text, if they are known."""
        self._text = text
        self._members: dict[str, Member] = {}
        self._nested: dict[str, ObjectText] = {}
        self._added: dict[str, bytes] = {}
        if written is None:
            written = members(text if end is None else memoryview(text)[begin:end])
        opened = _OPEN.match(text, begin)
        self._inside = opened.end() if opened else begin
        for name, name_begin, name_end, value_begin, value_end in _places(text, begin, written):
            self._members[name] = Member(name_begin, name_end, value_begin, value_end, written[name])

    def __contains__(self, name: str) -> bool:
        found = self._members.get(name)
        return name in self._added or (found is not None and not found.removed)

    def __iter__(self) -> Iterator[str]:
        """The names of the members in the text that are not removed."""
        return (name for name, member in self._members.items() if not member.removed)

    def raw(self, name: str) -> bytes | None:
        """A value as it is written in the text; None if it is missing."""
        found = self._members.get(name)
        return None if found is None else bytes(found.raw)

    def value(self, name: str) -> Any:
        """A decoded value of the text; None if it is missing. Raises what `json_text.decode` raises."""
        found = self._members.get(name)
        return None if found is None else decode(bytes(found.raw))

    def nested(self, name: str) -> "ObjectText | None":
        """An object that is the value of a member, to be edited too; None if the value is not an object.

        Raises:
            RepeatedName: a name occurs twice in it.
        """
        if name not in self._nested:
            found = self._members.get(name)
            if found is None or self._text[found.begin : found.begin + 1] != b"{":
                return None
            self._nested[name] = ObjectText(self._text, found.begin, found.end)
        return self._nested[name]

    def set(self, name: str, value: Any) -> None:
        """Replace a value, or append a member. Raises what `json_text.encode` raises."""
        self.write(name, encode(value))

    def write(self, name: str, value: bytes) -> None:
        """Like `set`, with a value that is JSON already."""
        found = self._members.get(name)
        if found is None:
            self._added[name] = value
        else:
            found.value, found.removed = value, False
            self._nested.pop(name, None)

    def rename(self, name: str, other: str) -> None:
        """Rename a member. Its value and its place stay."""
        self._members[name].name = encode(other)

    def remove(self, name: str) -> None:
        """Remove a member, if it exists, with one of the commas beside it."""
        self._added.pop(name, None)
        if (found := self._members.get(name)) is not None:
            found.removed = True

    def edited(self) -> bytes:
        """The text with all changes; the text itself if there are none."""
        edits = sorted(self._edits())
        if not edits:
            return self._text
        view, at = memoryview(self._text), 0
        parts: list[bytes | memoryview] = []
        for begin, end, new in edits:
            parts += [view[at:begin], new]
            at = end
        return b"".join([*parts, view[at:]])

    def _edits(self) -> Iterator[Edit]:
        found = list(self._members.values())
        kept = [place for place, member in enumerate(found) if not member.removed]
        for place in kept:
            member = found[place]
            if member.name is not None:
                yield member.name_begin, member.name_end, member.name
            if member.value is not None:
                yield member.begin, member.end, member.value
        for name, nested in self._nested.items():
            if not self._members[name].removed:
                yield from nested._edits()
        last = kept[-1] if kept else -1
        for place, member in enumerate(found[: max(last, 0)]):
            if member.removed:  # with the comma after it
                yield member.name_begin, found[place + 1].name_begin, b""
        added = [encode(name) + b":" + value for name, value in self._added.items()]
        if kept:
            begin, end = found[last].end, found[-1].end
        else:
            begin, end = (found[0].name_begin, found[-1].end) if found else (self._inside, self._inside)
        if added or begin != end:
            yield begin, end, b",".join([b"", *added] if kept else added)


def _places(text: bytes, at: int, written: dict[str, Raw]) -> Iterator[tuple[str, int, int, int, int]]:
    """The name of each member of an object, with the begin and end of its name and of its value: msgspec returns values without
    their places. Raises RepeatedName if the members in the text are others."""
    name = ""
    for name, raw in written.items():
        key = _KEY.match(text, at)
        if key is None:
            raise RepeatedName(name)
        (begin, end), place = key.span(1), key.end()
        if not text.startswith(raw, place) or (text[begin + 1 : end - 1] != name.encode() and decode(key[1]) != name):
            raise RepeatedName(name)
        at = place + len(memoryview(raw))
        yield name, begin, end, place, at
    if written and _END.match(text, at) is None:
        raise RepeatedName(name)


def with_value(text: bytes, written: dict[str, Raw], name: str, value: bytes) -> bytes:
    """The text of an object with another value, in JSON, of a member that it has. `written`: its `members`.

    Raises:
        RepeatedName: a name occurs twice.
    """
    new = encode({**written, name: Raw(value)})
    same_length = len(new) - len(value) == len(text) - len(memoryview(written[name]))
    # white space, a repeated name and longer spellings of a name make the new text shorter; of control characters, there are two
    # spellings of the same length: \u001f and \u001F
    if same_length and all(map(str.isprintable, written)):
        return new
    begin = end = 0
    for one, _, _, value_begin, value_end in _places(text, 0, written):
        if one == name:
            begin, end = value_begin, value_end
    return text if text[begin:end] == value else b"".join([text[:begin], value, text[end:]])


def rewritten(text: bytes, fields: dict[str, Any]) -> bytes:
    """The text of an object with only those members replaced, removed or appended that differ from `fields`."""
    written = ObjectText(text)
    for name in list(written):
        if name not in fields:
            written.remove(name)
        elif encode(written.value(name)) != (new := encode(fields[name])):
            written.write(name, new)
    for name, value in fields.items():
        if name not in written:
            written.set(name, value)
    return written.edited()
