"""Leaving a conversation that could not be stored."""

from pathlib import Path
from threading import Event

import pytest

from modelbay.errors import StoreError
from modelbay.stored_chats.store import Store
from modelbay.stored_chats.stored_chat import StoredChat
from tests.tui.sitting import Sitting, sitting
from tests.tui.test_folded_pastes import asked


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Event:
    """While it is set, conversations cannot be stored."""
    is_full, save = Event(), Store.save

    def saved(self: Store, chat: StoredChat) -> bool:
        if is_full.is_set():
            raise StoreError("database or disk is full")
        return save(self, chat)

    monkeypatch.setattr(Store, "save", saved)
    return is_full


async def leaves(person: Sitting, full: Event, way: str, *, is_full: bool = True) -> None:
    """Ask a question whose answer cannot be stored, and leave the conversation while the disk is full, or after that."""
    await person.says("An earlier one")
    await person.answered()
    await person.says("/new")
    full.set()
    await person.says("Here only")
    await person.sees("This conversation is not stored: database or disk is full")
    await person.answered()
    if not is_full:
        full.clear()
    if not way.startswith("/"):
        await person.presses(way)
        return
    await person.says(way)
    if way == "/resume":
        await person.sees("An earlier one", "Resume")
        await person.presses("enter")


LEAVING = ["/new", "/resume", "/quit", "ctrl+q"]


@pytest.mark.parametrize("way", LEAVING)
async def test_a_conversation_that_could_not_be_stored_is_left_only_after_a_yes(
    home: Path, configured: str, full: Event, way: str
):
    async with sitting(configured, home=home) as person:
        await leaves(person, full, way)
        await person.sees("Leave this conversation", "2 turns, which /export can write", "Discard it? [y/N]")
        await person.presses("n")
        await person.sees_no("Discard it?")
        assert asked(person) == ["Here only"]
        await person.presses("ctrl+q")
        await person.sees("Discard it?")
        await person.presses("y")
        assert person.app._exit


@pytest.mark.parametrize("way", LEAVING)
async def test_a_conversation_that_can_be_stored_later_is_left_without_a_question(
    home: Path, configured: str, full: Event, way: str
):
    async with sitting(configured, home=home) as person:
        await leaves(person, full, way, is_full=False)
        while not person.app._exit and asked(person) == ["Here only"]:
            assert "Discard it?" not in person.screen
            await person.pilot.pause(0.02)
        assert {one.name for one in Store().list()} == {"An earlier one", "Here only"}


async def test_ctrl_q_pressed_again_quits_without_the_conversation(home: Path, configured: str, full: Event):
    async with sitting(configured, home=home) as person:
        await leaves(person, full, "ctrl+q")
        await person.sees("Discard it?")
        await person.presses("ctrl+q")
        assert person.app._exit


async def test_ctrl_c_says_that_the_conversation_is_not_stored(home: Path, configured: str, full: Event):
    async with sitting(configured, home=home) as person:
        await leaves(person, full, "ctrl+c")
        await person.sees("Press Ctrl-C again to quit. This conversation is not stored")


async def test_a_private_conversation_is_left_without_a_question(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("/private")
        await person.says("Between us")
        await person.answered()
        await person.says("/new")
        await person.sees_no("Between us")
        assert asked(person) == []
