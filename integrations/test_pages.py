"""Runs the examples of the integrations: the Python, and the commands of llm, in the guide and in each README."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from integrations.installed import FOLDER, environment, python
from modelbay.simulator import Simulator

GUIDE = FOLDER.parent / "docs" / "guides" / "integrations.md"
PAGES = [GUIDE, *sorted(FOLDER.glob("*/README.md"))]
PROGRAMS = [
    pytest.param(path, code, id=f"{path.parent.name}-{number}")
    for path in PAGES
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL))
]
COMMANDS = {
    path: [
        line
        for block in re.findall(r"```sh\n(.*?)```", path.read_text(), re.DOTALL)
        for line in block.splitlines()
        if line.startswith("llm ") and not line.startswith("llm install ")
    ]
    for path in PAGES
}
CONFIG = """
default_model = "claude"

[providers.anthropic]
type = "anthropic"
base_url = "{url}"
api_key = "sk-acme-1"

[models.claude]
provider = "anthropic"
model = "claude-sonnet-4-5"
"""


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(key="sk-acme-1", aliases={"claude-sonnet-4-5": "sim-vision"}) as running:
        yield running


@pytest.fixture
def variables(simulator: Simulator, own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Those of a process with all integrations, and the simulator in place of the provider of the examples."""
    (own_home / "config.toml").write_text(CONFIG.format(url=simulator.url))
    found = {"LLM_USER_PATH": str(tmp_path / "llm")}
    for project in FOLDER.glob("*/pyproject.toml"):
        made = environment(tmp_path / "site", project.parent.name)
        found["PYTHONPATH"] = f"{made['PYTHONPATH']}:{found.get('PYTHONPATH', '')}"
    return {**made, **found}


@pytest.mark.parametrize(("path", "code"), PROGRAMS)
def test_the_python_of_a_page_runs_and_answers(path: Path, code: str, variables: dict[str, str]):
    done = python(variables, "-c", code)
    assert done.returncode == 0 and done.stdout.strip(), done


@pytest.mark.parametrize("path", [path for path in PAGES if COMMANDS[path]])
def test_the_commands_of_llm_in_a_page_run_in_their_order(path: Path, variables: dict[str, str]):
    for line in COMMANDS[path]:
        done = python(variables, "-m", "llm", *shlex.split(line)[1:])
        assert done.returncode == 0 and done.stdout.strip(), (line, done)
