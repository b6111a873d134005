"""YAML, read with limits and without types of its own, and written.

A file may be by any author: its aliases must not grow a small text to a large value, and no value may contain itself. Texts that
look like dates stay texts, because a version such as 2024-10-21 is one.
"""

import json
import re
from typing import Any

from msgspec import Struct, field

MOST = 100_000
"""The largest number of values in a file; an alias counts as all values that it repeats."""
DEPTH = 64
"""The largest depth of nested values."""
_STRING = "tag:yaml.org,2002:str"
_COLLECTIONS = (None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_SCALARS = (None, "!", _STRING, *(f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float")))
_MERGE = "<<"
_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE, _FALSE = re.compile(r"true|True|TRUE"), re.compile(r"false|False|FALSE")
_OLD_TRUE, _OLD_FALSE = re.compile(r"yes|Yes|YES|on|On|ON"), re.compile(r"no|No|NO|off|Off|OFF")
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,40}|[0-9]{1,40}(\.[0-9]{0,40})?)([eE][-+]?[0-9]{1,4})?")
_PLAIN = re.compile(r"[A-Za-z_/$][\w./@$+:-]*(?<!:)")
"""A text that may be written without quotes, if it is not read as another value."""
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""Characters that end a line in YAML, or are not allowed in it, and that JSON does not escape."""


class _Open(Struct):
    """A collection that is not complete."""

    value: Any
    anchor: str | None
    key: Any = None
    has_key: bool = False
    count: int = 1
    depth: int = 1
    merged: list[Any] = field(default_factory=list)


class _Done(Struct):
    """A complete value with an anchor. `count`: the number of values in it."""

    value: Any
    count: int
    depth: int


def decode(text: str, *, old: bool = False) -> Any:
    """The value of a YAML text. `old`: whether `yes` and `no` are booleans, as in YAML 1.1.

    Raises:
        ValueError: the text is not valid, or is larger than the limits; the message has the line and column.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    reader = _Reader(old)
    try:
        for event in yaml.parse(text, Loader=loader):
            reader.take(event)
    except yaml.MarkedYAMLError as error:
        raise ValueError(f"{_place(error.problem_mark)}: {error.problem or 'not valid'}") from None
    except yaml.YAMLError:
        raise ValueError("it contains a character that is not allowed") from None
    return reader.result


class _Reader:
    def __init__(self, old: bool) -> None:
        self.result: Any = None
        self._old = old
        self._stack: list[_Open] = []
        self._anchors: dict[str, _Done] = {}
        self._documents = 0

    def take(self, event: Any) -> None:
        """Take the next event of a parser."""
        import yaml

        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise ValueError(f"{_place(event.start_mark)}: a second document begins")
        elif isinstance(event, yaml.AliasEvent):
            done = self._anchors.get(event.anchor)
            if done is None:
                raise ValueError(f"{_place(event.start_mark)}: this alias has no complete value before it")
            self._add(done, event)
        elif isinstance(event, yaml.ScalarEvent):
            done = _Done(self._scalar(event), 1, 0)
            self._keep(event.anchor, done)
            self._add(done, event)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            if event.tag not in _COLLECTIONS:
                raise ValueError(f"{_place(event.start_mark)}: this type is not supported")
            if len(self._stack) >= DEPTH:
                raise ValueError(f"{_place(event.start_mark)}: nested too deep")
            self._anchors.pop(event.anchor or "", None)
            self._stack.append(_Open({} if isinstance(event, yaml.MappingStartEvent) else [], event.anchor))
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._close(event)

    def _keep(self, anchor: str | None, done: _Done) -> None:
        if anchor is not None:
            self._anchors[anchor] = done

    def _close(self, event: Any) -> None:
        one = self._stack.pop()
        if isinstance(one.value, dict):
            for other in one.merged:
                one.value = {**other, **one.value}
        done = _Done(one.value, one.count, one.depth)
        self._keep(one.anchor, done)
        self._add(done, event)

    def _add(self, done: _Done, event: Any) -> None:
        """Add a complete value to the collection around it."""
        if not self._stack:
            self.result = done.value
            return
        around = self._stack[-1]
        around.count += done.count
        around.depth = max(around.depth, done.depth + 1)
        if sum(one.count for one in self._stack) > MOST or len(self._stack) + done.depth > DEPTH:
            raise ValueError(f"{_place(event.start_mark)}: too many values, or nested too deep")
        if isinstance(around.value, list):
            around.value.append(done.value)
        elif not around.has_key:
            if isinstance(done.value, dict | list):
                raise ValueError(f"{_place(event.start_mark)}: a key must be a text")
            around.key, around.has_key = _text(done.value), True
        else:
            self._set(around, done.value, event)

    def _set(self, around: _Open, value: Any, event: Any) -> None:
        around.has_key = False
        if around.key != _MERGE:
            around.value[around.key] = value
            return
        others = value if isinstance(value, list) else [value]
        if not all(isinstance(other, dict) for other in others):
            raise ValueError(f"{_place(event.start_mark)}: only mappings can be merged")
        around.merged += others
        if sum(len(other) for other in around.merged) > MOST:
            raise ValueError(f"{_place(event.start_mark)}: too many values")

    def _scalar(self, event: Any) -> Any:
        if event.tag not in _SCALARS:
            raise ValueError(f"{_place(event.start_mark)}: this type is not supported")
        if not event.implicit[0] or event.tag == _STRING:
            return event.value
        return resolved(event.value, old=self._old)


def resolved(text: str, *, old: bool = False) -> Any:
    """The value of a text without quotes."""
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text) or (old and _OLD_TRUE.fullmatch(text)):
        return True
    if _FALSE.fullmatch(text) or (old and _OLD_FALSE.fullmatch(text)):
        return False
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _text(key: Any) -> str:
    """A key as text."""
    return key if isinstance(key, str) else json.dumps(key)


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark is not None else "at the end"


def encode(value: Any) -> str:
    """A mapping as YAML."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: Any) -> list[str]:
    """The lines of a mapping or a list that is not empty."""
    lines: list[str] = []
    items = value.items() if isinstance(value, dict) else ((None, item) for item in value)
    for key, item in items:
        start = "- " if key is None else f"{_word(key)}:"
        if not isinstance(item, dict | list) or not item:
            lines.append(f"{start} {_word(item)}" if key is not None else f"- {_word(item)}")
        elif key is None:
            first, *rest = _lines(item)
            lines += [f"- {first}", *(f"  {line}" for line in rest)]
        else:
            lines += [start, *(f"  {line}" for line in _lines(item))]
    return lines


def _word(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, str) and value.isascii() and _PLAIN.fullmatch(value) and resolved(value, old=True) == value:
        return value
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))
