"""Esc goes one step back, and does not discard a form without a question."""

from pathlib import Path

from tests.tui.sitting import sitting
from tests.tui.test_connecting import opens_manager


async def test_esc_in_a_form_asks_before_it_discards_the_input_and_goes_one_step_back(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await opens_manager(person)
        await person.presses("end", "enter")
        await person.sees("Add provider", "Custom provider")
        await person.presses("down", "down", "enter")
        await person.sees("Provider ID", "Base URL")
        await person.types("acme")
        await person.presses("tab")
        await person.types("Acme AI")
        await person.presses("escape")
        await person.sees("Press Esc again to discard what you entered", "acme", "Acme AI")
        await person.types("!")
        await person.presses("escape")
        await person.sees("Press Esc again", "Acme AI!")
        await person.presses("escape")
        await person.sees("❯ Custom provider", "Name, URL or file")
        await person.presses("escape")
        await person.sees("Add new provider", "← current")
        await person.presses("escape")
        await person.sees_no("Add new provider")


async def test_esc_in_an_untouched_form_goes_back_at_once(home: Path, configured: str):
    configured = configured.replace('type = "openai"', 'type = "openai"\ncustom_headers = { X-Team = "7" }', 1)
    async with sitting(configured, home=home) as person:
        await opens_manager(person)
        await person.presses("e")
        await person.sees("Display name", "X-Team")
        await person.presses("escape")
        await person.sees("Add new provider")


async def test_esc_does_not_discard_pasted_json_without_a_question(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await opens_manager(person)
        await person.presses("end", "enter")
        await person.presses("down", "down", "down", "enter")
        await person.sees("Manifest URL")
        await person.presses("up", "right", "tab")
        await person.sees("Paste the provider's JSON")
        await person.pastes('{\n  "name": "Acme"\n}')
        await person.presses("escape")
        await person.sees("Press Esc again to discard", '"name": "Acme"')
