"""Tool loops of clients that remove all reasoning from their history, with models that refuse a loop without it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelbay.simulator import Simulator
from tests.faults.raw_server import Client, RawServer, reply
from tests.gateway.running import PROTOCOLS, RunningGateway, config_text, running_at_home
from tests.gateway.test_app import call

Running = tuple[RunningGateway, Simulator]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
QUESTION = "What is the weather in Paris?"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_at_home(tmp_path_factory.mktemp("gateway"), model="sim-echo") as found:
        yield found


async def answered(gateway: Running, path: str, body: dict[str, Any]) -> dict[str, Any]:
    status, _, data = await call(gateway[0].url, path, body)
    assert status == 200, data
    return json.loads(data)  # type: ignore[no-any-return]


@pytest.mark.parametrize("upstream", PROTOCOLS)
async def test_a_tool_loop_of_messages_goes_on_without_its_thinking(gateway: Running, upstream: str) -> None:
    tools = [{"name": "get_weather", "description": "Weather", "input_schema": SCHEMA}]
    messages: list[Any] = [{"role": "user", "content": f"{QUESTION} {upstream}"}]
    body = {"model": upstream, "max_tokens": 4000, "tools": tools, "messages": messages}
    body["thinking"] = {"type": "enabled", "budget_tokens": 2000}
    first = await answered(gateway, "/v1/messages", body)
    calls = [block for block in first["content"] if block["type"] == "tool_use"]
    assert calls
    messages.append({"role": "assistant", "content": calls})
    results = [{"type": "tool_result", "tool_use_id": one["id"], "content": "18 degrees"} for one in calls]
    messages.append({"role": "user", "content": results})
    second = await answered(gateway, "/v1/messages", body)
    assert "18 degrees" in second["content"][-1]["text"]


@pytest.mark.parametrize("upstream", PROTOCOLS)
async def test_a_tool_loop_of_chat_completions_goes_on_without_its_reasoning(gateway: Running, upstream: str) -> None:
    function = {"name": "get_weather", "description": "Weather", "parameters": SCHEMA}
    messages: list[Any] = [{"role": "user", "content": f"{QUESTION} {upstream}"}]
    body = {"model": upstream, "messages": messages, "tools": [{"type": "function", "function": function}]}
    first = await answered(gateway, "/v1/chat/completions", body)
    calls = [
        {key: one[key] for key in ("id", "type", "function")} for one in first["choices"][0]["message"]["tool_calls"]
    ]
    messages.append({"role": "assistant", "content": None, "tool_calls": calls})
    messages += [{"role": "tool", "tool_call_id": one["id"], "content": "18 degrees"} for one in calls]
    second = await answered(gateway, "/v1/chat/completions", body)
    assert "18 degrees" in second["choices"][0]["message"]["content"]


@pytest.mark.parametrize("reasons", [True, False], ids=["with reasoning", "without reasoning"])
@pytest.mark.parametrize("client", ["openai_chat", "anthropic", "google"])
async def test_the_phases_of_openai_s_messages_come_back_although_the_client_has_no_field_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: str, reasons: bool
) -> None:
    """Without the phase of its comments, a model may stop after the next one."""
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    bodies: list[dict[str, Any]] = []
    said = {"type": "output_text", "text": "Let me look.", "annotations": []}
    output: list[dict[str, Any]] = [
        {"id": "msg_1", "type": "message", "role": "assistant", "phase": "commentary", "content": [said]},
        {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": "{}"},
    ]
    if reasons:
        output.insert(0, {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "secret"})
    response = {"id": "resp_1", "object": "response", "status": "completed", "model": "gpt-5.4", "output": output}

    async def serve(provider: Client) -> None:
        bodies.append(json.loads((await provider.request()).body))
        await provider.send(reply(json.dumps(response).encode(), 200, "Content-Type: application/json"))

    async with RawServer(serve) as server:
        config = tmp_path / "config.toml"
        config.write_text(config_text(server.url, "gpt-5.4"))
        with RunningGateway(config) as gateway:
            path, first, later = LOOPS[client]
            for body in (first, later):
                status, _, data = await call(gateway.url, path, body)
                assert status == 200, data
    (message,) = (item for item in bodies[1]["input"] if item.get("type") == "message")
    assert message["phase"] == "commentary"
    assert "id" not in message, "the provider does not store it"


USED: dict[str, Any] = {"id": "call_1", "name": "get_weather"}
FUNCTION = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
CONTENT = [{"text": "Let me look."}, {"functionCall": {**USED, "args": {}}}]
RESULT = {"functionResponse": {**USED, "response": {"output": "Rain"}}}
ASKED = {"role": "user", "content": QUESTION}


def _loop(path: str, name: str, first: Any, *more: Any, **fields: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The path of a client's requests, its first one and the one after the calls."""
    return path, {**fields, name: [first]}, {**fields, name: [first, *more]}


