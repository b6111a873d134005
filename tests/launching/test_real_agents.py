"""`modelbay launch` with the real agents: each does a task with models of all four protocols, in a home with its own settings.

Skipped if an agent is not on the PATH. `make agents` installs the latest version of each agent and runs these tests. They connect
only to this machine, and have a time limit.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from modelbay.launching.program import programs
from modelbay.simulator import Simulator
from tests.agents.presence import needs
from tests.agents.test_accepted import ALONE, QUIET
from tests.gateway.running import PROTOCOLS, config_text
from tests.gateway.sdk_clients import RED
from tests.launching.homes import HOMES

SECONDS = 300
DONE = re.compile(r"The tool \w+ (?:answered|failed)|swordfish-4711")
"""The simulator's answer after the agent has run a tool. Some agents put other paths into the prompt, which it may choose."""
ANSWERED = re.compile(r"You asked")
FACTS = 'max_context_size = 128000\nmax_output_size = 64000\ncapabilities = ["thinking", "tool_use", "image_in"]'
READ = "Read the file NOTE"
TASKS = {
    "claude": ("-p", READ, "--allowedTools", "Read"),
    "codex": (*QUIET, "exec", "--skip-git-repo-check", "Run the shell command `cat NOTE`"),
    "opencode": ("run", *READ.split()),  # it quotes an argument with spaces
    "kilo": ("run", "--auto", *READ.split()),
    "kimi": ("-p", READ),
    "gemini": ("--yolo", "--skip-trust", "-p", READ),
    "qwen": ("--yolo", "-p", READ),
    "pi": ("-p", READ),
    "crush": ("run", READ),
    "goose": ("run", "-t", READ),
    "aider": ("--yes-always", "--no-git", "--no-show-model-warnings", "--message", READ),
    "continue": ("--auto", "-p", READ),
    "cline": (READ,),
    "copilot": ("-p", READ, "--allow-all-tools"),
    "droid": ("exec", READ),
    "grok": ("-p", READ),
    "omp": ("-p", READ, "--auto-approve"),
    "mini": ("-t", "Run the shell command `cat NOTE`", "--yolo", "--exit-immediately"),
    "openhands": ("--headless", "-t", READ),
    "gptme": ("--non-interactive", "Run the shell command `cat NOTE`"),
}
"""The arguments with which each agent does the task without questions."""
RESUMED = {
    "claude": ("--continue", "-p", "And now"),
    "codex": (*QUIET, "exec", "resume", "--last", "--skip-git-repo-check", "And now"),
    "opencode": ("run", "--continue", "And", "now"),
    "kilo": ("run", "--auto", "--continue", "And", "now"),
    "kimi": ("--continue", "-p", "And now"),
    "gemini": ("--skip-trust", "--resume", "latest", "-p", "And now"),
    "qwen": ("--continue", "-p", "And now"),
    "pi": ("--continue", "-p", "And now"),
    "copilot": ("--continue", "-p", "And now", "--allow-all-tools"),
    "omp": ("--continue", "-p", "And now", "--auto-approve"),
}
"""The arguments with which agents continue their last session."""
SEEN = {
    "claude": ("-p", "Read the file PHOTO", "--allowedTools", "Read"),
    "codex": (*QUIET, "exec", "--skip-git-repo-check", "-i", "PHOTO", "--", "Hello"),
    "opencode": ("run", "Read", "the", "file", "PHOTO"),
    "kilo": ("run", "--auto", "Read", "the", "file", "PHOTO"),
    "gemini": ("--yolo", "--skip-trust", "-p", "Hello @PHOTO"),
    "qwen": ("--yolo", "-p", "Read the file PHOTO"),
    "pi": ("-p", "@PHOTO", "Hello"),
    "copilot": ("--attachment", "PHOTO", "-p", "Hello"),
    "droid": ("exec", "Read the file PHOTO"),
    "omp": ("-p", "@PHOTO", "Hello", "--auto-approve"),
}
"""The arguments with which agents send an image."""
WITHOUT_TOOLS = ("aider",)
"""Agents that give no tools to a model: it answers with the changes as text."""
DIRECT = [name for name in programs() if name not in ("codex", "continue", "gptme", "grok", "openhands")]
"""Agents that need no gateway for the simulator's models: Codex has namespaces of tools, the others drop thinking."""
WITH_EFFORT = [name for name, row in programs().items() if row.names_effort or row.exporter]
"""Agents that get the reasoning effort of a model."""
WITHOUT_EFFORT = {
    ("cline", "openai_responses"), ("pi", "google"), ("aider", "anthropic"), ("aider", "google"),
    *(("goose", protocol) for protocol in PROTOCOLS),
}  # fmt: skip
"""Agents that ignore it in one of their protocols; Goose and aider send it to models that they know by name."""
ALSO_ALONE = {
    "AIDER_ANALYTICS": "false",
    "AIDER_CHECK_UPDATE": "false",
    "CLINE_NO_AUTO_UPDATE": "1",
    "CONTINUE_API_BASE": "http://127.0.0.1:9/",
    "CONTINUE_METRICS_ENABLED": "0",
    "COPILOT_OFFLINE": "true",
    "CRUSH_DISABLE_METRICS": "1",
    "CRUSH_DISABLE_PROVIDER_AUTO_UPDATE": "1",
    "GOOSE_DISABLE_KEYRING": "1",
    "GOOSE_TELEMETRY_OFF": "1",
    "PI_OFFLINE": "1",
    "PI_TELEMETRY": "0",
}


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """Models that always think and refuse calls without their thinking."""
    with Simulator(key="sk-provider") as running:
        yield running


