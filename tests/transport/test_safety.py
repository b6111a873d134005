"""Data that must not leave this machine, and traces that must not stay on it."""

import asyncio
import logging
import os
import random
from contextlib import aclosing, suppress

import pytest
import rich.pretty

from modelbay.errors import (
    ConfigError,
    ConnectFailed,
    Disconnected,
    ModelbayError,
    Redirected,
)
from modelbay.transport import Limits, Request, Response, Transport
from tests.faults.calls import SECRET, SHORT, answers, post, told, unused_port
from tests.faults.raw_server import Client, Clock, RawServer, chunk, head, reply

pytestmark = pytest.mark.usefixtures("either_client")

# Secrets


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 300])
async def test_no_redirect_is_followed(status):
    async with RawServer(answers(reply(b"stolen"))) as thief, Transport() as transport:
        there = f"{thief.url}/v1/chat"
        async with RawServer(answers(reply(b"moved", status, f"Location: {there}?t={SECRET}"))) as server:
            with pytest.raises(
                Redirected, match=rf"answered with a redirect \({status}\) to {there}(?:\n|$)"
            ) as caught:
                await transport.send(post(server.url))
        assert (caught.value.status, caught.value.location) == (status, f"{there}?t={SECRET}")
        assert not caught.value.retryable
        assert SECRET not in told(caught.value)
        assert not thief.clients


@pytest.mark.parametrize(
    ("location", "where"),
    [("/v2", "http://127.0.0.1:{port}/v2"), (None, "an invalid address"), ("http://[", "an invalid address")],
)
async def test_where_a_redirect_points(location, where):
    headers = [f"Location: {location}"] if location else []
    async with RawServer(answers(reply(b"", 302, *headers))) as server, Transport() as transport:
        with pytest.raises(Redirected) as caught:
            await transport.send(post(server.url))
        assert caught.value.message.endswith(f" to {where.format(port=server.port)}")


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\n", "\rb", "a\0b", "a\x7f"])
async def test_a_line_break_in_a_header_is_refused_before_anything_is_sent(value):
    async with RawServer(answers(reply(b""))) as server, Transport() as transport:
        with pytest.raises(ConfigError, match="'X-Key' contains a line break") as caught:
            await transport.send(post(server.url, headers={"X-Key": f"{SECRET}{value}"}))
        assert SECRET not in told(caught.value)
        assert not server.clients


@pytest.mark.parametrize("name", ["", "X Y", "X:", "X\r\nY", "Content-Length", "transfer-encoding", f"{SECRET} "])
async def test_headers_that_are_not_the_callers(name):
    async with Transport() as transport:
        with pytest.raises(ConfigError, match="is invalid or reserved"):
            await transport.send(post("http://127.0.0.1:1", headers={name: "1"}))


@pytest.mark.parametrize(
    "url", ["", "localhost:1", "ftp://h/", "file:///etc/passwd", "http://", "http:///v1", "http://h:0/", "http://h:99999/",
            "http://h/a b", "http://h/\r\nX: 1", "http://[::1", "http://a..b/"]
)  # fmt: skip
async def test_an_invalid_url_is_refused(url):
    async with Transport() as transport:
        with pytest.raises(ConfigError, match=r"invalid (URL|request)"):
            await transport.send(post(url))


async def test_a_password_in_the_url_and_a_key_do_not_mix():
    async with Transport() as transport:
        with pytest.raises(ConfigError) as caught:
            await transport.send(post(f"http://user:{SECRET}@127.0.0.1:1/v1?key={SECRET}"))
    assert SECRET not in told(caught.value)


async def test_no_error_tells_the_url_s_secrets():
    port = await unused_port()
    async with Transport() as transport:
        with pytest.raises(
            ConnectFailed, match=f"could not connect to http://127.0.0.1:{port}: connection refused"
        ) as caught:
            await transport.send(Request("GET", f"http://user:{SECRET}@127.0.0.1:{port}/v1?key={SECRET}"))
    assert SECRET not in told(caught.value)
    assert caught.value.hint and "nothing is listening at that address" in caught.value.hint


async def test_repr_hides_headers():
    request = post(f"http://h/v1?key={SECRET}", headers={"x-api-key": SECRET}, proxy=f"http://u:{SECRET}@p:1")
    assert SECRET not in repr(request) + rich.pretty.pretty_repr(request)
    async with RawServer(answers(reply(b""))) as server, Transport() as transport:
        response = await transport.send(post(f"{server.url}?key={SECRET}"))
        assert SECRET not in repr(response) + response.url


async def test_a_name_that_does_not_exist():
    async with Transport() as transport:
        with pytest.raises(ConnectFailed, match=r"could not resolve host nowhere.invalid") as caught:
            await transport.send(post("http://nowhere.invalid/v1"))
    assert caught.value.hint and "typos" in caught.value.hint


# Connections


async def test_a_connection_is_used_again():
    async with RawServer(answers(reply(b"ok"))) as server, Transport() as transport:
        for _ in range(3):
            assert await (await transport.send(post(server.url))).read() == b"ok"
        assert (len(server.clients), len(server.requests)) == (1, 3)


def kept(transport: Transport) -> list[bool]:
    """Whether each of the connections that a transport keeps is open."""
    if transport._direct is not None:
        return [one.usable for unused in transport._direct._pool._unused.values() for one in unused]
    assert transport._proxied is not None
    connectors = [session.connector for session in transport._proxied._sessions.values()]
    return [one.is_connected() for connector in connectors for kept in connector._conns.values() for one, _ in kept]  # type: ignore[union-attr]


