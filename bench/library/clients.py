"""The measured libraries: each makes a call, and reads the text of a stream, of the mock provider."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

from bench.gateway.traffic import WIRE, Replies, base_url, text_of, upstream_path

KEY = "sk-upstream-0123456789"
PROMPT = text_of(1024)
MOST = 1000
"""Maximum output tokens, which Anthropic requires."""


class Client(NamedTuple):
    """One library, and a protocol."""

    call: Callable[[], Awaitable[Any]]
    """The text of a whole reply."""
    stream: Callable[[], AsyncIterator[str]]
    """The text of a stream in pieces."""
    close: Callable[[], Awaitable[object]] | None = None
    """Closes the connections, where the library complains about open ones."""


class Place(NamedTuple):
    """The mock provider: its port, and the kinds of replies."""

    port: int
    protocol: str
    whole: Replies
    stream: Replies


async def modelbay(place: Place) -> Client:
    from modelbay import Hub

    protocol: Any = place.protocol
    whole, stream = (
        Hub.of(base_url=base_url(protocol, one, place.port), protocol=protocol, api_key=KEY, model=WIRE)
        for one in (place.whole, place.stream)
    )

    async def call() -> str:
        return (await whole.complete(PROMPT, max_tokens=MOST)).text

    return Client(call, lambda: stream.stream(PROMPT, max_tokens=MOST).text)


async def bare(place: Place) -> Client:
    """aiohttp and json, with as few lines as possible."""
    import aiohttp

    session = aiohttp.ClientSession()
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    whole, stream = (f"http://127.0.0.1:{place.port}{upstream_path(place.protocol, one)}" for one in place[2:])
    body = {"model": WIRE, "max_tokens": MOST, "messages": [{"role": "user", "content": PROMPT}]}

    async def call() -> str:
        async with session.post(whole, data=json.dumps(body), headers=headers) as response:
            return str(_text_of_reply(place.protocol, await response.json()))

    async def pieces() -> AsyncIterator[str]:
        async with session.post(stream, data=json.dumps({**body, "stream": True}), headers=headers) as response:
            async for line in response.content:
                if line.startswith(b"data: {") and (text := _text_of_chunk(place.protocol, json.loads(line[6:]))):
                    yield text

    return Client(call, pieces, session.close)


def _text_of_reply(protocol: str, body: Any) -> Any:
    match protocol:
        case "openai_chat":
            return body["choices"][0]["message"]["content"]
        case "openai_responses":
            return body["output"][0]["content"][0]["text"]
        case "anthropic":
            return body["content"][0]["text"]
        case _:
            return body["candidates"][0]["content"]["parts"][0]["text"]


def _text_of_chunk(protocol: str, chunk: Any) -> Any:
    match protocol:
        case "openai_chat":
            return chunk["choices"][0]["delta"].get("content")
        case "openai_responses":
            return chunk["delta"] if chunk["type"] == "response.output_text.delta" else None
        case "anthropic":
            return chunk["delta"]["text"] if chunk["type"] == "content_block_delta" else None
        case _:
            return chunk["candidates"][0]["content"]["parts"][0]["text"]


async def openai(place: Place) -> Client:
    from openai import AsyncOpenAI

    whole, stream = (
        AsyncOpenAI(base_url=base_url(place.protocol, one, place.port), api_key=KEY).chat.completions
        for one in place[2:]
    )
    messages: Any = [{"role": "user", "content": PROMPT}]

    async def call() -> str:
        reply = await whole.create(model=WIRE, messages=messages, max_tokens=MOST)
        return reply.choices[0].message.content or ""

    async def pieces() -> AsyncIterator[str]:
        async for chunk in await stream.create(model=WIRE, messages=messages, max_tokens=MOST, stream=True):
            if text := chunk.choices[0].delta.content:
                yield text

    return Client(call, pieces)


async def anthropic(place: Place) -> Client:
    from anthropic import AsyncAnthropic

    whole, stream = (
        AsyncAnthropic(base_url=base_url(place.protocol, one, place.port), api_key=KEY).messages for one in place[2:]
    )
    messages: Any = [{"role": "user", "content": PROMPT}]

    async def call() -> str:
        reply: Any = await whole.create(model=WIRE, messages=messages, max_tokens=MOST)
        return str(reply.content[0].text)

    async def pieces() -> AsyncIterator[str]:
        async with stream.stream(model=WIRE, messages=messages, max_tokens=MOST) as reading:
            async for text in reading.text_stream:
                yield text

    return Client(call, pieces)


async def google_genai(place: Place) -> Client:
    from google import genai

    whole, stream = (
        genai.Client(
            api_key=KEY,
            http_options={
                "base_url": base_url(place.protocol, one, place.port).removesuffix("/v1beta"),
                "api_version": "v1beta",
            },
        ).aio.models
        for one in place[2:]
    )

    async def call() -> str:
        return (await whole.generate_content(model=WIRE, contents=PROMPT)).text or ""

    async def pieces() -> AsyncIterator[str]:
        async for chunk in await stream.generate_content_stream(model=WIRE, contents=PROMPT):
            if text := chunk.text:
                yield text

    return Client(call, pieces)


async def litellm(place: Place) -> Client:
    from litellm import acompletion

    messages = [{"role": "user", "content": PROMPT}]
    whole, stream = (
        {"model": f"openai/{WIRE}", "api_base": base_url(place.protocol, one, place.port), "api_key": KEY}
        for one in place[2:]
    )

    async def call() -> str:
        reply: Any = await acompletion(messages=messages, max_tokens=MOST, **whole)
        return str(reply.choices[0].message.content)

    async def pieces() -> AsyncIterator[str]:
        chunks: Any = await acompletion(messages=messages, max_tokens=MOST, stream=True, **stream)
        async for chunk in chunks:
            if text := chunk.choices[0].delta.content:
                yield text

    return Client(call, pieces)


async def pydantic_ai(place: Place) -> Client:
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    whole, stream = (
        Agent(
            OpenAIChatModel(
                WIRE, provider=OpenAIProvider(base_url=base_url(place.protocol, one, place.port), api_key=KEY)
            ),
            model_settings={"max_tokens": MOST},
        )
        for one in place[2:]
    )

    async def call() -> str:
        return (await whole.run(PROMPT)).output

    async def pieces() -> AsyncIterator[str]:
        async with stream.run_stream(PROMPT) as reading:
            async for text in reading.stream_text(delta=True, debounce_by=None):
                yield text

    return Client(call, pieces)


CLIENTS: dict[str, Callable[[Place], Awaitable[Client]]] = {
    "aiohttp and json": bare,
    "modelbay": modelbay,
    "openai": openai,
    "anthropic": anthropic,
    "google-genai": google_genai,
    "litellm": litellm,
    "pydantic-ai": pydantic_ai,
}
"""By name. The first one is what the others are compared to."""
PROTOCOLS = {
    "openai_chat": ("aiohttp and json", "modelbay", "openai", "litellm", "pydantic-ai"),
    "openai_responses": ("aiohttp and json", "modelbay"),
    "anthropic": ("aiohttp and json", "modelbay", "anthropic"),
    "google": ("aiohttp and json", "modelbay", "google-genai"),
}
"""The clients that are measured with each protocol."""
