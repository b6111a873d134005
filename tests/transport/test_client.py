"""One call over real sockets: the server is scripted byte for byte, and what became of it is asserted on both sides."""

import asyncio
import gzip
import os
import zlib
from contextlib import suppress

import pytest

from modelbay.errors import (
    Disconnected,
    IncompleteReply,
    MalformedReply,
    TimedOut,
)
from modelbay.transport import Limits, Transport
from modelbay.transport.decompression import PIECE
from tests.fault_config import LONG
from tests.faults.calls import SECRET, SHORT, answers, ask, deaf_server, post, told, unused_port
from tests.faults.raw_server import Client, Clock, RawServer, chunk, head, reply

pytestmark = pytest.mark.usefixtures("either_client")

# Replies that arrive


async def test_the_request_is_sent_as_the_caller_specified():
    async with RawServer(answers(reply(b"ok", 200, "X-One: a", "X-One: b"))) as server, Transport() as transport:
        response = await transport.send(
            post(f"{server.url}/v1/%7Echat?b=%2F&a=1", b'{"a":1}', headers={"X-Title": "Zoë"})
        )
        assert (response.status, response.headers["x-one"], await response.read()) == (200, "a, b", b"ok")
        assert response.url == f"{server.url}/v1/%7Echat"
        (request,) = server.requests
        assert (request.method, request.target, request.body) == ("POST", "/v1/%7Echat?b=%2F&a=1", b'{"a":1}')
        assert request.headers["authorization"] == f"Bearer {SECRET}"
        assert request.headers["x-title"] == "Zoë"
        assert request.headers["accept-encoding"] == "deflate, gzip"
        assert request.headers["user-agent"] == "modelbay"
        assert "content-type" not in request.headers  # unless the caller says so


async def test_headers_of_the_caller_win():
    async with RawServer(answers(reply(b""))) as server, Transport() as transport:
        await transport.send(post(server.url, headers={"user-agent": "mine", "accept-encoding": "identity"}))
        (request,) = server.requests
        assert (request.headers["user-agent"], request.headers["accept-encoding"]) == ("mine", "identity")


async def test_no_cookie_is_kept():
    async with RawServer(answers(reply(b"", 200, "Set-Cookie: a=b"))) as server, Transport() as transport:
        for _ in range(2):
            await transport.send(post(server.url))
        assert not any("cookie" in request.headers for request in server.requests)


