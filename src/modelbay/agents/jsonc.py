"""JSON with comments, read and changed in place. Unchanged text stays the same byte for byte, comments included."""

import json
import re
from functools import cached_property
from typing import Any

from msgspec import Struct, field

from modelbay.agents.named_lists import NamedLists, as_lists, as_tables, name_member, names
from modelbay.config.toml.scan import Keys
from modelbay.config.toml.values import path_text
from modelbay.errors import ConfigError

_STRING = r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'"""
_NOTHING = re.compile(r"(?:\s|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_WORD = re.compile(rf"(?:{_STRING}|[^\s,:\[\]{{}}\"'/]+)", re.DOTALL)
_SAME_LINE = re.compile(r"[ \t]*(?://[^\r\n]*|/\*[^\r\n]*?\*/)?")
"""A comment after a value, on the same line."""
MISSING = object()
NO_LISTS: NamedLists = {}


class _Node(Struct):
    """A value and its position. `members`: those of an object, or the items of a named list; other lists have none."""

    start: int
    end: int
    members: "list[_Member] | None" = None
    is_list: bool = False


class _Member(Struct):
    key: str
    start: int
    value: _Node
    comma: int = -1
    """The end of the comma after it; -1 if there is none."""


class _Place(Struct):
    """The beginning of a new line in an object."""

    newline: str
    unit: str
    indent: str = field(default="")


def decode(text: str) -> Any:
    """The value of a JSON text, which may have comments, trailing commas and the other features of JSON5. A text of nothing but
    white space is an empty object, as agents create such files.

    Raises:
        ValueError: the text is not valid; the message has the line and column.
    """
    import pyjson5

    text = text.removeprefix("\ufeff")
    try:
        return pyjson5.decode(text if text.strip() else "{}")
    except pyjson5.Json5Exception as error:
        raise ValueError(_syntax_error(error, text)) from None


def _syntax_error(error: Exception, text: str) -> str:
    """A message with line and column. pyjson5 counts characters, from 0 or from 1."""
    words = str(error.args[0]) if error.args else ""
    char = error.args[-1] if len(error.args) > 1 and isinstance(error.args[-1], str) else ""
    near = re.search(r" near (\d+)", words)
    if near is None:
        return words or "syntax error"
    at = int(near[1])
    if not (char and text[at : at + 1] == char and text[at - 1 : at] != char):
        at -= 1
    at = max(0, min(at, len(text)))
    if words.startswith("Extra data"):  # the position is the end of the value before it
        at = max(at, text.find(char, at + 1))
    place = f"line {text.count(chr(10), 0, at) + 1}, column {at - text.rfind(chr(10), 0, at)}"
    if opened := re.match(r"Unclosed b'(\w+)'", words):
        return f"{place}: this {opened[1]} is not closed"
    if words.startswith("Extra data"):
        return f"{place}: unexpected text after the end"
    return (
        f"{place}: unexpected {json.dumps(char, ensure_ascii=False)}" if char else f"{place}: {words[: near.start()]}"
    )


def set_value(text: str, path: Keys, value: Any, lists: NamedLists = NO_LISTS) -> str:
    """The text with a value at a path. A new object is merged into an existing one. Items of `lists` are addressed by their names.

    Raises:
        ConfigError: a value on the path is not an object; null becomes one.
        ValueError: the text is not valid.
    """
    if isinstance(value, dict) and value and isinstance(_at(as_tables(decode(text), lists), path), dict):
        for key, item in value.items():
            text = set_value(text, (*path, key), item, lists)
        return text
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    text = text.removeprefix(mark)
    if not text.strip():
        text = "{}\n"
    data = as_tables(decode(text), lists)
    if not isinstance(data, dict):
        raise ConfigError("the file is not a JSON object", hint="fix the file in an editor: it must begin with {")
    old = _at(data, path)
    if old is not MISSING and same(old, value):
        return mark + text
    root = _object(text, _skip(text, 0), lists)
    changed = _changed(text, root, path, value, lists)
    if not same(as_tables(decode(changed), lists), _with(data, path, value)):
        raise ConfigError(f"{path_text(path)} cannot be changed safely in this file", hint="change it in an editor")
    return mark + changed


class JsonDocument:
    """The values of a text as they are written in it, and the comments after them. The text is parsed once.

    Raises:
        ValueError: the text is not valid.
    """

    def __init__(self, text: str, lists: NamedLists = NO_LISTS) -> None:
        self._text = text.removeprefix("\ufeff")
        self._lists = lists
        self._data = as_tables(decode(self._text), lists)

    @cached_property
    def _root(self) -> _Node:
        return _object(self._text, _skip(self._text, 0), self._lists)

    def text_at(self, path: Keys) -> str | None:
        """The text of the value at a path; None if there is none."""
        if _at(self._data, path) is MISSING:
            return None
        node = _found(self._root, path)
        return self._text[node.start : node.end]

    def comment_at(self, path: Keys) -> str:
        """The comment after the member at a path, with the spaces before it; "" if the member does not have its line to itself."""
        found = self.line(path)
        note = self._text[found[1] : found[2]] if found else ""
        return note if note.strip() else ""

    def line(self, path: Keys) -> tuple[int, int, int] | None:
        """The line of the member at a path (`_own_line`); None if there is no such member."""
        if _at(self._data, path) is MISSING:
            return None
        member = next(one for one in reversed(_found(self._root, path[:-1]).members or []) if one.key == path[-1])
        return _own_line(self._text, member)


def with_comment(text: str, path: Keys, comment: str, lists: NamedLists = NO_LISTS) -> str:
    """The text with a comment after the member at a path, if the member has its line to itself and no comment."""
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    text = text.removeprefix(mark)
    found = JsonDocument(text, lists).line(path)
    if found is not None and not text[found[1] : found[2]].strip():
        text = text[: found[1]] + comment + text[found[1] :]
    return mark + text


def _own_line(text: str, member: _Member) -> tuple[int, int, int] | None:
    """The start of the line of a member, the end of the member with its comma, and the end of the comment after it; None if the
    line contains anything else."""
    end = member.comma if member.comma >= 0 else member.value.end
    note = _SAME_LINE.match(text, end)
    if not _begins_line(text, member.start) or not note or text[note.end() : note.end() + 1] not in ("\n", "\r", ""):
        return None
    return text.rfind("\n", 0, member.start) + 1, end, note.end()


def set_text(text: str, path: Keys, exact: str, lists: NamedLists = NO_LISTS) -> str:
    """The text with a value at a path that is written as `exact`, such as `text_at` returned.

    Raises:
        ConfigError: a value on the path is not an object.
        ValueError: the text is not valid.
    """
    value = as_tables(decode(exact), lists, path)
    if isinstance(_at(as_tables(decode(text), lists), path), dict):
        text = set_value(text, path, None, lists)  # an object is replaced, not merged
    text = set_value(text, path, value, lists)
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    text = text.removeprefix(mark)
    node = _found(_object(text, _skip(text, 0), lists), path)
    return mark + text[: node.start] + exact + text[node.end :]


def _found(node: _Node, path: Keys) -> _Node:
    """The value at a path below an object, which must exist. Of duplicate keys, the last one counts."""
    for key in path:
        node = next(member.value for member in reversed(node.members or []) if member.key == key)
    return node


def remove(text: str, path: Keys, lists: NamedLists = NO_LISTS) -> str:
    """The text without the member at a path, if there is one. Its line and the comment on that line are removed too.
    Items of `lists` are addressed by their names.

    Raises:
        ConfigError: the member cannot be removed safely.
        ValueError: the text is not valid.
    """
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    text = text.removeprefix(mark)
    data = as_tables(decode(text), lists)
    if _at(data, path) is MISSING:
        return mark + text
    changed = text
    while _at(as_tables(decode(changed), lists), path) is not MISSING:  # duplicate keys
        changed = _removed(changed, path, lists)
    if not same(as_tables(decode(changed), lists), _without(data, path)):
        raise ConfigError(f"{path_text(path)} cannot be removed safely in this file", hint="change it in an editor")
    return mark + changed


def _removed(text: str, path: Keys, lists: NamedLists) -> str:
    members = _found(_object(text, _skip(text, 0), lists), path[:-1]).members or []
    number = max(number for number, member in enumerate(members) if member.key == path[-1])
    member = members[number]
    start, end = member.start, member.comma if member.comma >= 0 else member.value.end
    if (line := _own_line(text, member)) is not None:
        start, _, end = line
        end += len(re.match(r"\r?\n?", text[end:])[0])  # type: ignore[index]
    elif member.comma >= 0:
        end += len(text[end:]) - len(text[end:].lstrip(" \t"))
    else:
        start = len(text[:start].rstrip(" \t"))
    text = text[:start] + text[end:]
    if number and number == len(members) - 1 and member.comma < 0:  # the member before it is the last one now
        comma = members[number - 1].comma
        text = text[: comma - 1] + text[comma:]
    return text


def _without(data: Any, path: Keys) -> Any:
    inner = {path[0]: _without(data[path[0]], path[1:])} if len(path) > 1 else {}
    return {key: inner.get(key, value) for key, value in data.items() if key != path[0] or inner}


def same(one: Any, other: Any) -> bool:
    """Whether two values serialize identically: 1 differs from true and from 1.0."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(item, other[key]) for key, item in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and (one == other or repr(one) == repr(other))


def _at(data: Any, path: Keys) -> Any:
    for key in path:
        if not isinstance(data, dict) or key not in data:
            return MISSING
        data = data[key]
    return data


def _with(data: Any, path: Keys, value: Any) -> Any:
    if not path:
        return value
    inner = data if isinstance(data, dict) else {}
    return {**inner, path[0]: _with(inner.get(path[0]), path[1:], value)}


def _changed(text: str, root: _Node, path: Keys, value: Any, lists: NamedLists) -> str:
    place = _Place("\r\n" if "\r\n" in text else "\n", _unit(text, root))
    node, inline = root, False
    for depth, key in enumerate(path, 1):
        if node.members is None:
            if text[node.start : node.end] != "null":
                inside = path_text(path[: depth - 1])
                raise ConfigError(
                    f"{path_text(path)} cannot be set: {inside} is not an object",
                    hint=f"remove {inside} from the file in an editor",
                )
            value, path = _nested(path[depth - 1 :], value), path[: depth - 1]
            break
        member = next((member for member in reversed(node.members) if member.key == key), None)
        if member is None:
            inserted = as_lists(_nested(path[depth:], value), lists, path[:depth])
            return _inserted(text, node, key, inserted, place)
        node = member.value
        inline = not _begins_line(text, member.start)
    if inline:
        place.newline = ""
    place.indent = _indent(text, node.start)
    value = as_lists(value, lists, path)
    return text[: node.start] + _written(value, place) + text[node.end :]


def _nested(keys: Keys, value: Any) -> Any:
    return {keys[0]: _nested(keys[1:], value)} if keys else value


def _inserted(text: str, node: _Node, key: str, value: Any, place: _Place) -> str:
    """The text with another member or item, after the last one and its comment."""
    members = node.members or []
    outer = _indent(text, node.start)
    name = "" if node.is_list else f"{json.dumps(key, ensure_ascii=False)}: "
    if not members:
        inner = text[node.start + 1 : node.end - 1].rstrip()
        place.indent = outer + place.unit
        line = f"{place.newline}{place.indent}{name}{_written(value, place)}"
        return f"{text[: node.start + 1]}{inner}{line}{place.newline}{outer}{text[node.end - 1 :]}"
    last = members[-1]
    at = last.comma if last.comma >= 0 else last.value.end
    note = _SAME_LINE.match(text, at)
    end = note.end() if note and note[0].strip() else at
    if "\n" in text[node.start : last.start] or "//" in text[at:end]:
        place.indent = _indent(text, last.start) if _begins_line(text, last.start) else outer + place.unit
        gap = place.newline + place.indent
    else:
        gap, place.newline = " ", ""
    comma, trailing = ("", ",") if last.comma >= 0 else (",", "")
    member = f"{name}{_written(value, place)}{trailing}"
    return f"{text[:at]}{comma}{text[at:end]}{gap}{member}{text[end:]}"


def _written(value: Any, place: _Place) -> str:
    if not place.newline or not isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    lines = json.dumps(value, ensure_ascii=False, indent=place.unit).split("\n")
    return (place.newline + place.indent).join(lines)


def _unit(text: str, root: _Node) -> str:
    """The indentation of one level."""
    firsts = [member.start for member in (root.members or [])[:1] if _begins_line(text, member.start)]
    return next((indent for start in firsts if (indent := _indent(text, start))), "  ")


def _indent(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _begins_line(text: str, at: int) -> bool:
    return not text[text.rfind("\n", 0, at) + 1 : at].strip()


def _skip(text: str, at: int) -> int:
    match = _NOTHING.match(text, at)
    return match.end() if match else at


def _word(text: str, at: int) -> int:
    match = _WORD.match(text, at)
    if match is None:
        raise ConfigError("this file cannot be changed safely", hint="change it in an editor")
    return match.end()


def _value(text: str, at: int, lists: NamedLists, path: Keys) -> _Node:
    if text[at] == "{":
        return _object(text, at, lists, path)
    if text[at] == "[":
        return _array(text, at, lists, path)
    return _Node(at, _word(text, at))


def _array(text: str, start: int, lists: NamedLists, path: Keys) -> _Node:
    items: list[_Member] = []
    at = _skip(text, start + 1)
    member = name_member(path, lists)
    while text[at] != "]":
        item = _value(text, at, NO_LISTS, ())
        items.append(_Member("", at, item))
        at = _skip(text, item.end)
        if text[at] == ",":
            items[-1].comma = at + 1
            at = _skip(text, at + 1)
    if member is None:
        return _Node(start, at + 1)
    for key, named in zip(names(decode(text[start : at + 1]), member), items, strict=True):
        named.key = key
        named.value = _value(text, named.start, lists, (*path, key))
    return _Node(start, at + 1, items, is_list=True)


def _object(text: str, start: int, lists: NamedLists, path: Keys = ()) -> _Node:
    node = _Node(start, start, [])
    at = _skip(text, start + 1)
    while text[at] != "}":
        end = _word(text, at)
        key = next(iter(decode(f"{{{text[at:end]}: 0}}")))
        value = _value(text, _skip(text, _skip(text, end) + 1), lists, (*path, key))
        member = _Member(key, at, value)
        assert node.members is not None
        node.members.append(member)
        at = _skip(text, value.end)
        if text[at] == ",":
            member.comma = at + 1
            at = _skip(text, at + 1)
    node.end = at + 1
    return node
