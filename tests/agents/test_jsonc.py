"""JSON with comments, changed in place."""

import json
import re
from typing import Any

import pyjson5
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.agents.jsonc import decode, remove, same, set_value
from modelbay.agents.named_lists import ANY, as_lists, as_tables
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
    """A value with white space and comments wherever they are allowed, and trailing commas."""

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
def test_a_value_is_set_and_other_text_does_not_change(
    data: st.DataObject, before: dict[str, Any], path: list[str], value: Any
):
    text = data.draw(NOTES) + data.draw(texts(before)) + data.draw(NOTES)
    assert same(pyjson5.decode(text), before)
    try:
        after = set_value(text, tuple(path), value)
    except ConfigError:
        inner: Any = before
        for key in path[:-1]:
            inner = inner.get(key) if isinstance(inner, dict) else inner
        assert inner is not None and not isinstance(inner, dict)  # a value on the path is not an object
        return
    expected = merged(before, path, value)
    assert same(pyjson5.decode(after), expected)
    if not replaced(before, path, value):
        assert comments(after) == comments(text)
    if missing(before, path):
        left = iter(after)
        assert all(char in left for char in text if not char.isspace())  # text was inserted, and none removed


def merged(old: Any, path: list[str], value: Any) -> Any:
    if path:
        inner = old if isinstance(old, dict) else {}
        return {**inner, path[0]: merged(inner.get(path[0]), path[1:], value)}
    if isinstance(value, dict) and value and isinstance(old, dict):
        return old | {key: merged(old.get(key), [], item) for key, item in value.items()}
    return value


def replaced(old: Any, path: list[str], value: Any) -> bool:
    """Whether a list or an object is replaced, with the comments in it."""
    for key in path:
        if not isinstance(old, dict) or key not in old:
            return False
        old = old[key]
    if isinstance(value, dict) and value and isinstance(old, dict):
        return any(replaced(old, [key], item) for key, item in value.items())
    return isinstance(old, dict | list)


def missing(old: Any, path: list[str]) -> bool:
    """Whether a path is missing, with no `null` on the way."""
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
def test_a_new_value_is_formatted_like_its_neighbors(before: str, after: str):
    assert set_value(before, ("a",), {"b": 1}) == after


def test_other_values_than_objects_are_not_changed():
    with pytest.raises(ConfigError, match="not a JSON object"):
        set_value("[1]", ("a",), 1)
    with pytest.raises(ConfigError, match="a is not an object"):
        set_value('{"a": "text"}', ("a", "b"), 1)


@pytest.mark.parametrize("text", ["{", '{"a"}', "{a: }", "nope", '{"a": 1} {}'])
def test_invalid_text_is_an_error(text: str):
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
def test_a_member_is_removed_with_its_line(before: str, path: tuple[str, ...], after: str):
    assert remove(before, path) == after


@given(
    st.recursive(
        st.dictionaries(st.sampled_from(["a", "b", "é", "c d"]), st.integers() | st.text(max_size=3), max_size=4),
        lambda inner: st.dictionaries(st.sampled_from(["a", "b", "x.y"]), inner, max_size=3),
        max_leaves=8,
    ),
    st.booleans(),
    st.data(),
)
def test_removing_a_member_changes_no_other_text(data: dict[str, Any], wide: bool, draw: st.DataObject):
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
    changed = decode(remove(text, path))
    at = data
    for key in path[:-1]:
        at = at[key]
    del at[path[-1]]
    assert same(changed, data)
    assert same(json.loads(remove(text, path)), data)


LISTS = {("p",): "name", ("q", ANY, "models"): "id"}
NAMED = """\
{
  "p": [
    // first
    {"name": "a", "x": 1}, // tail
    {
      "name": "b", // b
      "x": 2
    }
  ],
  "q": {"r": {"models": []}}
}
"""


