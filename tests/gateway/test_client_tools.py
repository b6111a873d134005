"""Anthropic's tools that the client runs, with models of all protocols: calls have the form that Anthropic's models write."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from modelbay.simulator import Simulator
from tests.gateway.running import PROTOCOLS, RunningGateway, running
from tests.gateway.test_app import call

TOOLS = [
    {"type": "bash_20250124", "name": "bash"},
    {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
    {"type": "memory_20250818", "name": "memory"},
]
Running = tuple[RunningGateway, Simulator]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("gateway"), key="sk-provider", settings="strict = true") as found:
        yield found


async def ask(gateway: Running, model: str, messages: list[Any], *, stream: bool) -> list[dict[str, Any]]:
    """The blocks of the answer."""
    body = {"model": model, "max_tokens": 1000, "messages": messages, "tools": TOOLS, "stream": stream}
    status, _, data = await call(gateway[0].url, "/v1/messages", body, **{"anthropic-version": "2023-06-01"})
    assert status == 200, data
    if not stream:
        found: list[dict[str, Any]] = json.loads(data)["content"]
        return found
    blocks: list[dict[str, Any]] = []
    for event in (json.loads(line[6:]) for line in data.splitlines() if line.startswith(b"data: {")):
        if event["type"] == "content_block_start":
            blocks.append({**event["content_block"], "pieces": ""})
        elif event["type"] == "content_block_delta":
            blocks[-1]["pieces"] += event["delta"].get("partial_json", "")
            blocks[-1]["text"] = blocks[-1].get("text", "") + event["delta"].get("text", "")
    for block in blocks:
        if (pieces := block.pop("pieces")) and block["type"] == "tool_use":
            block["input"] = json.loads(pieces)
    return blocks


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("model", PROTOCOLS)
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("bash", {"command": "ls"}),
        ("str_replace_based_edit_tool", {"command": "view", "path": "/a.py"}),
        ("memory", {"command": "view", "path": "/memories"}),
    ],
)
async def test_a_client_runs_its_tools_for_every_model(
    gateway: Running, model: str, name: str, arguments: dict[str, Any], stream: bool
) -> None:
    messages: list[Any] = [{"role": "user", "content": "Look"}]
    gateway[1].provider.script.add().call(name, arguments)
    [used] = [block for block in await ask(gateway, model, messages, stream=stream) if block["type"] == "tool_use"]
    assert (used["name"], used["input"]) == (name, arguments)
    used = {key: used[key] for key in ("type", "id", "name", "input")}
    result = {"type": "tool_result", "tool_use_id": used["id"], "content": "a.py"}
    messages += [{"role": "assistant", "content": [used]}, {"role": "user", "content": [result]}]
    answer = await ask(gateway, model, messages, stream=stream)
    assert f"The tool {name} answered: a.py." in json.dumps(answer)


ODD = {
    "type": "object",
    "oneOf": [{"properties": {"city": {"type": "string"}}, "required": ["city"]}, {"properties": {}}],
}


async def test_a_tool_that_the_provider_refuses_is_sent_in_a_simpler_form_to_a_provider_of_the_clients_protocol(
    gateway: Running,
) -> None:
    """Kimi Code sends the tools of MCP servers as they are. Other agents leave `oneOf` at the root of a schema out."""
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": ODD}}
    body = {
        "model": "openai_chat",
        "messages": [{"role": "user", "content": "Call get_weather in `Rome`"}],
        "tools": [tool],
    }
    gateway[1].journal.clear()
    for _ in range(2):
        status, _, data = await call(gateway[0].url, "/v1/chat/completions", body)
        assert status == 200, data
        assert json.loads(data)["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "get_weather"
    assert [entry.status for entry in gateway[1].journal.calls()] == [400, 200, 200], "the lesson is remembered"


async def test_the_signature_of_a_call_is_not_given_to_another_call_of_the_same_tool(gateway: Running) -> None:
    """Coding agents read several files at once, and Gemini signs only the first call."""
    asked = {"role": "user", "content": "Call get_weather in parallel"}
    body: dict[str, Any] = {
        "model": "google",
        "max_tokens": 4000,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "messages": [asked],
        "tools": [
            {"name": "get_weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
        ],
    }
    version = {"anthropic-version": "2023-06-01"}
    status, _, data = await call(gateway[0].url, "/v1/messages", body, **version)
    assert status == 200, data
    blocks = json.loads(data)["content"]
    ids = [block["id"] for block in blocks if block["type"] == "tool_use"]
    assert len(ids) == 2
    results = [{"type": "tool_result", "tool_use_id": id, "content": "sunny"} for id in ids]
    body["messages"] = [asked, {"role": "assistant", "content": blocks}, {"role": "user", "content": results}]
    gateway[1].journal.clear()
    status, _, data = await call(gateway[0].url, "/v1/messages", body, **version)
    [sent] = gateway[1].journal.calls()
    assert (status, sent.status) == (200, 200), data
    contents: Any = sent.json
    signed = ["thoughtSignature" in part for part in contents["contents"][1]["parts"] if "functionCall" in part]
    assert signed == [True, False]
