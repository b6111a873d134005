"""Conversations in which the model calls Python functions, over all protocols and in both kinds of Hub."""

import asyncio
import gc
from pathlib import Path
from typing import Any

import pytest

from modelbay import Hub, Reply, Tool, ToolChoice, errors, sync
from modelbay.conversation import Media, ToolResult, user
from modelbay.events import Finished, PartDelta
from modelbay.json_text import decode
from modelbay.library.tool_run import ToolRan
from modelbay.protocols.repair import INTERRUPTED
from modelbay.simulator import Simulator

ASKED = "Use the tools in parallel: the weather and the population of `Hamburg`"


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


async def get_population(city: str) -> dict[str, int]:
    """The population of a city."""
    return {city: 1_850_000}


def results(turns: list[Any]) -> list[ToolResult]:
    return [part for turn in turns for part in turn.parts if isinstance(part, ToolResult)]


def texts(result: ToolResult) -> str:
    return "".join(getattr(part, "text", "") for part in result.parts)


async def test_the_model_calls_two_functions_and_answers(config: Path, model: str) -> None:
    async with Hub.open(config) as hub:
        run = hub.run(ASKED, tools=[get_weather, get_population], model=model)
        reply = await run
        assert (await hub.complete(run.turns, model=model)).text
    assert isinstance(reply, Reply)
    assert len(run.steps) == 2
    assert {(found.name, texts(found), found.is_error) for found in results(run.turns)} == {
        ("get_weather", "sunny in Hamburg", None),
        ("get_population", '{"Hamburg":1850000}', None),
    }
    assert "sunny in Hamburg" in reply.text
    assert [turn.role for turn in run.turns] == ["user", "assistant", "tool", "tool", "assistant"]
    assert run.usage.output == sum(step.usage.output or 0 for step in run.steps if step.usage is not None)


async def test_the_events_of_a_run_show_every_step(config: Path) -> None:
    async with Hub.open(config) as hub:
        events = [event async for event in hub.run(ASKED, tools=[get_weather, get_population])]
    ends = [type(event).__name__ for event in events if isinstance(event, Finished | ToolRan)]
    assert ends == ["Finished", "ToolRan", "ToolRan", "Finished"]
    ran = [event for event in events if isinstance(event, ToolRan)]
    assert {event.call.name for event in ran} == {"get_weather", "get_population"}
    assert all(event.call.id == event.result.call_id for event in ran)


async def test_the_calls_of_a_reply_run_at_the_same_time(config: Path) -> None:
    both = asyncio.Barrier(2)

    async def get_weather(city: str) -> str:
        async with asyncio.timeout(60):
            await both.wait()
        return "sunny"

    async def get_population(city: str) -> int:
        async with asyncio.timeout(60):
            await both.wait()
        return 5

    async with Hub.open(config) as hub:
        run = hub.run(ASKED, tools=[get_weather, get_population])
        await run
    assert [found.is_error for found in results(run.turns)] == [None, None]


async def test_an_error_of_a_function_is_told_to_the_model(config: Path, model: str) -> None:
    def get_weather(city: str) -> str:
        raise LookupError("no station")

    async with Hub.open(config) as hub:
        run = hub.run("Use the weather tool for `Hamburg`", tools=[get_weather], model=model)
        await run
    [found] = results(run.turns)
    assert (texts(found), found.is_error) == ("LookupError: no station", True)


async def test_wrong_arguments_are_told_to_the_model(config: Path) -> None:
    def get_weather(city: int) -> str:
        raise AssertionError

    tool = Tool.of(get_weather)
    tool.schema["properties"]["city"]["type"] = "string"
    async with Hub.open(config) as hub:
        run = hub.run("Use the weather tool for `Hamburg`", tools=[tool])
        await run
    [found] = results(run.turns)
    assert "Expected `int`" in texts(found)
    assert found.is_error


async def test_files_are_results_too(config: Path) -> None:
    def get_map(city: str) -> Media:
        return Media(kind="image", data="aGk=", media_type="image/png")

    async with Hub.open(config) as hub:
        run = hub.run("Use the map tool for `Hamburg`", tools=[get_map])
        async for event in run:
            if isinstance(event, ToolRan):
                break
    assert [type(part) for part in event.result.parts] == [Media]  # type: ignore[union-attr]


async def test_a_run_ends_after_its_last_allowed_reply(config: Path) -> None:
    ran: list[str] = []

    def get_weather(city: str) -> str:
        ran.append(city)
        return "sunny"

    async with Hub.open(config) as hub:
        run = hub.run("Use the weather tool for `Hamburg` in 3 steps", tools=[get_weather], max_steps=2)
        with pytest.raises(errors.TooManySteps, match="after 2 replies") as caught:
            await run
        with pytest.raises(errors.TooManySteps, match="after 2 replies"):
            await run
        assert (await hub.complete([*run.turns, user("Answer without tools")])).text
    assert len(ran) == 1
    assert caught.value.reply.tool_calls
    assert caught.value.hint == "increase `max_steps`"
    assert [texts(found) for found in results(run.turns)] == ["sunny", INTERRUPTED]


