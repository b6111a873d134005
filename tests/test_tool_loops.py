"""Tool loops from every client protocol to every provider's: each result finds its call, state returns to its owner, and
the provider accepts each request, even if a client keeps, loses or renames parts.

The provider is the simulator, which checks pairing, signatures and names as real ones do. The clients are in
`tool_loop_clients.py`.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from copy import deepcopy
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
from google import genai as google_genai
from google.genai import types as genai

from modelbay import Hub
from modelbay.dialect import PLAIN
from modelbay.events import collect
from modelbay.protocols.codec import Call, codec
from modelbay.simulator import Simulator
from modelbay.simulator.config_entries import config_text
from tests.faults.raw_server import Client, RawServer
from tests.faults.raw_server import reply as raw_reply
from tests.tool_loop_clients import CLIENTS, HABITS, KEEP_STATE, PROTOCOLS, Responses, history, returned_state

LONG = "mcp__4e9e25f1-b480-40f3-ba8d-a792f8f6ff07__read_the_latest_tide_table_of_a_harbour"
GEMINI = "gemini-3-pro-preview"
"""It thinks always, and refuses a call without its signature."""
RESULTS = {"get_weather": "sunny", "get_tide": "high", LONG: "low"}


@pytest.fixture(scope="module")
def _running() -> Iterator[Simulator]:
    with Simulator(aliases={GEMINI: "sim-thinker"}) as running:
        yield running


@pytest.fixture
def simulator(_running: Simulator) -> Simulator:
    _running.reset()
    return _running


@pytest.fixture
async def hub(simulator: Simulator, tmp_path: Path) -> AsyncIterator[Hub]:
    path = tmp_path / "config.toml"
    text = config_text(simulator.url, None).replace('"sim-echo"', '"sim-1"')
    gemini = 'provider = "sim-google"\nmodel = '
    path.write_text(text.replace(f'{gemini}"sim-1"', f'{gemini}"{GEMINI}"'))
    async with Hub.open(path) as opened:
        yield opened


async def asked(hub: Hub, client: Any, protocol: str, upstream: str, stream: bool) -> Any:
    """The client's response: from the provider through both codecs."""
    path = client.path
    body = deepcopy(client.body)
    if stream:
        path = path.replace(":generateContent", ":streamGenerateContent?alt=sse")
        body |= {} if protocol == "google" else {"stream": True}
    conversation = codec(protocol).parse_request(Call(path, body))
    model = f"sim-{upstream.removeprefix('openai_')}"
    if not stream:
        return json.loads(codec(protocol).render_reply(await hub.complete(conversation, model=model)))
    renderer, parser = codec(protocol).stream_renderer(conversation), codec(protocol).stream_parser(PLAIN)
    events = []
    async for event in hub.stream(conversation, model=model):
        events += parser.feed(renderer.feed(event))
    return json.loads(codec(protocol).render_reply(collect([*events, *parser.close()])))


async def run(hub: Hub, protocol: str, upstream: str, habit: str, stream: bool, prompt: str, names: list[str]) -> str:
    """The last text of a loop of tools."""
    client = CLIENTS[protocol](prompt, names)
    ids = (f"own-{number}" for number in range(100))
    for _ in range(6):
        reply = await asked(hub, client, protocol, upstream, stream)
        message = HABITS[habit](client, reply, ids)
        calls = client.calls(message)
        if not calls:
            return str(client.text(message))
        assert {call.name for call in calls} <= set(names)
        answers = [(call, RESULTS[call.name]) for call in calls]
        if habit != "sends_no_ids" and all(call.id for call in calls):
            answers.reverse()
        client.answer(message, answers, ids=habit != "sends_no_ids")
    raise AssertionError("the loop does not end")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("habit", HABITS)
@pytest.mark.parametrize(("protocol", "upstream"), list(product(PROTOCOLS, PROTOCOLS)))
async def test_a_tool_loop_ends_with_every_result_at_its_call(
    hub: Hub, simulator: Simulator, protocol: str, upstream: str, habit: str, stream: bool
) -> None:
    names = ["get_weather", "get_tide"]
    prompt = "Ask about the weather and the tide in parallel, in 3 steps."
    text = await run(hub, protocol, upstream, habit, stream, prompt, names)
    entries, kept = list(simulator.journal), habit in KEEP_STATE
    assert [entry.status for entry in entries] == [200] * 4
    # the provider checks that a signature is its own, at its place
    assert not kept or returned_state(upstream, entries[-1].json) == 3
    # earlier parts are sent again unchanged, so that prompt caches match
    for before, after in pairwise(entries):
        older, newer = (history(entry.json) for entry in (before, after))
        assert json.dumps(newer[: len(older)]) == json.dumps(older)
        assert before.json["tools"] == after.json["tools"]
    assert "tool get_weather answered: sunny" in text and "tool get_tide answered: high" in text


