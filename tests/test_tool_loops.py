"""Tool loops from every client protocol to every provider's: each result finds its call, state returns to its owner, and
the provider accepts each request, even if a client keeps, loses or renames parts.

The provider is the simulator, which checks pairing, signatures and names as real ones do. The client is written by hand
here, and keeps a history as clients of its protocol do.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import anthropic
import openai.types.chat
import openai.types.responses
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

Body = dict[str, Any]
PROTOCOLS = ["openai_chat", "openai_responses", "anthropic", "google"]
LONG = "mcp__4e9e25f1-b480-40f3-ba8d-a792f8f6ff07__read_the_latest_tide_table_of_a_harbour"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
GEMINI = "gemini-3-pro-preview"
"""It thinks always, and refuses a call without its signature."""
NO_SIGNATURE = "skip_thought_signature_validator"
RESULTS = {"get_weather": "sunny", "get_tide": "high", LONG: "low"}


@dataclass
class Called:
    id: str | None
    name: str
    space: str | None = None


# --- clients -----------------------------------------------------------------------------------------------------------


class Chat:
    path = "/v1/chat/completions"

    def __init__(self, prompt: str, names: list[str]) -> None:
        tools = [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in names]
        self.body: Body = {"model": "m", "messages": [{"role": "user", "content": prompt}], "tools": tools}
        self.body |= {"reasoning_effort": "low", "max_completion_tokens": 8000}

    def message(self, reply: Body) -> Any:
        return reply["choices"][0]["message"]

    def sdk(self, reply: Body) -> Any:
        dumped = openai.types.chat.ChatCompletion.model_validate(reply).choices[0].message
        return dumped.model_dump(exclude_none=True)

    def calls(self, message: Body) -> list[Called]:
        return [Called(call["id"], call["function"]["name"]) for call in message.get("tool_calls") or ()]

    def text(self, message: Body) -> str:
        return message["content"] or ""

    def rename(self, message: Body, to: Callable[[str], str]) -> None:
        for call in message.get("tool_calls", ()):
            call["id"] = to(call["id"])

    def forget_fields(self, message: Body) -> Body:
        return {name: value for name, value in message.items() if name in ("role", "content", "tool_calls")}

    forget_thinking = forget_fields

    def answer(self, message: Body, results: list[tuple[Called, str]], ids: bool) -> None:
        self.body["messages"] += [message]
        for call, text in results:
            self.body["messages"].append(
                {"role": "tool", "content": text, **({"tool_call_id": call.id} if ids else {})}
            )


class Responses:
    path = "/v1/responses"

    def __init__(self, prompt: str, names: list[str]) -> None:
        tools = [{"type": "function", "name": name, "parameters": SCHEMA, "strict": False} for name in names]
        self.body: Body = {"model": "m", "input": [{"role": "user", "content": prompt}], "tools": tools}
        self.body |= {"reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}
        self.body |= {"store": False}

    def message(self, reply: Body) -> Any:
        return {"output": reply["output"]}

    def sdk(self, reply: Body) -> Any:
        found = openai.types.responses.Response.model_validate(reply)
        return {"output": [item.model_dump(exclude_none=True) for item in found.output]}

    def calls(self, message: Body) -> list[Called]:
        calls = [item for item in message["output"] if item["type"] == "function_call"]
        return [Called(item["call_id"], item["name"], item.get("namespace")) for item in calls]

    def text(self, message: Body) -> str:
        contents = [item["content"] for item in message["output"] if item["type"] == "message"]
        return "".join(part["text"] for content in contents for part in content)

    def rename(self, message: Body, to: Callable[[str], str]) -> None:
        for item in message["output"]:
            if "call_id" in item:
                item["call_id"] = to(item["call_id"])

    def forget_fields(self, message: Body) -> Body:
        known = ("type", "id", "summary", "encrypted_content", "call_id", "name", "arguments", "role", "content")
        return {"output": [{name: item[name] for name in known if name in item} for item in message["output"]]}

    def forget_thinking(self, message: Body) -> Body:
        # a reference to removed reasoning has no ID either
        items = [item for item in message["output"] if item["type"] != "reasoning"]
        return {"output": [{name: value for name, value in item.items() if name != "id"} for item in items]}

    def answer(self, message: Body, results: list[tuple[Called, str]], ids: bool) -> None:
        self.body["input"] += message["output"]
        for call, text in results:
            item = {"type": "function_call_output", "output": text, **({"call_id": call.id} if ids else {})}
            self.body["input"].append(item)


class Anthropic:
    path = "/v1/messages"

    def __init__(self, prompt: str, names: list[str]) -> None:
        tools = [{"name": name, "input_schema": SCHEMA} for name in names]
        self.body: Body = {"model": "m", "messages": [{"role": "user", "content": prompt}], "tools": tools}
        self.body |= {"max_tokens": 8000, "thinking": {"type": "enabled", "budget_tokens": 2000}}

    def message(self, reply: Body) -> Any:
        return {"role": "assistant", "content": reply["content"]}

    def sdk(self, reply: Body) -> Any:
        found = anthropic.types.Message.model_validate(reply)
        return {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in found.content]}

    def calls(self, message: Body) -> list[Called]:
        return [Called(block["id"], block["name"]) for block in message["content"] if block["type"] == "tool_use"]

    def text(self, message: Body) -> str:
        return "".join(block["text"] for block in message["content"] if block["type"] == "text")

    def rename(self, message: Body, to: Callable[[str], str]) -> None:
        for block in message["content"]:
            if block["type"] == "tool_use":
                block["id"] = to(block["id"])

    def forget_fields(self, message: Body) -> Body:
        return message

    def forget_thinking(self, message: Body) -> Body:
        kept = [block for block in message["content"] if "thinking" not in block["type"]]
        return message | {"content": kept}

    def answer(self, message: Body, results: list[tuple[Called, str]], ids: bool) -> None:
        blocks = [
            {"type": "tool_result", "content": text, **({"tool_use_id": call.id} if ids else {})}
            for call, text in results
        ]
        self.body["messages"] += [message, {"role": "user", "content": blocks}]


class Google:
    path = "/v1beta/models/m:generateContent"

    def __init__(self, prompt: str, names: list[str]) -> None:
        tools = [{"functionDeclarations": [{"name": name, "parametersJsonSchema": SCHEMA} for name in names]}]
        self.body: Body = {"contents": [{"role": "user", "parts": [{"text": prompt}]}], "tools": tools}
        self.body |= {"generationConfig": {"thinkingConfig": {"includeThoughts": True, "thinkingBudget": 2000}}}

    def message(self, reply: Body) -> Any:
        return reply["candidates"][0]["content"]

    def sdk(self, reply: Body) -> Any:
        content = genai.GenerateContentResponse.model_validate(reply).candidates[0].content
        return content.model_dump(mode="json", by_alias=True, exclude_none=True)

    def calls(self, message: Body) -> list[Called]:
        calls = [part["functionCall"] for part in message["parts"] if "functionCall" in part]
        return [Called(call.get("id"), call["name"]) for call in calls]

    def text(self, message: Body) -> str:
        return "".join(part.get("text", "") for part in message["parts"] if not part.get("thought"))

    def rename(self, message: Body, to: Callable[[str], str]) -> None:
        for part in message["parts"]:
            if "functionCall" in part:
                part["functionCall"]["id"] = to(part["functionCall"].get("id") or f"none{id(part)}")

    def forget_fields(self, message: Body) -> Body:
        known = ("text", "thought", "functionCall")
        parts = [{name: part[name] for name in known if name in part} for part in message["parts"]]
        return message | {"parts": [part for part in parts if part]}

    def forget_thinking(self, message: Body) -> Body:
        kept = self.forget_fields(message)
        return kept | {"parts": [part for part in kept["parts"] if not part.get("thought")]}

    def answer(self, message: Body, results: list[tuple[Called, str]], ids: bool) -> None:
        parts = [
            {"functionResponse": {"name": call.name, "response": {"output": text}} | ({"id": call.id} if ids and call.id else {})}
            for call, text in results
        ]  # fmt: skip
        self.body["contents"] += [message, {"role": "user", "parts": parts}]


CLIENTS: dict[str, Any] = {"openai_chat": Chat, "openai_responses": Responses, "anthropic": Anthropic, "google": Google}

# --- what clients do with a history ------------------------------------------------------------------------------------


def keeps(client: Any, reply: Body, ids: Iterator[str]) -> Body:
    found: Body = client.message(reply)
    return found


def sdk(client: Any, reply: Body, ids: Iterator[str]) -> Body:
    """The message goes through the official SDK's own types."""
    found: Body = client.sdk(reply)
    return found


