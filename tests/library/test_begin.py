"""`begin` of streams and runs: an error from before the reply is raised there, and no event is lost."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from modelbay import Hub, errors, sync
from modelbay.events import Finished, PartDelta, Warned
from modelbay.testing import Simulator

KINDS: dict[str, Callable[[Any, str], Any]] = {
    "stream": lambda hub, model: hub.stream("Hi", model=model, retries=1),
    "run": lambda hub, model: hub.run("Hi", model=model, retries=1),
    "stream of a chat": lambda hub, model: hub.chat(model=model).stream("Hi", retries=1),
    "run of a chat": lambda hub, model: hub.chat(model=model).run("Hi", retries=1),
}


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator() as running:
        yield running


@pytest.fixture
async def hub(simulator: Simulator) -> AsyncIterator[Hub]:
    async with simulator.hub() as opened:
        yield opened


def text_of(events: list[Any]) -> str:
    return "".join(event.text for event in events if isinstance(event, PartDelta) and event.kind == "text")


@pytest.mark.parametrize("kind", KINDS)
async def test_an_error_from_before_the_reply_is_raised(hub: Hub, kind: str) -> None:
    with pytest.raises(errors.ServerError):
        await KINDS[kind](hub, "sim-1!500").begin()


@pytest.mark.parametrize("kind", KINDS)
async def test_all_events_are_read_after_it(hub: Hub, simulator: Simulator, kind: str) -> None:
    stream = await KINDS[kind](hub, "sim-1!429=0*1").begin()
    assert len(simulator.requests) == 2
    await stream.begin()
    events = [event async for event in stream]
    assert len([event for event in events if isinstance(event, Warned)]) == 1
    assert text_of(events).startswith("You asked: Hi")
    assert isinstance(events[-1], Finished)
    assert (await stream.reply()).text == text_of(events)


@pytest.mark.parametrize("way", ["text", "reply"])
async def test_each_way_of_reading_has_the_whole_answer(hub: Hub, way: str) -> None:
    stream = await hub.stream("Hi").begin()
    text = (await stream.reply()).text if way == "reply" else "".join([piece async for piece in stream.text])
    assert text.startswith("You asked: Hi. I am")


async def test_it_returns_before_the_reply_has_ended(hub: Hub, simulator: Simulator) -> None:
    async with await hub.stream("Hi", model="sim-1!stall").begin() as stream:
        assert "open" in repr(stream)
    assert (await simulator.requests[0].wait_over()).disconnected
    with pytest.raises(errors.IncompleteReply):
        await stream.begin()


async def test_a_stream_that_was_closed_before_does_not_begin(hub: Hub, simulator: Simulator) -> None:
    stream = hub.stream("Hi")
    await stream.aclose()
    with pytest.raises(errors.IncompleteReply):
        await stream.begin()
    assert simulator.requests == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_blocking_face_has_it_too(kind: str) -> None:
    with Simulator() as simulator, simulator.sync_hub() as hub:
        assert isinstance(hub, sync.Hub)
        with pytest.raises(errors.ServerError):
            KINDS[kind](hub, "sim-1!500").begin()
        with KINDS[kind](hub, "sim-1").begin() as stream:
            assert text_of(list(stream)).startswith("You asked: Hi")
