"""Values as TOML text. A list or an inline table that changes keeps its comments, quoting and spaces."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from difflib import SequenceMatcher
from typing import Any

from modelbay.config.toml import scan
from modelbay.config.toml.scan import Keys
from modelbay.errors import ConfigError

BARE = re.compile(r"[A-Za-z0-9_-]+")
LARGEST = 2**63


def plain(value: object, where: Keys) -> Any:
    """A copy made of the types that `tomllib` returns, without subclasses.

    Raises:
        TypeError: a value has another type.
        ConfigError: TOML cannot represent a text or number.
    """
    match value:
        case bool():
            return value
        case str():
            return _text(str.__str__(value), where)
        case int():
            if not -LARGEST <= value < LARGEST:
                raise ConfigError(f"{path_text(where)}: {value} number is too large")
            return int(value)
        case float():
            return float(value)
        case Mapping():
            return {_key(key, where): plain(item, (*where, key)) for key, item in value.items()}
        case list() | tuple():
            return [plain(item, where) for item in value]
        case datetime() | date() | time():
            offset = value.utcoffset() if isinstance(value, datetime | time) else None
            whole = offset is None or (isinstance(value, datetime) and not offset.seconds % 60)
            if whole and type(value) in (datetime, date, time):
                return value
    raise TypeError(f"{path_text(where)}: TOML has no {type(value).__name__}")


def _key(key: object, where: Keys) -> str:
    if not isinstance(key, str):
        raise TypeError(f"{path_text(where)}: a key must be text, not {type(key).__name__}")
    return _text(str.__str__(key), where)


def _text(value: str, where: Keys) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{path_text(where)}: text contains an unpaired surrogate") from None
    return value


def same(one: object, other: object) -> bool:
    """Whether two values serialize identically; `==` would treat 1, 1.0 and true as equal."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(item, other[key]) for key, item in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and (one == other or text_of(one) == text_of(other))  # NaN does not equal itself


