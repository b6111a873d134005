"""Runs real agents with an exported configuration: each reads its file and gets a response from the simulator.

Skipped if an agent is not on the PATH. `make agents` installs the latest version of each agent and runs these tests. They use a
separate home folder, connect only to this machine, and have a time limit.
"""

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from urllib.request import Request, urlopen

import pytest

from modelbay.agents import NAMES, by_name
from modelbay.gateway.clients import ClientKeys
from modelbay.simulator import Simulator
from tests.agents.desk import Desk
from tests.agents.presence import needs
from tests.gateway.running import RunningGateway

KEY = "sk-agents-0123456789"
SECONDS = 100
ALONE = {
    "KIMI_DISABLE_TELEMETRY": "1",
    "KIMI_CODE_NO_AUTO_UPDATE": "1",
    "KILO_DISABLE_MODELS_FETCH": "1",
    "KILO_DISABLE_AUTOUPDATE": "1",
    "KILO_DISABLE_SHARE": "1",
    "KILO_DISABLE_SESSION_INGEST": "1",
    "KILO_TELEMETRY_LEVEL": "off",
    "KILO_API_URL": "http://127.0.0.1:9",
    "OPENCODE_DISABLE_MODELS_FETCH": "1",
    "OPENCODE_DISABLE_AUTOUPDATE": "1",
    "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_AUTOUPDATER": "1",
    "CLINE_NO_AUTO_UPDATE": "1",
    "CLINE_SESSION_BACKEND_MODE": "local",  # otherwise Cline starts a server that stays
    "FACTORY_AIRGAP_ENABLED": "true",
    "FACTORY_DISABLE_KEYRING": "1",
    "GEMINI_CLI_TRUST_WORKSPACE": "true",  # otherwise Gemini CLI does not read its file of variables
}
"""Environment variables that stop the agents from using the network."""
QUIET = ("-c", "analytics.enabled=false", "-c", "features.plugins=false", "-c", "features.apps=false")
PROVIDER = {
    "kimi": "chat",
    "kilo": "chat",
    "opencode": "responses",
    "codex": "responses",
    "claude": "claude",
    "ccr": "chat",
    "crush": "chat",
    "qwen": "chat",
    "gemini": "gemini",
    "continue": "chat",
    "cline": "chat",
    "droid": "claude",
}
COMMANDS = {"continue": "cn"}
"""The commands of agents whose name is not the name of their command."""
LISTS = {
    "kimi": ("kimi", "doctor"),
    "kilo": ("kilo", "models", "chat"),
    "opencode": ("opencode", "models", "responses"),
    "codex": ("codex", "features", "list"),
}
"""Commands that only read the configuration."""
ASKS = {
    "kimi": ("kimi", "-p", "Hello"),
    "kilo": ("kilo", "run", "--auto", "-m", "chat/sim", "Hello"),
    "opencode": ("opencode", "run", "-m", "responses/sim", "Hello"),
    "codex": ("codex", *QUIET, "exec", "--skip-git-repo-check", "Hello"),
    "claude": ("claude", "-p", "Hello"),
    "ccr": ("ccr", "start"),
    "crush": ("crush", "run", "-q", "Hello"),
    "qwen": ("qwen", "-p", "Hello"),
    "gemini": ("gemini", "-p", "Hello"),
    "cline": ("cline", "Hello there"),
    "continue": ("cn", "--config", "FILE", "--auto", "-p", "Hello"),
    "droid": ("droid", "exec", "Hello"),
}
SERVERS = {"ccr": 'PORT": %d, "LOG": false'}
"""Agents that are servers, and do not answer on a terminal: the settings of the port in their file."""
UPSTREAMS = ("chat", "responses", "claude", "gemini")
"""The providers behind the gateway, one of each protocol."""
THROUGH_GATEWAY = ASKS | {
    "kilo": ("kilo", "run", "--auto", "-m", "modelbay/ALIAS", "Hello"),
    "opencode": ("opencode", "run", "-m", "modelbay/ALIAS", "Hello"),
    # the simulator would call this tool in each agent that it starts
    "claude": ("claude", "-p", "--disallowedTools", "Agent", "--", "Hello"),
}
ANSWERS = re.compile(r"I am sim-echo, a simulated model|The tool \w+ (answered|failed)")
"""The simulator's responses. Some agents offer tools, which the simulator calls first."""
CONFIG = f"""\
[providers.chat]
type = "openai"
base_url = "SIM/v1"
api_key = "{KEY}"
custom_headers = {{ X-Team = "blue" }}

[providers.responses]
type = "openai_responses"
base_url = "SIM/v1"
api_key = "{{env:SIM_KEY}}"

[providers.claude]
type = "anthropic"
base_url = "SIM"
api_key = "{{env:SIM_KEY}}"

[providers.gemini]
type = "google-genai"
base_url = "SIM"
api_key = "{{env:SIM_KEY}}"

[models."chat/sim"]
provider = "chat"
model = "sim-echo"
max_context_size = 128000
max_output_size = 4096
cost = {{ input = 1.5, output = 2 }}
modalities = {{ input = ["text", "image"], output = ["text"] }}

[models."responses/sim"]
provider = "responses"
model = "sim-echo"
capabilities = ["thinking"]

[models."claude/sim"]
provider = "claude"
model = "sim-echo"
aliases = ["opus"]
max_output_size = 4096

[models."gemini/sim"]
provider = "gemini"
model = "sim-echo"
"""


