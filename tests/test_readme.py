"""Runs the examples of the README."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pages import README, ROOT
from tests.servers import SENTENCE
from tests.servers.llamacpp import LlamaServer
from tests.test_hub import write_config

GUIDE = ROOT / "docs" / "guides" / "library.md"


@pytest.mark.parametrize("page", [README, GUIDE], ids=lambda page: page.name)
def test_the_python_of_a_page_runs_and_answers(llamacpp: LlamaServer, tmp_path: Path, page: Path) -> None:
    [code] = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) == (8 if page is README else 11)
    write_config(tmp_path, llamacpp.url)
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={"MODELBAY_HOME": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    assert SENTENCE in ran.stdout or "weather" in ran.stdout


def test_the_toml_of_the_readme_is_a_configuration_without_problems(tmp_path: Path) -> None:
    from modelbay.config.load import parse

    [text] = re.findall(r"```toml\n(.*?)```", README.read_text(), re.DOTALL)
    config = parse(text, tmp_path / "config.toml")
    assert config.problems == []
    assert config.model().model == "claude-sonnet-4-6"
