"""JSON with comments, changed in place."""

import json
import re
from typing import Any

import pyjson5
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.agents.jsonc import decode, drop, put, same
from modelbay.errors import ConfigError

KEYS = st.text("abc é\"\\/{}[],:'\n", min_size=0, max_size=4)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**9), 10**9),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=6),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)
NOTES = st.sampled_from(
    ["", "", " ", "\n", "\t", "\r\n", "/* one, { */", "// two: }\n", " /*\n*/ ", "//\n", "/*\"*/ // '\n"]
)


@st.composite
def texts(draw: Any, value: Any) -> str:
    """A value with blanks and comments wherever they may stand, and commas behind the last."""

    def note() -> str:
        return str(draw(NOTES))

    if isinstance(value, dict):
        items = [f"{note()}{json.dumps(key)}{note()}:{note()}{draw(texts(item))}" for key, item in value.items()]
    elif isinstance(value, list):
        items = [f"{note()}{draw(texts(item))}" for item in value]
    else:
        return json.dumps(value, ensure_ascii=draw(st.booleans()))
    comma = f"{note()},".join(items) + (f"{note()}," if items and draw(st.booleans()) else "")
    brackets = "{}" if isinstance(value, dict) else "[]"
    return f"{brackets[0]}{comma}{note()}{brackets[1]}"


COMMENT = re.compile(r'"(?:\\.|[^"\\])*"|(//[^\r\n]*|/\*.*?\*/)', re.DOTALL)


def comments(text: str) -> list[str]:
    return [match[1] for match in COMMENT.finditer(text) if match[1]]


@given(st.data(), OBJECTS, st.lists(KEYS, min_size=1, max_size=3), VALUES)
def test_a_value_is_put_in_and_all_else_stays(data: st.DataObject, before: dict[str, Any], path: list[str], value: Any):
    text = data.draw(NOTES) + data.draw(texts(before)) + data.draw(NOTES)
    assert same(pyjson5.decode(text), before)
    try:
        after = put(text, tuple(path), value)
    except ConfigError:
        inner: Any = before
        for key in path[:-1]:
            inner = inner.get(key) if isinstance(inner, dict) else inner
        assert inner is not None and not isinstance(inner, dict)  # the path goes through what is no table
        return
    expected = merged(before, path, value)
    assert same(pyjson5.decode(after), expected)
    if not replaced(before, path, value):
        assert comments(after) == comments(text)
    if missing(before, path):
        left = iter(after)
        assert all(char in left for char in text if not char.isspace())  # put in, and nothing taken out


def merged(old: Any, path: list[str], value: Any) -> Any:
    if path:
        inner = old if isinstance(old, dict) else {}
        return {**inner, path[0]: merged(inner.get(path[0]), path[1:], value)}
    if isinstance(value, dict) and value and isinstance(old, dict):
        return old | {key: merged(old.get(key), [], item) for key, item in value.items()}
    return value


def replaced(old: Any, path: list[str], value: Any) -> bool:
    """Whether a list or a table goes, and the comments in it."""
    for key in path:
        if not isinstance(old, dict) or key not in old:
            return False
        old = old[key]
    if isinstance(value, dict) and value and isinstance(old, dict):
        return any(replaced(old, [key], item) for key, item in value.items())
    return isinstance(old, dict | list)


def missing(old: Any, path: list[str]) -> bool:
    """Whether there is nothing at a path, not even a `null` on the way."""
    for key in path:
        if not isinstance(old, dict):
            return False
        if key not in old:
            return True
        old = old[key]
    return False


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '{\n  "a": {\n    "b": 1\n  }\n}\n'),
        ("{}", '{\n  "a": {\n    "b": 1\n  }\n}'),
        ('{"c": 1}', '{"c": 1, "a": {"b": 1}}'),
        ('{\n\t"c": 1 // see\n}\n', '{\n\t"c": 1, // see\n\t"a": {\n\t\t"b": 1\n\t}\n}\n'),
        ('{\n    "c": [], // see\n}', '{\n    "c": [], // see\n    "a": {\n        "b": 1\n    },\n}'),
        ('{"a": {"b": 2 /* two */}} // end', '{"a": {"b": 1 /* two */}} // end'),
        ('{"a": null}', '{"a": {"b": 1}}'),
        ("{'a': {b: 0x10}}", "{'a': {b: 1}}"),
        ('{"a": {"b": 2}, "a": {"b": 3}}', '{"a": {"b": 2}, "a": {"b": 1}}'),
        ('{\r\n  "c": 1\r\n}\r\n', '{\r\n  "c": 1,\r\n  "a": {\r\n    "b": 1\r\n  }\r\n}\r\n'),
        ('\ufeff{"a": {"b": 1}}', '\ufeff{"a": {"b": 1}}'),
    ],
)
def test_a_value_stands_as_those_beside_it_do(before: str, after: str):
    assert put(before, ("a",), {"b": 1}) == after