async def test_a_connection_that_the_server_closed_is_not_used_again():
    async def script(client: Client) -> None:
        await client.request()
        await client.send(reply(b"ok"))

    async with RawServer(script) as server, Transport() as transport:
        for _ in range(3):
            assert await (await transport.send(post(server.url))).read() == b"ok"
            async with asyncio.timeout(60):
                while any(kept(transport)):
                    await asyncio.sleep(0)
        assert len(server.clients) == 3


async def test_a_call_is_sent_once():
    """The server may have acted on it."""

    async def script(client: Client) -> None:
        await client.request()

    async with RawServer(script) as server, Transport() as transport:
        with pytest.raises(Disconnected):
            await transport.send(post(server.url))
        assert len(server.requests) == 1


async def inside(response: Response, finishing: asyncio.Event) -> None:
    async with aclosing(response.stream()) as stream:
        async for data in stream:
            assert data == LAST
            finishing.set()
            await response.finish()
            break


async def after_break(response: Response, finishing: asyncio.Event) -> None:
    async for data in response.stream():
        assert data == LAST
        break
    finishing.set()
    await response.finish()


LAST = b"data: [DONE]\n\n"


@pytest.mark.parametrize("finish", [inside, after_break])
@pytest.mark.parametrize("late", [0, 0.02, None])
async def test_finish_keeps_the_connection_when_the_body_ends_soon(finish, late):
    async def script(client: Client) -> None:
        while True:
            await client.request()
            await client.send(head(chunked=True) + chunk(LAST))
            await finishing.wait()
            await clock.passes(60 if late is None else late)
            await client.send(chunk(b""))

    clock = Clock(frozen=True)
    async with RawServer(script) as server, Transport() as transport:
        for _ in range(2):
            finishing = asyncio.Event()
            await finish(await transport.send(post(server.url)), finishing)
        assert len(server.clients) == (2 if late is None else 1)


async def endless(client: Client) -> None:
    """Say something now and then, until the client leaves."""
    await client.request()
    await client.send(head(chunked=True))
    leaving = asyncio.ensure_future(client.hangup())
    while not leaving.done():
        await client.send(chunk(b"more"))
        await asyncio.wait([leaving], timeout=0.05)


async def by_break(response: Response) -> None:
    async with aclosing(response.stream()) as stream:
        async for _ in stream:
            break


async def by_aclose(response: Response) -> None:
    await response.aclose()


async def by_context(response: Response) -> None:
    async with response:
        pass


async def by_error(response: Response) -> None:
    with pytest.raises(ZeroDivisionError):
        async with response, aclosing(response.stream()) as stream:
            async for _ in stream:
                raise ZeroDivisionError


async def by_cancelling(response: Response) -> None:
    task = asyncio.create_task(response.read())
    await asyncio.sleep(0)  # the task waits for the body now
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("leave", [by_break, by_aclose, by_context, by_error, by_cancelling])
async def test_leaving_a_stream_closes_its_connection_at_once(leave):
    async with RawServer(endless) as server, Transport() as transport:
        await leave(await transport.send(post(server.url)))
        await asyncio.wait_for(server.all_gone(), 60)


@pytest.mark.parametrize("size", [2, 30 * 2**20])
async def test_cancelling_a_call_closes_its_connection_at_once(size):
    """Without sending first what is left of the request to a server that does not read it."""

    async def script(client: Client) -> None:
        await client.head()
        sent.set()
        await cancelled.wait()
        with suppress(ConnectionError):
            while data := await client.reader.read(65536):
                received.append(data)
        client.gone.set()

    sent, cancelled, received = asyncio.Event(), asyncio.Event(), list[bytes]()
    async with RawServer(script, window=4096) as server, Transport() as transport:
        task = asyncio.create_task(transport.send(post(server.url, bytes(size))))
        await sent.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        cancelled.set()
        await asyncio.wait_for(server.all_gone(), 60)
    assert size == 2 or sum(map(len, received)) < size


async def test_closing_the_transport_closes_every_connection():
    async with RawServer(endless) as server:
        async with Transport() as transport:
            response = await transport.send(post(server.url))
        await asyncio.wait_for(server.all_gone(), 60)
        await response.aclose()


async def test_many_streams_left_at_random_leave_nothing_behind(caplog):
    async def one() -> None:
        with suppress(ModelbayError, TimeoutError):
            async with asyncio.timeout(dice.uniform(0, 0.5)):
                async for _ in (await transport.send(post(server.url, limits=Limits(idle=SHORT)))).stream():
                    pass

    async def script(client: Client) -> None:
        await client.request()
        match dice.randrange(4):
            case 0:
                await endless(client)
            case 1:
                await client.send(head(length=10) + b"half")
                await client.reset()
            case 2:
                await client.send(reply(b"all"))
        await client.hangup()

    dice, before = random.Random(1), asyncio.all_tasks()
    caplog.set_level(logging.WARNING)
    async with RawServer(script) as server:
        files = len(os.listdir("/dev/fd"))
        async with Transport() as transport:
            await asyncio.gather(*(one() for _ in range(200)))
        async with asyncio.timeout(60):
            while len(os.listdir("/dev/fd")) > files or asyncio.all_tasks() != before:
                await asyncio.sleep(0.02)
        assert server.clients
    assert not caplog.records