def text_of(value: object) -> str:
    """A plain value on one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case dict():
            items = ", ".join(f"{key_text(key)} = {text_of(item)}" for key, item in value.items())
            return f"{{ {items} }}" if items else "{}"
        case list():
            return f"[{', '.join(map(text_of, value))}]"
        case datetime() | date() | time():
            return value.isoformat()
    return repr(value)


def key_text(key: str) -> str:
    return key if BARE.fullmatch(key) else text_of(key)


def path_text(keys: Keys) -> str:
    return ".".join(map(key_text, keys))


def rewritten(old: str, value: object, newline: str) -> str:
    """The text that replaces a value written as `old`."""
    if isinstance(value, list) and old.startswith("["):
        return _with_items(old, value, newline)
    if isinstance(value, str) and old.startswith("'") and "'" not in value and value.isprintable():
        return f"'{value}'"
    return text_of(value)


def read(text: str) -> Any:
    import tomllib

    return tomllib.loads(f"value = {text}")["value"]


def part(text: str, keys: Keys) -> str | None:
    """The text of a value inside an inline table; None if it has no text of its own."""
    if not keys:
        return text
    for item in Brackets(text, "").items:
        depth = len(item.keys)
        if item.keys == keys[:depth]:
            return part(item.value, keys[depth:])
    return None


def with_part(text: str, keys: Keys, exact: str, newline: str) -> str:
    """An inline table in which the value at `keys` is written as `exact`, if it has a text of its own."""
    if not keys:
        return exact
    inside = Brackets(text, newline)
    for item in inside.items:
        depth = len(item.keys)
        if item.keys == keys[:depth]:
            item.value = with_part(item.value, keys[depth:], exact, newline)
    return str(inside)


def put(text: str, keys: Keys, value: object, newline: str) -> str:
    """An inline table with the value set at `keys`."""
    inside = Brackets(text, newline)
    for item in inside.items:
        depth = len(item.keys)
        if item.keys == keys[:depth]:
            deeper = depth < len(keys)
            item.value = (
                put(item.value, keys[depth:], value, newline) if deeper else rewritten(item.value, value, newline)
            )
            return str(inside)
    beside = [index for index, item in enumerate(inside.items) if item.keys[: len(keys) - 1] == keys[:-1]]
    at = beside[-1] + 1 if beside else 0
    for index in reversed(beside):
        if inside.items[index].keys[: len(keys)] == keys:  # dotted keys define the table that the value replaces
            inside.remove(index)
            at -= 1
    inside.insert(at, text_of(value), keys)
    return str(inside)


def drop(text: str, keys: Keys, newline: str) -> str:
    """An inline table without the value at `keys`."""
    inside = Brackets(text, newline)
    for index, item in reversed(list(enumerate(inside.items))):
        depth = len(item.keys)
        if item.keys[: len(keys)] == keys:
            inside.remove(index)
        elif item.keys == keys[:depth]:
            item.value = drop(item.value, keys[depth:], newline)
    return str(inside)


def _with_items(old: str, values: list[Any], newline: str) -> str:
    inside = Brackets(old, newline)
    before = [text_of(item) for item in read(old)]
    after = [text_of(item) for item in values]
    steps = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    for step, start, end, new_start, new_end in reversed(steps):
        if step == "equal":
            continue
        for index in reversed(range(start, end)):
            inside.remove(index)
        for index in reversed(range(new_start, new_end)):
            inside.insert(start, after[index])
    return str(inside)


@dataclass
class TomlItem:
    before: str
    """Spaces, line breaks and comment lines before the item."""
    keys: Keys
    key: str
    """The key as written, with the equals sign; blank in an array."""
    value: str
    gap: str = ""
    """Text before the comma that follows."""
    note: str = ""
    """A comment after the item on the same line."""

    @property
    def breaks(self) -> bool:
        return "\n" in self.before

    @property
    def commented(self) -> bool:
        """Whether its last line ends in a comment, so that a line break must follow."""
        return "#" in self.note or "#" in self.gap.rpartition("\n")[2]


class Brackets:
    """An array or inline table in pieces; joined, they give the same text."""

    def __init__(self, text: str, newline: str) -> None:
        self.open, self.close = text[0], text[-1]
        self.newline = newline
        self.items: list[TomlItem] = []
        self.closing = ""
        """Text before the closing bracket."""
        self.trailing_comma = False
        position = 1
        while True:
            before = scan.gap(text, position)
            position += len(before)
            if text[position] == self.close:
                self.closing = before
                return
            position = self._read_item(text, position, before)

    def _read_item(self, text: str, position: int, before: str) -> int:
        item = TomlItem(before, (), "", "")
        assignment = scan.ASSIGNMENT.match(text, position) if self.open == "{" else None
        if assignment:
            item.keys, item.key = scan.keys_of(assignment["path"]), assignment[0]
            position = assignment.end()
        end = scan.value_end(text, position)
        item.value = text[position:end]
        item.gap = scan.gap(text, end)
        position = end + len(item.gap)
        self.trailing_comma = text[position] == ","
        if self.trailing_comma:
            item.note = scan.note(text, position + 1)
            position += 1 + len(item.note)
        else:
            item.gap = scan.note(text, end)
            position = end + len(item.gap)
        self.items.append(item)
        return position

    def __str__(self) -> str:
        text = self.open
        for index, item in enumerate(self.items):
            comma = "," if index < len(self.items) - 1 or self.trailing_comma else ""
            # the item was the last one: its comment must not swallow the comma
            if comma and item.commented and not item.note:
                item.gap, item.note = "", item.gap
            text += f"{item.before}{item.key}{item.value}{item.gap}{comma}{item.note}"
        hidden = bool(self.items) and self.items[-1].commented and "\n" not in self.closing
        return f"{text}{self.newline if hidden else ''}{self.closing}{self.close}"

    def insert(self, index: int, value: str, keys: Keys = ()) -> None:
        item = TomlItem("", keys, f"{path_text(keys)} = " if keys else "", value)
        if not self.items:
            self._begin(item)
        elif index == 0:
            first = self.items[0]
            heading, broken, above = first.before.partition("\n")
            item.before = heading.rstrip("\r") + self._break(first) if broken else first.before
            first.before = self.newline + above if broken else " "
        else:
            last = self.items[index - 1]
            item.before = self._break(last) if last.breaks else f"{self.newline}  " if last.commented else " "
        self.items.insert(index, item)

    def _begin(self, item: TomlItem) -> None:
        """Make room for the first item."""
        if "\n" in self.closing:
            lines, _, indent = self.closing.rpartition("\n")
            item.before = f"{lines}\n{indent}  "
            self.closing = self.newline + indent
        else:
            item.before = self.closing = " " if self.open == "{" else ""

    def _break(self, item: TomlItem) -> str:
        """The line break before an item and its indentation, without the comments between."""
        return self.newline + item.before.rpartition("\n")[2]

    def remove(self, index: int) -> None:
        """Remove an item and the comment after it; comment lines above it stay."""
        gone = self.items.pop(index)
        comments = gone.before.rpartition("\n")[0].rstrip(" \t\r") if "#" in gone.before else ""
        if index == len(self.items):
            self.closing = comments + (self.newline if comments and "\n" not in self.closing else "") + self.closing
            if not self.items and "#" not in self.closing:
                self.closing = ""
                self.trailing_comma = False
            return
        following = self.items[index]
        if comments:
            following.before = comments + (following.before if following.breaks else self._break(gone))
        elif gone.breaks and not following.breaks:
            following.before = self._break(gone)
        elif index == 0 and not following.breaks:
            following.before = gone.before