class AgentRoom:
    """A user's home with an agent's own files, a project with a file, and a modelbay with a model of each protocol."""

    def __init__(self, folder: Path, agent: str, upstream: Simulator) -> None:
        self.agent = agent
        self.home, self.project, self.modelbay = (folder / name for name in ("home", "project", "modelbay"))
        for path in (self.home, self.project, self.modelbay):
            path.mkdir(mode=0o700)
        self.note = self.project / "note.txt"
        self.note.write_text("The password is swordfish-4711.")
        self.photo = self.project / "photo.png"
        self.photo.write_bytes(RED)
        for name, content in HOMES[agent].items():
            file = self.home / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content if isinstance(content, str) else json.dumps(content, indent=2))
        model = 'model = "sim-echo"'
        text = config_text(upstream.url, "sim-echo").replace(model, f"{model}\n{FACTS}")
        (self.modelbay / "config.toml").write_text(text)

    def without_facts(self) -> None:
        """Remove the facts about models, which are unknown for most servers that a user adds by their URL."""
        config = self.modelbay / "config.toml"
        config.write_text(config.read_text().replace(f"{FACTS}\n", ""))

    def launch(
        self, model: str, *options: str, task: tuple[str, ...] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        names = {"NOTE": str(self.note), "PHOTO": str(self.photo)}
        arguments = [re.sub("NOTE|PHOTO", lambda found: names[found[0]], word) for word in task or TASKS[self.agent]]
        own = {"HOME": str(self.home), "MODELBAY_HOME": str(self.modelbay), "TERM": "dumb", "NO_PROXY": "127.0.0.1"}
        return subprocess.run(
            [sys.executable, "-m", "modelbay", "launch", self.agent, "-m", model, *options, "--", *arguments],
            cwd=self.project,
            env=ALONE | ALSO_ALONE | own | {"PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=SECONDS,
            check=False,
        )

    def hashes(self) -> dict[str, str]:
        """The content of each file that the user had."""
        return {name: sha256((self.home / name).read_bytes()).hexdigest() for name in HOMES[self.agent]}

    def files_with(self, secret: str) -> list[str]:
        """The user's files that contain a secret."""
        files = [path for path in self.home.rglob("*") if path.is_file() and not path.is_symlink()]
        return [str(path) for path in files if secret.encode() in path.read_bytes()]


@pytest.fixture
def room(request: pytest.FixtureRequest, simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> AgentRoom:
    command = programs()[request.param].command
    needs(command)
    # the simulator calls tools whose names are in the prompt, and the name of this test would be
    return AgentRoom(tmp_path_factory.mktemp("room"), request.param, simulator)


def has_done_the_task(room: AgentRoom, done: "subprocess.CompletedProcess[str]") -> None:
    assert done.returncode == 0, done.stdout
    assert (ANSWERED if room.agent in WITHOUT_TOOLS else DONE).search(done.stdout), done.stdout


@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize("room", programs(), indirect=True)
def test_a_launched_agent_does_a_task_and_leaves_the_files_of_the_user_alone(room: AgentRoom, upstream: str) -> None:
    before = room.hashes()
    done = room.launch(upstream, "--gateway")
    has_done_the_task(room, done)
    assert room.hashes() == before
    assert not room.files_with((room.modelbay / "gateway" / "local-key").read_text().strip())
    assert not list((room.modelbay / "launches").glob("*.launch"))


@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize("room", programs(), indirect=True)
def test_a_launched_agent_does_a_task_with_a_model_about_which_nothing_is_known(room: AgentRoom, upstream: str) -> None:
    room.without_facts()
    has_done_the_task(room, room.launch(upstream))


@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize("room", RESUMED, indirect=True)
def test_a_launched_agent_continues_its_session_with_a_model_of_another_protocol(
    room: AgentRoom, simulator: Simulator, upstream: str
) -> None:
    has_done_the_task(room, room.launch(upstream, "--gateway"))
    simulator.journal.clear()
    done = room.launch(PROTOCOLS[PROTOCOLS.index(upstream) - 1], "--gateway", task=RESUMED[room.agent])
    assert done.returncode == 0, done.stdout
    answered = [entry for entry in simulator.journal.calls() if entry.status == 200]
    continued = [entry for entry in answered if "And now" in str(entry.body) and str(room.note) in str(entry.body)]
    assert continued, done.stdout
    assert {entry.protocol for entry in continued} == {PROTOCOLS[PROTOCOLS.index(upstream) - 1]}, done.stdout


@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize("room", WITH_EFFORT, indirect=True)
def test_a_launched_agent_sends_the_effort_of_the_model(room: AgentRoom, simulator: Simulator, upstream: str) -> None:
    """As an effort or a budget, in the requests of the task. Titles may have none."""
    if (room.agent, upstream) in WITHOUT_EFFORT:
        pytest.skip(f"{room.agent} ignores an effort of {upstream}")
    config = room.modelbay / "config.toml"
    config.write_text(config.read_text().replace(FACTS, f'{FACTS}\ndefault_effort = "low"'))
    simulator.journal.clear()
    has_done_the_task(room, room.launch(upstream, "--gateway"))
    asked = [entry.parsed.settings for entry in simulator.journal.calls() if entry.parsed and entry.status == 200]
    reasoning = [one.reasoning for one in asked if (one.tools or room.agent in WITHOUT_TOOLS) and one.reasoning]
    assert reasoning
    assert all(one.effort == "low" or one.budget for one in reasoning), reasoning


@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize("room", SEEN, indirect=True)
def test_a_launched_agent_sends_an_image(room: AgentRoom, upstream: str) -> None:
    done = room.launch(upstream, "--gateway", task=SEEN[room.agent])
    assert done.returncode == 0, done.stdout
    assert "I see one image (" in done.stdout, done.stdout


@pytest.mark.parametrize("room", DIRECT, indirect=True)
def test_a_launched_agent_calls_a_provider_of_its_protocol_directly(room: AgentRoom) -> None:
    config = room.modelbay / "config.toml"
    config.write_text(
        config.read_text().replace("64000", "32000")
    )  # the limit of the simulator; Droid asks for all of it
    before = room.hashes()
    done = room.launch(programs()[room.agent].protocols[0], "--direct")
    has_done_the_task(room, done)
    assert room.hashes() == before
    assert not room.files_with("sk-provider")
    assert not (room.modelbay / "gateway").exists()


def test_every_agent_has_a_task_and_a_home() -> None:
    assert set(TASKS) == set(HOMES) == set(programs())
