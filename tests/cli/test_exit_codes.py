"""The exit code of every kind of end, as `modelbay --help` has them."""

import re
import signal
from pathlib import Path

import pytest

from modelbay.cli import EXIT_CODES
from tests.cli.command import Command

SUCCESS, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
ENDS = {
    "an answer": (SUCCESS, ["ask", "Hi"]),
    "a help": (SUCCESS, ["help", "provider", "add"]),
    "nothing to list": (SUCCESS, ["provider", "list", "--config", "empty.toml"]),
    "a missing --config to list": (USAGE, ["provider", "list", "--config", "missing.toml"]),
    "a missing --config to serve": (USAGE, ["serve", "--config", "missing.toml"]),
    "a missing --config to check": (USAGE, ["config", "check", "--config", "missing.toml"]),
    "a new --config": (SUCCESS, ["provider", "add", "ollama", "--model", "m", "--yes", "--config", "new.toml"]),
    "an empty model": (USAGE, ["ask", "-m", "", "Hi"]),
    "a provider that fails": (FAILED, ["ask", "-m", "sim/no-such-model", "Hi"]),
    "a network that fails": (FAILED, ["provider", "add", "http://127.0.0.1:9/v1", "--yes"]),
    "a broken configuration": (FAILED, ["provider", "list", "--config", "broken.toml"]),
    "a configuration with problems": (FAILED, ["config", "check", "--config", "problems.toml"]),
    "a provider that is not configured": (FAILED, ["provider", "show", "nope"]),
    "a model that is not configured": (FAILED, ["ask", "-m", "nope", "Hi"]),
    "a file that is not what it must be": (FAILED, ["provider", "add", "broken.toml"]),
    "a manifest with errors": (FAILED, ["manifest", "check", "broken.json", "--offline"]),
    "an unknown command": (USAGE, ["nope"]),
    "an unknown command of a group": (USAGE, ["provider", "nope"]),
    "an unknown option": (USAGE, ["ask", "--nope", "Hi"]),
    "no command": (USAGE, ["provider"]),
    "no argument": (USAGE, ["provider", "show"]),
    "an option's value": (USAGE, ["ask", "--temperature", "hot", "Hi"]),
    "an effort": (USAGE, ["ask", "--effort", "nope", "Hi"]),
    "a field": (USAGE, ["provider", "custom", "Acme", "--name", "Acme", "--base-url", "SIM/v1"]),
    "no prompt": (USAGE, ["ask"]),
    "no terminal": (USAGE, ["chat"]),
    "a missing --config": (USAGE, ["ask", "--config", "missing.toml", "Hi"]),
    "a folder as --config": (USAGE, ["provider", "list", "--config", "folder"]),
    "a missing attachment": (USAGE, ["ask", "--file", "missing.png", "Hi"]),
    "a missing list": (USAGE, ["provider", "add", "missing.json"]),
    "a missing manifest": (USAGE, ["provider", "manifest", "--embedded", "missing.json"]),
    "a missing manifest to check": (USAGE, ["manifest", "check", "missing.json"]),
    "a missing manifest to serve": (USAGE, ["manifest", "serve", "missing.json"]),
    "a missing recording": (USAGE, ["replay", "missing.jsonl"]),
    "a missing file of an agent": (USAGE, ["import", "kimi", "missing.toml"]),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_command_ends_with_the_code_of_its_kind(modelbay: Command, name: str):
    code, line = ENDS[name]
    folder = modelbay.home
    (folder / "broken.toml").write_text("a = \n")
    (folder / "empty.toml").touch()
    (folder / "broken.json").write_text('{"a": ')
    (folder / "problems.toml").write_text('[models.a]\nprovider = "missing"\nmodel = "m"\n')
    (folder / "folder").mkdir()
    run = modelbay(*(word.replace("SIM", modelbay.simulator.url) for word in line))
    assert run.code == code, run.err


def test_the_help_has_every_code():
    assert re.findall(r"^  (\d+) ", EXIT_CODES, re.MULTILINE) == ["0", "1", "2", "130"]
    assert {str(code) for code, _ in ENDS.values()} | {"130"} == {"0", "1", "2", "130"}


def test_ctrl_c_interrupts(modelbay: Command, tmp_path: Path):
    running = modelbay.start("simulate", "--port", "0")
    assert running.stdout is not None and running.stdout.readline().startswith("http://")
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode == INTERRUPTED