@pytest.mark.parametrize(("protocol", "upstream"), list(product(PROTOCOLS, PROTOCOLS)))
async def test_a_history_whose_state_the_provider_refuses_is_sent_without_it(
    hub: Hub, simulator: Simulator, protocol: str, upstream: str
) -> None:
    """An agent replaced the beginning of the history by a summary, for example."""
    client = CLIENTS[protocol]("Ask about the weather in 2 steps.", ["get_weather"])
    message = HABITS["keeps"](client, await asked(hub, client, protocol, upstream, True), iter(()))
    client.answer(message, [(call, "sunny") for call in client.calls(message)], ids=True)
    client.body = json.loads(json.dumps(client.body).replace("Ask about", "In short, I asked about"))
    reply = await asked(hub, client, protocol, upstream, True)
    assert client.calls(HABITS["keeps"](client, reply, iter(())))
    statuses = [entry.status for entry in simulator.journal]
    # Anthropic requires the thinking before the last call, unless the model does not think any more
    assert statuses == {"openai_chat": [200, 200], "anthropic": [200, 400, 400, 200]}.get(upstream, [200, 400, 200])
    assert upstream == "openai_chat" or returned_state(upstream, simulator.journal[-1].json) == 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("upstream", PROTOCOLS)
async def test_a_tool_is_called_by_the_name_that_its_client_knows(hub: Hub, protocol: str, upstream: str) -> None:
    text = await run(hub, protocol, upstream, "keeps", True, f"Call {LONG} in 2 steps", [LONG])
    assert text.endswith("answered: low.")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("upstream", PROTOCOLS)
async def test_remains_of_a_chat_template_are_removed_from_the_name_of_a_called_tool(
    hub: Hub, simulator: Simulator, upstream: str, stream: bool
) -> None:
    simulator.provider.script.add().call("functions.get_weather<|channel|>commentary", {"city": "Bern"})
    client = CLIENTS["anthropic"]("Weather?", ["get_weather"])
    reply = await asked(hub, client, "anthropic", upstream, stream)
    assert [block["name"] for block in reply["content"] if block["type"] == "tool_use"] == ["get_weather"]


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("upstream", PROTOCOLS)
async def test_a_tool_of_a_namespace_is_called_by_its_name_and_namespace(
    hub: Hub, simulator: Simulator, upstream: str, known: bool
) -> None:
    hub.config.providers["sim-responses"].dialect = {"namespaces": known}
    client = Responses("Ask get_tide about the tide in 2 steps", ["shell"])
    tools = [client.body["tools"][0] | {"name": name} for name in ("get_tide", "get_moon")]
    client.body["tools"].append({"type": "namespace", "name": "mcp__sea", "tools": tools})
    for _ in range(2):
        message = client.message(await asked(hub, client, "openai_responses", upstream, True))
        (call,) = client.calls(message)
        assert (call.name, call.space) == ("get_tide", "mcp__sea")
        client.answer(message, [(call, "high")], ids=True)
    message = client.message(await asked(hub, client, "openai_responses", upstream, True))
    assert client.text(message).endswith("answered: high.")
    assert ("namespace" in simulator.journal[-1].body.decode()) == (upstream == "openai_responses" and known)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("habit", ["keeps", "renames"])
