"""The command palette: the commands of the `/` menu."""

import re
from pathlib import Path

import pytest

from modelbay.tui.commands import COMMANDS
from tests.tui.sitting import sitting


async def test_the_palette_has_the_rows_of_the_slash_menu_and_no_others(home: Path, configured: str):
    async with sitting(configured, home=home, size=(100, 40)) as person:
        await person.presses("ctrl+p")
        await person.sees("Commands", "type to search", "/model [ALIAS]", "Choose a model")
        rows = [person.app.screen.query_one("VirtualList")._show(one) for one in COMMANDS]  # type: ignore[attr-defined]
        await person.presses("escape")
        await person.types("/")
        await person.sees("/model [ALIAS]")
        assert rows == [person.app.chat_screen.offers._show(one) for one in person.app.chat_screen.offers.rows]


@pytest.mark.parametrize(("typed", "seen"), [("keys and", "Ctrl-J, Alt-Enter"), ("/eff", "Reasoning effort")])
async def test_a_command_is_found_by_its_name_or_by_what_it_does(home: Path, configured: str, typed: str, seen: str):
    async with sitting(configured, home=home) as person:
        await person.presses("ctrl+p")
        await person.sees("Commands")
        await person.types(typed)
        await person.presses("enter")
        await person.sees(seen)


@pytest.mark.parametrize("way", ["palette", "slash"])
async def test_a_command_that_needs_an_argument_waits_for_it(home: Path, configured: str, way: str):
    async with sitting(configured, home=home) as person:
        if way == "palette":
            await person.presses("ctrl+p")
            await person.sees("Commands")
            await person.types("attach")
        else:
            await person.types("/fi")
        await person.presses("enter")
        await person.pilot.pause()
        await person.holds("/file ")


async def test_the_palette_opens_over_no_dialog_and_fits_a_small_terminal(home: Path, configured: str):
    async with sitting(configured, home=home, size=(40, 12)) as person:
        await person.presses("ctrl+p")
        screen = await person.sees("╰")
        shown = " ".join(re.sub(r"[│╭╮╰╯─]", " ", screen).split())
        assert "Enter run" in shown and "Esc cancel" in shown, screen
        await person.presses("ctrl+p")
        assert len(person.app.screen_stack) == 3
