"""Every provider type, through the Hub, against servers that are not ours, and against the simulator's strict checks."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from modelbay import Conversation, Hub, Reply, Text, Thinking, Tool, ToolResult, Turn, collect, user
from modelbay.simulator import Simulator
from tests.credentials.google_account import service_account
from tests.faults.raw_server import Client, RawServer
from tests.servers import SENTENCE, THOUGHT
from tests.servers.aimock import Aimock
from tests.servers.llamacpp import LlamaServer

WEATHER = Tool(
    name="get_weather",
    description="The weather in a city",
    schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
TYPES = ("openai", "openai_responses", "anthropic", "google-genai", "kimi", "azure", "vertexai")


@asynccontextmanager
async def hub_of(folder: Path, provider: str, model: str = "tiny") -> AsyncIterator[Hub]:
    path = folder / "config.toml"
    path.write_text(f"""
default_model = "m"
[providers.p]
{provider}
[models.m]
provider = "p"
model = "{model}"
max_context_size = 2000
capabilities = ["thinking"]
""")
    async with Hub.open(path) as hub:
        assert hub.config.problems == []
        yield hub


async def streamed(hub: Hub, prompt: str | Conversation, **ask: Any) -> Reply:
    reply = collect([event async for event in hub.stream(prompt, **ask)])
    assert reply.error is None
    return reply


@pytest.mark.parametrize("type", ["openai", "openai_responses", "anthropic"])
async def test_llama_cpp_answers_in_its_three_protocols(type: str, llamacpp: LlamaServer, tmp_path: Path) -> None:
    base = llamacpp.url if type == "anthropic" else llamacpp.openai
    async with hub_of(tmp_path, f'type = "{type}"\nbase_url = "{base}"') as hub:
        reply = await streamed(hub, "Hello", temperature=0)
        whole = await hub.complete("Hello", temperature=0)
    assert reply.text == whole.text == SENTENCE
    assert reply.finish is not None and reply.finish.reason == "stop"
    assert reply.usage is not None and reply.usage.output_total > 0


@pytest.mark.parametrize("type", ["openai", "openai_responses", "anthropic"])
async def test_llama_cpp_thinks_in_its_three_protocols(
    type: str, llamacpp_thinking: LlamaServer, tmp_path: Path
) -> None:
    base = llamacpp_thinking.url if type == "anthropic" else llamacpp_thinking.openai
    async with hub_of(tmp_path, f'type = "{type}"\nbase_url = "{base}"') as hub:
        reply = await streamed(hub, "Hello", temperature=0)
    assert THOUGHT in reply.thinking
    assert reply.text.strip() == SENTENCE


async def test_aimock_answers_as_gemini(aimock: Aimock, tmp_path: Path) -> None:
    async with hub_of(tmp_path, f'type = "google-genai"\napi_key = "k"\nbase_url = "{aimock.url}"') as hub:
        reply = await streamed(hub, "What is the weather?", tools=[WEATHER])
        text = await streamed(hub, "Hello")
    assert [(call.name, json.loads(call.arguments)) for call in reply.tool_calls] == [
        ("get_weather", {"city": "Paris"})
    ]
    assert text.text == "Hello from aimock."
    assert aimock.journal()[-1]["path"].startswith("/v1beta/models/tiny:streamGenerateContent")


@pytest.mark.parametrize("version", ['api_version = "2024-10-21"', ""])
async def test_aimock_answers_as_azure(version: str, aimock: Aimock, tmp_path: Path) -> None:
    provider = f'type = "azure"\napi_key = "k"\nbase_url = "{aimock.url}"\n{version}'
    async with hub_of(tmp_path, provider, "my-deployment") as hub:
        reply = await streamed(hub, "Hello", max_tokens=50)
    assert reply.text == "Hello from aimock."
    request = aimock.journal()[-1]
    assert request["path"].startswith(
        "/openai/deployments/my-deployment/chat/completions" if version else "/openai/v1/"
    )


async def test_aimock_answers_as_vertex_to_a_service_account(
    aimock: Aimock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def tokens(client: Client) -> None:
        await client.request()
        body = b'{"access_token":"ya29.t","expires_in":3600,"token_type":"Bearer"}'
        await client.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        await client.send(body)

    async with RawServer(tokens) as server:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(service_account(tmp_path, f"{server.url}/token")))
        provider = (
            f'type = "vertexai"\nbase_url = "{aimock.url}"\n'
            'env = { GOOGLE_CLOUD_PROJECT = "proj", GOOGLE_CLOUD_LOCATION = "us-central1" }'
        )
        async with hub_of(tmp_path, provider, "gemini-2.5-flash") as hub:
            reply = await streamed(hub, "Hello")
    assert reply.text == "Hello from aimock."
    request = aimock.journal()[-1]
    assert "/projects/proj/locations/us-central1/publishers/google/models/gemini-2.5-flash" in request["path"]


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(aliases={"claude-sonnet-4-6": "sim-thinker"}) as simulator:
        yield simulator


def at_the_simulator(type: str, simulator: Simulator) -> str:
    """The entry of a provider of this type at the simulator; Vertex with a key, as its express mode has it."""
    base = {
        "anthropic": simulator.url,
        "google-genai": simulator.url,
        "azure": simulator.url,
        "vertexai": simulator.url,
    }
    key = 'env = { VERTEXAI_API_KEY = "k" }' if type == "vertexai" else 'api_key = "k"'
    return f'type = "{type}"\n{key}\nbase_url = "{base.get(type, simulator.url + "/v1")}"'


@pytest.mark.parametrize("type", TYPES)
async def test_every_provider_type_streams_an_answer(type: str, simulator: Simulator, tmp_path: Path) -> None:
    async with hub_of(tmp_path, at_the_simulator(type, simulator), "sim-1") as hub:
        reply = await streamed(hub, "Why is the sky blue?")
    assert "Why is the sky blue?" in reply.text
    assert reply.usage is not None


@pytest.mark.parametrize("type", TYPES)
async def test_a_tool_loop_with_thinking_passes_the_signature_checks_of_every_type(
    type: str, simulator: Simulator, tmp_path: Path
) -> None:
    model = "sim-echo" if type in ("openai", "kimi", "azure") else "sim-thinker"
    conversation = Conversation([user("What is the weather in Paris? Take it in 2 steps")])
    async with hub_of(tmp_path, at_the_simulator(type, simulator), model) as hub:
        for _ in range(4):
            reply = await streamed(hub, conversation, tools=[WEATHER], effort="high", max_tokens=8000)
            conversation.turns.append(reply.turn())
            if not reply.tool_calls:
                break
            results = [ToolResult(call_id=c.id, name=c.name, parts=[Text(text="18 °C")]) for c in reply.tool_calls]
            conversation.turns.append(Turn("tool", [*results]))
    assert "18 °C" in reply.text
    assert len(conversation.turns) >= 4


@pytest.mark.parametrize("type", ["openai_responses", "anthropic", "google-genai"])
async def test_a_changed_signature_is_what_the_real_provider_refuses_and_is_not_sent_again(
    type: str, simulator: Simulator, tmp_path: Path
) -> None:
    conversation = Conversation([user("What is the weather in Paris?")])
    async with hub_of(tmp_path, at_the_simulator(type, simulator), "sim-1") as hub:
        reply = await streamed(hub, conversation, tools=[WEATHER], effort="high", max_tokens=8000)
        for part in reply.parts:
            if part.opaque is not None:
                part.opaque = part.opaque[:-6] + "AAAA=="
        result = ToolResult(call_id=reply.tool_calls[0].id, name="get_weather", parts=[Text(text="sunny")])
        conversation.turns += [reply.turn(), Turn("tool", [result])]
        before = len(simulator.journal)
        whole = await hub.complete(conversation, tools=[WEATHER], effort="high", max_tokens=8000)
    statuses = [entry.status for entry in list(simulator.journal)[before:]]
    assert statuses[0] == 400 and statuses[-1] == 200
    assert "sunny" in whole.text
    assert {"reasoning", "reasoning_state"} & {warning.setting for warning in whole.warnings}


async def test_claude_on_vertex_is_a_model_of_the_anthropic_protocol(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def tokens(client: Client) -> None:
        await client.request()
        body = b'{"access_token":"ya29.t","expires_in":3600,"token_type":"Bearer"}'
        await client.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        await client.send(body)

    path = tmp_path / "config.toml"
    path.write_text(f"""
default_model = "m"
[providers.vertexai]
type = "vertexai"
base_url = "{simulator.url}"
[providers.vertexai.env]
GOOGLE_CLOUD_PROJECT = "proj"
GOOGLE_CLOUD_LOCATION = "us-east5"
[models.m]
provider = "vertexai"
model = "claude-sonnet-4-6"
protocol = "anthropic"
max_context_size = 2000
""")
    async with RawServer(tokens) as server:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(service_account(tmp_path, f"{server.url}/token")))
        async with Hub.open(path) as hub:
            reply = await streamed(hub, "Hello", effort="high")
            whole = await hub.complete("Hello")
    assert reply.text and whole.text
    assert isinstance(reply.parts[0], Thinking)
    entry = simulator.journal.last
    assert "/publishers/anthropic/models/claude-sonnet-4-6:rawPredict" in entry.path
    assert "model" not in entry.json and entry.json["anthropic_version"].startswith("vertex-")
