"""Keys take effect in the order in which they were typed, even if all of them arrive before the app handles the first."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from textual import events
from textual.widgets import Input

from modelbay.stored_chats.store import Store
from modelbay.tui.dialogs.confirm import Confirm
from tests.fault_config import LONG
from tests.tui.sitting import Sitting, sitting
from tests.tui.test_folded_pastes import asked

UNWRITABLE = {"\n": "enter", "\b": "backspace", "\t": "tab", "←": "left", "↓": "down", "®": "ctrl+r", "␛": "escape"}
"""Keys without a letter, by the character that stands for each of them in these tests."""


def bursts(person: Sitting, keys: str) -> None:
    """Post all keys at once, as a terminal does when the app was stopped."""
    for key in keys:
        if key in UNWRITABLE:
            person.app.post_message(events.Key(UNWRITABLE[key], None))
        else:
            person.app.post_message(events.Key("space" if key == " " else key, key))


async def test_messages_typed_in_one_burst_are_sent_apart_and_whole(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        bursts(person, "one\ntwo\nthree\nfour")
        while len(asked(person)) < 3:
            await person.pilot.pause(0.02)
        await person.answered()
        await person.holds("four")
        assert asked(person) == ["one", "two", "three"]


async def test_corrections_are_made_where_they_were_typed(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        bursts(person, "hellp\bo wrld←←←o")
        await person.holds("hello world")


async def test_text_after_a_completed_command_is_its_argument(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        bursts(person, "/mode\tterse")
        await person.holds("/model terse")


async def test_text_after_a_command_belongs_to_its_dialog(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        bursts(person, "/model\nthinker\nHello\n")
        while not asked(person):
            await person.pilot.pause(0.02)
        await person.answered()
        assert asked(person) == ["Hello"]
        assert 'default_model = "thinker"' in person.config


@pytest.mark.parametrize("pasted", [True, False])
async def test_an_api_key_for_the_third_dialog_is_not_sent_to_the_model(home: Path, configured: str, pasted: bool):
    async with sitting(configured, home=home) as person:
        bursts(person, "/provider\n↓↓\n↓↓\n")
        if pasted:
            person.app.post_message(events.Paste("sk-secret"))
        else:
            bursts(person, "sk-secret")
        bursts(person, "\n")
        await person.sees("sk-secret", "Base URL")
        assert not person.app.chat_screen.composer.text
        assert not asked(person)


async def test_text_after_a_letter_that_opens_a_dialog_belongs_to_it(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        bursts(person, "/provider\ned y")
        await person.sees("Base URL")
        while "d y" not in [input.value for input in person.app.screen.query(Input)]:
            await person.pilot.pause(0.02)
        await person.presses("escape")
        await person.sees("Providers", "← current")


async def test_text_after_a_dialog_over_another_belongs_to_the_lower_one(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("/provider")
        await person.sees("Providers", "← current")
        await person.presses("e")
        await person.sees("Base URL")
        person.app.push_screen(Confirm("Sure", [], "Overwrite it?"))
        bursts(person, "y now")
        await person.sees_no("Overwrite it?")
        while " now" not in [input.value for input in person.app.screen.query(Input)]:
            await person.pilot.pause(0.02)


async def test_enter_after_an_earlier_message_was_found_sends_it(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("first question")
        await person.says("second question")
        await person.answered()
        bursts(person, "draft®first\n\n")
        while len(asked(person)) < 3:
            await person.pilot.pause(0.02)
        await person.answered()
        assert asked(person)[-1] == "first question"


async def test_keys_wait_only_until_the_command_ends(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        bursts(person, "/resume\n/nothing\n")
        await person.sees("Unknown command: /nothing")
        assert Store().latest() is None


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Event]:
    """The list of stored conversations cannot be read until this is set, as on a file system that hangs."""
    released = Event()
    monkeypatch.setattr(Store, "list", lambda store: released.wait(LONG) and [])
    yield released
    released.set()


async def test_keys_that_wait_for_a_command_that_hangs_are_discarded_with_esc(
    home: Path, configured: str, hanging: Event
):
    async with sitting(configured, home=home) as person:
        bursts(person, "/resume\nlost\n")
        await person.sees("Keys wait for the end of the last command. Esc discards them")
        bursts(person, "also lost␛Hello\n")
        while not asked(person):
            await person.pilot.pause(0.02)
        await person.answered()
        assert asked(person) == ["Hello"]
        await person.sees_no("Keys wait")


async def test_keys_that_waited_for_a_slow_command_take_effect(home: Path, configured: str, hanging: Event):
    async with sitting(configured, home=home) as person:
        bursts(person, "/resume\nHello\n")
        await person.sees("Keys wait for the end of the last command")
        hanging.set()
        while not asked(person):
            await person.pilot.pause(0.02)
        await person.answered()
        assert asked(person) == ["Hello"]
        await person.sees_no("Keys wait")
        await person.presses("escape")
        assert "Press Esc again to edit" in person.screen


async def test_ctrl_c_does_not_wait(home: Path, configured: str, hanging: Event):
    async with sitting(configured, home=home) as person:
        bursts(person, "/resume\nx")
        await person.sees("Keys wait")
        await person.presses("ctrl+c")
        await person.sees("Press Ctrl-C again to quit")