def forgets_fields(client: Any, reply: Body, ids: Iterator[str]) -> Body:
    found: Body = client.forget_fields(client.message(reply))
    return found


def forgets_thinking(client: Any, reply: Body, ids: Iterator[str]) -> Body:
    found: Body = client.forget_thinking(client.message(reply))
    return found


def renames(client: Any, reply: Body, ids: Iterator[str]) -> Body:
    """Every call gets an id of the client's own."""
    found: Body = client.message(reply)
    client.rename(found, lambda _: next(ids))
    return found


HABITS = {"keeps": keeps, "sdk": sdk, "forgets_fields": forgets_fields, "forgets_thinking": forgets_thinking,
          "renames": renames, "sends_no_ids": keeps}  # fmt: skip
KEEP_STATE = ("keeps", "sdk", "renames", "sends_no_ids")


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


def history(body: Body) -> list[Any]:
    found: list[Any] = next(body[name] for name in ("messages", "input", "contents") if name in body)
    return found


def returned_state(upstream: str, body: Body) -> int:
    """How many steps of the history have the state that the provider gave."""
    match upstream:
        case "openai_responses":
            return len([item for item in body["input"] if item.get("encrypted_content")])
        case "anthropic":
            blocks = [block for message in body["messages"] for block in message["content"]]
            return len([block for block in blocks if isinstance(block, dict) and block.get("signature")])
        case "google":
            parts = [part for content in body["contents"] for part in content["parts"]]
            return len([part for part in parts if part.get("thoughtSignature", NO_SIGNATURE) != NO_SIGNATURE])
        case _:
            return 3  # there is none


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


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("upstream", PROTOCOLS)
async def test_a_tool_is_called_by_the_name_that_its_client_knows(hub: Hub, protocol: str, upstream: str) -> None:
    text = await run(hub, protocol, upstream, "keeps", True, f"Call {LONG} in 2 steps", [LONG])
    assert text.endswith("answered: low.")


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
    assert not hub._line.lessons.of(simulator.url, "sim-1")


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
