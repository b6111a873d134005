"""Text of models, lists and errors cannot control the terminal, and is never read as markup."""

from pathlib import Path

import pytest
from rich.segment import Segment

from tests.faults.calls import answers
from tests.faults.raw_server import RawServer, reply
from tests.tui.sitting import Sitting, sitting

ATTACK = "\x1b]0;owned\x07 \x1b[2J\x9b31m \u202eexe.txt [bold red]markup[/] [@click=app.quit]leave[/]"
JSON = (
    ATTACK.replace("\x1b", "\\u001b").replace("\x07", "\\u0007").replace("\x9b", "\\u009b").replace("\u202e", "\\u202e")
)
ANSWER = f"""{{"id": "c", "object": "chat.completion", "model": "m", "choices": [{{"index": 0, "message":
{{"content": "said: {JSON}", "reasoning_content": "thought: {JSON}"}}, "finish_reason": "stop"}}]}}"""
REFUSAL = f'{{"error": {{"message": "refused: {JSON}"}}}}'
TOML = JSON.replace('"', "'")


def config(url: str) -> str:
    return f"""\
default_model = "m"
[providers.p]
type = "openai"
name = "{TOML}"
base_url = "{url}/v1"
[models.m]
provider = "p"
model = "m"
display_name = "named: {TOML}"
"""


def painted(person: Sitting) -> list[Segment]:
    """All that is sent to the terminal."""
    strips = person.app.screen._compositor.render_strips(person.app.size)
    return [segment for strip in strips for segment in strip if not segment.control]


def check(person: Sitting, *words: str) -> None:
    text = "".join(segment.text for segment in painted(person))
    assert not [char for char in text if not char.isprintable()], ascii(text)
    for word in words:
        assert word in text
    actions = [segment.style.meta for segment in painted(person) if segment.style and "@click" in segment.style.meta]
    assert not actions


@pytest.mark.parametrize("status", [200, 404])
async def test_text_of_a_provider_cannot_control_the_terminal(home: Path, status: int):
    body = (ANSWER if status == 200 else REFUSAL).encode()
    async with (
        RawServer(answers(reply(body, status, "Content-Type: application/json"))) as server,
        sitting(config(server.url), home=home, size=(140, 30)) as person,
    ):
        await person.says("Hello")
        await person.sees("said:" if status == 200 else "refused:")
        check(person, "[bold red]markup[/]")
        if status == 200:
            await person.presses("ctrl+t")
            await person.sees("thought:")
            check(person, "[bold red]markup[/]")
            await person.says("/model")
            await person.sees("named:")
            check(person, "[bold red]")