LOOPS = {
    "openai_chat": _loop(
        "/v1/chat/completions",
        "messages",
        ASKED,
        {"role": "assistant", "content": "Let me look.", "tool_calls": [FUNCTION]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Rain"},
        model="openai_responses",
    ),
    "anthropic": _loop(
        "/v1/messages",
        "messages",
        ASKED,
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "Let me look."}, {"type": "tool_use", **USED, "input": {}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "Rain"}]},
        model="openai_responses",
        max_tokens=4000,
    ),
    "google": _loop(
        "/v1beta/models/openai_responses:generateContent",
        "contents",
        {"role": "user", "parts": [{"text": QUESTION}]},
        {"role": "model", "parts": CONTENT},
        {"role": "user", "parts": [RESULT]},
    ),
}
"""Requests of a client that sends back only texts and calls."""


@pytest.mark.parametrize("client", ["anthropic", "google"])
@pytest.mark.parametrize("upstream", PROTOCOLS)
async def test_tokens_are_counted_by_the_provider_or_estimated(gateway: Running, client: str, upstream: str) -> None:
    if client == "anthropic":
        path, body = (
            "/v1/messages/count_tokens",
            {"model": upstream, "messages": [{"role": "user", "content": QUESTION}]},
        )
    else:
        path, body = (
            f"/v1beta/models/{upstream}:countTokens",
            {"contents": [{"role": "user", "parts": [{"text": QUESTION}]}]},
        )
    status, headers, data = await call(gateway[0].url, path, body)
    assert status == 200
    found = json.loads(data)
    assert 3 <= found.get("input_tokens", found.get("totalTokens")) <= 20
    assert headers.get("x-modelbay-estimated") == ("true" if upstream == "openai_chat" else None)


@pytest.mark.parametrize(
    ("reasoning", "call_id"),
    [({}, {}), ({"id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]}, {"id": "fc_1"})],
    ids=["without ID", "not stored"],
)
async def test_reasoning_without_state_is_left_out_if_the_provider_cannot_know_it(
    gateway: Running, reasoning: dict[str, Any], call_id: dict[str, Any]
) -> None:
    call = {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": '{"city":"Paris"}'}
    items = [
        {"role": "user", "content": QUESTION},
        {"type": "reasoning", "summary": []} | reasoning,
        call | call_id,
        {"type": "function_call_output", "call_id": "call_1", "output": "18 degrees"},
    ]
    tools = [{"type": "function", "name": "get_weather", "parameters": SCHEMA}]
    body = {"model": "openai_responses", "input": items, "tools": tools, "store": False}
    found = await answered(gateway, "/v1/responses", body)
    assert "18 degrees" in json.dumps(found["output"])
    sent = gateway[1].journal.last.json["input"]
    assert [item.get("type", "message") for item in sent] == ["message", "function_call", "function_call_output"]
    assert "id" not in sent[1]
