"""Objects in JSON texts are edited in place: a change of one member leaves all other bytes as they are."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelbay.errors import MalformedReply
from modelbay.json_members import ObjectText, RepeatedName, rewritten, with_value
from modelbay.json_text import decode, members

SPACES = st.sampled_from(["", "", " ", "\n", "\t ", "\r\n  "])
NAMES = st.sampled_from(["model", "max_tokens", "a", "b", "é", 'say "hi"', "a\\b", "", "🙂", "\x1f"])
NUMBERS = ["0", "-0.0", "1.50", "1E+2", "1e400", "123456789012345678901234567890"]
SPELLINGS = st.sampled_from([*NUMBERS, "true", "null", '"\\u0041\\/\\n"'])
SHORT = st.tuples(st.sampled_from("ab"), st.sampled_from(["1", "11", '"a"', '{"a":1}', '"\\",\\"a\\":1"']))
OTHERS = [
    b"",
    b"[]",
    b'"a"',
    b"{",
    b'{"a":NaN}',
    b'{"a":1}x',
    b'{"a":"\\ud800"}',
    b"\xef\xbb\xbf{}",
    b'{"a":' + b"[" * 9999,
]


def spelled(name: str, how: int) -> str:
    """A name as JSON: plain, with ASCII escapes, or with each character escaped, in lower or upper case."""
    if how >= 2:
        digits = "04x" if how == 2 else "04X"
        return '"' + "".join(f"\\u{unit:{digits}}" for unit in _units(name)) + '"'
    return json.dumps(name, ensure_ascii=how == 1)


def _units(text: str) -> list[int]:
    data = text.encode("utf-16-be")
    return [int.from_bytes(data[at : at + 2]) for at in range(0, len(data), 2)]


@st.composite
def values(draw: st.DrawFn, depth: int = 3) -> str:
    kind = draw(st.sampled_from(["plain", "list", "object"])) if depth else "plain"
    if kind == "list":
        return (
            "["
            + ",".join(draw(SPACES) + item + draw(SPACES) for item in draw(st.lists(values(depth - 1), max_size=3)))
            + "]"
        )
    return draw(objects(depth - 1)) if kind == "object" else draw(SPELLINGS)


@st.composite
def objects(draw: st.DrawFn, depth: int = 3) -> str:
    members = [
        f"{draw(SPACES)}{spelled(name, draw(st.integers(0, 3)))}{draw(SPACES)}:{draw(SPACES)}{draw(values(depth))}{draw(SPACES)}"
        for name in draw(st.lists(NAMES, unique=True, max_size=5))
    ]
    return "{" + (",".join(members) or draw(SPACES)) + "}"


@given(objects(), st.sets(NAMES, max_size=3), st.dictionaries(NAMES, st.integers() | st.text(), max_size=2))
@example('{"a":1,"b":{"a":2}}', {"a", "b"}, {})
def test_a_change_affects_only_the_named_members(text: str, removed: set[str], set_: dict[str, int | str]) -> None:
    before = ObjectText(text.encode())
    raw = {name: before.raw(name) for name in before}
    for name in removed:
        before.remove(name)
    for name, value in set_.items():
        before.set(name, value)
    after = ObjectText(before.edited())

    expected = {name: value for name, value in decode(text).items() if name not in removed or name in set_} | set_
    assert decode(before.edited()) == expected
    kept = [name for name in raw if name not in removed or name in set_]
    assert list(after)[: len(kept)] == kept, "members keep their order, and new ones follow"
    assert all(after.raw(name) == raw[name] for name in kept if name not in set_), "values keep their spelling"


@given(objects())
def test_a_text_without_changes_is_returned_unchanged(text: str) -> None:
    data = text.encode()
    assert ObjectText(data).edited() is data
    assert rewritten(data, decode(data)) == data


@given(objects(), objects())
def test_a_nested_object_is_edited_in_place(inner: str, rest: str) -> None:
    text = f'{{"first": {rest}, "inner" :{inner} ,"last":{rest}\n}}'
    body = ObjectText(text.encode())
    nested = body.nested("inner")
    assert nested is not None
    nested.remove("a")
    nested.set("b", 5)
    alone = ObjectText(inner.encode())
    alone.remove("a")
    alone.set("b", 5)
    assert body.edited() == f'{{"first": {rest}, "inner" :'.encode() + alone.edited() + f' ,"last":{rest}\n}}'.encode()


def test_a_renamed_member_keeps_its_value_and_place() -> None:
    body = ObjectText(b'{"a":1.0, "max_tokens" : 5e2, "b":[]}')
    body.rename("max_tokens", "max_completion_tokens")
    assert body.edited() == b'{"a":1.0, "max_completion_tokens" : 5e2, "b":[]}'


@pytest.mark.parametrize(
    ("removed", "left"),
    [
        (["a"], b'{ "b": 2 ,\n "c":3 }'),
        (["b"], b'{ "a":1, "c":3 }'),
        (["c"], b'{ "a":1, "b": 2 }'),
        (["b", "c"], b'{ "a":1 }'),
        (["a", "b", "c"], b"{  }"),
    ],
)
def test_a_removed_member_takes_one_comma_with_it(removed: list[str], left: bytes) -> None:
    body = ObjectText(b'{ "a":1, "b": 2 ,\n "c":3 }')
    for name in removed:
        body.remove(name)
    assert body.edited() == left


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":1}',
        b'{"a":1,"a":12}',
        b'{"a":12,"a":1}',
        b'{"a":1,"b":2,"a":1}',
        b'{"a":1,"\\u0061":1}',
        b'{"a":"x","a":"y","b":0}',
        b'{"a":"b\\":1}","a":"b"}',
        b'{"x":{"a":1},"a":1,"x":{"a":2}}',
    ],
)
def test_a_name_that_occurs_twice_is_an_error(text: bytes) -> None:
    with pytest.raises(RepeatedName):
        ObjectText(text)


@given(objects(), st.integers(0, 4), SPELLINGS)
@example('{"a":1,"\\u001F":2}', 0, "3")
def test_a_text_with_another_value_differs_only_in_it(text: str, place: int, value: str) -> None:
    data = text.encode()
    written = members(data)
    if place >= len(written):
        return
    name = list(written)[place]
    edited = ObjectText(data)
    edited.write(name, value.encode())
    assert with_value(data, written, name, value.encode()) == edited.edited()


@given(st.lists(SHORT, min_size=1, max_size=4))
def test_repeated_names_are_always_found(pairs: list[tuple[str, str]]) -> None:
    text = "{" + ",".join(f'"{name}":{value}' for name, value in pairs) + "}"
    repeated = len({name for name, _ in pairs}) < len(pairs)
    for read in (ObjectText, lambda data: with_value(data, members(data), pairs[-1][0], b"1")):
        try:
            read(text.encode())
        except RepeatedName:
            assert repeated
        else:
            assert not repeated


@pytest.mark.parametrize("text", OTHERS)
def test_another_text_is_an_error(text: bytes) -> None:
    with pytest.raises(MalformedReply):
        ObjectText(text)


def test_only_different_members_are_written_again() -> None:
    text = b'{"model" : "m", "n": 1.0, "messages":[ {"role":"system"} ], "seed":1}'
    fields = decode(text)
    fields["messages"][0]["role"] = "user"
    fields["stop"] = fields.pop("seed")
    assert rewritten(text, fields) == b'{"model" : "m", "n": 1.0, "messages":[{"role":"user"}],"stop":1}'
    assert rewritten(b'{"a":1}', {"a": True}) == b'{"a":true}'
