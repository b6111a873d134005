"""YAML of agents: values, limits for hostile files, and the text that is written."""

from itertools import pairwise
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from modelbay.agents.yaml_text import decode, encode

TEXTS = st.sampled_from(
    ["", "yes", "no", "null", "~", "1", "1.5", "0x1", "true", "a", "a: b", "a #b", "#", "- a", "-", "os.environ/X"]
) | st.text(max_size=5) | st.text("\x00\n\x7f\x85\x9f\u2028\u2029\ufeff\ufffe\uffffa", max_size=5)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(TEXTS, VALUES, min_size=1, max_size=4))
def test_a_written_value_is_read_again(value: dict[str, Any]):
    assert decode(encode(value)) == decode(encode(value), old=True) == yaml.safe_load(encode(value)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("a: 2024-10-21", {"a": "2024-10-21"}),
        ("a: yes", {"a": "yes"}),
        ("a: 010", {"a": 10}),
        ("a: 1e3", {"a": 1000.0}),
        ("a: '1'", {"a": "1"}),
        ("a: !!str 1", {"a": "1"}),
        ("1: a\nnull: b", {"1": "a", "null": "b"}),
        ("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}", {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("a: |\n  b\n  c\n", {"a": "b\nc\n"}),
        ("a: 1\na: 2", {"a": 2}),
    ],
)
def test_values_of_a_file(text: str, value: object):
    assert decode(text) == value


def test_older_programs_read_yes_as_true():
    assert decode("a: yes\nb: off\nc: 'on'", old=True) == {"a": True, "b": False, "c": "on"}


def billion_laughs() -> str:
    letters = "abcdefghij"
    rows = ["a: &a [x,x,x,x,x,x,x,x,x,x]"]
    rows += [f"{there}: &{there} [{','.join([f'*{here}'] * 10)}]" for here, there in pairwise(letters)]
    return "\n".join(rows)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (billion_laughs(), "too many values"),
        ("a: &a [*a]", "no complete value"),
        ("a: &a {b: *a}", "no complete value"),
        ("a: *b", "no complete value"),
        ("[" * 100_000, "nested too deep"),
        ("".join(f"{' ' * depth}a:\n" for depth in range(200)), "nested too deep"),
        ("a: [" + "x," * 200_000 + "]", "too many values"),
        ("a: !!python/object/apply:os.system [id]", "not supported"),
        ("a: !custom 1", "not supported"),
        ("? [a]\n: 1", "a key must be a text"),
        ("a: {<<: [1]}", "only mappings"),
        ("a: 1\n---\nb: 2", "second document"),
        ("a: [1", "line 2"),
        ("a: \x00", "not allowed"),
    ],
)
def test_a_hostile_text_is_an_error(text: str, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        decode(text)


def test_an_error_does_not_quote_the_text():
    with pytest.raises(ValueError, match="line 3") as raised:
        decode('key: sk-0123456789\nother: "sk-9876543210\n')
    assert "sk-" not in str(raised.value)
