"""Stored conversations in the app: search, resume, delete, export."""

import re
import stat
from pathlib import Path

import pytest

from modelbay.conversation import Text, Turn, user
from modelbay.stored_chats.store import Store
from modelbay.stored_chats.stored_chat import StoredChat
from tests.tui.sitting import sitting
from tests.tui.test_chat_screen import SLOW


def stored(home: Path, *questions: str) -> Store:
    store = Store(home / "conversations.sqlite")
    for question in questions:
        turns = [user(question), Turn("assistant", [Text(text=f"Of {question.lower()} much is known.")])]
        store.save(StoredChat(turns=turns, title=f"About {question}"))
    return store


async def test_a_conversation_is_found_by_its_title_and_by_its_messages(home: Path, configured: str):
    stored(home, "Sky", "Bread", "Water")
    async with sitting(configured, home=home) as person:
        await person.says("/resume")
        await person.sees("About Sky", "About Bread", "About Water", "type to search")
        await person.types("of BREAD much")
        await person.sees_no("About Sky")
        await person.presses("enter")
        await person.sees("Of bread much is known.")


@pytest.mark.parametrize("leaves", [True, False])
async def test_an_answer_that_was_interrupted_is_marked_when_it_is_shown_again(
    home: Path, configured: str, leaves: bool
):
    config = configured.replace('"thinker"\n', '"slow"\n', 1) + SLOW
    async with sitting(config, home=home) as person:
        await person.says("write 500 words")
        await person.sees("Esc interrupts", "the lazy dog")
        if not leaves:
            await person.presses("escape")
            await person.sees("Interrupted")
    async with sitting(config, home=home, conversation=1) as person:
        assert (await person.sees("the lazy dog", "Interrupted")).count("Interrupted") == 1


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        ("failed", "The answer failed before its end."),
        ("length", "The answer was cut off: it reached the maximum output tokens."),
        ("an ending of a later version", ""),
    ],
)
async def test_an_incomplete_answer_is_marked_after_resume(home: Path, configured: str, ending: str, words: str):
    turns = [user("Sky?"), Turn("assistant", [Text(text="Half of")])]
    Store(home / "conversations.sqlite").save(StoredChat(turns=turns, endings={1: ending}))
    async with sitting(configured, home=home) as person:
        await person.says("/resume")
        await person.presses("enter")
        await person.sees("Half of", words)


async def test_a_search_without_a_result_says_so_and_can_be_changed(home: Path, configured: str):
    stored(home, "Sky", "Bread")
    async with sitting(configured, home=home) as person:
        await person.says("/resume")
        await person.sees("About Sky")
        await person.types("wine")
        await person.sees("No conversation matches")
        await person.presses("ctrl+u")
        await person.sees("About Sky", "About Bread")
        await person.sees_no("has these words")


async def test_letters_answer_while_a_deletion_is_asked_about(home: Path, configured: str):
    store = stored(home, "Sky", "Bread")
    async with sitting(configured, home=home) as person:
        await person.says("/resume")
        await person.sees("About Sky")
        await person.types("sky")
        await person.sees_no("About Bread")
        await person.presses("ctrl+d")
        await person.sees('Delete "About Sky"? [y/N]')
        await person.presses("enter", "n")
        await person.sees_no("[y/N]")
        await person.presses("ctrl+d", "y")
        await person.sees_no("About Sky")
        assert [one.name for one in store.list()] == ["About Bread"]
        await person.presses("ctrl+u")
        await person.sees("About Bread")


async def test_the_last_conversation_is_continued(home: Path, configured: str):
    store = stored(home, "Sky", "Bread")
    async with sitting(configured, home=home, conversation=store.latest()) as person:
        await person.sees("Of bread much is known.")
        await person.says("And?")
        await person.sees("conversation): And?")
        await person.answered()
    assert [(one.name, one.turns) for one in store.list()] == [("About Bread", 4), ("About Sky", 2)]


async def test_a_conversation_that_is_gone_meanwhile_is_an_error_in_the_app(home: Path, configured: str):
    async with sitting(configured, home=home, conversation=77) as person:
        await person.sees("conversation 77 does not exist")


async def test_a_conversation_is_exported_and_nothing_is_overwritten_without_a_yes(home: Path, configured: str):
    path = home / "sky.md"
    async with sitting(configured, home=home, size=(120, 24)) as person:
        await person.says(f"/export {path}")
        await person.sees("Nothing to export yet")
        await person.says("Why?")
        await person.sees("You asked: Why?")
        await person.says(f"/export {path}")
        await person.sees("Export the conversation", "without thinking", "with thinking, folded")
        await person.presses("down", "enter")
        await person.sees("Exported to")
        text = path.read_text()
        assert "## Assistant · `thinker`" in text and "<summary>Thinking</summary>" in text
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
        path.write_text("mine")
        for answer, there in (("n", "mine"), ("y", text.partition("<details>")[0].partition("Exported")[0])):
            await person.says(f"/export {path}")
            await person.sees("without thinking")
            await person.presses("enter")
            await person.sees("Overwrite it? [y/N]")
            await person.presses(answer)
            await person.sees_no("[y/N]")
            await person.pilot.pause()  # until nothing is written any more
            while not path.read_text().startswith(there):
                await person.pilot.pause(0.02)
        assert "<details>" not in path.read_text()


@pytest.mark.parametrize(("command", "keys"), [("/resume", ["Ctrl-D delete", "Esc cancel"]), ("/edit", ["Enter edit"])])
async def test_their_keys_are_seen_in_a_small_terminal(home: Path, configured: str, command: str, keys: list[str]):
    store = stored(home, "Sky")
    async with sitting(configured, home=home, size=(40, 12), conversation=store.latest()) as person:
        await person.sees("much is known")
        await person.says(command)
        screen = await person.sees("╰")
        shown = " ".join(re.sub(r"[│╭╮╰╯─]", " ", screen).split())
        for words in keys:
            assert words in shown, screen
