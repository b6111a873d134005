"""Estimates of a hub that follow the counts in its replies: only of providers that were estimated, and only in its memory."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from modelbay import Hub, Media, sync
from modelbay.json_text import encode
from modelbay.simulator import Simulator
from tests.faults.raw_server import Client, RawServer, reply

QUESTION, OTHER = "Why is the sky blue?", "How high is the tide in Hamburg today, at noon and in the evening?"
COUNTED = 1531
"""The provider adds a prompt of 1,500 tokens."""
LONG = "Low water is at noon, and high water is at six in the evening. " * 40


def answer(**changes: Any) -> bytes:
    body = {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Scattering."}}],
        "usage": {"prompt_tokens": COUNTED, "completion_tokens": 3, "total_tokens": COUNTED + 3},
    }
    return reply(encode(body | changes), 200, "Content-Type: application/json")


@asynccontextmanager
async def hub_with(response: bytes) -> AsyncIterator[Hub]:
    async def script(client: Client) -> None:
        while True:
            await client.request()
            await client.send(response)

    async with RawServer(script) as server, Hub.of(base_url=f"{server.url}/v1", api_key="k", model="m") as hub:
        yield hub


async def count(hub: Hub, prompt: Any, **settings: Any) -> int:
    counted = await hub.count(prompt, **settings)
    assert counted.estimated
    return counted.tokens


async def test_the_estimate_of_a_request_follows_the_count_in_its_reply() -> None:
    async with hub_with(answer()) as hub:
        first, other = await count(hub, QUESTION), await count(hub, OTHER)
        assert first < 25
        await hub.complete(QUESTION)
        assert await count(hub, QUESTION) == COUNTED
        assert await count(hub, OTHER) == COUNTED + other - first


async def test_a_chat_is_estimated_from_its_last_reply() -> None:
    async with hub_with(answer()) as hub:
        chat = hub.chat()
        await count(hub, QUESTION)
        await chat.complete(QUESTION)
        assert COUNTED < await count(hub, [*chat.turns]) < COUNTED + 20


@pytest.mark.parametrize("blocking", [False, True])
async def test_streams_and_the_blocking_hub_are_learned_from(blocking: bool) -> None:
    with Simulator(key="k") as simulator:
        url = f"{simulator.url}/v1"
        if blocking:
            with sync.Hub.of(base_url=url, api_key="k", model="sim-text") as hub:
                hub.count(LONG)
                usage = hub.stream(LONG).reply().usage
                counted = hub.count(LONG)
        else:
            async with Hub.of(base_url=url, api_key="k", model="sim-text") as asynchronous:
                await asynchronous.count(LONG)
                stream = asynchronous.stream(LONG)
                usage = (await stream.reply()).usage
                assert await stream.reply(), "a reply that is read again is not learned from again"
                counted = await asynchronous.count(LONG)
    assert usage is not None
    assert (counted.tokens, counted.estimated) == (usage.input_total, True)


async def test_the_factors_of_the_model_are_learned() -> None:
    """Its tokenizer has a fifth more tokens than the family's."""
    prompts = [f"{length}. {LONG[: length * 40]}" for length in range(10, 60, 5)]
    async with Hub.of(base_url="http://127.0.0.1:9/v1", api_key="k", model="m") as unused:
        plain = [await count(unused, prompt) for prompt in prompts]
    waiting = [answer(usage={"prompt_tokens": round(1.2 * tokens)}) for tokens in plain]

    async def script(client: Client) -> None:
        while True:
            await client.request()
            await client.send(waiting.pop(0))

    async with RawServer(script) as server, Hub.of(base_url=f"{server.url}/v1", api_key="k", model="m") as hub:
        await count(hub, QUESTION)
        for number, prompt in enumerate(prompts[:-1]):
            await hub.complete(prompt, system=f"You are agent {number}.")
        assert await count(hub, prompts[-1]) == pytest.approx(1.2 * plain[-1], rel=0.05)


async def test_a_hub_that_was_not_asked_for_a_count_learns_nothing() -> None:
    """So calls of programs that need no counts take no time for them."""
    async with hub_with(answer()) as hub:
        await hub.complete(QUESTION)
        assert await count(hub, QUESTION) < 25


async def test_another_hub_begins_with_the_factors_of_the_family() -> None:
    async with hub_with(answer()) as first, hub_with(answer()) as second:
        await count(first, QUESTION)
        await first.complete(QUESTION)
        assert await count(second, QUESTION) < 25


@pytest.mark.parametrize(
    "changes",
    [
        {"usage": None},
        {"usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}},
        {"choices": [{"index": 0, "finish_reason": "error", "message": {"role": "assistant", "content": ""}}]},
    ],
    ids=["no usage", "no tokens", "failed"],
)
async def test_a_reply_without_a_count_changes_nothing(changes: dict[str, Any]) -> None:
    async with hub_with(answer(**changes)) as hub:
        before = await count(hub, QUESTION)
        [replied] = await hub.map([QUESTION])
        assert (replied.usage is None) or replied.usage.input_total in (0, COUNTED)
        assert await count(hub, QUESTION) == before


async def test_a_file_that_is_elsewhere_is_known_after_its_reply() -> None:
    image = Media(kind="image", url="https://127.0.0.1:9/sea.png")
    async with hub_with(answer()) as hub:
        assert await count(hub, QUESTION, files=[image]) != COUNTED
        await hub.complete(QUESTION, files=[image])
        assert await count(hub, QUESTION, files=[image]) == COUNTED


async def test_a_forked_child_begins_with_the_factors_of_the_family(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock of the counts may have been held when it was forked."""
    async with hub_with(answer()) as hub:
        before = await count(hub, QUESTION)
        await hub.complete(QUESTION)
        monkeypatch.setattr(os, "getpid", lambda: -1)
        assert await count(hub, QUESTION) == before
