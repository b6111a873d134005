"""Replies that are pushed to a consumer as they arrive."""

import asyncio
import gzip
import os
import zlib
from collections.abc import Callable

import pytest

from modelbay.calling.recording import Recorder
from modelbay.dialect import PLAIN
from modelbay.errors import IncompleteReply, TimedOut
from modelbay.origin import origin
from modelbay.providers.endpoint import Endpoint
from modelbay.transport import Limits, Response, Transport
from modelbay.transport.response import REST
from tests.fault_config import LONG
from tests.faults.calls import SHORT, answers, post
from tests.faults.raw_server import Client, Clock, RawServer, chunk, head, reply

pytestmark = pytest.mark.usefixtures("either_client")

LAST = b"data: [DONE]\n\n"


async def pumped(response: Response, consume: Callable[[bytes], None]) -> None:
    async with asyncio.timeout(60):
        await response.pump(consume)


async def test_each_piece_is_consumed_as_it_arrives():
    async def script(client: Client) -> None:
        await client.request()
        await client.send(head(chunked=True))
        for n in range(3):
            await client.send(chunk(b"%d" % n))
            await taken.acquire()
        await client.send(chunk(b""))
        await client.hangup()

    def consume(data: bytes) -> None:
        seen.append(data)
        taken.release()

    taken, seen = asyncio.Semaphore(0), list[bytes]()
    async with RawServer(script) as server, Transport() as transport:
        await pumped(await transport.send(post(server.url)), consume)
    assert seen == [b"0", b"1", b"2"]


async def test_the_connection_is_used_again_after_a_pumped_reply():
    seen = bytearray()
    async with RawServer(answers(reply(b"ok"))) as server, Transport() as transport:
        for _ in range(3):
            await pumped(await transport.send(post(server.url)), seen.extend)
        assert (bytes(seen), len(server.clients)) == (b"ok" * 3, 1)


async def test_a_pumped_reply_that_was_cut_is_an_error_after_its_data():
    seen = bytearray()
    async with RawServer(cut) as server, Transport() as transport:
        response = await transport.send(post(server.url))
        with pytest.raises(IncompleteReply):
            await pumped(response, seen.extend)
    assert seen == b"some"


async def cut(client: Client) -> None:
    await client.request()
    await client.send(head(length=100) + b"some")


async def test_an_error_of_the_consumer_closes_the_connection():
    async def script(client: Client) -> None:
        await client.request()
        await client.send(head(chunked=True) + chunk(b"1"))
        await client.hangup()

    def consume(_: bytes) -> None:
        raise ZeroDivisionError

    async with RawServer(script) as server, Transport() as transport:
        response = await transport.send(post(server.url))
        with pytest.raises(ZeroDivisionError):
            await pumped(response, consume)
        await asyncio.wait_for(server.all_gone(), 60)


async def test_cancelling_a_pumped_reply_closes_the_connection():
    async def script(client: Client) -> None:
        await client.request()
        await client.send(head(chunked=True) + chunk(b"1"))
        await client.hangup()

    async with RawServer(script) as server, Transport() as transport:
        arrived = asyncio.Event()
        task = asyncio.create_task(pumped(await transport.send(post(server.url)), lambda _: arrived.set()))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(server.all_gone(), 60)


@pytest.mark.parametrize("door", ["pump", "stream", "read"])
async def test_closing_a_reply_that_is_being_read_ends_the_reading_with_an_error(door):
    async def script(client: Client) -> None:
        await client.request()
        await client.send(head(chunked=True) + chunk(b"1"))
        await client.hangup()

    async def read(response: Response) -> None:
        match door:
            case "pump":
                await response.pump(lambda _: None)
            case "stream":
                async for _ in response.stream():
                    pass
            case _:
                await response.read()

    async with RawServer(script) as server, Transport() as transport:
        response = await transport.send(post(server.url))
        task = asyncio.create_task(read(response))
        for _ in range(20):
            await asyncio.sleep(0)
        await response.aclose()
        with pytest.raises(IncompleteReply):
            await asyncio.wait_for(task, 60)
        await asyncio.wait_for(server.all_gone(), 60)


