"""Fields of the dialogs."""

from pathlib import Path

from modelbay.simulator import Simulator
from tests.cli.command import KEY
from tests.tui.sitting import sitting
from tests.tui.test_connecting import chooses_way


async def test_a_pasted_line_with_a_key_gives_the_key(home: Path, configured: str, simulator: Simulator):
    async with sitting(configured, home=home) as person:
        await chooses_way(person, -1)
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
