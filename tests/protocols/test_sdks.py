"""The streams and replies we write, read over loopback by the official SDKs as their users would."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import openai
import pytest
from hypothesis import given, settings

from modelbay.conversation import (
    Annotation,
    AnyPart,
    Conversation,
    Media,
    Provenance,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from modelbay.errors import Overloaded, RateLimited
from modelbay.events import (
    Event,
    Failed,
    Finished,
    PartDelta,
    PartEnded,
    PartStarted,
    Started,
    collect,
)
from modelbay.protocols.assembly import Assembly
from modelbay.protocols.codec import codec
from modelbay.usage import Usage
from tests.faults.raw_server import Client, RawServer, chunk, head, reply
from tests.protocols.event_sequences import replies

GEMINI = Provenance("google", "vertex", "gemini-2.5")
USAGE = Usage(input=10, cache_read=3, output=5, reasoning=2)


def whole(*parts: AnyPart, finish: Finished | None = None, usage: Usage | None = USAGE) -> list[Event]:
    """The events of a reply of these parts."""
    assembly = Assembly()
    assembly.start("reply_1", "some-model")
    for part in parts:
        assembly.whole(part)
    assembly.usage = usage
    assembly.finish("tool_calls" if assembly.has_calls else "stop")
    events = assembly.take()
    return [*events[:-1], finish or events[-1]]


def overlapping() -> list[Event]:
    """Two calls and a text at the same time."""
    calls = [ToolCall(name=name, id=f"call_{name}") for name in "ab"]
    return [
        Started("reply_1", "some-model"),
        PartStarted(0, Text()),
        PartStarted(1, calls[0]),
        PartStarted(2, calls[1]),
        PartDelta(2, '{"x":'),
        PartDelta(0, "Both "),
        PartDelta(1, '{"y":'),
        PartDelta(2, "1}"),
        PartDelta(0, "at once."),
        PartDelta(1, "2}"),
        PartEnded(2, ToolCall(name="b", id="call_b", arguments='{"x":1}')),
        PartEnded(0, Text(text="Both at once.")),
        PartEnded(1, ToolCall(name="a", id="call_a", arguments='{"y":2}')),
        Finished("tool_calls"),
    ]


REPLIES: dict[str, list[Event]] = {
    "a text": whole(Text(text="Hello, bay. \u2028 é 🚢")),
    "nothing": whole(),
    "thinking and a text": whole(Thinking(texts=["Hm."], opaque="c2ln"), Text(text="Yes.")),
    "thinking of another protocol": whole(Thinking(texts=["Hm", "m"], opaque="x", origin=GEMINI), Text(text="Yes.")),
    "hidden thinking": whole(Thinking(opaque="gAAA", native="redacted_thinking", origin=GEMINI), Text(text="Yes.")),
    "calls": whole(Text(text="See."), ToolCall(name="f", id="call_1", arguments='{"a": 1}'), ToolCall(name="g", id="call_2")),
    "a signed call": whole(ToolCall(name="f", id="call_1", arguments="{}", opaque="s", origin=GEMINI)),
    "calls without ids": whole(ToolCall(name="f", arguments="{}"), ToolCall(name="f", arguments="{}")),
    "parts that overlap": overlapping(),
    "a refusal": whole(Refusal(text="I cannot."), finish=Finished("refusal")),
    "a citation": whole(Text(text="Green.", annotations=[Annotation("url", url="https://e.com", title="E", start=0, end=6)])),
    "an image": whole(Text(text="Look."), Media(kind="image", data="AAAA", media_type="image/png", origin=GEMINI)),
    "no usage": whole(Text(text="Hi"), usage=None),
    "cut by length": whole(Text(text="Hi"), finish=Finished("length")),
    "a stop sequence": whole(Text(text="Hi"), finish=Finished("stop", "stop_sequence", "END")),
    "a pause": whole(Text(text="Hi"), finish=Finished("pause", "pause_turn")),
    "a content filter": whole(Text(text="Hi"), finish=Finished("content_filter")),
}  # fmt: skip
every_reply = pytest.mark.parametrize("events", REPLIES.values(), ids=REPLIES)


@asynccontextmanager
async def serving(protocol: str, events: list[Event]) -> AsyncIterator[str]:
    """Streams the reply, an event a chunk, to a client that asks for a stream; else sends it whole."""

    async def script(client: Client) -> None:
        body = json.loads((await client.request()).body)
        if not body.get("stream"):
            await client.send(
                reply(codec(protocol).render_reply(collect(events)), 200, "Content-Type: application/json")
            )
            return
        asked = Conversation(model="asked-model", include_usage=(body.get("stream_options") or {}).get("include_usage"))
        renderer = codec(protocol).stream_renderer(asked)
        await client.send(head(200, "Content-Type: text/event-stream", chunked=True))
        for event in events:
            if data := renderer.feed(event):
                await client.send(chunk(data))
        await client.send(chunk(b""))

    async with RawServer(script) as server:
        yield server.url


@asynccontextmanager
async def refusing(protocol: str, error: Exception) -> AsyncIterator[str]:
    """Answer with the error."""

    async def script(client: Client) -> None:
        await client.request()
        status, body = codec(protocol).render_error(error)
        await client.send(reply(body, status, "Content-Type: application/json"))

    async with RawServer(script) as server:
        yield server.url


def arguments(text: str) -> Any:
    return json.loads(text or "{}")


# --- openai, Chat Completions ---


async def chat_stream(events: list[Event]) -> Any:
    """The completion that the SDK puts together."""
    messages: Any = [{"role": "user", "content": "Hi"}]
    async with (
        serving("openai_chat", events) as url,
        openai.AsyncOpenAI(base_url=url, api_key="x", max_retries=0) as client,
    ):
        options: Any = {"stream_options": {"include_usage": True}}
        async with client.chat.completions.stream(model="m", messages=messages, **options) as stream:
            async for _ in stream:
                pass
            return await stream.get_final_completion()


def check_chat(completion: Any, events: list[Event]) -> None:
    expected = collect(events)
    message = completion.choices[0].message
    assert (completion.id, completion.model) == (expected.id, expected.model)
    assert (message.content or "") == expected.text
    assert (message.refusal or "") == expected.refusal
    calls = [(call.function.name, arguments(call.function.arguments)) for call in message.tool_calls or ()]
    assert calls == [(call.name, arguments(call.arguments)) for call in expected.tool_calls]
    ids = [call.id for call in message.tool_calls or ()]
    assert all(ids)
    assert len(set(ids)) == len(ids)
    if expected.usage is not None:
        assert completion.usage.total_tokens == expected.usage.total


@every_reply
async def test_openai_s_sdk_reads_every_chat_stream(events):
    if collect(events).finish.reason in ("length", "content_filter"):  # type: ignore[union-attr]
        with pytest.raises((openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError)):
            await chat_stream(events)
    else:
        check_chat(await chat_stream(events), events)


@given(events=replies())
@settings(max_examples=25)
async def test_openai_s_sdk_reads_any_chat_stream(events):
    events[-1] = Finished("tool_calls" if collect(events).tool_calls else "stop")
    check_chat(await chat_stream(events), events)


@every_reply
async def test_openai_s_sdk_reads_every_chat_completion(events):
    async with serving("openai_chat", events) as url, openai.AsyncOpenAI(base_url=url, api_key="x") as client:
        check_chat(
            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}]), events
        )


async def test_openai_s_sdk_raises_what_a_chat_stream_breaks_off_with():
    events = [*overlapping()[:-1], Failed(Overloaded("busy", status=503))]
    with pytest.raises(openai.APIError, match="busy"):
        await chat_stream(events)


async def test_openai_s_sdk_raises_the_error_of_an_answer():
    async with (
        refusing("openai_chat", RateLimited("slow down", status=429)) as url,
        openai.AsyncOpenAI(base_url=url, api_key="x", max_retries=0) as client,
    ):
        with pytest.raises(openai.RateLimitError, match="slow down"):
            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])


# --- openai, Responses ---


async def response_stream(events: list[Event]) -> Any:
    async with (
        serving("openai_responses", events) as url,
        openai.AsyncOpenAI(base_url=url, api_key="x", max_retries=0) as client,
        client.responses.stream(model="m", input="Hi") as stream,
    ):
        seen = [event async for event in stream]
    assert seen[-1].type in ("response.completed", "response.incomplete")
    return seen[-1].response


def check_response(response: Any, events: list[Event]) -> None:
    expected = collect(events)
    assert response.model == expected.model
    assert response.output_text == expected.text
    calls = [item for item in response.output if item.type == "function_call"]
    assert [(call.name, arguments(call.arguments)) for call in calls] == [
        (call.name, arguments(call.arguments)) for call in expected.tool_calls
    ]
    assert len({call.call_id for call in calls}) == len(calls)
    if expected.usage is not None:
        assert response.usage.total_tokens == expected.usage.total


@every_reply
async def test_openai_s_sdk_reads_every_response_stream(events):
    check_response(await response_stream(events), events)


@given(events=replies())
@settings(max_examples=25)
async def test_openai_s_sdk_reads_any_response_stream(events):
    check_response(await response_stream(events), events)


@every_reply
async def test_openai_s_sdk_reads_every_response(events):
    async with serving("openai_responses", events) as url, openai.AsyncOpenAI(base_url=url, api_key="x") as client:
        check_response(await client.responses.create(model="m", input="Hi"), events)


# --- anthropic ---


async def message_stream(events: list[Event]) -> Any:
    async with (
        serving("anthropic", events) as url,
        anthropic.AsyncAnthropic(base_url=url, api_key="x", max_retries=0) as client,
    ):
        messages: Any = [{"role": "user", "content": "Hi"}]
        async with client.messages.stream(model="m", max_tokens=9, messages=messages) as stream:
            async for _ in stream:
                pass
            return await stream.get_final_message()


def check_message(message: Any, events: list[Event]) -> None:
    expected = collect(events)
    texts = "".join(block.text for block in message.content if block.type == "text")
    thinking = "".join(block.thinking for block in message.content if block.type == "thinking")
    calls = [block for block in message.content if block.type == "tool_use"]
    assert (message.id, message.model) == (expected.id, expected.model)
    assert texts == expected.text + expected.refusal
    assert thinking == expected.thinking
    assert [(call.name, call.input) for call in calls] == [
        (call.name, arguments(call.arguments)) for call in expected.tool_calls
    ]
    assert len({call.id for call in calls}) == len(calls)
    assert all(block.signature is not None for block in message.content if block.type == "thinking")
    if expected.usage is not None:
        assert message.usage.output_tokens == expected.usage.output_total


@every_reply
async def test_anthropic_s_sdk_reads_every_message_stream(events):
    check_message(await message_stream(events), events)


@given(events=replies())
@settings(max_examples=25)
async def test_anthropic_s_sdk_reads_any_message_stream(events):
    check_message(await message_stream(events), events)


@every_reply
async def test_anthropic_s_sdk_reads_every_message(events):
    async with serving("anthropic", events) as url, anthropic.AsyncAnthropic(base_url=url, api_key="x") as client:
        messages: Any = [{"role": "user", "content": "Hi"}]
        check_message(await client.messages.create(model="m", max_tokens=9, messages=messages), events)


async def test_anthropic_s_sdk_raises_what_a_stream_breaks_off_with():
    events = [*overlapping()[:-1], Failed(Overloaded("busy", status=529))]
    with pytest.raises(anthropic.APIStatusError, match="busy"):
        await message_stream(events)


async def test_anthropic_s_sdk_raises_the_error_of_an_answer():
    async with (
        refusing("anthropic", Overloaded("busy", status=529)) as url,
        anthropic.AsyncAnthropic(base_url=url, api_key="x", max_retries=0) as client,
    ):
        with pytest.raises(anthropic.InternalServerError, match="busy"):
            await client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "Hi"}])