@pytest.mark.parametrize(
    ("path", "value", "before", "after"),
    [
        (("p", "a", "x"), 3, '"x": 1}', '"x": 3}'),
        (("p", "b"), {"name": "b", "x": 2, "y": [1]}, '"x": 2\n', '"x": 2,\n      "y": [\n        1\n      ]\n'),
        (("p", "c"), {"name": "c"}, "    }\n  ],", '    },\n    {\n      "name": "c"\n    }\n  ],'),
        (("q", "r", "models", "m"), {"id": "m"}, "[]", '[\n    {\n      "id": "m"\n    }\n  ]'),
        (("q", "s", "models"), {"m": {"id": "m"}}, "[]}}", '[]}, "s": {"models": [{"id": "m"}]}}'),
    ],
)
def test_an_item_of_a_named_list_is_addressed_by_its_name(path: tuple[str, ...], value: Any, before: str, after: str):
    assert set_value(NAMED, path, value, LISTS) == NAMED.replace(before, after)


@pytest.mark.parametrize(
    ("before", "path", "value", "after"),
    [
        ('{"p": null}', ("p", "a"), {"name": "a"}, '{"p": [{"name": "a"}]}'),
        ('{"p": "text"}', ("p",), {"a": {"name": "a"}}, '{"p": [{"name": "a"}]}'),
        ('{"q": {"r": 1}}', ("q", "r"), {"models": {"m": {"id": "m"}}}, '{"q": {"r": {"models": [{"id": "m"}]}}}'),
    ],
)
def test_another_value_is_replaced_by_a_named_list(before: str, path: tuple[str, ...], value: Any, after: str):
    assert set_value(before, path, value, LISTS) == after


def test_an_item_of_a_named_list_is_removed_with_its_line():
    assert remove(NAMED, ("p", "a"), LISTS) == NAMED.replace('    {"name": "a", "x": 1}, // tail\n', "")
    assert remove(NAMED, ("p", "b", "x"), LISTS) == NAMED.replace('"b", // b\n      "x": 2\n', '"b" // b\n')


def test_items_without_a_name_of_their_own_are_addressed_by_their_positions():
    items = [{"name": "a"}, {"name": "a", "x": 1}, 7, {"name": "#2"}, {"name": ["b"]}]
    assert list(as_tables({"p": items}, LISTS)["p"]) == ["a", "#1", "#2", "#3", "#4"]
    assert as_lists(as_tables({"p": items}, LISTS), LISTS) == {"p": items}
    text = json.dumps({"p": items})
    assert decode(set_value(text, ("p", "#1", "x"), 2, LISTS))["p"][1] == {"name": "a", "x": 2}
    with pytest.raises(ConfigError, match="cannot be removed safely"):
        remove(text, ("p", "a"), LISTS)  # the second one would get its name


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["name", "x", "y"]), st.sampled_from(["a", "b", "c"]), max_size=3), max_size=4
    ),
    st.sampled_from(["a", "b", "c"]),
    st.dictionaries(st.sampled_from(["x", "y"]), st.integers(), max_size=2),
    st.data(),
)
def test_a_change_of_an_item_changes_no_other_item(
    items: list[dict[str, str]], name: str, rest: dict[str, int], data: st.DataObject
):
    text = data.draw(texts({"p": items}))
    value = {"name": name, **rest}
    after = set_value(text, ("p", name), value, LISTS)
    tables, now = as_tables({"p": items}, LISTS)["p"], as_tables(decode(after), LISTS)["p"]
    assert now == {**tables, name: {**tables.get(name, {}), **value}}
    assert comments(after) == comments(text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"a": 1,\n "b": }', 'line 2, column 7: unexpected "}"'),
        ('{\n  "a": 1\n  "b": 2\n}', r'line 3, column 3: unexpected "\""'),
        ('// c\n{"a": 1,\n\n', "line 2, column 1: this object is not closed"),
        ('{\n\t"a": [1, 2\n', "line 2, column 7: this array is not closed"),
        ('{\r\n"a": nope}', 'line 2, column 7: unexpected "o"'),
        ('{"é": 1,\n"ü": "x', "line 2, column 6: this string is not closed"),
        ('{"a": 1}\n}', "line 2, column 1: unexpected text after the end"),
        ('\ufeff{"a" 1}', 'line 1, column 6: unexpected "1"'),
    ],
)
def test_an_error_in_a_text_has_its_position(text: str, complaint: str):
    with pytest.raises(ValueError, match=r"^line \d+, column \d+: ") as raised:
        decode(text)
    assert str(raised.value) == complaint
