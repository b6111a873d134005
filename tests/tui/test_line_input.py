"""Pastes into the input lines of dialogs."""

import json
from pathlib import Path

import pytest
from textual.widgets import Input

from modelbay.stored_chats.store import Store
from tests.tui.sitting import sitting
from tests.tui.test_connecting import opens_manager


async def test_json_of_several_lines_is_pasted_whole(home: Path, configured: str):
    models = {"data": [{"id": "one"}, {"id": "two"}]}
    async with sitting(configured, home=home) as person:
        await opens_manager(person)
        await person.presses("end", "enter")
        await person.sees("Name, URL or file")
        await person.presses("enter")
        await person.sees("API key or token")
        await person.pastes("\n" + json.dumps(models, indent=2) + "\n")
        assert json.loads(person.app.screen.query(Input).first().value) == models


@pytest.mark.parametrize("text", ["q" * 1_000_000, "word " * 200_000])
@pytest.mark.parametrize("command", ["/model", "/resume", "/edit"])
async def test_a_search_for_a_whole_file_ends(home: Path, configured: str, command: str, text: str):
    async with sitting(configured, home=home) as person:
        await person.says("Hello")
        await person.answered()
        assert Store().list()
        await person.says(command)
        await person.sees("type to search")
        await person.pastes(text)
        while any(row for row in person.app.screen.listing.rows):  # type: ignore[attr-defined]
            await person.pilot.pause(0.02)
        while person.app.screen is not person.app.chat_screen:
            await person.presses("escape")
