"""Many streams on one Hub, left at random: no connection, task or file descriptor stays behind."""

import asyncio
import contextlib
import gc
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelbay import Hub, collect
from modelbay.events import PartDelta
from modelbay.simulator import Simulator
from tests.fault_config import KEY, NAMES, hub_config

STREAMS = 200


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with Simulator(key=KEY, pace=0.01) as simulator:
        yield simulator


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def settled(wanted: int, count: Callable[[], int]) -> int:
    """The count, once it has come down to what it should be, or after a while."""
    for _ in range(1200):
        if count() <= wanted:
            break
        await asyncio.sleep(0.05)
    return count()


async def one(hub: Hub, number: int, randomly: random.Random) -> str:
    """A stream that is read to its end, left in the middle, cancelled, or never begun."""
    way, name = randomly.choice(["read", "leave", "cancel", "cancel", "early"]), f"{NAMES[number % 4]}/sim-1"
    if way == "read":
        reply = collect([event async for event in hub.stream(f"Say {number}", model=name)])
        assert f"Say {number}." in reply.text  # each call gets its own answer
        return way
    if way == "leave":
        seen = 0
        async with contextlib.aclosing(hub.stream(f"Say {number}", model=name)) as events:
            async for event in events:
                seen += isinstance(event, PartDelta)
                if seen >= 3:
                    break
        return way
    task = asyncio.create_task(_read(hub, name))
    await asyncio.sleep(0 if way == "early" else randomly.uniform(0, 0.3))
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return way


async def _read(hub: Hub, name: str) -> None:
    async for _ in hub.stream("Say hello", model=name):
        pass


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no /proc here to count descriptors in")
async def test_200_streams_with_random_cancels_leave_nothing_behind(sim: Simulator, tmp_path: Path) -> None:
    randomly = random.Random(4)
    path = hub_config(tmp_path, sim.url)
    server = sim._server
    assert server
    tasks = len(asyncio.all_tasks())
    async with Hub.open(path) as hub:
        await one(hub, 0, random.Random(0))  # sets up shared state
    assert await settled(0, lambda: server.connections) == 0
    gc.collect()
    files = descriptors()
    async with Hub.open(path) as hub:
        for _ in range(2):
            ways = await asyncio.gather(*(one(hub, number, randomly) for number in range(STREAMS)))
            assert len(set(ways)) == 4
        assert await settled(tasks, lambda: len(asyncio.all_tasks())) == tasks
        for entry in sim.journal.calls():
            await entry.wait_over(60)
        reply = await hub.complete("Say hello", model="anthropic/sim-1")  # and it goes on
        assert reply.finish
    assert await settled(0, lambda: server.connections) == 0
    gc.collect()
    assert await settled(files, descriptors) <= files
    assert await settled(tasks, lambda: len(asyncio.all_tasks())) == tasks
    left = [entry for entry in sim.journal.calls() if entry.ended is None and entry.disconnected is None]
    assert not left