async def test_vertex_gets_no_ids_and_results_in_the_order_of_their_calls(
    simulator: Simulator, tmp_path: Path, protocol: str, habit: str
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        f'''
[providers.sim-google]
type = "vertexai"
base_url = "{simulator.url}"
env = {{ VERTEXAI_API_KEY = "k" }}

[models.sim-google]
provider = "sim-google"
model = "{GEMINI}"
'''
    )
    prompt = "Ask about the weather and the tide in parallel, in 2 steps."
    async with Hub.open(path) as hub:
        text = await run(hub, protocol, "google", habit, False, prompt, ["get_weather", "get_tide"])
    assert "/v1/" in simulator.journal[-1].path
    assert "tool get_weather answered: sunny" in text and "tool get_tide answered: high" in text
    responses = [part["functionResponse"] for content in simulator.journal[-1].json["contents"] for part in content["parts"]
                 if "functionResponse" in part]  # fmt: skip
    assert [response["name"] for response in responses] == ["get_weather", "get_tide"] * 2


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("upstream", PROTOCOLS)
async def test_a_freeform_tool_is_called_with_text_by_every_provider(hub: Hub, upstream: str, stream: bool) -> None:
    """Codex applies patches with one."""
    client = Responses("Ask get_tide about the tide in 2 steps", ["shell"])
    client.body["tools"].append({"type": "custom", "name": "get_tide", "description": "Text in"})
    for _ in range(2):
        output = client.message(await asked(hub, client, "openai_responses", upstream, stream))["output"]
        call = output[-1]
        assert (call["type"], call["name"]) == ("custom_tool_call", "get_tide")
        assert call["input"] and not call["input"].startswith("{")
        result = {"type": "custom_tool_call_output", "call_id": call["call_id"], "output": "high"}
        client.body["input"] += [*output, result]
    message = client.message(await asked(hub, client, "openai_responses", upstream, stream))
    assert client.text(message).endswith("answered: high.")


@pytest.mark.parametrize("protocol", ["openai_chat", "openai_responses"])
async def test_thinking_that_was_lost_is_switched_off_where_the_provider_asks_for_it(
    hub: Hub, simulator: Simulator, protocol: str
) -> None:
    """A model that decides itself how long to think: whether it had thought, only the provider knows."""
    hub.config.models["sim-anthropic"].capabilities = ["thinking", "adaptive_thinking"]
    prompt = "Ask about the weather and the tide in parallel, in 2 steps."
    text = await run(hub, protocol, "anthropic", "forgets_thinking", True, prompt, ["get_weather", "get_tide"])
    assert "tool get_weather answered: sunny" in text
    sent = [(entry.status, entry.json["thinking"]["type"]) for entry in simulator.journal]
    # its second step was answered without thinking, so that the third may think again
    assert sent == [(200, "adaptive"), (400, "adaptive"), (200, "disabled"), (200, "adaptive")]
    assert not hub._client.lessons.of(simulator.url, "sim-1")


# --- an official SDK that runs the tools itself ------------------------------------------------------------------------


def get_weather(city: str) -> str:
    """The weather in a city."""
    return RESULTS["get_weather"]


def get_tide(city: str) -> str:
    """The tide in a city."""
    return RESULTS["get_tide"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("upstream", PROTOCOLS)
async def test_google_s_sdk_runs_the_tools_of_every_provider(hub: Hub, upstream: str, stream: bool) -> None:
    """Its automatic function calling sends results without ids."""

    async def script(client: Client) -> None:
        request = await client.request()
        conversation = codec("google").parse_request(Call(request.target, json.loads(request.body)))
        model = f"sim-{upstream.removeprefix('openai_')}"
        if conversation.stream:
            renderer = codec("google").stream_renderer(conversation)
            data = b"".join([renderer.feed(event) async for event in hub.stream(conversation, model=model)])
            await client.send(raw_reply(data, 200, "Content-Type: text/event-stream", "Connection: close"))
        else:
            data = codec("google").render_reply(await hub.complete(conversation, model=model))
            await client.send(raw_reply(data, 200, "Content-Type: application/json", "Connection: close"))

    async with RawServer(script) as server:
        text = await asyncio.to_thread(_run_by_the_sdk, server.url, stream)
        assert len(server.requests) == 4
    assert text.count("tool get_weather answered: ") == text.count("tool get_tide answered: ") >= 1
    assert "get_weather answered: sunny" in text.replace('{"result":"sunny"}', "sunny")
    assert "get_tide answered: high" in text.replace('{"result":"high"}', "high")


def _run_by_the_sdk(url: str, stream: bool) -> str:
    with google_genai.Client(api_key="k", http_options=genai.HttpOptions(base_url=url)) as client:
        asking = genai.GenerateContentConfig(
            tools=[get_weather, get_tide],
            thinking_config=genai.ThinkingConfig(include_thoughts=True, thinking_budget=2000),
        )
        prompt = "Ask about the weather and the tide in parallel, in 3 steps."
        if stream:
            chunks = client.models.generate_content_stream(model="m", contents=prompt, config=asking)
            return "".join([chunk.text or "" for chunk in chunks])
        return client.models.generate_content(model="m", contents=prompt, config=asking).text or ""
