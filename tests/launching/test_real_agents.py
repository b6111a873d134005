"""Real agents launched with models of all four protocols: each does a task that needs a tool, and no file of the user changes.

Skipped if an agent is not on the PATH. `make agents` installs the latest version of each agent and runs these tests. They use a
separate home folder, connect only to this machine, and have a time limit.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from modelbay.launching.program import programs
from modelbay.simulator import Simulator
from tests.agents.test_accepted import ALONE, QUIET
from tests.cli.command import MODELBAY
from tests.gateway.running import PROTOCOLS, config_text

SECONDS = 110
DONE = re.compile(r"The tool \w+ (?:answered|failed)|swordfish-4711")
"""The simulator's answer after the agent has run a tool."""


def claude(home: Path, note: Path) -> list[str]:
    # settings that would lead to another server, and a key that must not be sent to this one
    own = {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9", "ANTHROPIC_API_KEY": "sk-ant-own", "ANTHROPIC_MODEL": "other"}
    own["CLAUDE_CODE_USE_BEDROCK"] = "1"
    # no model: Claude Code renames some old names of models in this file at its first start
    write(home / ".claude" / "settings.json", json.dumps({"env": own, "permissions": {"deny": ["WebFetch"]}}))
    return ["-p", f"Read the file {note}", "--allowedTools", "Read"]


def codex(home: Path, note: Path) -> list[str]:
    write(
        home / ".codex" / "config.toml",
        'model = "other"\nmodel_provider = "own"\napproval_policy = "never"\nsandbox_mode = "danger-full-access"\n'
        '[model_providers.own]\nname = "Own"\nbase_url = "http://127.0.0.1:9/v1"\nwire_api = "responses"\n',
    )
    write(home / ".codex" / "auth.json", '{"OPENAI_API_KEY": "sk-own"}')
    return [*QUIET, "exec", "--skip-git-repo-check", f"Run the shell command `cat {note}`"]


TASKS: dict[str, Callable[[Path, Path], list[str]]] = {"claude": claude, "codex": codex}
"""Each agent with a function that writes settings of the user and returns the arguments of a task."""


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """Models that always think and refuse calls without their thinking."""
    with Simulator(key="sk-provider") as running:
        yield running


@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize("agent", TASKS)
def test_the_launched_agent_does_a_task_with_a_tool(
    simulator: Simulator, agent: str, upstream: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if shutil.which(programs()[agent].command) is None:
        pytest.skip(f"{agent} is not installed; `make agents` installs it and runs this test")
    # the simulator calls tools whose names are in the prompt, and the name of this test would be
    room = tmp_path_factory.mktemp("room")
    home, project, modelbay = room / "home", room / "project", room / "modelbay"
    for folder in (home, project, modelbay):
        folder.mkdir()
    note = project / "note.txt"
    note.write_text("The password is swordfish-4711.")
    (modelbay / "config.toml").write_text(config_text(simulator.url, "sim-echo"))
    arguments = TASKS[agent](home, note)
    before = hashes(home)
    done = subprocess.run(
        [MODELBAY, "launch", agent, "-m", upstream, "--", *arguments],
        cwd=project,
        env=ALONE
        | {"PATH": os.environ["PATH"], "HOME": str(home), "MODELBAY_HOME": str(modelbay), "TERM": "dumb"}
        | {"NO_PROXY": "127.0.0.1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert DONE.search(done.stdout), done.stdout
    assert {name: digest for name, digest in hashes(home).items() if name in before} == before
    assert not list((modelbay / "launches").glob("*.launch"))


def hashes(home: Path) -> dict[str, str]:
    """The content of each file in a home."""
    return {
        str(path.relative_to(home)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(home.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }
