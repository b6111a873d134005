"""Codex through the gateway: its tools with models of all protocols.

Tests with the real program are skipped if it is not on the PATH. `make agents` installs the newest version and an older one.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelbay.simulator import Simulator
from tests.agents.test_accepted import ALONE, QUIET
from tests.gateway import mcp_server
from tests.gateway.running import KEY, PROTOCOLS, RunningGateway, running
from tests.gateway.test_app import call

SECONDS = 110
PATCH = "*** Begin Patch\n*** Add File: notes/hello.txt\n+Hello, {name} é\n+\\d+\n*** End Patch"
ASK = f"Use apply_patch with `{PATCH}`"
APPLY_PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edits files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: /(.|\\n)+/"},
}
GET_TIDE = {
    "type": "function", "name": "get_tide", "description": "The tide.", "defer_loading": True,
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}  # fmt: skip
TOOL_SEARCH = {
    "type": "tool_search", "execution": "client", "description": "Finds tools.",
    "parameters": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
}  # fmt: skip
THINKER = """
[models.thinker]
provider = "openai_chat"
model = "sim-1"
max_context_size = 100000
capabilities = ["thinking", "tool_use"]
support_efforts = ["low", "max"]
default_effort = "max"
"""
PROGRAMS = {"codex": "0.171.0", "codex-0.144.5": "0.144.5"}
"""The newest Codex that was tried, and one with another schema for lists of models. Its command has its version."""
Running = tuple[RunningGateway, Simulator]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Models that always think and refuse calls without their thinking, and one whose facts are configured."""
    with running(tmp_path_factory.mktemp("gateway"), model="sim-echo", key="sk-provider", more=THINKER) as found:
        yield found


async def ask(
    gateway: Running, model: str, items: list[Any], *, stream: bool, tools: Any = (APPLY_PATCH,)
) -> list[dict[str, Any]]:
    """The events of a reply; for a whole reply, the response as the only one."""
    body = {
        "model": model, "input": items, "tools": [*tools], "stream": stream, "store": False,
        "include": ["reasoning.encrypted_content"], "prompt_cache_key": "thread-1", "client_metadata": {"thread_id": "1"},
        "tool_choice": "auto", "parallel_tool_calls": True, "reasoning": {"summary": "auto"},
    }  # fmt: skip
    status, _, data = await call(gateway[0].url, "/v1/responses", body)
    assert status == 200, data
    if not stream:
        return [{"type": "response.completed", "response": json.loads(data)}]
    return [json.loads(line[6:]) for line in data.splitlines() if line.startswith(b"data: {")]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("upstream", PROTOCOLS)
async def test_a_freeform_tool_is_called_with_text_and_its_result_is_understood(
    gateway: Running, upstream: str, stream: bool
) -> None:
    items: list[Any] = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": ASK}]}]
    events = await ask(gateway, upstream, items, stream=stream)
    output = events[-1]["response"]["output"]
    assert (output[-1]["type"], output[-1]["name"], output[-1]["input"]) == ("custom_tool_call", "apply_patch", PATCH)
    if stream:
        deltas = [event["delta"] for event in events if event["type"] == "response.custom_tool_call_input.delta"]
        assert "".join(deltas) == PATCH
        assert len(deltas) > 3 or upstream == "google"  # which sends the arguments of a call in one piece
        assert [event["input"] for event in events if event["type"] == "response.custom_tool_call_input.done"] == [
            PATCH
        ]
    sent = gateway[1].journal.last.body.decode()
    assert '"custom"' not in sent
    result = {"type": "custom_tool_call_output", "call_id": output[-1]["call_id"], "output": "Success"}
    events = await ask(gateway, upstream, [*items, *output, result], stream=stream)
    assert "The tool apply_patch answered: Success." in json.dumps(events[-1]["response"]["output"])


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("upstream", PROTOCOLS)
async def test_a_search_for_tools_finds_a_tool_that_is_then_called(
    gateway: Running, upstream: str, stream: bool
) -> None:
    def prompt(text: str) -> dict[str, Any]:
        return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}

    items: list[Any] = [prompt('Use tool_search for "tide"')]
    output = (await ask(gateway, upstream, items, stream=stream, tools=[TOOL_SEARCH]))[-1]["response"]["output"]
    search = output[-1]
    assert (search["type"], search["execution"], search["arguments"]) == (
        "tool_search_call",
        "client",
        {"query": "tide"},
    )
    found = {
        "type": "tool_search_output", "call_id": search["call_id"], "status": "completed", "execution": "client",
        "tools": [{"type": "namespace", "name": "mcp__harbour", "description": "Tides.", "tools": [GET_TIDE]}],
    }  # fmt: skip
    items += [*output, found]
    output = (await ask(gateway, upstream, items, stream=stream, tools=[TOOL_SEARCH]))[-1]["response"]["output"]
    assert "These tools can be called from now on: mcp__harbour__get_tide" in json.dumps(output)
    items += [*output, prompt('Ask get_tide about "Brest"')]
    output = (await ask(gateway, upstream, items, stream=stream, tools=[TOOL_SEARCH]))[-1]["response"]["output"]
    call = output[-1]
    assert (call["type"], call["name"], call["namespace"]) == ("function_call", "get_tide", "mcp__harbour")


@pytest.mark.parametrize(("version", "levels"), [("0.171.0", ["low", "high", "max"]), ("0.130.0", ["low", "high"])])
async def test_each_version_gets_a_list_that_it_can_read(tmp_path: Path, version: str, levels: list[str]) -> None:
    more = '\n[models.deep]\nprovider = "anthropic"\nmodel = "m"\nsupport_efforts = ["low", "high", "max"]\n'
    with running(tmp_path, more=more) as (served, _):
        _, _, body = await call(served.url, f"/v1/models?client_version={version}", None, method="GET")
    [deep] = [model for model in json.loads(body)["models"] if model["slug"] == "deep"]
    assert [level["effort"] for level in deep["supported_reasoning_levels"]] == levels


async def test_a_reply_says_when_the_list_of_models_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Codex reads the list again if the header of a reply differs from that of the list."""
    monkeypatch.setattr("modelbay.gateway.gateway.LOOK", 0.02)

    async def tag_of(path: str, header: str, body: Any = None) -> str | None:
        status, headers, _ = await call(served.url, path, body, method="POST" if body else "GET")
        assert status == 200
        return headers.get(header)

    async def tag_of_reply(path: str = "/v1/responses", turns: str = "input") -> str | None:
        return await tag_of(path, "x-models-etag", {"model": "anthropic", turns: [{"role": "user", "content": "Hi"}]})

    with running(tmp_path) as (served, _):
        assert await tag_of_reply() is None  # no client reads the list
        first = await tag_of("/v1/models?client_version=0.171.0", "etag")
        assert first and first.startswith('"')
        assert await tag_of("/v1/models?client_version=0.130.0", "etag") == first
        assert await tag_of_reply() == first
        assert await tag_of_reply("/v1/chat/completions", "messages") is None
        assert await tag_of("/v1/models", "etag") is None
        text = served.config.read_text("utf-8")
        served.config.write_text(text.replace("[models.google]", "[models.google]\nmax_context_size = 9000"), "utf-8")
        while (second := await tag_of_reply()) in (first, None):  # until the file is read
            await asyncio.sleep(0.02)
        assert await tag_of("/v1/models?client_version=0.171.0", "etag") == second


async def test_after_a_change_of_the_list_all_workers_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Codex may have read the list from another worker than the one that replies."""
    monkeypatch.setattr("modelbay.gateway.gateway.LOOK", 0.02)
    with running(tmp_path) as (served, _):
        text = served.config.read_text("utf-8")
        served.config.write_text(text.replace("[models.google]", "[models.google]\nmax_context_size = 9000"), "utf-8")
        body = {"model": "anthropic", "input": [{"role": "user", "content": "Hi"}]}
        while (tag := (await call(served.url, "/v1/responses", body))[1].get("x-models-etag")) is None:
            await asyncio.sleep(0.02)
        _, headers, _ = await call(served.url, "/v1/models?client_version=0.171.0", None, method="GET")
        assert headers.get("etag") == tag


# --- the program -------------------------------------------------------------------------------------------------------


class Room:
    """A home for Codex and a project, with a gateway as its provider."""

    def __init__(self, folder: Path, program: str, url: str, model: str) -> None:
        self.home, self.project = folder / "home", folder / "project"
        self.project.mkdir(parents=True)
        self._program = program
        self.catalog = self.home / ".codex" / "models.json"
        self.catalog.parent.mkdir(parents=True)
        self.settings = self.catalog.parent / "config.toml"
        self.settings.write_text(
            f'model = "{model}"\nmodel_provider = "gateway"\napproval_policy = "never"\n'
            f'sandbox_mode = "danger-full-access"\nmodel_catalog_json = "{self.catalog}"\n'
            f'[model_providers.gateway]\nname = "Gateway"\nbase_url = "{url}/v1"\nenv_key = "GATEWAY_KEY"\n'
            'wire_api = "responses"\nsupports_websockets = false\n'
            f'[mcp_servers.harbour]\ncommand = "{sys.executable}"\nargs = ["{mcp_server.__file__}"]\n'
        )

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [self._program, *QUIET, *arguments],
            cwd=self.project,
            env=ALONE
            | {"PATH": os.environ["PATH"], "HOME": str(self.home), "TERM": "dumb", "NO_PROXY": "127.0.0.1"}
            | {"GATEWAY_KEY": KEY, "CODEX_API_KEY": KEY},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed; `make agents` installs it and runs this test")
    return name


@pytest.fixture
def catalog(gateway: Running, program: str) -> bytes:
    """The gateway's list of models for this version."""
    path = f"/v1/models?client_version={PROGRAMS[program]}"
    return asyncio.run(call(gateway[0].url, path, method="GET"))[2]


def test_the_list_has_the_fields_of_the_list_in_the_program(
    program: str, catalog: bytes, gateway: Running, tmp_path: Path
) -> None:
    room = Room(tmp_path, program, gateway[0].url, "anthropic")
    room.catalog.write_bytes(catalog)
    built_in = json.loads(room.run("debug", "models", "--bundled"))["models"]
    for model in json.loads(catalog)["models"]:
        assert {name for name in built_in[0] if all(name in one for one in built_in)} - model.keys() == set()
        for name, value in model.items():
            types = {type(one[name]) for one in built_in if name in one}
            assert not types or value is None or type(value) in types, name


def test_codex_reads_the_list(program: str, catalog: bytes, gateway: Running, tmp_path: Path) -> None:
    room = Room(tmp_path, program, gateway[0].url, "anthropic")
    room.catalog.write_bytes(catalog)
    read = {model["slug"]: model for model in json.loads(room.run("debug", "models"))["models"]}
    for model in json.loads(catalog)["models"]:
        found = read[model["slug"]]
        for name in ("context_window", "supported_reasoning_levels", "base_instructions", "apply_patch_tool_type"):
            assert found[name] == model[name]


def test_codex_uses_what_the_list_says(
    program: str, catalog: bytes, gateway: Running, tmp_path_factory: pytest.TempPathFactory
) -> None:
    room = Room(tmp_path_factory.mktemp("room"), program, gateway[0].url, "thinker")
    room.catalog.write_bytes(catalog)
    gateway[1].reset()
    room.run("exec", "--skip-git-repo-check", "Hello")
    sent = gateway[1].journal.last.json
    assert sent["reasoning_effort"] == "max"
    assert sent["messages"][0]["content"].startswith("You are a coding agent that works with the user in a folder")
    (session,) = (room.home / ".codex" / "sessions").rglob("*.jsonl")
    assert '"model_context_window":95000' in session.read_text()  # the 95 % that Codex uses


