"""Runs the Python of the README, of the guide to the library, and beside the same command on other pages."""

import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelbay.testing import Simulator
from tests.examples.test_programs import DOCUMENT, PICTURE
from tests.pages import DOCS, README, ROOT, at
from tools import faces

GUIDE = ROOT / "docs" / "guides" / "python.md"
APP = (ROOT / "examples" / "modelbay" / "web_stream.py").read_text()
"""A program without output, which has a test of its own."""
SETTING = """
import asyncio
from modelbay import *

async def main() -> None:
    async with Hub.open() as hub:
"""
"""The program around a block that awaits calls of a hub."""
CONFIG = """
default_model = "claude"

[providers.anthropic]
type = "anthropic"
base_url = "{url}"
api_key = "sk-simulated"

[providers.openai]
type = "openai"
base_url = "{url}/v1"

[models.claude]
provider = "anthropic"
model = "claude-haiku-4-5"
"""


def programs(page: Path) -> list[str]:
    """The Python of a page; of most pages, only that beside the same command. Blocks that await calls of a hub without opening
    one are put into a program."""
    text = page.read_text()
    if page not in (README, GUIDE):
        text = "".join(face["block"] for group in faces.groups(text) for face in group if face["name"] == "Python")
    found = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return [
        f"{SETTING}{textwrap.indent(code, '        ')}\nasyncio.run(main())\n"
        if re.search(r"\b(?:await|async (?:for|with))\b", code) and "asyncio.run" not in code
        else code
        for code in found
    ]


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


def runnable(code: str, url: str) -> str:
    """A program with a key, and with the simulator's URL instead of a vendor's."""
    chat = (f"{url}/v1", "openai_chat")
    vendors = {"anthropic": (url, "anthropic"), "openai": chat, "ollama": chat, "mistral": chat}
    for vendor, (base_url, protocol) in vendors.items():
        for call, more in (("Hub.of", ""), ("hub.add", f', id="{vendor}"')):
            code = code.replace(f'{call}("{vendor}"', f'{call}(base_url="{base_url}", protocol="{protocol}"{more}')
    return f'KEY = "sk-simulated"\n{at(url, code)}'


PROGRAMS = [
    pytest.param(page, number, id=f"{page.stem}-{number}")
    for page in (README, *DOCS)
    for number in range(len(programs(page)))
]


def test_the_first_program_of_a_page_is_short() -> None:
    lines = [len([line for line in programs(page)[0].splitlines() if line.strip()]) for page in (README, GUIDE)]
    assert lines == [6, 2]


@pytest.mark.parametrize(("page", "number"), PROGRAMS)
def test_the_python_of_a_page_runs_and_prints(simulator: Simulator, tmp_path: Path, page: Path, number: int) -> None:
    code = programs(page)[number]
    (tmp_path / "config.toml").write_text(CONFIG.format(url=simulator.url))
    (tmp_path / "report.pdf").write_bytes(DOCUMENT)
    (tmp_path / "chart.png").write_bytes(PICTURE)
    ran = subprocess.run(
        [sys.executable, "-c", runnable(code, simulator.url)],
        env={"MODELBAY_HOME": str(tmp_path), "ANTHROPIC_API_KEY": "sk-simulated", "MISTRAL_API_KEY": "sk-simulated"},
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.strip() or code == APP


def test_the_toml_of_the_readme_is_a_configuration_without_problems(tmp_path: Path) -> None:
    from modelbay.config.load import parse

    [text] = re.findall(r"```toml\n(.*?)```", README.read_text(), re.DOTALL)
    config = parse(text, tmp_path / "config.toml")
    assert config.problems == []
    assert config.model().model == "claude-sonnet-4-6"
