"""A paste is always text, even with escape sequences in it."""

from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events
from textual._xterm_parser import XTermParser
from textual.message import Message

from modelbay.tui import bracketed_paste
from modelbay.tui.bracketed_paste import BEGIN, END, QUIET, PasteFilter
from modelbay.tui.terminal_background import install


def seen(*pieces: str | None) -> list[str]:
    """The pastes and key names that Textual reads from the pieces, which arrive at once. None: a pause."""
    install()
    clock, parser = Clock(), XTermParser()
    with patch.object(bracketed_paste, "monotonic", clock):
        found: list[Message] = []
        for piece in (*pieces, None):
            clock.now += QUIET * (piece is None)
            found += [*(parser.feed(piece) if piece else ()), *parser.tick()]
    return [event.text if isinstance(event, events.Paste) else event.key for event in found if hasattr(event, "key") or
            isinstance(event, events.Paste)]  # fmt: skip


class Clock:
    """A clock that stands still."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("pasted", "text"),
    [
        ("one\rtwo", "one\rtwo"),
        ("\x1b[31mred\x1b[0m\rrm -rf", "red\rrm -rf"),
        ("a\x1bOPb\x07\x00\x9b", "aPb"),
        ("tab\tstays\n", "tab\tstays\n"),
        ("\x1b]0;title\x07", "0;title"),
    ],
)
def test_an_escape_sequence_in_a_paste_is_not_a_key(pasted: str, text: str):
    assert seen(f"{BEGIN}{pasted}{END}", "x") == [text, "x"]


@given(st.text(alphabet="ab\r\x1b[31m~0;\x07", max_size=30), st.data())
def test_a_paste_is_the_same_in_any_pieces(pasted: str, data: st.DataObject):
    sent = f"k{BEGIN}{pasted.replace(END, '')}{END}k"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=6)))
    pieces = [sent[start:end] for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    whole, parts = PasteFilter(), PasteFilter()
    with patch.object(bracketed_paste, "monotonic", clock := Clock()):
        at_once, in_parts = whole.feed(sent), "".join([parts.feed(piece) for piece in pieces])
        clock.now = QUIET
        assert at_once + whole.settled() == in_parts + parts.settled() == f"k{BEGIN}{BEGIN}{END}k"
    assert parts.texts == whole.texts
    assert seen(*pieces) == ["k", whole.texts[0], "k"]


@given(st.data())
def test_a_closing_sequence_in_a_paste_does_not_end_it(data: st.DataObject):
    filler = "a" * data.draw(st.sampled_from([0, 3, 9000]))
    sent = f"{BEGIN}ls{END}\r/quit\r{filler}{END}x{END}"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=6)))
    pieces = [sent[start:end] for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    *pasted, key = seen(*pieces, None, "y")
    assert ("".join(pasted), key) == (f"ls\r/quit\r{filler}x", "y")


@given(st.data())
def test_a_closing_and_an_opening_sequence_in_a_paste_press_no_key_between_them(data: st.DataObject):
    filler = "a" * data.draw(st.sampled_from([0, 3, 9000]))
    sent = f"{BEGIN}ls{END}\r/quit\r{filler}{BEGIN}x{END}"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=6)))
    pieces = [sent[start:end] for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    *pasted, key = seen(*pieces, None, "y")
    assert ("".join(pasted), key) == (f"ls\r/quit\r{filler}x", "y")


def test_two_pastes_at_once_are_both_pasted():
    assert seen(f"{BEGIN}one{END}{BEGIN}two{END}y") == ["one", "two", "y"]


def test_a_key_between_two_pastes_is_a_key_after_a_pause():
    assert seen(f"{BEGIN}one{END}", None, "x", f"{BEGIN}two{END}", None, "y") == ["one", "x", "two", "y"]
    assert seen(f"{BEGIN}one{END}x", None, f"y{BEGIN}two{END}") == ["one", "x", "y", "two"]


def test_a_key_after_a_paste_waits_only_until_the_next_pause():
    pastes, clock = PasteFilter(), Clock()
    with patch.object(bracketed_paste, "monotonic", clock):
        assert pastes.feed(f"{BEGIN}one{END}\r") == BEGIN + BEGIN + END
        assert pastes.settled() == ""
        clock.now = QUIET
        assert pastes.settled() == "\r"
        assert pastes.feed("x") == "x"


def test_a_paste_of_ten_megabytes_is_not_read_letter_by_letter():
    install()
    parser, letters = XTermParser(), 0
    read = parser.debug_log

    def counted(*words: object) -> None:
        nonlocal letters
        letters += str(words[0]).startswith("character=")
        read(*words)

    parser.debug_log = counted  # type: ignore[method-assign]
    text = "some words in a line\r" * 500_000
    sent = f"{BEGIN}{text}{END}x"
    found = [event for at in range(0, len(sent), 65_536) for event in parser.feed(sent[at : at + 65_536])]
    assert [event.text for event in found if isinstance(event, events.Paste)] == [text]
    assert letters < 10


def test_keys_are_passed_on_at_once():
    pastes = PasteFilter()
    assert [pastes.feed(piece) for piece in ("a", "\x1b", "\x1b[A", "\x1b[20")] == ["a", "\x1b", "\x1b[A", "\x1b[20"]
