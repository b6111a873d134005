"""Completing paths after an @."""

import time
from pathlib import Path
from threading import Event

import pytest

from modelbay.stored_chats.file_names import FileNames
from tests.tui.sitting import SECONDS, Sitting, sitting
from tests.tui.test_folded_pastes import asked, written


@pytest.fixture
def here(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = home / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for path in (
        "src/app/main.py",
        "src/notes.txt",
        "my notes.txt",
        'it\'s "odd".txt',
        "zeta/日本語.txt",
        ".hidden.txt",
    ):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("the answer is 42")
    return folder


async def offered(person: Sitting, *paths: str) -> None:
    """Wait until just these paths are offered."""
    deadline = time.monotonic() + SECONDS
    while not (shown := person.app.chat_screen.paths).display or list(shown.rows) != list(paths):
        assert time.monotonic() < deadline, f"{paths} were not offered but {shown.rows}; the screen is\n{person.screen}"
        await person.pilot.pause(0.02)


@pytest.mark.parametrize("key", ["tab", "enter"])
@pytest.mark.usefixtures("here")
async def test_a_path_is_completed_and_its_file_is_attached(home: Path, configured: str, key: str):
    async with sitting(configured, home=home) as person:
        await person.types("What is in @not")
        await offered(person, "src/notes.txt", "my notes.txt")
        await person.sees("src/notes.txt", "my notes.txt")
        await person.presses("down", key)
        assert written(person) == 'What is in @"my notes.txt" '
        await person.sees_no("src/notes.txt")
        await person.types("and @NOTES")
        await offered(person, "src/notes.txt", "my notes.txt")
        await person.presses(key)
        assert written(person) == 'What is in @"my notes.txt" and @src/notes.txt '
        await person.presses("enter")
        await person.answered()
        [turn] = [turn for turn in person.app.state.chat.turns if turn.role == "user"]
        assert [part.__struct_config__.tag for part in turn.parts] == ["media", "media", "text"]


@pytest.mark.usefixtures("here")
async def test_folders_are_descended_and_odd_names_are_quoted(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.types("@")
        await offered(person, 'it\'s "odd".txt', "my notes.txt", "src/", "zeta/")
        await person.types("sr")
        await offered(person, "src/", "src/app/", "src/notes.txt", "src/app/main.py")
        await person.presses("tab")
        assert written(person) == "@src/"
        await offered(person, "src/app/", "src/notes.txt")
        await person.presses("tab")
        await offered(person, "src/app/main.py")
        await person.presses("tab")
        assert written(person) == "@src/app/main.py "
        await person.types("@odd")
        await offered(person, 'it\'s "odd".txt')
        await person.presses("tab")
        assert written(person) == '@src/app/main.py @it\\\'s\\ \\"odd\\".txt '
        await person.types("@zeta/日")
        await offered(person, "zeta/日本語.txt")
        await person.presses("enter", "enter")
        await person.answered()
        assert len(person.app.state.chat.turns[0].parts) == 4


@pytest.mark.usefixtures("here")
async def test_esc_closes_the_list_and_neither_the_text_nor_an_answer_ends(home: Path, configured: str):
    slow = configured.replace('model = "sim-thinker"', 'model = "sim-thinker!pace=0.05"')
    async with sitting(slow, home=home) as person:
        await person.says("write 500 words")
        await person.sees("the lazy dog")
        await person.types("@not")
        await offered(person, "src/notes.txt", "my notes.txt")
        await person.presses("escape")
        await person.sees_no("src/notes.txt")
        assert person.app.chat_screen.answering
        await person.types("e")
        assert written(person) == "@note" and not person.app.chat_screen.paths.display
        await person.types(" @src/no")
        await offered(person, "src/notes.txt")
        await person.presses("escape", "escape")
        await person.sees("Interrupted")


@pytest.mark.usefixtures("here")
async def test_enter_sends_a_path_that_is_complete_and_a_mention_without_a_file(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.types("@src/notes.txt")
        await offered(person, "src/notes.txt")
        await person.presses("enter")
        await person.answered()
        await person.types("ask @nobody")
        await person.pilot.pause()
        await person.presses("enter")
        await person.answered()
        assert asked(person) == ["@src/notes.txt", "ask @nobody"]


@pytest.mark.usefixtures("here")
async def test_a_slow_file_system_holds_up_neither_typing_nor_sending(
    home: Path, configured: str, monkeypatch: pytest.MonkeyPatch
):
    go, calls = Event(), []
    matching = FileNames.matching

    def slow(self: FileNames, typed: str) -> list[str]:
        calls.append(typed)
        go.wait()
        return matching(self, typed)

    monkeypatch.setattr(FileNames, "matching", slow)
    async with sitting(configured, home=home) as person:
        try:
            await person.types("see @notes now")
            await person.presses("enter")
            await person.answered()
            assert asked(person) == ["see @notes now"]
            await person.types("@note")
            while not calls:
                await person.pilot.pause(0.02)
            assert len(calls) == 1
        finally:
            go.set()
        await offered(person, "src/notes.txt", "my notes.txt")
        assert calls[-1] == "note" and len(calls) <= 3


@pytest.mark.usefixtures("here")
async def test_the_list_fits_a_low_terminal(home: Path, configured: str):
    async with sitting(configured, home=home, size=(40, 12)) as person:
        await person.types("@")
        await person.sees("my notes.txt", "› @", "thinker")
        await person.presses("down", "down", "tab")
        assert written(person) == "@src/"