async def test_a_run_that_failed_raises_its_error_again(config: Path) -> None:
    async with Hub.open(config) as hub:
        run = hub.run("Hi", tools=[get_weather], model="unknown")
        for _ in range(2):
            with pytest.raises(errors.UnknownModel):
                await run


async def test_a_run_that_is_cancelled_in_its_functions_keeps_the_results_so_far(config: Path, model: str) -> None:
    waiting = asyncio.Event()

    async def get_weather(city: str) -> str:
        await waiting.wait()
        await asyncio.sleep(3600)
        return "sunny"

    async def get_population(city: str) -> int:
        waiting.set()
        return 5

    async with Hub.open(config) as hub:
        run = hub.run(ASKED, tools=[get_weather, get_population], model=model)
        reading = asyncio.create_task(run.reply())
        await waiting.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        with pytest.raises(errors.IncompleteReply, match="closed before its last reply"):
            await run
        assert (await hub.complete([*run.turns, user("Go on")], model=model)).text
    assert {(found.name, texts(found)) for found in results(run.turns)} == {
        ("get_weather", INTERRUPTED),
        ("get_population", "5"),
    }


async def test_a_function_whose_own_task_was_cancelled_is_an_error_for_the_model(config: Path) -> None:
    async def get_weather(city: str) -> str:
        task = asyncio.create_task(asyncio.sleep(3600))
        task.cancel()
        await task
        return "sunny"

    async with Hub.open(config) as hub:
        run = hub.run("Use the weather tool for `Hamburg`", tools=[get_weather])
        assert (await run).text
    assert [(texts(found), found.is_error) for found in results(run.turns)] == [("the function was cancelled", True)]


async def test_a_tool_without_a_function_ends_the_run_with_its_call(config: Path) -> None:
    tool = Tool(name="get_weather", description="The weather", schema=Tool.of(get_weather).schema)
    async with Hub.open(config) as hub:
        reply = await hub.run("Use the weather tool for `Hamburg`", tools=[tool])
    assert [call.name for call in reply.tool_calls] == ["get_weather"]


async def test_a_forced_call_is_forced_once(config: Path, simulator: Simulator) -> None:
    simulator.journal.clear()
    async with Hub.open(config) as hub:
        await hub.run("The weather in `Hamburg`?", tools=[get_weather], tool_choice=ToolChoice("required"))
    choices = [decode(entry.body).get("tool_choice") for entry in simulator.journal]
    assert choices == ["required", None]


async def test_leaving_a_run_closes_its_stream(config: Path) -> None:
    async with Hub.open(config) as hub:
        async for event in hub.run(ASKED, tools=[get_weather]):
            if isinstance(event, PartDelta) or type(event).__name__ == "PartStarted":
                break
        gc.collect()
        run = hub.run(ASKED, tools=[get_weather])
        async with run:
            await anext(run)
        with pytest.raises(errors.IncompleteReply):
            await run


async def test_wrong_arguments_of_a_run_are_refused_at_once(config: Path) -> None:
    async with Hub.open(config) as hub:
        with pytest.raises(TypeError, match="max_steps must be an integer, not str"):
            hub.run("Hi", max_steps="5")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="max_steps must be at least 1, not 0"):
            hub.run("Hi", tools=[get_weather], max_steps=0)
        with pytest.raises(ValueError, match="several tools are called get_weather"):
            hub.run("Hi", tools=[get_weather, get_weather])
        with pytest.raises(TypeError, match=r"tools\[0\] must be Tool, .* or a function"):
            hub.run("Hi", tools=["get_weather"])  # type: ignore[list-item]


def test_a_blocking_run_is_read_in_the_same_ways(config: Path, model: str) -> None:
    with sync.Hub.open(config) as hub:
        run = hub.run(ASKED, tools=[get_weather, get_population], model=model)
        names = [event.call.name for event in run if isinstance(event, ToolRan)]
        assert set(names) == {"get_weather", "get_population"}
        assert "sunny in Hamburg" in run.reply().text
        assert len(run.steps) == 2
        assert "sunny in Hamburg" in hub.run(ASKED, tools=[get_weather, get_population], model=model).reply().text


async def test_a_function_can_be_a_tool_of_a_single_call(config: Path) -> None:
    async with Hub.open(config) as hub:
        reply = await hub.complete("Use the weather tool for `Hamburg`", tools=[get_weather])
    assert [call.name for call in reply.tool_calls] == ["get_weather"]
