"""Long pastes: a placeholder in the composer, the full text everywhere else."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.conversation import Text
from modelbay.stored_chats.store import Store
from modelbay.tui.folded_pastes import CHARACTERS, UNFOLDED, FoldedPastes, clean, drawn, spans
from tests.tui.sitting import Sitting, sitting

SIXTY = "\n".join(f"line {n} of the paste" for n in range(1, 61))
MARK = "[Pasted 60 lines]"


def written(person: Sitting) -> str:
    return drawn(person.app.chat_screen.composer.text)


def asked(person: Sitting) -> list[str]:
    """The questions of the conversation, whole."""
    return [
        "".join(part.text for part in turn.parts if isinstance(part, Text))
        for turn in person.app.state.chat.turns
        if turn.role == "user"
    ]


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        (SIXTY, "[Pasted 60 lines]"),
        (SIXTY + "\n", "[Pasted 60 lines]"),
        (SIXTY.replace("\n", "\r"), "[Pasted 60 lines]"),
        (SIXTY.replace("\n", "\r\n"), "[Pasted 60 lines]"),
        ("x" * 1200, "[Pasted 1,200 characters]"),
        ("eight\n" * 8, None),
        ("x" * CHARACTERS, None),
        ("[Pasted 60 lines]", None),
    ],
)
def test_a_long_paste_is_a_mark_and_a_short_one_is_itself(text: str, mark: str | None):
    folds = FoldedPastes()
    folded = folds.fold(text)
    whole = text.replace("\r\n", "\n").replace("\r", "\n")
    assert drawn(folded) == (mark or whole)
    assert bool(spans(folded)) == (mark is not None)
    assert folds.unfold(folded) == whole


def test_several_pastes_are_numbered_and_told_from_each_other():
    folds, text = FoldedPastes(), ""
    for n in range(20):
        text += folds.fold(f"{n}\n" * 10, text) + " "
    assert drawn(text).startswith("[Pasted 10 lines] [Pasted 10 lines #2] [Pasted 10 lines #3] ")
    assert folds.unfold(text) == "".join(f"{n}\n" * 10 + " " for n in range(20))


@given(st.lists(st.text(max_size=30).map(lambda text: f"{text}\n" * 10), min_size=1, max_size=3), st.text(max_size=20))
def test_an_edited_text_folds_the_pastes_that_it_still_has(pastes: list[str], typed: str):
    folds, text = FoldedPastes(), ""
    for paste in pastes:
        text += folds.fold(paste, text)
    whole = folds.unfold(text)
    edited = folds.refold(f"{whole}{typed}", text)
    assert folds.unfold(edited) == clean(f"{whole}{typed}")
    assert len(spans(edited)) == len(pastes)
    assert spans(folds.refold("all gone", text)) == []


async def test_a_long_paste_is_one_mark_and_is_sent_and_stored_whole(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.types("Read this: ")
        await person.pastes(SIXTY)
        screen = await person.sees(f"› Read this: {MARK}", "Ctrl-O expands it here")
        assert "line 2 of the paste" not in screen
        await person.types(" and this: ")
        await person.pastes("x" * 900)
        await person.sees("[Pasted 900 characters #2]")
        await person.presses("enter")
        await person.answered()
        assert asked(person) == [f"Read this: {SIXTY} and this: {'x' * 900}"]
        await person.presses("up")
        assert written(person) == f"Read this: {MARK} and this: [Pasted 900 characters #2]"
        await person.pilot.pause()
    [stored] = Store().list()
    [part] = Store().load(stored.id).turns[0].parts
    assert isinstance(part, Text) and SIXTY in part.text


async def test_a_mark_is_deleted_as_a_unit_and_comes_back_with_undo(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        composer = person.app.chat_screen.composer
        await person.types("ab")
        await person.presses("left")
        await person.pastes(SIXTY)
        assert written(person) == f"a{MARK}b"
        for key in ("backspace", "ctrl+w", "shift+left+backspace"):
            await person.presses(*key.rsplit("+", 1) if key.startswith("shift") else [key])
            assert written(person) == "ab", key
            await person.presses("ctrl+underscore")
            assert written(person) == f"a{MARK}b", key
        await person.presses("left")
        assert composer.cursor_location == (0, 1)
        await person.presses("delete")
        assert written(person) == "ab"
        await person.presses("ctrl+underscore", "right")
        assert composer.cursor_location == (0, 1 + len(MARK))
        await person.presses("ctrl+underscore")
        assert written(person) == "ab"
        await person.presses("ctrl+y")
        assert composer.folds.unfold(composer.text) == f"a{SIXTY}b"
        composer.move_cursor((0, 6))
        assert composer.cursor_location in ((0, 1), (0, 1 + len(MARK)))


async def test_a_key_shows_the_paste_in_full_and_undo_folds_it(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.pastes(SIXTY)
        await person.presses("ctrl+o")
        assert written(person) == SIXTY
        await person.sees("line 60 of the paste")
        await person.presses("ctrl+underscore")
        assert written(person) == MARK
        await person.presses("ctrl+o", "enter")
        await person.answered()
        assert asked(person) == [SIXTY]


async def test_a_paste_that_is_cut_is_pasted_again_whole(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.pastes(SIXTY)
        await person.presses("shift+left", "ctrl+x")
        assert written(person) == ""
        assert person.app.clipboard == SIXTY
        await person.presses("ctrl+v")
        assert written(person) == MARK
        assert person.app.chat_screen.composer.folds.unfold(person.app.chat_screen.composer.text) == SIXTY


async def test_text_that_looks_like_a_mark_is_text(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.pastes(SIXTY)
        real = person.app.chat_screen.composer.text
        await person.types(f" {MARK} ")
        await person.pastes(real)  # with the noncharacters of a real one
        await person.presses("backspace", "enter")
        await person.answered()
        [question] = asked(person)
        assert question.startswith(f"{SIXTY} {MARK} Pasted60line")
        assert len(question) < 2 * len(SIXTY)


async def test_a_paste_is_neither_a_file_nor_a_command(home: Path, configured: str):
    secret = home / "secret.txt"
    secret.write_text("a key")
    async with sitting(configured, home=home) as person:
        await person.pastes(f"/new\n@{secret}\n" * 10)
        await person.presses("enter")
        await person.answered()
        assert [part.__struct_config__.tag for part in person.app.state.chat.turns[0].parts] == ["text"]


async def test_a_question_with_a_paste_that_failed_is_folded_again(home: Path, configured: str):
    refused = '\n[models.refused]\nprovider = "sim"\nmodel = "sim-text!401"\n'
    async with sitting(configured + refused, home=home) as person:
        await person.says("/model refused")
        await person.pastes(SIXTY)
        await person.presses("enter")
        await person.sees("Invalid API Key", f"› {MARK}")


async def test_ten_megabytes_are_pasted_sent_and_shown_in_part(home: Path, configured: str):
    huge = "some words in a line\n" * 500_000
    async with sitting(configured, home=home) as person:
        await person.pastes(huge)
        await person.sees("[Pasted 500,000 lines]")
        await person.presses("ctrl+o")
        await person.sees("Too long to expand here (10,500,000 characters)")
        assert len(written(person)) < UNFOLDED
        question: list[str] = []
        ask = person.app.chat_screen.transcript.ask

        async def noted(text: str, files: list[object]) -> object:
            question.append(text)
            return await ask(text, files)  # type: ignore[arg-type]

        person.app.chat_screen.transcript.ask = noted  # type: ignore[method-assign, assignment]
        await person.presses("enter")
        await person.sees("more characters")
        await person.presses("escape")
        await person.answered()
        assert question == [huge.strip()] or question == [huge]


@pytest.mark.parametrize(
    "text",
    ["\u202eright to left\u202c", "שלום עולם", "漢字かな" * 5, "e\u0301\U0001f468\u200d\U0001f469\u200d\U0001f467"],
)
async def test_wide_and_right_to_left_text_around_a_mark_stays(home: Path, configured: str, text: str):
    async with sitting(configured, home=home, size=(40, 12)) as person:
        await person.pastes(text)
        await person.pastes(f"{text}\n" * 60)
        await person.pastes(text)
        await person.sees("Pasted 60 lines")
        await person.presses("left", "right", "up", "down", "end", "enter")
        await person.answered()
        assert asked(person) == [text + f"{text}\n" * 60 + text]
