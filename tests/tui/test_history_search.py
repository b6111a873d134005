"""Ctrl-R: searching earlier messages."""

from pathlib import Path

from modelbay.conversation import Media, Text, Turn, user
from modelbay.stored_chats.store import Store
from modelbay.stored_chats.stored_chat import StoredChat
from tests.tui.sitting import Sitting, sitting
from tests.tui.test_folded_pastes import MARK, SIXTY, asked, written


def stored(home: Path, *conversations: list[str], pending: str = "") -> None:
    """Store conversations, the oldest first; `pending` is a question of the last one without an answer."""
    picture = Media(kind="image", data="AAAA", media_type="image/png", name="picture.png")
    for number, messages in enumerate(conversations):
        turns = [turn for text in messages for turn in (user(text, picture), Turn("assistant", [Text(text="A reply")]))]
        question = user(pending) if pending and number == len(conversations) - 1 else None
        Store(home / "conversations.sqlite").save(StoredChat(turns=turns, question=question))


async def found(person: Sitting, *messages: str) -> None:
    """Wait until just these messages are listed, in this order."""
    listing = person.app.screen.query_one("VirtualList")
    while [row.whole for row in listing.rows] != list(messages):  # type: ignore[attr-defined]
        await person.pilot.pause(0.02)


async def test_messages_of_the_session_and_of_all_conversations_are_found_newest_first(home: Path, configured: str):
    stored(home, ["Why is the sky blue?", "And the sea?"], ["A blue whale"], pending="What is BLUE?")
    async with sitting(configured, home=home) as person:
        await person.says("My blue car")
        await person.answered()
        await person.types("half a")
        await person.presses("ctrl+r")
        await person.sees("Search earlier messages", "Ctrl-R ↓ older")
        await person.types("blue")
        await found(person, "My blue car", "What is BLUE?", "A blue whale", "Why is the sky blue?")
        assert "A reply" not in person.screen
        await person.presses("ctrl+r", "ctrl+r", "ctrl+r", "up")
        await person.presses("enter")
        await person.sees_no("Search earlier messages")
        assert written(person) == "A blue whale"
        await person.presses("ctrl+underscore")
        assert written(person) == "half a"


async def test_esc_leaves_what_was_typed(home: Path, configured: str):
    stored(home, ["Why is the sky blue?"])
    async with sitting(configured, home=home) as person:
        await person.types("half a ")
        await person.pastes(SIXTY)
        await person.presses("ctrl+r")
        await person.types("sky")
        await found(person, "Why is the sky blue?")
        await person.types("scraper")
        await person.sees("No message found")
        await person.presses("enter")
        await person.sees("Search earlier messages")
        await person.presses("escape")
        await person.sees_no("Search earlier messages")
        assert written(person) == f"half a {MARK}"


async def test_every_character_of_the_search_is_literal(home: Path, configured: str):
    stored(home, ["What does a.* mean?", "abc"])
    async with sitting(configured, home=home) as person:
        await person.presses("ctrl+r")
        await person.types("a.*")
        await found(person, "What does a.* mean?")


async def test_nothing_stored_is_read_in_a_private_conversation(home: Path, configured: str):
    stored(home, ["Why is the sky blue?"])
    async with sitting(configured, home=home) as person:
        await person.says("/private")
        await person.says("In private")
        await person.answered()
        await person.presses("ctrl+r")
        await found(person, "In private", "/private")
    assert b"In private" not in Store().path.read_bytes()


async def test_nothing_stored_is_read_if_conversations_are_never_stored(home: Path, configured: str):
    stored(home, ["Why is the sky blue?"])
    async with sitting(f'{configured}\n[chat]\nkeep = "never"\n', home=home) as person:
        await person.says("In this session")
        await person.answered()
        await person.presses("ctrl+r")
        await found(person, "In this session")


async def test_a_paste_is_found_by_its_text_and_comes_back_folded(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.pastes(SIXTY)
        await person.presses("enter")
        await person.answered()
        await person.presses("ctrl+r")
        await person.types("line 59")
        await person.sees("…", "line 59 of the paste")
        await person.presses("enter")
        await person.sees_no("Search earlier messages")
        assert written(person) == MARK
        await person.presses("enter")
        await person.answered()
        assert asked(person) == [SIXTY, SIXTY]


async def test_the_search_fits_a_low_terminal_and_shows_hostile_text_harmlessly(home: Path, configured: str):
    stored(home, ["\x1b[31mred\x1b[0m \u202eright to left", "漢字" * 100, "one\ntwo\nthree"])
    async with sitting(configured, home=home, size=(40, 12)) as person:
        await person.presses("ctrl+r")
        screen = await person.sees("one two three", "漢字", "[31mred", "Esc cancel")
        assert "\x1b" not in screen and "\u202e" not in screen
