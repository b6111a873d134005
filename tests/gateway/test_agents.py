"""Real coding agents through the gateway: each does a task that needs a tool, with models of all four protocols behind it.

Skipped if an agent is not on the PATH. `make agents` installs the latest version of each agent and runs these tests. They use a
separate home folder, connect only to this machine, and have a time limit.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelbay.simulator import Simulator
from tests.agents.test_accepted import ALONE, QUIET
from tests.gateway.running import KEY, PROTOCOLS, RunningGateway, running

SECONDS = 110
DONE = re.compile(r"The tool \w+ (?:answered|failed)|swordfish-4711")
"""The simulator's answer after the agent has run a tool. Some agents put other paths into the prompt, which it may choose."""
LONG = "latest_tides_of_one_of_the_many_small_harbours_along_this_coast_by_hour"
"""With the name of its server before it, it has more characters than OpenAI accepts."""
MCP_SERVER = """
import json, sys

TOOLS = {"tools": [{"name": "LONG", "description": "Tides.", "inputSchema": {"type": "object", "properties": {}}}]}
for line in sys.stdin:
    message = json.loads(line)
    match message["method"]:
        case "initialize":
            result = {"capabilities": {"tools": {}}, "serverInfo": {"name": "sea", "version": "1"}}
            result["protocolVersion"] = message["params"]["protocolVersion"]
        case "tools/list":
            result = TOOLS
        case "tools/call":
            result = {"content": [{"type": "text", "text": "The tide is high."}]}
        case _:
            result = {}
    if "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
""".replace("LONG", LONG)
Running = tuple[RunningGateway, Simulator]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Models that always think and refuse calls without their thinking."""
    with running(tmp_path_factory.mktemp("gateway"), model="sim-echo", key="sk-provider") as found:
        yield found


class Room:
    """A home and a project folder with a file."""

    def __init__(self, folder: Path, url: str, model: str) -> None:
        self.home, self.project = folder / "home", folder / "project"
        self.home.mkdir()
        self.project.mkdir()
        self.url, self.model = url, model
        self.note = self.project / "note.txt"
        self.note.write_text("The password is swordfish-4711.")
        self.task = f"Read the file {self.note}"
        self.environment: dict[str, str] = {}

    def write(self, path: str, text: str | dict[str, object]) -> None:
        file = self.home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text if isinstance(text, str) else json.dumps(text))


def claude(room: Room) -> list[str]:
    room.environment |= {
        "ANTHROPIC_BASE_URL": room.url,
        "ANTHROPIC_AUTH_TOKEN": KEY,
        "ANTHROPIC_MODEL": room.model,
        "ANTHROPIC_SMALL_FAST_MODEL": room.model,
    }
    return ["claude", "-p", room.task, "--allowedTools", "Read"]


def codex(room: Room) -> list[str]:
    room.environment |= {"GATEWAY_KEY": KEY}
    room.write(
        ".codex/config.toml",
        f'model = "{room.model}"\nmodel_provider = "gateway"\napproval_policy = "never"\nsandbox_mode = "danger-full-access"\n'
        f'[model_providers.gateway]\nname = "Gateway"\nbase_url = "{room.url}/v1"\nenv_key = "GATEWAY_KEY"\n'
        'wire_api = "responses"\n',
    )
    return ["codex", *QUIET, "exec", "--skip-git-repo-check", f"Run the shell command `cat {room.note}`"]


def _opencode_family(room: Room, folder: str, file: str, package: str, base: str) -> None:
    models = {room.model: {"name": room.model, "tool_call": True, "limit": {"context": 128_000, "output": 8_192}}}
    provider = {"npm": package, "name": "Gateway", "options": {"baseURL": base, "apiKey": KEY}, "models": models}
    content = {"provider": {"gw": provider}, "model": f"gw/{room.model}", "autoupdate": False, "share": "disabled"}
    room.write(f".config/{folder}/{file}", content | {"small_model": f"gw/{room.model}", "permission": "allow"})


def opencode(room: Room) -> list[str]:
    _opencode_family(room, "opencode", "opencode.json", "@ai-sdk/openai", f"{room.url}/v1")
    return ["opencode", "run", "-m", f"gw/{room.model}", *room.task.split()]  # it quotes an argument with spaces


def kilo(room: Room) -> list[str]:
    _opencode_family(room, "kilo", "kilo.json", "@ai-sdk/openai-compatible", f"{room.url}/v1")
    return ["kilo", "run", "--auto", "-m", f"gw/{room.model}", *room.task.split()]


def kimi(room: Room) -> list[str]:
    room.environment |= {"KIMI_CODE_HOME": str(room.home / ".kimi-code")}
    room.write(
        ".kimi-code/config.toml",
        f'default_model = "gw/m"\ntelemetry = false\n[providers.gw]\ntype = "anthropic"\nbase_url = "{room.url}"\n'
        f'api_key = "{KEY}"\n[models."gw/m"]\nprovider = "gw"\nmodel = "{room.model}"\nmax_context_size = 128000\n'
        "max_output_size = 8192\n"  # without it, Kimi Code asks for the whole context
        'capabilities = ["tool_use", "thinking"]\n',
    )
    return ["kimi", "-p", room.task]


def gemini(room: Room) -> list[str]:
    room.environment |= {"GEMINI_API_KEY": KEY, "GOOGLE_GEMINI_BASE_URL": room.url}
    room.write(
        ".gemini/settings.json",
        {"security": {"auth": {"selectedType": "gemini-api-key"}}, "privacy": {"usageStatisticsEnabled": False}},
    )
    return ["gemini", "-m", room.model, "--yolo", "--skip-trust", "-p", room.task]


def qwen(room: Room) -> list[str]:
    room.environment |= {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{room.url}/v1", "OPENAI_MODEL": room.model}
    room.write(
        ".qwen/settings.json",
        {"security": {"auth": {"selectedType": "openai"}}, "privacy": {"usageStatisticsEnabled": False}},
    )
    return ["qwen", "-m", room.model, "--auth-type", "openai", "--yolo", "-p", room.task]


AGENTS: dict[str, Callable[[Room], list[str]]] = {
    "claude": claude,
    "codex": codex,
    "gemini": gemini,
    "kilo": kilo,
    "kimi": kimi,
    "opencode": opencode,
    "qwen": qwen,
}
"""Each agent with a function that configures it for the gateway and returns its command."""


def ran(room: Room, command: list[str]) -> str:
    """The output of an agent that succeeds."""
    path = {"PATH": os.environ["PATH"], "HOME": str(room.home), "TERM": "dumb", "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        command,
        cwd=room.project,
        env=ALONE | path | room.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def check_installed(agent: str) -> None:
    if shutil.which(agent) is None:
        pytest.skip(f"{agent} is not installed; `make agents` installs it and runs this test")


@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize("agent", AGENTS)
def test_the_agent_does_a_task_with_a_tool(
    gateway: Running, agent: str, upstream: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    check_installed(agent)
    # the simulator calls tools whose names are in the prompt, and the name of this test would be
    room = Room(tmp_path_factory.mktemp("room"), gateway[0].url, upstream)
    output = ran(room, AGENTS[agent](room))
    assert DONE.search(output), output


@pytest.mark.parametrize(("agent", "upstream"), [("opencode", "openai_responses"), ("kilo", "openai_chat")])
def test_the_agent_calls_a_tool_whose_name_is_too_long_for_a_provider_of_its_protocol(
    gateway: Running, agent: str, upstream: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    check_installed(agent)
    room = Room(tmp_path_factory.mktemp("room"), gateway[0].url, upstream)
    room.task = f"Call {LONG}"
    command = AGENTS[agent](room)
    room.write("server.py", MCP_SERVER)
    (file,) = room.home.glob(f".config/{agent}/*.json")
    server = {"type": "local", "command": [sys.executable, str(room.home / "server.py")], "enabled": True}
    file.write_text(json.dumps(json.loads(file.read_text()) | {"mcp": {"sea": server}}))
    assert "The tide is high." in ran(room, command)
