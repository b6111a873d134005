"""Ctrl-G: editing a message in an external editor."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from textual.drivers.headless_driver import HeadlessDriver

from tests.tui.sitting import sitting
from tests.tui.test_folded_pastes import MARK, SIXTY, asked, written


class Editor:
    """A program that stands for an editor: a shell script, which gets the file as its last argument."""

    def __init__(self, folder: Path) -> None:
        self._script = folder / "editor.sh"
        self.seen = folder / "seen"
        self.mode = folder / "mode"

    def does(self, commands: str) -> str:
        """The value of $EDITOR for a script in which $1 is the option --wait and $2 is the file."""
        script = [
            '[ "$1" = --wait ] || exit 9',
            f'cp "$2" "{self.seen}"',
            f'stat -c %a "$2" "$(dirname "$2")" > "{self.mode}"',
            commands,
        ]
        self._script.write_text("\n".join(script))
        return f"sh '{self._script}' --wait"


@pytest.fixture
def editor(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Editor:
    monkeypatch.setattr(HeadlessDriver, "can_suspend", True)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.delenv("VISUAL", raising=False)
    return Editor(tmp_path)


async def test_the_message_comes_back_from_the_editor_and_nothing_stays_behind(
    home: Path, configured: str, editor: Editor, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("EDITOR", editor.does('printf "\\033[31mafter\\r\\n漢字 \\033]0;title\\007\\n" >> "$2"'))
    async with sitting(configured, home=home) as person:
        await person.types("before")
        await person.presses("ctrl+g")
        await person.sees("after", "漢字")
        assert written(person) == "before\nafter\n漢字 0;title"
        assert editor.seen.read_text() == "before\n"
        assert editor.mode.read_text().split() == ["600", "700"]
        assert list((home / "temporary").iterdir()) == []
        await person.presses("ctrl+underscore")
        assert written(person) == "before"


async def test_visual_goes_before_editor(home: Path, configured: str, editor: Editor, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VISUAL", editor.does('echo visual > "$2"'))
    monkeypatch.setenv("EDITOR", "false")
    async with sitting(configured, home=home) as person:
        await person.presses("ctrl+g")
        await person.sees("› visual")


@pytest.mark.parametrize(
    ("commands", "words"),
    [
        ("exit 3", "sh exited with code 3"),
        ("kill -9 $$", "sh was killed by SIGKILL"),
        (': > "$2"', "The edited file was empty"),
        ('echo " " > "$2"', "The edited file was empty"),
        ('rm "$2"', "The edited file cannot be read: No such file or directory"),
        ('printf "\\377\\376" > "$2"', "The edited file is not UTF-8"),
    ],
)
async def test_an_editor_that_fails_leaves_the_message_as_it_was(
    home: Path, configured: str, editor: Editor, monkeypatch: pytest.MonkeyPatch, commands: str, words: str
):
    monkeypatch.setenv("EDITOR", editor.does(commands))
    async with sitting(configured, home=home, size=(120, 24)) as person:
        await person.types("half a ")
        await person.pastes(SIXTY)
        await person.presses("ctrl+g")
        await person.sees(words, "The message is unchanged")
        assert written(person) == f"half a {MARK}"
        assert list((home / "temporary").iterdir()) == []
        await person.presses("enter")
        await person.answered()
        assert asked(person) == [f"half a {SIXTY}"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "No editor is set. Set EDITOR before you start modelbay: export EDITOR=nano"),
        ("no-such-editor", "Could not start no-such-editor (from $VISUAL or $EDITOR): No such file or directory"),
        ("vi 'unfinished", "Invalid value of EDITOR: No closing quotation: vi 'unfinished"),
    ],
)
@pytest.mark.usefixtures("editor")
async def test_an_invalid_editor_variable_is_reported(
    home: Path, configured: str, monkeypatch: pytest.MonkeyPatch, value: str, words: str
):
    monkeypatch.setenv("EDITOR", value)
    async with sitting(configured, home=home, size=(120, 24)) as person:
        await person.types("half")
        await person.presses("ctrl+g")
        await person.sees(words)
        assert written(person) == "half"


async def test_a_paste_is_edited_in_full_and_folded_again_where_it_did_not_change(
    home: Path, configured: str, editor: Editor, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("EDITOR", editor.does('sed -i "s/Read/Please read/; s/one of two/changed/" "$2"'))
    async with sitting(configured, home=home) as person:
        await person.types("Read ")
        await person.pastes(SIXTY)
        await person.pastes("one of two\n" * 10)
        await person.presses("ctrl+g")
        await person.sees("changed")
        assert editor.seen.read_text() == "Read " + SIXTY + "one of two\n" * 10 + "\n"
        assert written(person) == f"Please read {MARK}" + "changed\n" * 10
        await person.presses("enter")
        await person.answered()
        assert asked(person) == [f"Please read {SIXTY}" + "changed\n" * 9 + "changed"]


async def test_an_answer_arrives_while_the_editor_is_open(
    home: Path, configured: str, editor: Editor, monkeypatch: pytest.MonkeyPatch
):
    done = home / "done"
    monkeypatch.setenv("EDITOR", editor.does(f'while [ ! -e "{done}" ]; do sleep 0.1; done; echo edited > "$2"'))
    async with sitting(configured, home=home) as person:
        await person.says("Why?")
        await person.presses("ctrl+g", "ctrl+g")
        await person.answered()
        done.touch()
        await person.sees("You asked: Why?", "› edited")


async def test_leaving_the_app_ends_the_editor(
    home: Path, configured: str, editor: Editor, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("modelbay.tui.editor.GRACE", 60.0)  # for a busy machine
    ended = home / "ended"
    ready = home / "ready"
    script = f"trap 'touch \"{ended}\"; exit' TERM; touch '{ready}'; while :; do sleep 0.1; done"
    monkeypatch.setenv("EDITOR", editor.does(script))
    async with sitting(configured, home=home) as person:
        await person.presses("ctrl+g")
        while not ready.exists():
            await person.pilot.pause(0.02)
        person.app.exit()
    while any((home / "temporary").iterdir()):  # removed after the editor has ended
        await asyncio.sleep(0.02)
    assert ended.exists()
