"""Editing and retrying messages; the later answers stay in the store."""

from pathlib import Path

import pytest

from modelbay.conversation import Media, Turn
from modelbay.stored_chats.store import Store
from tests.tui.sitting import Sitting, sitting
from tests.tui.test_chat_screen import SLOW


def asked(turns: list[Turn]) -> list[str]:
    return [turn.text for turn in turns if turn.role == "user"]


async def conversation(person: Sitting, *questions: str) -> None:
    await person.says("/model plain")
    for question in questions:
        await person.says(question)
        await person.sees(f"{question}. I am")
    await person.answered()


@pytest.mark.parametrize("way", ["command", "Esc Esc"])
async def test_an_earlier_message_is_edited_and_the_conversation_as_it_was_is_kept(
    home: Path, configured: str, way: str
):
    (home / "notes.txt").write_text("the answer is 42")
    async with sitting(configured, home=home) as person:
        await conversation(person, "One")
        await person.says(f"/file {home}/notes.txt")
        await conversation(person, "Two", "Three")
        if way == "command":
            await person.says("/edit")
        else:
            await person.presses("escape")
            await person.sees("Press Esc again to edit an earlier message")
            await person.presses("escape")
        await person.sees("Edit an earlier message", "2 messages after it", "1 message after it", "last message")
        await person.presses("up", "enter")
        await person.sees_no("Three. I am")
        await person.sees("One. I am", "⊕ notes.txt", "The original conversation is saved. Reopen it with /resume")
        await person.holds("Two")
        await person.types(" or four?")
        await person.presses("enter")
        await person.sees("</document> Two or four?")
        await person.answered()
        turns = person.app.state.chat.turns
        assert asked(turns) == ["One", "Two or four?"]
        assert [part.name for part in turns[2].parts if isinstance(part, Media)] == ["notes.txt"]
    store = Store(home / "conversations.sqlite")
    saved = {one.name: asked(store.load(one.id).turns) for one in store.list()}
    assert saved == {"One": ["One", "Two", "Three"], "One (branch)": ["One", "Two or four?"]}


async def test_an_edit_that_is_not_sent_changes_nothing_that_is_stored(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await conversation(person, "One", "Two")
        await person.says("/edit")
        await person.sees("Edit an earlier message")
        await person.presses("enter")
        await person.sees("Reopen it with /resume")
        await person.presses("ctrl+u")
        await person.says("/resume")
        await person.sees("Resume a conversation", "4 turns")
        await person.presses("enter")
        await person.sees("Two. I am")
    assert [saved.turns for saved in Store(home / "conversations.sqlite").list()] == [4]


async def test_escape_leaves_the_conversation_as_it_is(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await conversation(person, "One")
        await person.says("/edit")
        await person.sees("Edit an earlier message")
        await person.presses("escape")
        await person.sees_no("Edit an earlier message")
        assert len(person.app.state.chat.turns) == 2


async def test_a_draft_is_kept_in_the_history_when_an_earlier_message_is_edited(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await conversation(person, "One")
        await person.types("half a thought")
        await person.presses("ctrl+p")
        await person.sees("Commands")
        await person.types("edit")
        await person.presses("enter")
        await person.sees("Edit an earlier message")
        await person.presses("enter")
        await person.sees_no("One. I am")
        await person.holds("One")
        assert person.app.chat_screen.composer.asked[-1] == "half a thought"


@pytest.mark.parametrize("command", ["/edit", "/retry"])
async def test_messages_that_are_not_stored_are_removed_only_after_a_yes(home: Path, configured: str, command: str):
    async with sitting(configured + '\n[chat]\nkeep = "never"\n', home=home) as person:
        await conversation(person, "One", "Two")
        await person.says(command)
        if command == "/edit":
            await person.sees("Edit an earlier message")
            await person.presses("enter")
        await person.sees("is not stored", "Continue? [y/N]")
        await person.presses("n")
        await person.sees_no("[y/N]")
        assert asked(person.app.state.chat.turns) == ["One", "Two"]
        await person.says(command)
        if command == "/edit":
            await person.sees("Edit an earlier message")
            await person.presses("enter")
        await person.sees("Continue? [y/N]")
        await person.presses("y")
        await person.sees_no("[y/N]")
        await person.answered()
        assert asked(person.app.state.chat.turns) == (["One"] if command == "/edit" else ["One", "Two"])


async def test_retry_sends_the_last_message_again_and_keeps_the_answer_before(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await conversation(person, "One", "Two")
        await person.says("/model thinker")
        await person.says("/retry")
        await person.sees("▸ Thought")
        await person.answered()
        assert asked(person.app.state.chat.turns) == ["One", "Two"]
    names = [saved.name for saved in Store(home / "conversations.sqlite").list()]
    assert names == ["One (branch)", "One"]


async def test_retry_sends_a_message_again_that_was_not_answered(home: Path, configured: str):
    (home / "notes.txt").write_text("the answer is 42")
    async with sitting(configured + SLOW, home=home) as person:
        await person.says("/model refused")
        await person.says(f"/file {home}/notes.txt")
        await person.says("Hello there")
        await person.sees("Invalid API Key")
        await person.presses("ctrl+u")
        await person.says("/model plain")
        await person.says("/retry")
        await person.sees("You asked: <document")
        await person.answered()
        assert [type(part).__name__ for part in person.app.state.chat.turns[0].parts] == ["Media", "Text"]
        assert len(Store().list()) == 1


async def test_a_branch_of_a_saved_conversation_is_stored_where_only_saved_ones_are(home: Path, configured: str):
    async with sitting(configured + '\n[chat]\nkeep = "ask"\n', home=home) as person:
        await conversation(person, "One", "Two")
        await person.says("/save Numbers")
        await person.sees("Saved as")
        await person.says("/retry")
        await person.sees("The original conversation is saved")
        await person.answered()
    assert [saved.name for saved in Store().list()] == ["Numbers (branch)", "Numbers"]


@pytest.mark.parametrize(
    ("command", "words"), [("/edit", "No message to edit"), ("/retry", "No message to send again")]
)
async def test_without_a_message_there_is_nothing_to_edit(home: Path, configured: str, command: str, words: str):
    async with sitting(configured, home=home) as person:
        await person.says(command)
        await person.sees(words)
        await person.presses("escape", "escape")
        assert len(person.app.screen_stack) == 2
