"""Random edits of random files: the data matches the same edits of plain dicts, and no other line changes."""

import copy
import tomllib
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from modelbay.config.toml.document import TomlDocument
from modelbay.config.toml.values import plain, rewritten, same, text_of
from modelbay.errors import ConfigError
from tests.config.toml_texts import Keys, Written, keys, plain_values, written

paths = st.lists(keys, min_size=1, max_size=4).map(tuple)
removals = st.tuples(st.just("delete"), paths, st.none())
settings = st.tuples(st.just("set"), paths, plain_values)


@st.composite
def edits(draw: Any) -> tuple[list[Written], str, list[tuple[str, Keys, Any]]]:
    """Lines, their text, and edits, most of them of existing keys."""
    data, lines, text = draw(written())
    there = st.sampled_from(_paths(data) or [("a",)])
    return (
        lines,
        text,
        draw(
            st.lists(
                st.one_of(
                    removals,
                    settings,
                    st.tuples(st.just("delete"), there, st.none()),
                    st.tuples(st.just("set"), there, plain_values),
                    st.tuples(
                        st.just("set"), st.tuples(there, keys).map(lambda pair: (*pair[0], pair[1])), plain_values
                    ),
                ),
                max_size=5,
            )
        ),
    )


def _paths(data: dict[str, Any], above: Keys = ()) -> list[Keys]:
    found: list[Keys] = []
    for key, value in data.items():
        found.append((*above, key))
        if isinstance(value, dict):
            found += _paths(value, (*above, key))
    return found


def _done(data: dict[str, Any], what: str, path: Keys, value: Any) -> None:
    """The same edit of plain dicts."""
    table = data
    for key in path[:-1]:
        if what == "delete" and key not in table:
            return
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            return
    if what == "set":
        table[path[-1]] = copy.deepcopy(value)
    else:
        table.pop(path[-1], None)


def _full(value: Any) -> Any:
    """The data without empty tables: some layouts keep an empty table, others do not."""
    if not isinstance(value, dict):
        return value
    full = {key: _full(item) for key, item in value.items()}
    return {key: item for key, item in full.items() if item != {}}


def _through_value(data: dict[str, Any], path: Keys) -> bool:
    for key in path[:-1]:
        if key not in data:
            return False
        data = data[key]
        if not isinstance(data, dict):
            return True
    return False


def check(case: tuple[list[Written], str, list[tuple[str, Keys, Any]]]) -> None:
    lines, text, steps = case
    document = TomlDocument(text)
    assert document.text == text
    data = tomllib.loads(text)
    touched: list[Keys] = []
    for what, path, value in steps:
        if what == "delete":
            document.delete(path)
        elif _through_value(data, path):
            with pytest.raises(ConfigError, match="is not a table"):
                document.set(path, value)
            continue
        else:
            document.set(path, value)
        _done(data, what, path, value)
        touched.append(path)
        assert same(tomllib.loads(document.text), document.data)
        assert same(_full(document.data), _full(data))
    _untouched_lines_stay(lines, document.text, touched)
    assert "\n" not in document.text.replace("\r\n", "") or "\r\n" not in text


def _untouched_lines_stay(lines: list[Written], text: str, touched: list[Keys]) -> None:
    position = 0
    for line in lines:
        owner = line.owner or ()
        changed = any(path[: len(owner)] == owner or owner[: len(path)] == path for path in touched)
        if line.text.strip() and (line.owner is None or not changed or _is_comment(line, touched)):
            found = text.find(line.text.rstrip("\r\n"), position)
            assert found >= 0, f"{line.text!r} is gone from\n{text}"
            position = found + len(line.text.rstrip("\r\n"))


def _is_comment(line: Written, touched: list[Keys]) -> bool:
    """A comment line stays unless its table, or a table around it, was set or deleted as a whole."""
    owner = line.owner or ()
    return line.text.startswith("#") and not any(owner[: len(path)] == path for path in touched)


@hypothesis.given(edits())
@hypothesis.settings(max_examples=400, suppress_health_check=list(hypothesis.HealthCheck))
def test_random_edits_match_plain_dicts_and_keep_the_other_lines(case):
    check(case)


@hypothesis.given(plain_values)
def test_every_value_can_be_written_and_read(value):
    text = text_of(plain(value, ()))
    assert same(tomllib.loads(f"v = {text}")["v"], value)
    assert "\n" not in text


@hypothesis.given(st.data())
@hypothesis.settings(max_examples=200, suppress_health_check=list(hypothesis.HealthCheck))
def test_a_changed_list_keeps_the_comments_of_its_items(data):
    from tests.config.toml_texts import Writer

    items = data.draw(st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), unique=True))
    new = data.draw(st.lists(st.sampled_from(["a", "b", "c", "x"]), unique=True))
    old = Writer(data.draw, "\n").array(items, 0)
    text = rewritten(old, new, "\n")
    assert tomllib.loads(f"v = {text}")["v"] == new
    assert all(line in text for line in old.splitlines() if line.strip().startswith("#"))
