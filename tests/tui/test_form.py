"""Fields of the dialogs."""

from pathlib import Path

from modelbay.simulator import Simulator
from modelbay.tui.widgets.status import StatusLine
from tests.cli.command import KEY
from tests.tui.sitting import sitting
from tests.tui.test_connecting import chooses_way


async def test_a_pasted_line_with_a_url_or_a_key_is_understood(home: Path, configured: str, simulator: Simulator):
    async with sitting(configured, home=home) as person:
        await chooses_way(person, -1)
        await person.pastes("OPENAI_BASE_URL=https://api.acme.example/v1")
        await person.presses("ctrl+s")
        await person.reads("Not accepted", "did you mean https://api.acme.example/v1?")
        await person.presses("ctrl+u")
        await person.types("qqqqqq")
        await person.presses("ctrl+s")
        text = await person.reads("a URL that begins with https://, or a JSON file")
        assert "standard input" not in text
        await person.presses("ctrl+u")
        await person.types(f"{simulator.url}/v1")
        await person.presses("enter")
        await person.pastes("sk-of\ntwo lines")
        await person.presses("enter")
        await person.reads("the API key contains invalid characters")
        await person.presses("ctrl+u")
        await person.pastes(f'curl {simulator.url} \\\n  -H "Authorization: Bearer {KEY}" \\\n  -d @body\n')
        await person.presses("enter")
        screen = await person.sees("Enter save")
        assert KEY not in screen


async def test_a_tick_of_the_spinner_that_comes_late_does_not_hide_an_error(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await chooses_way(person, -1)
        status = person.app.screen.query_one(StatusLine)
        status.busy("working")
        status.warn("It failed")
        status._turn()  # its message waited in the queue when the timer was stopped
        await person.reads("It failed")
