"""Each line of the help does what it says."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.drivers.headless_driver import HeadlessDriver

from modelbay.stored_chats.store import Store
from modelbay.tui.app import ModelbayApp
from modelbay.tui.chat_screen import ChatScreen
from modelbay.tui.commands import COMMANDS
from modelbay.tui.dialogs.help import KEYS, HelpDialog
from tests.tui.sitting import Sitting, sitting
from tests.tui.test_folded_pastes import MARK, SIXTY, written

SLOW = """
[models.slow]
provider = "sim"
model = "sim-text!pace=0.05"

[providers.locked]
type = "openai"
base_url = "SIM/v1"
api_key = "sk-wrong-0123456789"

[models.locked]
provider = "locked"
model = "sim-text"
"""

Step = Callable[[Sitting, Path], Awaitable[None]]
STEPS: dict[tuple[str, str], Step] = {}


def does(name: str, about: str) -> Callable[[Step], Step]:
    """Register the test of a line. If the line changes, look at its test again."""

    def register(step: Step) -> Step:
        STEPS[name, about] = step
        return step

    return register


async def talks(person: Sitting, text: str = "Hello") -> None:
    """Send a message and wait for the answer."""
    await person.says(text)
    await person.sees(f"You asked: {text}")
    await person.answered()


async def listens(person: Sitting) -> None:
    """Ask for an answer that lasts."""
    await person.says("/model slow")
    await person.sees("Model for this session: slow")
    await person.says("write 500 words")
    await person.sees("the lazy dog", "Esc interrupts")


@does("Enter", "send; during an answer: queue")
async def enter(person: Sitting, home: Path) -> None:
    await talks(person)
    await listens(person)
    await person.types("And then?")
    await person.presses("enter")
    await person.sees("1 queued", "And then?")
    await person.presses("escape")


@does("Ctrl-J, Alt-Enter", "new line")
async def new_line(person: Sitting, home: Path) -> None:
    await person.types("a")
    await person.presses("ctrl+j")
    await person.types("b")
    await person.presses("alt+enter")
    await person.types("c")
    await person.holds("a\nb\nc")


@does("↑ ↓", "edit the queued message; earlier messages")
async def up_and_down(person: Sitting, home: Path) -> None:
    await talks(person)
    await listens(person)
    await person.types("And then?")
    await person.presses("enter")
    await person.sees("1 queued")
    await person.presses("up")
    await person.holds("And then?")
    await person.presses("ctrl+u", "escape")
    await person.answered()
    await person.presses("up", "up", "up")
    await person.holds("Hello")
    await person.presses("down")
    await person.holds("/model slow")


@does("Ctrl-R", "search earlier messages")
async def search(person: Sitting, home: Path) -> None:
    await talks(person)
    await person.presses("ctrl+r")
    await person.sees("Search earlier messages", "Hello")
    await person.presses("enter")
    await person.holds("Hello")


@does("Esc", "interrupt the answer")
async def interrupt(person: Sitting, home: Path) -> None:
    await listens(person)
    await person.presses("escape")
    await person.sees("Interrupted")


@does("Esc Esc", "edit an earlier message")
async def edit_earlier(person: Sitting, home: Path) -> None:
    await talks(person)
    await person.presses("escape", "escape")
    await person.sees("Edit an earlier message", "Hello")


@does("Ctrl-T", "show or hide the last thinking")
async def thinking(person: Sitting, home: Path) -> None:
    await talks(person)
    await person.presses("ctrl+t")
    await person.sees("The user said: Hello")
    await person.presses("ctrl+t")
    await person.sees_no("The user said")


@does("PgUp PgDn", "scroll the conversation")
async def scroll(person: Sitting, home: Path) -> None:
    await person.says("write 900 words")
    await person.answered()
    transcript = person.app.chat_screen.transcript
    end = transcript.max_scroll_y
    await person.presses("pageup")
    assert 0 < transcript.scroll_offset.y < end
    await person.presses("pagedown")
    assert transcript.scroll_offset.y == end


@does("Ctrl-P", "command palette")
async def palette(person: Sitting, home: Path) -> None:
    await person.presses("ctrl+p")
    await person.sees("Commands", "type to search")


@does("Ctrl-C", "copy selection; interrupt; twice: quit")
async def control_c(person: Sitting, home: Path) -> None:
    await talks(person)
    person.app.chat_screen.text_select_all()
    await person.presses("ctrl+c")
    assert "You asked: Hello" in person.app.clipboard
    await listens(person)
    await person.presses("ctrl+c")
    await person.sees("Interrupted")
    await person.answered()
    await person.presses("ctrl+c", "ctrl+c")
    assert person.app._exit


@does("Ctrl-Q", "quit")
async def control_q(person: Sitting, home: Path) -> None:
    await person.presses("ctrl+q")
    assert person.app._exit


@does("Ctrl-Z", "suspend")
async def suspend(person: Sitting, home: Path) -> None:
    asked: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ModelbayApp, "action_suspend_process", lambda app: asked.append("suspend"))
        await person.presses("ctrl+z")
    assert asked == ["suspend"]  # test_terminal suspends a real process


@does("Ctrl-_", "undo typing")
async def undo(person: Sitting, home: Path) -> None:
    await person.pastes("one")
    await person.presses("ctrl+underscore")
    await person.holds("")


@does("F2", "edit an API key that was rejected")
async def correct(person: Sitting, home: Path) -> None:
    await person.says("/model locked")
    await person.says("Hello")
    await person.sees("Invalid API Key", "F2 edits the API key of locked")
    await person.presses("f2")
    await person.sees("Edit locked")


@does("@", "attach a file (completes its path)")
async def mention(person: Sitting, home: Path) -> None:
    await person.types("What is in @not")
    await person.sees("notes.txt")
    await person.presses("tab")
    await person.holds("What is in @notes.txt ")
    await person.presses("enter")
    await person.sees("⊕ notes.txt", "The answer is 42")


@does("paste a path", "attach the file")
async def paste(person: Sitting, home: Path) -> None:
    await person.pastes(str(home / "notes.txt"))
    await person.sees("⊕ notes.txt")


@does("Ctrl-O", "expand a folded paste")
async def unfold(person: Sitting, home: Path) -> None:
    await person.pastes(SIXTY)
    assert written(person) == MARK
    await person.presses("ctrl+o")
    await person.holds(SIXTY)


@does("Ctrl-G", "open in $VISUAL or $EDITOR")
async def editor(person: Sitting, home: Path) -> None:
    (home / "editor.sh").write_text('printf edited > "$1"')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HeadlessDriver, "can_suspend", True)
        for number, variable in enumerate(("EDITOR", "VISUAL")):
            patch.setenv(variable, f"sh '{home}/editor.sh'")
            (home / "editor.sh").write_text(f'printf "edited {number}" > "$1"')
            await person.presses("ctrl+g")
            await person.holds(f"edited {number}")


@does("/model [ALIAS]", "Choose a model")
async def model(person: Sitting, home: Path) -> None:
    await person.says("/model sonnet")
    await person.sees("Model for this session: sonnet")
    await person.says("/model")
    await person.sees("Select a model", "plain")


@does("/effort [LEVEL]", "Set the reasoning effort")
async def effort(person: Sitting, home: Path) -> None:
    await person.says("/effort high")
    await person.sees("thinker · high")
    await person.says("/effort")
    await person.sees("Reasoning effort", "← current")


@does("/provider", "Manage providers")
async def provider(person: Sitting, home: Path) -> None:
    await person.says("/provider")
    await person.sees("Providers", "claude", "E edit · D delete")


@does("/login [PLATFORM]", "Log in to a platform")
async def login(person: Sitting, home: Path) -> None:
    await person.says("/login")
    await person.sees("Select a platform")
    await person.presses("escape")
    await person.says("/login moonshot-ai")
    await person.sees("API key", "Enter next, submit")


@does("/logout", "Log out of a platform")
async def logout(person: Sitting, home: Path) -> None:
    await person.says("/logout")
    await person.sees("Log out of", "claude")


@does("/file PATH|URL", "Attach a file to the next message")
async def file(person: Sitting, home: Path) -> None:
    await person.says(f"/file {home}/notes.txt")
    await person.sees("⊕ notes.txt")
    await person.says("/file https://a.example/cat.png")
    await person.sees("⊕ notes.txt", "cat.png")


@does("/retry", "Send the last message again")
async def retry(person: Sitting, home: Path) -> None:
    await talks(person)
    await person.says("/retry")
    await person.sees("The original conversation is saved")
    await person.answered()
    assert len(Store(home / "conversations.sqlite").list()) == 2


@does("/edit", "Edit an earlier message and continue from there")
async def edit(person: Sitting, home: Path) -> None:
    await talks(person)
    await person.says("/edit")
    await person.sees("Edit an earlier message")
    await person.presses("enter")
    await person.holds("Hello")
    assert person.app.state.chat.turns == []


@does("/copy", "Copy the last answer, or one of its code blocks")
async def copy(person: Sitting, home: Path) -> None:
    await talks(person)
    await person.says("/copy")
    await person.sees("Copied the last answer")
    assert person.app.clipboard.startswith("You asked: Hello")


@does("/export [FILE]", "Export this conversation as Markdown")
async def export(person: Sitting, home: Path) -> None:
    await person.says("/model plain")
    await talks(person)
    await person.says(f"/export {home}/talk.md")
    await person.sees("Exported to")
    assert "Hello" in (home / "talk.md").read_text()


@does("/new", "Start a new conversation")
async def new(person: Sitting, home: Path) -> None:
    await talks(person)
    await person.says("/new")
    await person.sees_no("You asked")
    assert person.app.state.chat.turns == []


@does("/save [TITLE]", "Save this conversation under a title")
async def save(person: Sitting, home: Path) -> None:
    await talks(person)
    await person.says("/save First try")
    await person.sees('Saved as "First try"')
    assert [one.name for one in Store(home / "conversations.sqlite").list()] == ["First try"]


@does("/private", "Turn private mode on or off: nothing is stored")
async def private(person: Sitting, home: Path) -> None:
    await person.says("/private")
    await person.sees("thinker · medium · private")
    await talks(person)
    assert Store(home / "conversations.sqlite").list() == []
    await person.says("/private")
    await person.sees("Private mode off")


@does("/resume", "Resume a conversation")
async def resume(person: Sitting, home: Path) -> None:
    await talks(person)
    await person.says("/new")
    await person.sees_no("You asked")
    await person.says("/resume")
    await person.sees("Hello")
    await person.presses("enter")
    await person.sees("You asked: Hello")


@does("/theme [NAME]", "Choose a color theme")
async def theme(person: Sitting, home: Path) -> None:
    await person.says("/theme light")
    await person.sees("Theme: light")
    await person.says("/theme")
    await person.sees("terminal", "dark")


@does("/help", "Show keys and commands")
async def show_help(person: Sitting, home: Path) -> None:
    await person.says("/help")
    await person.sees("Keys and commands", "Ctrl-J, Alt-Enter")


@does("/quit", "Quit")
async def leave(person: Sitting, home: Path) -> None:
    await person.says("/quit")
    await person.pilot.pause()
    assert person.app._exit


LINES = [*KEYS, *((f"/{one.name} {one.argument}".rstrip(), one.about) for one in COMMANDS)]


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[0])
async def test_a_line_of_the_help_does_what_it_says(
    home: Path, configured: str, line: tuple[str, str], monkeypatch: pytest.MonkeyPatch
):
    assert line in STEPS, f"the help has a new line: add its test with @does{line}"
    (home / "folder").mkdir()
    (home / "folder" / "notes.txt").write_text("The answer is 42.")
    (home / "notes.txt").write_text("The answer is 42.")
    monkeypatch.chdir(home / "folder")
    monkeypatch.delenv("VISUAL", raising=False)
    url = re.search(r"http://[\d.:]+", configured)
    assert url is not None
    async with sitting(configured + SLOW.replace("SIM", url[0]), home=home) as person:
        await STEPS[line](person, home)
        await person.answered() if not person.app._exit else None


def test_no_line_of_the_help_is_tested_that_is_gone():
    assert list(STEPS) == LINES


async def test_the_help_shows_each_line_and_every_key_of_the_main_screen(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("/help")
        screen = await person.sees("Keys and commands")
        for _ in LINES:
            await person.presses("down")
            screen += person.screen
        for name, about in LINES:
            assert re.search(rf"{re.escape(name)} +{re.escape(about)}", screen), name
        assert isinstance(person.app.screen, HelpDialog)
    names = {"escape": "Esc", "pageup": "PgUp", "pagedown": "PgDn", "f2": "F2"}
    named = " ".join(name for name, _ in KEYS)
    for binding in [*ModelbayApp.BINDINGS, *ChatScreen.BINDINGS]:
        key = binding[0] if isinstance(binding, tuple) else binding.key
        assert names.get(key, key.replace("ctrl+", "Ctrl-").title()) in named, key