async def test_the_environments_proxy_is_not_used(monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{await unused_port()}")
    assert await ask(answers(reply(b"ok"))) == b"ok"


@pytest.mark.parametrize("status", [200, 304, 400, 401, 404, 429, 500, 529])
async def test_any_other_status_is_an_answer(status):
    async with RawServer(answers(reply(b"" if status == 304 else b"{}", status))) as server, Transport() as transport:
        assert (await transport.send(post(server.url))).status == status


@pytest.mark.parametrize("status", [600, 999])
async def test_a_status_that_does_not_exist_is_an_error(status):
    async with RawServer(answers(reply(b"x", status))) as server, Transport() as transport:
        with pytest.raises(MalformedReply, match=str(status)):
            await transport.send(post(server.url))


async def test_a_reply_in_pieces():
    async def script(client: Client) -> None:
        await client.request()
        await client.drip(head(chunked=True) + chunk("größe".encode()) + chunk(b"x" * 20) + chunk(b""))
        await client.hangup()

    assert await ask(script) == "größe".encode() + b"x" * 20


async def test_a_stream_arrives_as_it_is_sent():
    async def script(client: Client) -> None:
        await client.request()
        await client.send(head(chunked=True))
        for n in range(3):
            await client.send(chunk(b"%d" % n))
            await taken.acquire()
        await client.send(chunk(b""))
        await client.hangup()

    taken, seen = asyncio.Semaphore(0), []
    async with RawServer(script) as server, Transport() as transport:
        async for data in (await transport.send(post(server.url))).stream():
            seen.append(data)
            taken.release()
    assert seen == [b"0", b"1", b"2"]


async def test_a_body_without_length_ends_with_the_connection():
    async def script(client: Client) -> None:
        await client.request()
        await client.send(head() + b"until the end")

    assert await ask(script) == b"until the end"


async def test_a_large_body_is_sent_whole():
    body = os.urandom(5 * 2**20)
    async with RawServer(answers(reply(b"ok"))) as server, Transport() as transport:
        await transport.send(post(server.url, body))
        assert server.requests[0].body == body


async def test_an_early_refusal_of_a_large_body_is_heard():
    async def script(client: Client) -> None:
        received = await client.head()
        await client.send(reply(b"too large", 413))
        if int(received.headers["content-length"]) > 2**20:
            await client.hangup()

    async with RawServer(script) as server, Transport() as transport:
        response = await transport.send(post(server.url, bytes(30 * 2**20)))
        assert (response.status, await response.read()) == (413, b"too large")
        await asyncio.wait_for(server.all_gone(), 60)  # a connection with half a request cannot be reused
        assert (await transport.send(post(server.url))).status == 413
        assert len(server.clients) == 2


# Time


async def test_a_silent_server_times_out_before_its_first_byte():
    async def script(client: Client) -> None:
        await client.request()
        await client.hangup()

    async with RawServer(script) as server, Transport() as transport:
        with pytest.raises(TimedOut, match=r"did not start to reply within 0.2 s") as caught:
            await asyncio.wait_for(transport.send(post(server.url, limits=Limits(first_byte=SHORT))), 60)
        assert caught.value.stage == "first_byte"
        await asyncio.wait_for(server.all_gone(), 60)


async def test_slow_headers_do_not_count_as_the_first_byte():
    async def script(client: Client) -> None:
        await client.request()
        await client.drip(head(length=1).replace(b"\r\n\r\n", b"\r\nX-Slow: " + b"y" * 5000), pause=0.01)

    with pytest.raises(TimedOut, match="did not start"):
        await ask(script, limits=Limits(first_byte=SHORT))


async def test_headers_alone_do_not_count_as_the_first_byte():
    async def script(client: Client) -> None:
        await client.request()
        await client.send(head(chunked=True))
        await client.hangup()

    async with RawServer(script) as server, Transport() as transport:
        response = await transport.send(post(server.url, limits=Limits(first_byte=SHORT)))
        with pytest.raises(TimedOut) as caught:
            await response.read()
        assert caught.value.stage == "first_byte"
        await asyncio.wait_for(server.all_gone(), 60)


async def test_a_stalled_stream_times_out_after_what_it_said():
    async def script(client: Client) -> None:
        await client.request()
        await client.send(head(chunked=True) + chunk(b"said"))
        await client.hangup()

    seen = []
    async with RawServer(script) as server, Transport() as transport:
        with pytest.raises(TimedOut, match=r"sent nothing for 0.2 s") as caught:
            async for data in (await transport.send(post(server.url, limits=Limits(idle=SHORT)))).stream():
                seen.append(data)
        assert (caught.value.stage, seen) == ("idle", [b"said"])
        await asyncio.wait_for(server.all_gone(), 60)


async def test_a_long_stream_outlives_every_limit():
    async def script(client: Client) -> None:
        await client.request()
        await client.send(head(length=35))
        for _ in range(35):
            await clock.passes(LONG / 4)
            await client.send(b"x")
        await client.hangup()

    clock = Clock()
    assert await ask(script, limits=Limits(connect=LONG, first_byte=LONG, idle=LONG)) == b"x" * 35


async def test_a_slow_reader_is_not_the_servers_silence():
    async def script(client: Client) -> None:
        await client.request()
        await client.send(head(length=9))
        for _ in range(3):
            await client.send(b"end")
            await slept.acquire()
        await client.hangup()

    slept, seen, clock = asyncio.Semaphore(0), [], Clock()
    async with RawServer(script) as server, Transport() as transport:
        async for data in (await transport.send(post(server.url, limits=Limits(idle=LONG)))).stream():
            await clock.passes(2 * LONG)
            slept.release()
            seen.append(data)
    assert seen == [b"end"] * 3


async def test_blank_lines_before_a_whole_reply_are_not_content():
    async def script(client: Client) -> None:
        await client.request()
        await client.send(head(length=100) + b"\n")
        await client.gone.wait()

    async with RawServer(script) as server, Transport() as transport:
        response = await transport.send(post(server.url, limits=Limits(first_event=SHORT, content=10 * LONG)))
        with pytest.raises(TimedOut) as caught:
            await response.read()
    assert caught.value.stage == "first_event"


async def test_each_piece_of_content_starts_the_wait_for_the_next_one():
    async def script(client: Client) -> None:
        await client.request()
        await client.send(head(length=4))
        for _ in range(4):
            await clock.passes(LONG / 2)
            await client.send(b"x")
            await read.acquire()
        await client.hangup()

    read, seen, clock = asyncio.Semaphore(0), b"", Clock(frozen=True)
    async with RawServer(script) as server, Transport() as transport:
        response = await transport.send(post(server.url, limits=Limits(first_event=LONG, content=LONG)))
        async for data in response.stream():
            response.progress()
            read.release()
            seen += data
    assert seen == b"xxxx"


async def test_connecting_and_answering_have_limits_of_their_own():
    async def script(client: Client) -> None:
        await client.request()
        await clock.passes(2 * LONG)
        await client.send(reply(b"late"))

    clock = Clock()
    assert await ask(script, limits=Limits(connect=LONG, first_byte=10 * LONG)) == b"late"


async def test_a_server_that_does_not_accept():
    with deaf_server() as url, pytest.raises(TimedOut, match=r"did not accept a connection within 0.2 s") as caught:
        async with Transport() as transport:
            await transport.send(post(url, limits=Limits(connect=SHORT)))
    assert caught.value.stage == "connect"


# Broken replies


@pytest.mark.parametrize(
    "start", [head(length=100) + b"some", head(chunked=True) + chunk(b"some"), head(chunked=True) + b"64\r\nsome"]
)
@pytest.mark.parametrize("reset", [False, True])
async def test_a_cut_reply_is_never_a_whole_one(start, reset):
    async def script(client: Client) -> None:
        await client.request()
        await client.send(start)
        if reset:
            await client.reset()

    seen = b""
    async with RawServer(script) as server, Transport() as transport:
        with pytest.raises(IncompleteReply, match=r"connection closed by .* in the middle of its reply, after 4 bytes"):
            async for data in (await transport.send(post(server.url))).stream():
                seen += data
        with pytest.raises(IncompleteReply):
            await (await transport.send(post(server.url))).read()
    assert seen == b"some"


async def test_a_slow_reader_gets_all_data_before_a_disconnect():
    async def script(client: Client) -> None:
        await client.request()
        await client.send(head(chunked=True) + chunk(b"1"))
        await reading.wait()
        await client.send(chunk(b"2"))
        await client.reset()
        cut.set()

    seen, reading, cut = b"", asyncio.Event(), asyncio.Event()
    async with RawServer(script) as server, Transport() as transport:
        with pytest.raises(IncompleteReply):
            async for data in (await transport.send(post(server.url))).stream():
                seen += data
                reading.set()
                await cut.wait()
    assert seen == b"12"


@pytest.mark.parametrize("reset", [False, True])
async def test_no_answer_at_all(reset):
    async def script(client: Client) -> None:
        await client.request()
        if reset:
            await client.reset()

    with pytest.raises(Disconnected, match="closed the connection without a response") as caught:
        await ask(script)
    assert caught.value.retryable


async def test_half_an_answers_headers():
    async def script(client: Client) -> None:
        await client.request()
        await client.send(b"HTTP/1.1 200 OK\r\nContent-")

    with pytest.raises(Disconnected):
        await ask(script)


@pytest.mark.parametrize(
    "answer",
    [b"SSH-2.0-OpenSSH_9.6\r\n", b"\x15\x03\x01\x00\x02\x02\x46", b"HTTP/1.1 abc\r\n\r\n", b"\r\n\0\xff\r\n\r\n"],
)
async def test_a_response_that_is_not_http_is_an_error(answer):
    async def script(client: Client) -> None:
        await client.request()
        await client.send(answer + b"\r\n\r\n")

    with pytest.raises(MalformedReply, match="did not answer with HTTP") as caught:
        await ask(script)
    assert not caught.value.retryable


async def test_a_server_that_echoes_does_not_put_the_key_into_the_error():
    async def script(client: Client) -> None:
        await client.send(await client.reader.readuntil(b"\r\n\r\n"))

    with pytest.raises(MalformedReply) as caught:
        await ask(script)
    assert SECRET not in told(caught.value)


@pytest.mark.parametrize("header", ["X: " + "y" * 2**20, "\r\n".join(f"X-{n}: y" for n in range(5000))])
async def test_headers_without_end(header):
    with pytest.raises(MalformedReply, match="headers that are too large"):
        await ask(answers(reply(b"", 200, header)))


async def test_large_headers_are_taken():
    assert await ask(answers(reply(b"ok", 200, "Content-Security-Policy: " + "x" * 20_000))) == b"ok"


# Size


@pytest.mark.parametrize("start", [head(length=2**40), head(chunked=True), head()])
async def test_a_whole_reply_has_a_limit(start):
    async def script(client: Client) -> None:
        await client.request()
        await client.send(start)
        with suppress(ConnectionError):
            while True:
                await client.send(chunk(bytes(65536)))
        client.gone.set()

    async with RawServer(script) as server, Transport() as transport:
        with pytest.raises(MalformedReply, match="more than 1,000,000 bytes") as caught:
            await (await transport.send(post(server.url, limits=Limits(reply_bytes=10**6)))).read()
        assert not caught.value.retryable
        await asyncio.wait_for(server.all_gone(), 60)


def gzip_bomb(size: int) -> bytes:
    pack = zlib.compressobj(9, wbits=31)
    return b"".join([*(pack.compress(bytes(2**20)) for _ in range(size // 2**20)), pack.flush()])


async def test_a_bomb_is_not_unpacked():
    bomb = gzip_bomb(64 * 2**20)
    largest = 0
    async with RawServer(answers(reply(bomb, 200, "Content-Encoding: gzip"))) as server, Transport() as transport:
        with pytest.raises(MalformedReply, match="expands too much"):
            async for data in (await transport.send(post(server.url))).stream():
                largest = max(largest, len(data))
        with pytest.raises(MalformedReply):
            await (await transport.send(post(server.url))).read()
    assert largest <= 2**20


@pytest.mark.parametrize("packing", ["gzip", "deflate", "GZIP"])
async def test_a_packed_stream_is_unpacked_as_it_comes(packing):
    async def script(client: Client) -> None:
        await client.request()
        await client.send(head(200, f"Content-Encoding: {packing}", chunked=True))
        pack = zlib.compressobj(wbits=15 if packing == "deflate" else 31)
        for n in range(3):
            await client.send(chunk(pack.compress(b"data: %d\n\n" % n) + pack.flush(zlib.Z_SYNC_FLUSH)))
            await taken.acquire()
        await client.send(chunk(pack.flush()) + chunk(b""))
        await client.hangup()

    taken, seen = asyncio.Semaphore(0), []
    async with RawServer(script) as server, Transport() as transport:
        async for data in (await transport.send(post(server.url))).stream():
            seen.append(data)
            taken.release()
    assert seen == [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"]


@pytest.mark.parametrize("bits", [31, 15, -15])
@pytest.mark.parametrize("last", [8, 0])
async def test_nothing_stays_behind_in_the_unpacker(bits, last):
    """Output that fills a piece exactly may have more behind it, with no input left."""
    packing = "gzip" if bits == 31 else "deflate"
    for size in range(PIECE - 1, PIECE + 40):
        pack = zlib.compressobj(wbits=bits)
        data = pack.compress(bytes(size)) + pack.flush()
        body = head(200, f"Content-Encoding: {packing}", chunked=True)
        body += b"".join(chunk(part) for part in (data[: len(data) - last], data[len(data) - last :]))
        assert await ask(answers(body + (chunk(b"") if last else b""))) == bytes(size)


async def test_well_compressible_text_is_not_refused():
    text = b"".join(b'data: {"choices":[{"delta":{"content":"%d"}}]}\n\n' % n for n in range(200_000))
    assert await ask(answers(reply(gzip.compress(text), 200, "Content-Encoding: gzip"))) == text


async def test_a_packing_that_was_not_asked_for():
    with pytest.raises(MalformedReply, match="compressed its reply with 'br'"):
        await ask(answers(reply(b"?", 200, "Content-Encoding: br")))


@pytest.mark.parametrize("body", [b"no gzip at all", gzip.compress(b"x" * 1000, mtime=0)[:12] + b"garbage" * 9])
async def test_a_packed_reply_that_does_not_unpack(body):
    with pytest.raises((IncompleteReply, MalformedReply)):
        await ask(answers(reply(body, 200, "Content-Encoding: gzip")))


async def test_a_packed_reply_that_is_cut():
    with pytest.raises((IncompleteReply, MalformedReply)):
        await ask(answers(reply(gzip.compress(os.urandom(100))[:60], 200, "Content-Encoding: gzip")))
