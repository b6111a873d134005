"""Messages sent during an answer are queued until its end."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from modelbay.calling.opening import Opening
from modelbay.stored_chats.store import Store
from tests.tui.sitting import Sitting, sitting
from tests.tui.test_folded_pastes import MARK, SIXTY, asked, written

MODELS = """
[models.slow]
provider = "sim"
model = "sim-thinker!pace=0.05"

[models.refused]
provider = "sim"
model = "sim-text!401"
"""


@pytest.fixture
def slow(configured: str) -> str:
    return configured.replace('"thinker"\n', '"slow"\n', 1) + MODELS


async def queued(person: Sitting, *messages: str) -> None:
    """Ask for a long answer, and queues messages meanwhile."""
    await person.says("write 500 words")
    await person.sees("quick brown", "Enter queues a message")
    for message in messages:
        await person.types(message)
        await person.presses("enter")
    await person.sees(f"{len(messages)} queued · ↑ edits the last")


async def settled(person: Sitting, count: int) -> None:
    """Wait until so many messages were answered."""
    while len(asked(person)) < count:
        await person.pilot.pause(0.02)
    await person.answered()


async def test_messages_are_sent_one_after_another_when_the_answer_has_ended(home: Path, configured: str):
    slow = configured.replace("sim-thinker", "sim-thinker!pace=0.02")
    (home / "notes.txt").write_text("the answer is 42")
    async with sitting(slow, home=home) as person:
        await person.says("write 40 words")
        await person.sees("Enter queues a message")
        for message in ("Second?", f"@{home}/notes.txt Third?"):
            await person.types(message)
            await person.presses("enter")
        await person.types("half")
        await settled(person, 3)
        await person.sees_no("queued")
        assert asked(person) == ["write 40 words", "Second?", f"@{home}/notes.txt Third?"]
        assert [len(turn.parts) for turn in person.app.state.chat.turns if turn.role == "user"] == [1, 1, 2]
        assert written(person) == "half"
        await person.presses("up")
        assert written(person).endswith("Third?")
        person.app.chat_screen.composer.move_cursor((0, 0))
        await person.presses("up")
        assert written(person) == "Second?"


async def test_up_takes_the_last_message_back_for_editing(home: Path, slow: str):
    async with sitting(slow, home=home) as person:
        await queued(person, "First", "Second")
        await person.types("typed")
        await person.presses("up")
        assert written(person) == "Second\ntyped"
        await person.sees("1 queued", "First")
        await person.presses("home", "up", "home", "up")
        assert written(person) == "First\nSecond\ntyped"
        await person.sees_no("queued ·")
        await person.presses("escape")
        await person.sees("Interrupted")
        assert asked(person) == ["write 500 words"]


async def test_an_interrupted_answer_holds_the_queue_until_enter(home: Path, slow: str):
    async with sitting(slow, home=home) as person:
        await queued(person, "First", "Second")
        await person.presses("escape")
        await person.sees("Interrupted", "2 not sent · Enter on an empty line sends the next · ↑ edits the last")
        assert not person.app.chat_screen.answering
        await person.says("/model plain")
        await person.sees("Model for this session: plain", "2 not sent")
        await person.presses("enter")
        await settled(person, 3)
        assert asked(person) == ["write 500 words", "First", "Second"]
        await person.sees_no("not sent")


async def test_a_failed_message_goes_back_and_the_queue_is_held(home: Path, slow: str, monkeypatch: pytest.MonkeyPatch):
    go = asyncio.Event()
    step = Opening.step

    async def late(self: Opening) -> Any:
        await go.wait()
        return await step(self)

    async with sitting(slow, home=home) as person:
        await person.says("/model refused")
        monkeypatch.setattr(Opening, "step", late)
        await person.says("Who?")
        for message in ("First", "Second"):
            await person.types(message)
            await person.presses("enter")
        await person.types("typed")
        go.set()
        await person.sees("Invalid API Key", "3 not sent", "Who?", "First", "Second")
        assert written(person) == "typed"
        assert asked(person) == []
        await person.presses("ctrl+u")
        await person.says("/model plain")
        await person.presses("enter")
        await settled(person, 3)
        assert asked(person) == ["Who?", "First", "Second"]


async def test_a_command_that_changes_the_conversation_stays_written_during_an_answer(home: Path, slow: str):
    async with sitting(slow, home=home) as person:
        await queued(person, "First")
        await person.types("/new")
        await person.presses("enter")
        await person.sees("/new cannot run during an answer. Wait for its end or press Esc")
        assert written(person) == "/new"
        await person.presses("ctrl+u")
        await person.types("/copy")
        await person.presses("enter")
        await person.sees("No answer to copy yet")


async def test_a_queued_paste_stays_folded_and_is_not_stored_before_it_is_sent(home: Path, slow: str):
    async with sitting(slow, home=home) as person:
        await person.says("write 500 words")
        await person.sees("the lazy dog")
        await person.pastes(SIXTY)
        await person.presses("enter")
        await person.sees("1 queued", f"  {MARK}")
        assert b"line 2 of the paste" not in Store().path.read_bytes()
        await person.presses("up")
        assert written(person) == MARK


async def test_the_queue_fits_a_low_terminal(home: Path, slow: str):
    async with sitting(slow, home=home, size=(40, 12)) as person:
        await queued(person, *(f"{n} 漢字\u202e" + "long " * 20 for n in range(6)))
        screen = await person.sees("6 queued", "0 漢字", "Esc interrupts")
        assert len(screen.splitlines()) <= 12