async def test_nothing_is_consumed_while_reading_is_paused():
    async def script(client: Client) -> None:
        await client.request()
        await client.send(head(chunked=True) + chunk(b"1"))
        await first.wait()
        await client.send(chunk(b"2") + chunk(b""))
        await client.hangup()

    def consume(data: bytes) -> None:
        seen.append(data)
        response.pause()
        first.set()

    clock, first, seen = Clock(frozen=True), asyncio.Event(), list[bytes]()
    async with RawServer(script) as server, Transport() as transport:
        response = await transport.send(post(server.url, limits=Limits(idle=LONG, content=LONG)))
        task = asyncio.create_task(pumped(response, consume))
        await first.wait()
        await clock.passes(10)
        assert seen == [b"1"]
        response.resume()
        while len(seen) < 2:
            await asyncio.sleep(0)
        response.resume()
        await task
    assert seen == [b"1", b"2"]


async def test_a_consumer_pauses_within_what_a_compressed_piece_expands_to():
    def consume(data: bytes) -> None:
        sizes.append(len(data))
        response.pause()
        arrived.release()

    body, sizes, arrived = os.urandom(2**16) * 4, list[int](), asyncio.Semaphore(0)
    packed = reply(gzip.compress(body), 200, "Content-Encoding: gzip")
    async with RawServer(answers(packed)) as server, Transport() as transport:
        response = await transport.send(post(server.url))
        task = asyncio.create_task(pumped(response, consume))
        for number in range(1, 5):
            await arrived.acquire()
            for _ in range(20):
                await asyncio.sleep(0)
            assert len(sizes) == number
            response.resume()
        while not task.done():
            response.resume()
            await asyncio.sleep(0)
        await task
    assert sum(sizes) == len(body)


async def test_a_paused_consumer_is_not_the_servers_silence():
    async def script(client: Client) -> None:
        await client.request()
        await client.send(head(length=2) + b"1")
        await resumed.wait()
        await client.send(b"2")
        await client.hangup()

    def consume(data: bytes) -> None:
        seen.append(data)
        arrived.set()

    clock, arrived, resumed, seen = Clock(frozen=True), asyncio.Event(), asyncio.Event(), list[bytes]()
    async with RawServer(script) as server, Transport() as transport:
        response = await transport.send(post(server.url, limits=Limits(idle=LONG, first_event=LONG)))
        task = asyncio.create_task(response.pump(consume))
        await arrived.wait()
        response.pause()
        await clock.passes(3 * LONG)
        response.resume()
        resumed.set()
        await task
    assert seen == [b"1", b"2"]


async def test_a_pumped_reply_that_stalls_times_out():
    async def script(client: Client) -> None:
        await client.request()
        await client.send(head(chunked=True) + chunk(b"said"))
        await client.hangup()

    seen = bytearray()
    async with RawServer(script) as server, Transport() as transport:
        response = await transport.send(post(server.url, limits=Limits(idle=SHORT)))
        with pytest.raises(TimedOut, match=r"sent nothing for 0.2 s"):
            await pumped(response, seen.extend)
        await asyncio.wait_for(server.all_gone(), 60)
    assert seen == b"said"


@pytest.mark.parametrize("packing", ["", "gzip"])
@pytest.mark.parametrize("late", [0, 0.02, None])
async def test_finished_keeps_the_connection_when_the_body_ends_soon(late, packing):
    async def script(client: Client) -> None:
        while True:
            await client.request()
            pack = zlib.compressobj(wbits=31)
            first, last = LAST, b"\n\n"
            if packing:
                first = pack.compress(first) + pack.flush(zlib.Z_SYNC_FLUSH)
                last = pack.compress(last) + pack.flush()
            await client.send(
                head(200, *([f"Content-Encoding: {packing}"] if packing else []), chunked=True) + chunk(first)
            )
            await ended.wait()
            await clock.passes(1 if late is None else late)
            await client.send(chunk(last) + chunk(b""))

    def consume(data: bytes) -> None:
        seen.append(data)
        if data == LAST:
            response.finished()
            ended.set()

    clock, seen = Clock(frozen=True), list[bytes]()
    async with RawServer(script) as server, Transport() as transport:
        for _ in range(2):
            ended = asyncio.Event()
            response = await transport.send(post(server.url))
            await response.pump(consume)
        assert len(server.clients) == (2 if late is None else 1)
    assert seen == ([LAST] * 2 if late is None else [LAST, b"\n\n"] * 2)


