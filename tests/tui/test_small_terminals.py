"""Terminals of a few lines and columns: what is chosen, and the search, must be visible."""

from pathlib import Path

import pytest

from modelbay.tui.dialogs.confirm import Confirm
from modelbay.tui.widgets.status_message import StatusMessage
from modelbay.tui.widgets.virtual_list import ListRow, VirtualList
from tests.tui.sitting import sitting

DIALOGS = {
    "/model": "plain",
    "/provider": "claude",
    "/theme": "auto",
    "/effort": "low",
    "/help": "Keys and",
}
"""A text of each dialog that must be visible."""


@pytest.mark.parametrize("command", DIALOGS)
@pytest.mark.parametrize("size", [(20, 5), (40, 10), (20, 24), (80, 5)])
async def test_a_dialog_shows_its_choices(home: Path, configured: str, command: str, size: tuple[int, int]):
    async with sitting(configured, home=home, size=size) as person:
        await person.says(command)
        await person.sees(DIALOGS[command])
        await person.presses("escape")


@pytest.mark.parametrize("size", [(20, 5), (40, 9), (80, 5), (40, 12), (80, 24)])
async def test_a_question_and_its_facts_are_seen(home: Path, configured: str, size: tuple[int, int]):
    async with sitting(configured, home=home, size=size) as person:
        about = [(f"Fact {number}", "as it is") for number in range(20)]
        person.app.push_screen(Confirm("Sure", about, "Overwrite it?"))
        await person.sees("Fact 0", "Overwrite it?", "[y/N]")
        assert "Fact 19" not in person.screen
        await person.presses("end")
        await person.sees("Fact 19", "Overwrite it?", "[y/N]")
        await person.presses("up", "up")
        await person.sees_no("Fact 19")
        await person.presses("home")
        await person.sees("Fact 0")


@pytest.mark.parametrize("size", [(30, 5), (40, 9), (80, 24)])
async def test_all_of_the_help_can_be_read(home: Path, configured: str, size: tuple[int, int]):
    async with sitting(configured, home=home, size=size) as person:
        await person.says("/help")
        await person.sees("Enter")
        for key in ("pagedown", "pageup", "end", "home"):
            await person.presses(key)
            await person.sees({"pagedown": "", "pageup": "Enter", "end": "/quit", "home": "Enter"}[key])


async def test_a_list_can_be_used_with_five_lines(home: Path, configured: str):
    async with sitting(configured, home=home, size=(20, 5)) as person:
        await person.says("/model")
        await person.sees("Select a model")
        await person.types("plin")
        await person.sees_no("sonnet")
        await person.presses("enter")
        await person.sees("Default model")


async def test_the_highlighted_row_is_seen_after_the_terminal_becomes_smaller(home: Path, configured: str):
    models = "".join(f'[models."m-{number}"]\nprovider = "sim"\nmodel = "sim-1"\n\n' for number in range(30))
    async with sitting(configured + models, home=home, size=(80, 24)) as person:
        await person.says("/model")
        await person.sees("Select a model")
        await person.presses(*["down"] * 9)
        await person.sees("❯ m-6", "m-2")
        await person.pilot.resize_terminal(30, 10)
        await person.sees_no("m-2")
        await person.sees("❯ m-6")


async def test_the_end_of_an_answer_is_seen_with_five_lines(home: Path, configured: str):
    async with sitting(configured, home=home, size=(20, 5)) as person:
        await person.says("Hi")
        await person.answered()
        await person.sees("about it.", "Ask something", "out ·")
        await person.presses("pageup")
        await person.sees_no("about it.")


async def test_a_message_and_a_queue_push_nothing_off_a_screen_of_five_lines(home: Path, configured: str):
    slow = configured.replace("sim-thinker", "sim-thinker!pace=0.5")
    async with sitting(slow, home=home, size=(20, 5)) as person:
        await person.says("write 500 words")
        await person.sees("Enter queues")
        await person.types("More?")
        await person.presses("enter")
        await person.types("/nothing")
        await person.presses("enter")
        await person.sees("1 queued", "Unknown command:", "/nothing. /help")
        assert person.app.chat_screen.max_scroll_y == 0
        message = person.app.chat_screen.query_one(StatusMessage)
        message.clear(str(message.content))
        await person.sees("thinker")


@pytest.mark.parametrize(
    ("row", "width", "seen"),
    [
        (ListRow("acme/large-model", "acme", "← current"), 60, ["acme/large-model", "acme", "← current"]),
        (ListRow("acme/large-model", "acme", "← current"), 30, ["acme/large-model"]),
        (ListRow("acme/large-model", "acme", "← current"), 16, ["acme/…-model"]),
        (ListRow("a title of a conversation", "today"), 20, ["a title of a co…"]),
        (ListRow("模型模型模型模型模型"), 14, ["模型…模型"]),
    ],
)
def test_a_narrow_list_keeps_the_part_that_tells_names_apart(row: ListRow, width: int, seen: list[str]):
    from rich.cells import cell_len
    from rich.style import Style

    listing = VirtualList([row], lambda one: one)
    listing._label, listing._note, listing._right = (
        cell_len(row.label), cell_len(row.note) + 2 if row.note else 0, cell_len(row.right) + 2 if row.right else 0
    )  # fmt: skip
    listing.get_component_rich_style = lambda *names, **options: Style()  # type: ignore[method-assign]
    text = "".join(segment.text for segment in listing._segments(row, False, width, Style()))
    assert cell_len(text) == width
    for part in seen:
        assert part in text
