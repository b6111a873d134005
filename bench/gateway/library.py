"""A call of the library, `Hub.complete`, beside the same call with aiohttp alone."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from unittest.mock import patch

import aiohttp

from bench.gateway.proxies import Installation
from bench.gateway.situations import Sizes
from bench.gateway.traffic import KB, Exchange, alias_of, text_of, upstream_path
from bench.gateway.values import Figure, Section, Target
from modelbay.hub import Hub

HUB, BARE = "Hub.complete", "aiohttp alone"


def library(sizes: Sizes, installation: Installation, upstream: int, exchange: Exchange, target: Target) -> Section:
    """The processor time of one call after the other."""
    with patch.dict(os.environ, installation.environment):
        hub = Hub.open(installation.config)
        found = asyncio.run(_rounds(sizes, hub, upstream, exchange))
    figures = [Figure(BARE, found[BARE], found[BARE]), Figure(HUB, found[HUB], found[BARE], target)]
    return Section("CPU per call of the library, 1 KB", BARE, "µs", figures)


async def _rounds(sizes: Sizes, hub: Hub, upstream: int, exchange: Exchange) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {BARE: [], HUB: []}
    url = f"http://127.0.0.1:{upstream}{upstream_path(exchange.upstream, exchange.replies)}"
    headers = {"content-type": "application/json", "authorization": "Bearer sk-upstream-0123456789"}
    model, prompt = alias_of(exchange.upstream, exchange.replies), text_of(KB)
    async with hub, aiohttp.ClientSession() as session:

        async def bare() -> None:
            async with session.post(url, data=exchange.body, headers=headers) as response:
                await response.json()

        async def called() -> None:
            await hub.complete(prompt, model=model)

        calls: dict[str, Callable[[], Awaitable[None]]] = {BARE: bare, HUB: called}
        for number in range(sizes.rounds + 1):
            for name, call in calls.items():
                began = time.process_time()
                for _ in range(sizes.single):
                    await call()
                if number:
                    found[name].append((time.process_time() - began) / sizes.single * 1e6)
    return found
