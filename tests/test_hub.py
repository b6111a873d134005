"""The hub against real servers: llama.cpp's own, and one that sends the bytes a test says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from modelbay import Hub, Media, Tool, ToolChoice, collect, errors
from modelbay.conversation import OutputFormat, ToolCall
from modelbay.events import Failed, Finished, PartDelta, Warned
from tests.faults.raw_server import Client, RawServer
from tests.servers import SENTENCE, THOUGHT
from tests.servers.llamacpp import LlamaServer

WEATHER = Tool(
    name="get_weather",
    description="The weather in a city",
    schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
CHUNK = b'data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{"content":"half an"}}]}\n\n'
ANSWER = b'data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{"content":"whole"},"finish_reason":"stop"}]}\n\n'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def json_answer(status: str, body: bytes, headers: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%b\r\n"
    return head % (status.encode(), len(body), headers) + body


def write_config(folder: Path, url: str, more: str = "", *, idle: float = 60) -> Path:
    path = folder / "config.toml"
    path.write_text(f"""
default_model = "chat"

[providers.chat]
type = "openai"
base_url = "{url}/v1"
timeout = {{ connect = 60, first_byte = 60, idle = {idle} }}

[providers.messages]
type = "anthropic"
base_url = "{url}"

[models.chat]
provider = "chat"
model = "tiny"
max_context_size = 2048
{more}

