"""Type checkers accept the programs in examples/modelbay, and see a wrong keyword and a wrong use of a value."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from modelbay import Hub
from tests.pages import ROOT

MYPY = ["mypy", "--strict"]
PYRIGHT = ["basedpyright", "--pythonpath", sys.executable]
"""It is pyright, with its JavaScript in the package; the mode is that of pyproject.toml: strict."""
WRONG = """
from dataclasses import dataclass

from modelbay import Hub


@dataclass
class City:
    name: str


async def main() -> None:
    await Hub.open().complete("Hi", temprature=1)
    [reply] = await Hub.open().map(["Hi"], output=list[City])
    print(reply.value[0].nmae)
"""


def run(words: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=600
    )


def test_mypy_and_pyright_accept_the_programs() -> None:
    for words in ([*MYPY, "examples/modelbay"], PYRIGHT):
        checked = run(words)
        assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            MYPY,
            r'Unexpected keyword argument "temprature".*did you mean "temperature"(?s:.*)"City" has no attribute "nmae"',
        ),
        (PYRIGHT, r'No parameter named "temprature"(?s:.*)Cannot access attribute "nmae" for class "City"'),
    ],
    ids=["mypy", "pyright"],
)
def test_a_type_checker_sees_a_wrong_keyword_and_a_wrong_use_of_a_value(
    words: list[str], said: str, tmp_path: Path
) -> None:
    program = tmp_path / "wrong.py"
    program.write_text(WRONG)
    checked = run([*words, str(program)])
    assert checked.returncode == 1
    assert re.search(said, checked.stdout), checked.stdout


async def test_a_wrong_keyword_is_a_type_error_with_the_nearest_name() -> None:
    async with Hub.of(base_url="http://127.0.0.1:9/v1", model="m") as hub:
        with pytest.raises(TypeError, match='"temprature" is not a setting of a call: did you mean "temperature"'):
            await hub.complete("Hi", temprature=1)  # type: ignore[call-arg]
