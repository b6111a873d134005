"""Texts of models and servers reach the terminal without control characters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.stored_chats.plain import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07gone", "[2J]0;titlegone"),
        ("\x9b31mred\x9d52;c;aGk=\x9c", "31mred52;c;aGk="),
        ("over\rwritten\x08\x7f", "overwritten"),
        ("user\u202etxt.exe\u202c", "usertxt.exe"),
        ("\u2067left\u2069", "left"),
        ("tabs\tand\nlines stay", "tabs\tand\nlines stay"),
        ("שלום \u200fعربي é 你好 👩\u200d💻", "שלום \u200fعربي é 你好 👩\u200d💻"),
    ],
)
def test_control_sequences_are_removed(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(st.text())
def test_nothing_is_added_and_twice_is_once(text: str) -> None:
    assert plain(plain(text)) == plain(text)
    assert set(plain(text)) <= set(text)
