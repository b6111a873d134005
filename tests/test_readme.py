"""Runs the examples of the README."""

import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelbay.simulator import Simulator
from tests.pages import README, ROOT
from tests.servers import SENTENCE
from tests.servers.llamacpp import LlamaServer
from tests.test_hub import write_config

GUIDE = ROOT / "docs" / "guides" / "python.md"


SETTING = """
import asyncio
from modelbay import *

async def main() -> None:
    async with Hub.open() as hub:
"""
"""The program around a block that uses a hub without opening one."""


def programs(page: Path) -> list[str]:
    """The Python of a page. Blocks that use a hub without opening one are put into a program."""
    found = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    return [
        code
        if "Hub.open()" in code or code.startswith("import modelbay")
        else f"{SETTING}{textwrap.indent(code, '        ')}\nasyncio.run(main())\n"
        for code in found
    ]


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """A server of embeddings: the tiny model has none."""
    with Simulator(aliases={"text-embedding-3-small": "sim-1"}) as running:
        yield running


PROGRAMS = [(page.name, number) for page in (README, GUIDE) for number in range(len(programs(page)))]


def test_the_first_program_of_a_page_is_short() -> None:
    lines = [len([line for line in programs(page)[0].splitlines() if line.strip()]) for page in (README, GUIDE)]
    assert lines == [6, 9]


@pytest.mark.parametrize(("name", "number"), PROGRAMS)
def test_the_python_of_a_page_runs_and_answers(
    llamacpp: LlamaServer, simulator: Simulator, tmp_path: Path, name: str, number: int
) -> None:
    code = programs(README if name == README.name else GUIDE)[number]
    openai = f'[providers.openai]\ntype = "openai"\nbase_url = "{simulator.url}/v1"'
    write_config(tmp_path, llamacpp.url, openai)
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={"MODELBAY_HOME": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    # the tiny model knows one sentence, and for a schema one city; a vector has 256 dimensions
    assert any(words in ran.stdout for words in (SENTENCE, "weather", "Paris", "256 Usage"))


def test_the_toml_of_the_readme_is_a_configuration_without_problems(tmp_path: Path) -> None:
    from modelbay.config.load import parse

    [text] = re.findall(r"```toml\n(.*?)```", README.read_text(), re.DOTALL)
    config = parse(text, tmp_path / "config.toml")
    assert config.problems == []
    assert config.model().model == "claude-sonnet-4-6"