def test_what_is_no_object_is_left_alone():
    with pytest.raises(ConfigError, match="no object"):
        put("[1]", ("a",), 1)
    with pytest.raises(ConfigError, match="a is no object"):
        put('{"a": "text"}', ("a", "b"), 1)


@pytest.mark.parametrize("text", ["{", '{"a"}', "{a: }", "nope", '{"a": 1} {}'])
def test_what_does_not_parse_says_so(text: str):
    with pytest.raises(ValueError, match=r"\w"):
        decode(text)


@pytest.mark.parametrize(
    ("before", "path", "after"),
    [
        ('{"a": 1, "b": 2}', ("a",), '{"b": 2}'),
        ('{"a": 1, "b": 2}', ("b",), '{"a": 1}'),
        ('{"a": 1}', ("a",), "{}"),
        ('{\n  "a": 1, // one\n  "b": 2 // two\n}\n', ("a",), '{\n  "b": 2 // two\n}\n'),
        ('{\n  "a": 1, // one\n  "b": 2 // two\n}\n', ("b",), '{\n  "a": 1 // one\n}\n'),
        ('{\n  "a": {\n    "x": 1,\n    "y": [1, 2],\n  },\n}', ("a", "y"), '{\n  "a": {\n    "x": 1,\n  },\n}'),
        ("{a: 1, 'b': {c: 2}, /* c */ b: {d: 3}}", ("b",), "{a: 1 /* c */}"),
        ('{"a": 1}', ("b",), '{"a": 1}'),
        ('{"a": {"x": 1}}', ("a", "b"), '{"a": {"x": 1}}'),
    ],
)
def test_a_member_is_taken_out_with_its_line(before: str, path: tuple[str, ...], after: str):
    assert drop(before, path) == after


@given(
    st.recursive(
        st.dictionaries(st.sampled_from(["a", "b", "é", "c d"]), st.integers() | st.text(max_size=3), max_size=4),
        lambda inner: st.dictionaries(st.sampled_from(["a", "b", "x.y"]), inner, max_size=3),
        max_leaves=8,
    ),
    st.booleans(),
    st.data(),
)
def test_taking_out_leaves_all_else_as_it_is(data: dict[str, Any], wide: bool, draw: st.DataObject):
    text = json.dumps(data, indent=2 if wide else None)
    path: tuple[str, ...] = ()
    inner: Any = data
    while isinstance(inner, dict) and inner:
        key = draw.draw(st.sampled_from(sorted(inner)))
        path, inner = (*path, key), inner[key]
        if draw.draw(st.booleans()):
            break
    if not path:
        return
    changed = decode(drop(text, path))
    at = data
    for key in path[:-1]:
        at = at[key]
    del at[path[-1]]
    assert same(changed, data)
    assert same(json.loads(drop(text, path)), data)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"a": 1,\n "b": }', 'line 2, column 7: unexpected "}"'),
        ('{\n  "a": 1\n  "b": 2\n}', r'line 3, column 3: unexpected "\""'),
        ('// c\n{"a": 1,\n\n', "line 2, column 1: this object is not closed"),
        ('{\n\t"a": [1, 2\n', "line 2, column 7: this array is not closed"),
        ('{\r\n"a": nope}', 'line 2, column 7: unexpected "o"'),
        ('{"é": 1,\n"ü": "x', "line 2, column 6: this string is not closed"),
        ('{"a": 1}\n}', "line 2, column 1: there is more after the end"),
        ('\ufeff{"a" 1}', 'line 1, column 6: unexpected "1"'),
    ],
)
def test_a_broken_text_says_where(text: str, complaint: str):
    with pytest.raises(ValueError, match=r"^line \d+, column \d+: ") as raised:
        decode(text)
    assert str(raised.value) == complaint