def export(desk: Desk, name: str, *arguments: str) -> None:
    """Exports to an agent's file, by hand if modelbay does not change it."""
    agent = by_name(name)
    if agent.changes_file:
        desk.done("configure", name, *arguments)
    else:
        file = agent.files()[-1]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(desk.done("export", name, *arguments))
    if name == "gemini":  # as the export says
        desk.write(".gemini/settings.json", '{"security": {"auth": {"selectedType": "gemini-api-key"}}}')


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(key=KEY) as running:
        yield running


@pytest.fixture
def exported(desk: Desk, simulator: Simulator, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of an agent with an exported provider."""
    name: str = request.param
    monkeypatch.setenv("SIM_KEY", KEY)
    needs(COMMANDS.get(name, name))
    desk.file.write_text(CONFIG.replace("SIM/", f"{simulator.url}/").replace('"SIM"', f'"{simulator.url}"'))
    export(desk, name, PROVIDER[name], "--keys")
    return name


@pytest.fixture
def keyless_agent(desk: Desk, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of an agent with an exported provider that needs no key."""
    name: str = request.param
    needs(COMMANDS.get(name, name))
    with Simulator() as here:
        text = CONFIG.replace("SIM/", f"{here.url}/").replace('"SIM"', f'"{here.url}"')
        desk.file.write_text("\n".join(line for line in text.splitlines() if not line.startswith("api_key")))
        export(desk, name, PROVIDER[name])
        yield name


@pytest.fixture
def through_gateway(
    desk: Desk, simulator: Simulator, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, str]]:
    """The name of an agent with the exported gateway, whose default model has one of the providers; and its alias."""
    name, upstream = request.param
    needs(COMMANDS.get(name, name))
    monkeypatch.setenv("SIM_KEY", KEY)
    text = CONFIG.replace("SIM/", f"{simulator.url}/").replace('"SIM"', f'"{simulator.url}"')
    desk.file.write_text(f'default_model = "{upstream}/sim"\n{text}')
    with RunningGateway(desk.file, clients=ClientKeys()) as gateway:
        port = gateway.url.rpartition(":")[2]
        desk.file.write_text(f"{desk.file.read_text()}\n[gateway]\nport = {port}\n")
        export(desk, name, "--gateway", "--keys")
        yield name, f"{upstream}/sim"


def answer(desk: Desk, name: str, command: tuple[str, ...]) -> str:
    """The response of an agent to "Hello"."""
    return answer_of_server(desk, name, command) if name in SERVERS else run(desk, command)


def answer_of_server(desk: Desk, name: str, command: tuple[str, ...]) -> str:
    """The response of a server to a message in Anthropic's protocol."""
    file = by_name(name).files()[-1]
    port = free_port()
    text = file.read_text()
    file.write_text(text.replace("{", f'{{"{SERVERS[name] % port}, ', 1))
    body = {"model": "any", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]}
    with subprocess.Popen(
        command, cwd=desk.project, env=environment(desk), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as server:
        try:
            wait_for_port(port, server)
            url = f"http://127.0.0.1:{port}/v1/messages"
            asked = Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
            with urlopen(asked, timeout=SECONDS) as reply:
                said: bytes = reply.read()
        finally:
            server.kill()
            file.write_text(text)
    return said.decode()


def wait_for_port(port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait until a server accepts connections."""
    end = time.monotonic() + SECONDS
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=SECONDS):
                return
        except OSError:
            assert server.poll() is None and time.monotonic() < end, "it does not listen"
            time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port


def environment(desk: Desk) -> dict[str, str]:
    return ALONE | {"PATH": os.environ["PATH"], "HOME": str(desk.user), "SIM_KEY": KEY, "TERM": "dumb"}


def run(desk: Desk, command: tuple[str, ...]) -> str:
    """The output of a command, then its errors: in one pipe, a warning could be in the middle of an answer."""
    done = subprocess.run(
        [str(desk.user / ".continue" / "config.yaml") if word == "FILE" else word for word in command],
        cwd=desk.project,
        env=environment(desk),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
        check=False,
    )
    said = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, said
    return said


@pytest.mark.parametrize("exported", LISTS, indirect=True)
def test_the_agent_reads_its_file(desk: Desk, exported: str):
    said = run(desk, LISTS[exported])
    expected = {
        "kimi": "All checked config files are valid",
        "kilo": "chat/sim",
        "opencode": "responses/sim",
        "codex": "stable",
    }
    assert expected[exported] in said


@pytest.mark.parametrize("exported", NAMES, indirect=True)
def test_the_agent_gets_an_answer(desk: Desk, exported: str):
    said = answer(desk, exported, ASKS[exported])
    assert ANSWERS.search(said), said


@pytest.mark.parametrize("keyless_agent", NAMES, indirect=True)
def test_the_agent_gets_an_answer_without_a_key(desk: Desk, keyless_agent: str):
    said = answer(desk, keyless_agent, ASKS[keyless_agent])
    assert ANSWERS.search(said), said


@pytest.mark.parametrize(
    "through_gateway",
    [(name, upstream) for name in NAMES for upstream in UPSTREAMS],
    ids="-".join,
    indirect=True,
)
def test_the_agent_gets_an_answer_through_the_gateway(desk: Desk, through_gateway: tuple[str, str]):
    name, alias = through_gateway
    said = answer(desk, name, tuple(word.replace("ALIAS", alias) for word in THROUGH_GATEWAY[name]))
    assert ANSWERS.search(said), said
    assert "Model metadata for" not in said, "Codex does not know the model"
