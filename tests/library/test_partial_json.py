"""Values of JSON texts that break off."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from modelbay.library.partial_json import begun

VALUES = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False, allow_infinity=False) | some.text(),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(), inner, max_size=4),
    max_leaves=12,
)
ROOTS = some.lists(VALUES, max_size=4) | some.dictionaries(some.text(), VALUES, max_size=4)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("Hello", None),
        ("{", {}),
        ('{"na', {}),
        ('{"name"', {}),
        ('{"name":', {}),
        ('{"name": "Ham', {"name": "Ham"}),
        ('{"name": "Ham\\', {"name": "Ham"}),
        ('{"name": "\\u00e', {"name": ""}),
        ('{"name": "\\ud83d\\ude', {"name": ""}),
        ('{"name": "a\\\\"', {"name": "a\\"}),
        ('{"n": 12', {}),
        ('{"n": 12,', {"n": 12}),
        ('{"n": tru', {}),
        ('{"n": true}', {"n": True}),
        ('[1, [2, {"a": [3', [1, [2, {"a": []}]]),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ('{"a": nonsense, "b": 1}', None),
    ],
)
def test_the_certain_part_of_a_text_is_its_value(text: str, value: Any) -> None:
    assert begun(text) == value


def is_part(part: Any, whole: Any) -> bool:
    """Whether a value is the beginning of another one."""
    if isinstance(whole, str) and isinstance(part, str):
        return whole.startswith(part)
    if isinstance(whole, list) and isinstance(part, list):
        return len(part) <= len(whole) and all(map(is_part, part, whole))
    if isinstance(whole, dict) and isinstance(part, dict):
        return all(name in whole and is_part(value, whole[name]) for name, value in part.items())
    return bool(part == whole)


@given(ROOTS, some.booleans(), some.data())
def test_each_beginning_of_a_text_has_a_part_of_its_value(value: Any, ascii: bool, data: some.DataObject) -> None:
    text = json.dumps(value, ensure_ascii=ascii)
    end = data.draw(some.integers(0, len(text)))
    found = begun(text[:end])
    assert found is None or is_part(found, value)
    assert begun(text) == value


def test_a_text_that_is_nested_too_deeply_has_no_value() -> None:
    assert begun("[" * 10_000) is None