async def test_a_broken_connection_after_the_end_of_the_reply_is_ignored():
    async def script(client: Client) -> None:
        await client.request()
        await client.send(head(chunked=True) + chunk(LAST))
        await client.reset()

    def consume(data: bytes) -> None:
        seen.extend(data)
        response.finished(grace=60)

    seen = bytearray()
    async with RawServer(script) as server, Transport() as transport:
        response = await transport.send(post(server.url))
        await pumped(response, consume)
    assert seen == LAST


@pytest.mark.parametrize("whole", [True, False])
async def test_a_pumped_reply_is_recorded(whole: bool):
    def consume(data: bytes) -> None:
        seen.extend(data)
        recorded.pause()
        recorded.resume()
        recorded.finished()

    seen, recorder = bytearray(), Recorder()
    async with RawServer(answers(reply(b"{}")) if whole else cut) as server, Transport() as transport:
        endpoint = Endpoint(
            url=server.url, headers={}, protocol="openai_chat", dialect=PLAIN, origin=origin(server.url), provider="p"
        )
        request = post(server.url)
        recorded = recorder.begin(request, endpoint, stream=True).answered(await transport.send(request))
        if whole:
            await recorded.pump(consume)
        else:
            with pytest.raises(IncompleteReply):
                await recorded.pump(seen.extend)
    (row,) = recorder.rows()
    assert bytes(seen) == (b"{}" if whole else b"some")
    assert row["response"]["chunks"][0][1] == len(seen)
    assert ("error" in row) is not whole


async def test_a_finished_reply_is_not_waited_for_long():
    async def script(client: Client) -> None:
        await client.request()
        await client.send(head(chunked=True) + chunk(b"stop"))
        await client.hangup()

    def consume(data: bytes) -> None:
        seen.extend(data)
        response.hurry()
        arrived.set()

    clock, seen, arrived = Clock(frozen=True), bytearray(), asyncio.Event()
    async with RawServer(script) as server, Transport() as transport:
        response = await transport.send(post(server.url))
        task = asyncio.create_task(response.pump(consume))
        await arrived.wait()
        await clock.passes(REST * 2)
        await asyncio.wait_for(task, 60)
        await asyncio.wait_for(server.all_gone(), 60)
    assert seen == b"stop"


async def test_keep_alives_are_not_content():
    async def script(client: Client) -> None:
        await client.request()
        await client.send(head(chunked=True))
        for _ in range(4):
            await clock.passes(LONG / 2)
            await client.send(chunk(b": alive\n\n"))
            await arrived.acquire()
        await client.hangup()

    clock, arrived = Clock(frozen=True), asyncio.Semaphore(0)
    async with RawServer(script) as server, Transport() as transport:
        response = await transport.send(post(server.url, limits=Limits(first_event=LONG, idle=LONG)))
        with pytest.raises(TimedOut) as caught:
            await pumped(response, lambda _: arrived.release())
    assert caught.value.stage == "first_event"


async def test_a_pause_before_the_first_byte_is_not_the_servers_silence():
    async def script(client: Client) -> None:
        await client.request()
        await client.send(head(length=2))
        await resumed.wait()
        await client.send(b"ok")
        await client.hangup()

    clock, resumed, seen = Clock(frozen=True), asyncio.Event(), bytearray()
    async with RawServer(script) as server, Transport() as transport:
        response = await transport.send(post(server.url, limits=Limits(first_byte=LONG, first_event=LONG)))
        response.pause()
        task = asyncio.create_task(response.pump(seen.extend))
        await clock.passes(3 * LONG)
        response.resume()
        await clock.passes(LONG / 2)
        resumed.set()
        await task
    assert seen == b"ok"
