"""A stream has one reader at a time, and any other task or thread may close it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from modelbay import Hub, errors, sync
from modelbay.library.reply_stream import ReplyStream
from modelbay.library.tool_run import ToolRun
from tests.fault_config import LONG
from tests.faults.raw_server import Client, RawServer
from tests.test_hub import CHUNK, HEAD, chunked, hub_at, write_config

Started = Callable[[Hub], Any]
KINDS: dict[str, Started] = {
    "stream": lambda hub: hub.stream("Hi"),
    "run": lambda hub: hub.run("Hi"),
    "stream of a chat": lambda hub: hub.chat().stream("Hi"),
    "run of a chat": lambda hub: hub.chat().run("Hi"),
}


@asynccontextmanager
async def half_a_reply(folder: Path) -> AsyncIterator[tuple[Hub, RawServer]]:
    """A hub whose provider sends half of each reply, and then nothing."""

    async def script(client: Client) -> None:
        await client.request()
        await client.send(HEAD + chunked(CHUNK))
        await client.hangup()

    async with RawServer(script) as server, hub_at(folder, server.url) as hub:
        yield hub, server


async def read(stream: ReplyStream | ToolRun, waiting: asyncio.Event) -> int:
    """Read a stream to its end. `waiting` is set when half of the reply was read."""
    count = 0
    async for event in stream:
        count += 1
        if getattr(event, "text", "") == "half an":
            waiting.set()
    return count


@pytest.mark.parametrize("kind", KINDS)
async def test_another_task_closes_a_stream_and_its_reader_is_at_the_end(tmp_path: Path, kind: str) -> None:
    async with half_a_reply(tmp_path) as (hub, server):
        stream, waiting = KINDS[kind](hub), asyncio.Event()
        reader = asyncio.create_task(read(stream, waiting))
        await waiting.wait()
        await asyncio.gather(stream.aclose(), stream.aclose())
        assert await reader >= 2
        assert not reader.cancelling()
        await asyncio.wait_for(server.clients[0].gone.wait(), LONG)
        with pytest.raises(errors.IncompleteReply):
            await stream.reply()


@pytest.mark.parametrize("way", ["text", "thinking", "partial", "reply"])
async def test_each_way_of_reading_ends_when_another_task_closes_the_stream(tmp_path: Path, way: str) -> None:
    async with half_a_reply(tmp_path) as (hub, server):
        stream = hub.stream("Hi")

        async def whole() -> object:
            return await stream.reply() if way == "reply" else [piece async for piece in getattr(stream, way)]

        reader = asyncio.create_task(whole())
        while not server.requests:
            await asyncio.sleep(0)
        await stream.aclose()
        [result] = await asyncio.gather(reader, return_exceptions=True)
        assert isinstance(result, errors.IncompleteReply) if way == "reply" else isinstance(result, list)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_second_reader_is_an_error_and_the_first_one_goes_on(tmp_path: Path, kind: str) -> None:
    async with half_a_reply(tmp_path) as (hub, _):
        stream, waiting = KINDS[kind](hub), asyncio.Event()
        reader = asyncio.create_task(read(stream, waiting))
        await waiting.wait()
        with pytest.raises(RuntimeError, match="another task or thread reads this stream"):
            await anext(stream)
        with pytest.raises(RuntimeError, match="another task or thread reads this stream"):
            await stream.reply()
        if isinstance(stream, ReplyStream):
            with pytest.raises(RuntimeError, match="another task or thread reads this stream"):
                await anext(stream.text)
        assert not reader.done()
        await stream.aclose()
        await reader


async def test_a_reader_that_is_cancelled_while_its_stream_closes_is_cancelled(tmp_path: Path) -> None:
    async with half_a_reply(tmp_path) as (hub, _):
        stream, waiting = hub.stream("Hi"), asyncio.Event()
        reader = asyncio.create_task(read(stream, waiting))
        await waiting.wait()
        closing = asyncio.create_task(stream.aclose())
        await asyncio.sleep(0)
        reader.cancel()
        await closing
        with pytest.raises(asyncio.CancelledError):
            await reader


async def test_a_second_thread_that_reads_is_told_so(tmp_path: Path) -> None:
    asked = threading.Event()

    async def script(client: Client) -> None:
        await client.request()
        asked.set()
        await client.hangup()

    def program(file: Path) -> str:
        with sync.Hub.open(file) as hub:
            stream = hub.stream("Hi")
            reader = threading.Thread(target=lambda: list(stream))
            reader.start()
            assert asked.wait(LONG)  # the request is sent by the step that then waits for the reply
            with pytest.raises(RuntimeError) as caught:
                next(iter(stream.text))
            with pytest.raises(RuntimeError):
                next(stream)
            assert reader.is_alive()
            stream.close()
            reader.join(LONG)
            assert not reader.is_alive()
        return str(caught.value)

    async with RawServer(script) as server:
        said = await asyncio.to_thread(program, write_config(tmp_path, server.url))
    assert said == "another task or thread reads this stream: a stream has one reader at a time"