[models.messages]
provider = "messages"
model = "tiny"
max_context_size = 2048
max_output_size = 200
""")
    return path


@asynccontextmanager
async def hub_at(folder: Path, url: str, more: str = "", *, idle: float = 60) -> AsyncIterator[Hub]:
    async with Hub.open(write_config(folder, url, more, idle=idle)) as hub:
        yield hub


@pytest.fixture(params=["chat", "messages"])
def model(request: pytest.FixtureRequest) -> str:
    """A model over Chat Completions, and the same over Anthropic Messages."""
    return str(request.param)


async def test_streams_the_answer_of_a_real_server(llamacpp: LlamaServer, tmp_path: Path, model: str) -> None:
    async with hub_at(tmp_path, llamacpp.url) as hub:
        events = [event async for event in hub.stream("Hello", model=model, temperature=0)]
    reply = collect(events)
    assert reply.text == SENTENCE
    assert sum(type(event) is PartDelta for event in events) > 3
    assert reply.finish is not None and reply.finish.reason == "stop"
    assert reply.usage is not None and reply.usage.output and reply.usage.input_total


async def test_a_whole_answer_is_the_streamed_one(llamacpp: LlamaServer, tmp_path: Path, model: str) -> None:
    async with hub_at(tmp_path, llamacpp.url) as hub:
        whole = await hub.complete("Hello", model=model, temperature=0)
        streamed = collect([event async for event in hub.stream("Hello", model=model, temperature=0)])
    assert whole.text == streamed.text == SENTENCE


async def test_thinking_comes_apart_from_the_answer(llamacpp_thinking: LlamaServer, tmp_path: Path, model: str) -> None:
    async with hub_at(tmp_path, llamacpp_thinking.url) as hub:
        reply = collect([event async for event in hub.stream("Hello", model=model, temperature=0)])
    assert THOUGHT in reply.thinking
    assert reply.text.strip() == SENTENCE


async def test_a_forced_tool_call_is_one_the_client_can_run(llamacpp: LlamaServer, tmp_path: Path, model: str) -> None:
    async with hub_at(tmp_path, llamacpp.url) as hub:
        reply = await hub.complete(
            "Weather in Paris?",
            model=model,
            tools=[WEATHER],
            tool_choice=ToolChoice("required"),
            temperature=0,
            max_tokens=200,
        )
    [call] = reply.tool_calls
    assert call.name == "get_weather"
    assert '"city"' in call.arguments
    assert reply.finish is not None and reply.finish.reason == "tool_calls"


async def test_an_answer_follows_the_schema_that_was_asked_for(llamacpp: LlamaServer, tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 8}, "ok": {"type": "boolean"}},
        "required": ["name", "ok"],
        "additionalProperties": False,
    }
    async with hub_at(tmp_path, llamacpp.url) as hub:
        form = OutputFormat("json_schema", schema=schema, name="thing")
        reply = await hub.complete("A thing, please", model="chat", output_format=form, max_tokens=300)
    assert set(__import__("json").loads(reply.text)) == {"name", "ok"}


async def test_leaving_the_iteration_closes_the_connection_at_once(tmp_path: Path) -> None:
    gone = asyncio.Event()

    async def script(client: Client) -> None:
        await client.request()
        await client.send(HEAD + chunked(CHUNK))
        await client.hangup()
        gone.set()

    async with RawServer(script) as server, hub_at(tmp_path, server.url) as hub:
        async for event in hub.stream("Hello", model="chat"):
            if type(event) is PartDelta:
                break
        async with asyncio.timeout(60):
            await gone.wait()


async def test_cancelling_while_waiting_closes_the_connection_at_once(tmp_path: Path) -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def script(client: Client) -> None:
        await client.request()
        asked.set()
        await client.hangup()
        gone.set()

    async with RawServer(script) as server, hub_at(tmp_path, server.url) as hub:
        waiting = asyncio.create_task(hub.complete("Hello", model="chat"))
        await asked.wait()
        waiting.cancel()
        async with asyncio.timeout(60):
            await gone.wait()


async def test_a_cut_stream_says_what_came_and_that_it_is_not_whole(tmp_path: Path) -> None:
    async def script(client: Client) -> None:
        await client.request()
        await client.send(HEAD + chunked(CHUNK))
        await client.reset()

    async with RawServer(script) as server, hub_at(tmp_path, server.url) as hub:
        reply = collect([event async for event in hub.stream("Hello", model="chat")])
    assert reply.text == "half an"
    assert isinstance(reply.error, errors.IncompleteReply)
    assert reply.finish is None


async def test_a_stalled_stream_ends_by_the_idle_limit(tmp_path: Path) -> None:
    async def script(client: Client) -> None:
        await client.request()
        await client.send(HEAD + chunked(CHUNK))
        await client.hangup()

    async with RawServer(script) as server, hub_at(tmp_path, server.url, idle=0.5) as hub:
        events = [event async for event in hub.stream("Hello", model="chat")]
    assert isinstance(events[-1], Failed)
    assert isinstance(events[-1].error, errors.TimedOut)
    assert collect(events).text == "half an"


async def test_a_busy_provider_is_asked_again(tmp_path: Path) -> None:
    answers = [json_answer("429 Too Many Requests", b'{"error":{"message":"slow down"}}', b"retry-after-ms: 10\r\n")]

    async def script(client: Client) -> None:
        while True:
            await client.request()
            await client.send(answers.pop() if answers else HEAD + chunked(ANSWER) + b"0\r\n\r\n")

    async with RawServer(script) as server, hub_at(tmp_path, server.url) as hub:
        reply = collect([event async for event in hub.stream("Hello", model="chat")])
    assert reply.text == "whole"
    assert "attempt 2 of 4" in reply.warnings[0].message


async def test_a_rejected_parameter_is_learned_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    refusal = (
        b'{"error":{"message":"Unsupported parameter: \'max_tokens\' is not supported with this model. '
        b'Use \'max_completion_tokens\' instead.","type":"invalid_request_error","param":"max_tokens",'
        b'"code":"unsupported_parameter"}}'
    )
    bodies: list[bytes] = []

    async def script(client: Client) -> None:
        while True:
            request = await client.request()
            bodies.append(request.body)
            refused = b'"max_tokens"' in request.body
            good = HEAD + chunked(ANSWER) + b"0\r\n\r\n"
            await client.send(json_answer("400 Bad Request", refusal) if refused else good)

    async with RawServer(script) as server:
        async with hub_at(tmp_path, server.url) as hub:
            reply = collect([event async for event in hub.stream("Hello", model="chat", max_tokens=7)])
        async with hub_at(tmp_path, server.url) as another:
            again = collect([event async for event in another.stream("Hello", model="chat", max_tokens=7)])
    assert reply.text == again.text == "whole"
    assert reply.warnings == [
        Warned("`max_tokens` is sent as `max_completion_tokens`: the endpoint rejects the usual form")
    ]
    assert len(bodies) == 3
    assert b'"max_completion_tokens":7' in bodies[2]


async def test_a_page_instead_of_an_api_says_to_check_the_url(tmp_path: Path) -> None:
    page = b"<html><head><title>Welcome to nginx</title></head></html>"

    async def script(client: Client) -> None:
        await client.request()
        await client.send(json_answer("200 OK", page).replace(b"application/json", b"text/html"))

    async with RawServer(script) as server, hub_at(tmp_path, server.url) as hub:
        with pytest.raises(errors.MalformedReply, match="Welcome to nginx") as caught:
            await hub.complete("Hello", model="chat")
    assert caught.value.hint is not None and "base_url" in caught.value.hint


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("401 Unauthorized", errors.AuthenticationFailed),
        ("403 Forbidden", errors.PermissionDenied),
        ("404 Not Found", errors.NotFound),
        ("402 Payment Required", errors.QuotaExhausted),
        ("413 Too Large", errors.RequestTooLarge),
    ],
)
async def test_an_error_status_is_raised_with_its_hint(
    tmp_path: Path, status: str, kind: type[errors.ModelbayError]
) -> None:
    async def script(client: Client) -> None:
        await client.request()
        await client.send(json_answer(status, b'{"error":{"message":"no"}}', b"x-request-id: req-7\r\n"))

    async with RawServer(script) as server, hub_at(tmp_path, server.url) as hub:
        with pytest.raises(kind) as caught:
            await hub.complete("Hello", model="chat")
    assert caught.value.provider == "chat"
    assert caught.value.request_id == "req-7"
    assert caught.value.hint


async def test_a_model_known_to_be_blind_gets_no_image(tmp_path: Path) -> None:
    async with hub_at(tmp_path, "http://127.0.0.1:9", "modalities = { input = ['text'] }") as hub:
        with pytest.raises(errors.Unsupported, match="image_in"):
            await hub.complete("Look", model="chat", files=[Media(kind="image", data="aGk=", media_type="image/png")])


async def test_a_variant_adds_its_keys_to_the_request(tmp_path: Path) -> None:
    bodies: list[bytes] = []

    async def script(client: Client) -> None:
        bodies.append((await client.request()).body)
        await client.send(HEAD + chunked(ANSWER) + b"0\r\n\r\n")

    more = "variants.careful = { verbosity = 'low' }"
    async with RawServer(script) as server, hub_at(tmp_path, server.url, more) as hub:
        collect([event async for event in hub.stream("Hello", model="chat:careful")])
    assert b'"verbosity":"low"' in bodies[0]


async def test_parts_know_where_they_came_from(llamacpp: LlamaServer, tmp_path: Path, model: str) -> None:
    async with hub_at(tmp_path, llamacpp.url) as hub:
        reply = await hub.complete("Hello", model=model, max_tokens=20)
    origin = reply.parts[0].origin
    assert origin is not None
    assert origin.protocol == {"chat": "openai_chat", "messages": "anthropic"}[model]


async def test_a_tool_loop_goes_on_with_the_reply_as_its_next_turn(
    llamacpp: LlamaServer, tmp_path: Path, model: str
) -> None:
    from modelbay import Conversation, Text, ToolResult, Turn, user

    conversation = Conversation([user("Weather in Paris?")])
    async with hub_at(tmp_path, llamacpp.url) as hub:
        first = await hub.complete(
            conversation,
            model=model,
            tools=[WEATHER],
            tool_choice=ToolChoice("required"),
            temperature=0,
            max_tokens=200,
        )
        result = ToolResult(call_id=first.tool_calls[0].id, parts=[Text(text="sunny")])
        conversation.turns += [first.turn(), Turn("tool", [result])]
        second = await hub.complete(conversation, model=model, tools=[WEATHER], temperature=0, max_tokens=50)
    assert isinstance(first.tool_calls[0], ToolCall)
    assert isinstance(second.finish, Finished)


async def test_a_reasoning_key_names_the_field_that_thinking_comes_and_goes_back_in(tmp_path: Path) -> None:
    bodies: list[bytes] = []
    chunk = (
        b'data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{"my_thoughts":"Hm.","content":"Yes."},'
        b'"finish_reason":"stop"}]}\n\n'
    )

    async def script(client: Client) -> None:
        while True:
            bodies.append((await client.request()).body)
            await client.send(HEAD + chunked(chunk) + b"0\r\n\r\n")

    from modelbay import Conversation, user

    async with RawServer(script) as server, hub_at(tmp_path, server.url, 'reasoning_key = "my_thoughts"') as hub:
        conversation = Conversation([user("Hello")])
        reply = collect([event async for event in hub.stream(conversation, model="chat")])
        conversation.turns += [reply.turn(), user("And?")]
        collect([event async for event in hub.stream(conversation, model="chat")])
    assert (reply.thinking, reply.text) == ("Hm.", "Yes.")
    assert b'"my_thoughts":"Hm."' in bodies[1]