@pytest.mark.parametrize("upstream", PROTOCOLS)
def test_codex_changes_a_file_with_a_patch(
    gateway: Running, program: str, catalog: bytes, upstream: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # the simulator calls tools whose names are in the prompt, and the name of this test would be
    room = Room(tmp_path_factory.mktemp("room"), program, gateway[0].url, upstream)
    room.catalog.write_bytes(catalog)
    said = room.run("exec", "--skip-git-repo-check", ASK)
    assert (room.project / "notes" / "hello.txt").read_text("utf-8") == "Hello, {name} é\n\\d+\n"
    assert "The tool apply_patch answered: " in said


@pytest.mark.parametrize("upstream", PROTOCOLS)
def test_codex_calls_a_tool_of_an_mcp_server(
    gateway: Running, program: str, catalog: bytes, upstream: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    room = Room(tmp_path_factory.mktemp("room"), program, gateway[0].url, upstream)
    room.catalog.write_bytes(catalog)
    said = room.run("exec", "--skip-git-repo-check", 'Ask get_tide about "Brest"')
    assert "The tool mcp__harbour__get_tide answered: " in said and "high at Brest" in said


@pytest.mark.parametrize("upstream", PROTOCOLS)
def test_codex_searches_for_tools(
    gateway: Running, program: str, catalog: bytes, upstream: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As it does with models whose names it knows, even if other models have them."""
    room = Room(tmp_path_factory.mktemp("room"), program, gateway[0].url, upstream)
    models = [model | {"supports_search_tool": True} for model in json.loads(catalog)["models"]]
    room.catalog.write_text(json.dumps({"models": models}))
    gateway[1].reset()
    said = room.run("exec", "--skip-git-repo-check", 'Use tool_search for "tide"')
    assert "These tools can be called from now on: mcp__harbour__get_tide" in said
    assert b"mcp__harbour__get_tide" in gateway[1].journal.last.body


def test_codex_reads_the_list_by_its_url_once_in_a_session(
    gateway: Running, program: str, tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """It would read it again after each reply with another entity tag than that of the list."""
    if PROGRAMS[program] != PROGRAMS["codex"]:
        pytest.skip(f"{program} does not know `model_catalog_url`")
    room = Room(tmp_path_factory.mktemp("room"), program, gateway[0].url, "anthropic")
    text = room.settings.read_text()
    file, url = f'model_catalog_json = "{room.catalog}"\n', f'model_catalog_url = "{gateway[0].url}/v1/models"\n'
    room.settings.write_text(
        text.replace(file, "").replace('wire_api = "responses"\n', f'wire_api = "responses"\n{url}')
    )
    with caplog.at_level("INFO", logger="modelbay.access"):
        room.run("exec", "--skip-git-repo-check", ASK)
        asked = [line.split("path=")[1].split()[0] for line in (record.getMessage() for record in caplog.records)]
    assert asked == ["/v1/models", "/v1/responses", "/v1/responses"]
    assert (room.project / "notes" / "hello.txt").exists()


def test_codex_takes_the_gateway_for_openai(
    gateway: Running, program: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With `openai_base_url`, it tries a WebSocket once, and has long sessions compacted by the server."""
    room = Room(tmp_path, program, gateway[0].url, "openai_chat")
    room.settings.write_text(f'model = "openai_chat"\nopenai_base_url = "{gateway[0].url}/v1"\n')
    with caplog.at_level("INFO", logger="modelbay.access"):
        room.run("exec", "--skip-git-repo-check", "Hello")
        asked = [record.getMessage() for record in caplog.records]
    assert ["status=426" in line for line in asked] == [True, False], asked
    room.run("exec", "--skip-git-repo-check", "-c", "model_auto_compact_token_limit=5000", "resume", "--last", "Bye")
    bodies = [gateway[1].journal[index].body.decode() for index in (-2, -1)]
    assert "Summarize the conversation so far." in bodies[0]
    assert "Summary of the conversation so far" in bodies[1] and "Bye" in bodies[1]
