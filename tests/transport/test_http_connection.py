"""Replies that are odd, hostile or broken, byte for byte; and requests whose bodies are sent in pieces."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.errors import ConfigError, IncompleteReply, MalformedReply
from modelbay.transport import Request, Transport
from modelbay.transport.http_connection import HttpConnection
from tests.faults.calls import answers, post
from tests.faults.raw_server import Client, RawServer, chunk, head, reply

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

KEPT = {
    "interim responses": head(100) + head(102) + head(103, "Link: </a>") + reply(b"ok"),
    "no content": head(204),
    "no content, with a length": head(204, length=5),
    "not modified, with the length of the document": head(304, length=5),
    "extensions of chunks": CHUNKED + b'2;a=1;b="x"\r\nok\r\n0;c\r\n\r\n',
    "trailers": CHUNKED + chunk(b"ok") + b"0\r\nX-Sum: 1\r\nX-Time: 2\r\n\r\n",
    "lines without carriage returns": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "spaces after the size of a chunk": CHUNKED + b"2  \r\nok\r\n0\r\n\r\n",
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
    "the older version, kept": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
    "an upgrade that is offered": OK + b"Upgrade: h2c\r\nContent-Length: 2\r\n\r\nok",
}
NOT_KEPT = {
    "the older version": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "closed afterwards": reply(b"ok", 200, "Connection: close"),
    "a second reply": reply(b"ok") + reply(b"stolen"),
    "bytes after the end": reply(b"ok") + b"more",
    "bytes after the last chunk": CHUNKED + chunk(b"ok") + chunk(b"") + b"more",
    "bytes after no content": head(204) + b"more",
}
REFUSED = {
    "switching protocols": head(101, "Upgrade: websocket", "Connection: upgrade"),
    "switching protocols to nothing": head(101),
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
    "the same length twice": OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "a list of lengths": OK + b"Content-Length: 2, 2\r\n\r\nok",
    "a signed length": OK + b"Content-Length: +2\r\n\r\nok",
    "a negative length": OK + b"Content-Length: -2\r\n\r\nok",
    "a length in another base": OK + b"Content-Length: 0x2\r\n\r\nok",
    "an overflowing length": OK + b"Content-Length: 18446744073709551618\r\n\r\nok",
    "an empty length": OK + b"Content-Length:\r\n\r\nok",
    "a length and chunks": OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"ok") + chunk(b""),
    "chunks and a length": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n" + chunk(b"ok") + chunk(b""),
    "a coding that was not requested": OK + b"Transfer-Encoding: gzip\r\n\r\nok",
    "a coding inside chunks": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + chunk(b"ok") + chunk(b""),
    "a misspelled coding": OK + b"Transfer-Encoding: xchunked\r\n\r\n" + chunk(b"ok") + chunk(b""),
    "a folded header": OK + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
    "a null in a header": OK + b"X: a\0b\r\nContent-Length: 2\r\n\r\nok",
    "a carriage return in a header": OK + b"X: a\rb\r\nContent-Length: 2\r\n\r\nok",
    "a control character in a header": OK + b"X: a\x1bb\r\nContent-Length: 2\r\n\r\nok",
    "a space before a colon": OK + b"Content-Length : 2\r\n\r\nok",
    "a header without a colon": OK + b"X\r\nContent-Length: 2\r\n\r\nok",
    "a name that is no token": OK + b"X(y): z\r\nContent-Length: 2\r\n\r\nok",  # plain: a value of the test
    "another version": b"HTTP/2 200\r\nContent-Length: 2\r\n\r\nok",
    "a status below 100": b"HTTP/1.1 099 X\r\nContent-Length: 2\r\n\r\nok",
    "a status of four digits": b"HTTP/1.1 2000 X\r\nContent-Length: 2\r\n\r\nok",
    "interim responses without end": head(103, "Link: </a>") * 10_000,
    "one interim response that is too large": head(103, "Link: " + "a" * 40_000) + reply(b"ok"),
    "a header without end": OK + b"X: " + b"a" * 200_000,
}
BROKEN = {
    "no size of a chunk": CHUNKED + chunk(b"some") + b"\r\n",
    "a negative size": CHUNKED + chunk(b"some") + b"-1\r\n",
    "an overflowing size": CHUNKED + chunk(b"some") + b"10000000000000001\r\nx\r\n",
    "a chunk that is longer than its size": CHUNKED + chunk(b"some") + b"1\r\nxyz\r\n",
    "a length in the trailers": CHUNKED + chunk(b"some") + b"0\r\nContent-Length: 1\r\n\r\n",
    "trailers without end": CHUNKED + chunk(b"some") + b"0\r\n" + b"X-Y: z\r\n" * 50_000,
    "an extension without end": CHUNKED + chunk(b"some") + b"1;" + b"x" * 200_000,
    "the connection closed": CHUNKED + chunk(b"some"),
}


def each(cases: dict[str, bytes]) -> Any:
    return pytest.mark.parametrize("data", cases.values(), ids=[name.replace(" ", "-") for name in cases])


async def asked_twice(data: bytes) -> tuple[list[bytes], int]:
    """The bodies of two replies, and the number of connections."""

    async def script(client: Client) -> None:
        while True:
            await client.request()
            await client.send(data)

    async with RawServer(script) as server, Transport() as transport:
        bodies = [await (await transport.send(post(server.url))).read() for _ in range(2)]
        return bodies, len(server.clients)


@each(KEPT)
async def test_odd_replies_that_are_understood(data):
    body = b"ok" if b"ok" in data else b""
    assert await asked_twice(data) == ([body, body], 1)


@each(NOT_KEPT)
async def test_a_connection_with_anything_after_the_reply_is_closed(data):
    body = b"ok" if b"ok" in data else b""
    assert await asked_twice(data) == ([body, body], 2)


async def test_a_reply_without_request_closes_the_connection():
    async def script(client: Client) -> None:
        await client.request()
        await client.send(reply(b"ok"))
        if len(server.clients) == 1:
            await read.wait()
            await client.send(reply(b"stolen"))
            await client.hangup()

    read = asyncio.Event()
    async with RawServer(script) as server, Transport() as transport:
        assert await (await transport.send(post(server.url))).read() == b"ok"
        read.set()
        await asyncio.wait_for(server.all_gone(), 60)
        assert await (await transport.send(post(server.url))).read() == b"ok"


@each(REFUSED)
async def test_replies_that_are_not_valid_http_are_refused(data):
    async def script(client: Client) -> None:
        await client.request()
        with suppress(ConnectionError):
            await client.send(data)
        await client.hangup()

    async with RawServer(script) as server, Transport() as transport:
        with pytest.raises(MalformedReply) as caught:
            await transport.send(post(server.url))
        assert not caught.value.retryable
        await asyncio.wait_for(server.all_gone(), 60)


@each(BROKEN)
async def test_a_body_with_broken_framing_is_never_complete(data):
    seen = bytearray()
    async with RawServer(sends(data)) as server, Transport() as transport:
        with pytest.raises(IncompleteReply):
            async for piece in (await transport.send(post(server.url))).stream():
                seen += piece
    assert seen.startswith(b"some")


def sends(data: bytes) -> Any:
    async def script(client: Client) -> None:
        await client.request()
        with suppress(ConnectionError):
            await client.send(data)

    return script


async def test_the_reply_to_head_has_no_body():
    async def script(client: Client) -> None:
        while True:
            received = await client.request()
            await client.send(head(length=2) + (b"" if received.method == "HEAD" else b"ok"))

    async with RawServer(script) as server, Transport() as transport:
        for method, body in (("HEAD", b""), ("GET", b"ok"), ("HEAD", b"")):
            response = await transport.send(Request(method, server.url))
            assert (response.headers["content-length"], await response.read()) == ("2", body)
        assert len(server.clients) == 1
        assert "content-length" not in server.requests[0].headers


# --- any split of the bytes ---


class Recording:
    """A sink that keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.body = b""

    def on_head(self, status: int, headers: dict[str, str]) -> None:
        self.heard.append((status, headers))

    def on_data(self, data: bytes) -> None:
        self.body += data

    def on_end(self) -> None:
        self.heard.append("end")

    def on_lost(self, error: BaseException | None) -> None:
        self.heard.append(("lost", getattr(error, "large", None)))


class Wire(asyncio.Transport):
    """The lower end of a connection, without a network."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.sent += data

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


SPLIT = [
    *KEPT.values(),
    *NOT_KEPT.values(),
    *(data for data in (*REFUSED.values(), *BROKEN.values()) if len(data) < 1000),
]
SPLIT += [head() + b"until the end", reply("größe".encode()), CHUNKED + b"".join(map(chunk, (b"a" * 30, b"b", b"")))]


def heard(data: bytes, cuts: list[int]) -> tuple[list[Any], bytes, int]:
    """The calls of a sink for a reply in pieces, its body, and how often the connection is kept."""
    kept = list[HttpConnection]()
    connection = HttpConnection(asyncio.get_event_loop_policy().new_event_loop(), kept.append, lambda _: None)
    connection._loop.close()
    wire, sink = Wire(), Recording()
    connection.connection_made(wire)
    connection.start(b"POST / HTTP/1.1\r\n", b"{}", None, sink)
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        if start < end and not wire.closed and not kept:
            connection.data_received(data[start:end])
    if not wire.closed and not kept:
        connection.eof_received()
    return sink.heard, sink.body, len(kept)


@given(st.sampled_from(SPLIT), st.lists(st.integers(0, 400), max_size=12))
def test_the_result_does_not_depend_on_how_the_bytes_arrive(data, cuts):
    whole, body, _ = heard(data, [])
    parts = heard(data, sorted(min(cut, len(data)) for cut in cuts))
    assert parts[:2] == (whole, body)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A reply with some bytes replaced, inserted and removed."""
    data = bytearray(draw(st.sampled_from(SPLIT)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        data[start : start + draw(st.integers(0, 3))] = draw(st.sampled_from(DAMAGE) | st.binary(max_size=3))
    return bytes(data)


DAMAGE = [b"\r\n", b"\n", b"\r", b":", b" ", b"0", b"\0", b"\r\n\r\n", b"Content-Length: 1\r\n", reply(b"x"), b"\xff"]


@given(damaged(), st.lists(st.integers(0, 400), max_size=6))
def test_every_reply_ends_once_and_its_connection_is_kept_only_after_its_end(data, cuts):
    told, body, kept = heard(data, sorted(min(cut, len(data)) for cut in cuts))
    *before, last = told
    assert len(before) <= 1
    assert all(200 <= status <= 999 for status, _ in before)
    assert not body or before
    assert last == "end" or last[0] == "lost"
    assert kept == 0 or last == "end"


# --- bodies of requests ---


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for piece in data:
        await asyncio.sleep(0)
        yield piece


def streamed(url: str, body: AsyncIterator[bytes], length: int | None = None) -> Request:
    return Request("POST", url, {}, body, length=length)


async def test_a_body_in_pieces_is_sent_in_chunks_or_with_its_length():
    async def script(client: Client) -> None:
        received = await client.head()
        length = received.headers.get("content-length")
        size = 6 if length else len(chunk(b"abc") + chunk(b"def") + chunk(b""))
        received.body = await client.reader.readexactly(size)
        await client.send(reply(b"ok"))
        await answers(reply(b"ok"))(client)

    async with RawServer(script) as server, Transport() as transport:
        for length in (6, None):
            request = streamed(server.url, pieces(b"abc", b"", b"def"), length)
            assert await (await transport.send(request)).read() == b"ok"
            assert await (await transport.send(post(server.url))).read() == b"ok"
        assert [len(client.requests) for client in server.clients] == [2, 2]  # the connection is kept for other calls
        first, second = (client.requests[0] for client in server.clients)
        assert (first.headers["content-length"], first.body) == ("6", b"abcdef")
        assert second.headers["transfer-encoding"] == "chunked"
        assert second.body == chunk(b"abc") + chunk(b"def") + chunk(b"")


@pytest.mark.parametrize("length", [5, 7])
async def test_a_body_of_another_length_than_announced_is_not_completed(length):
    async def script(client: Client) -> None:
        await client.head()
        await client.hangup()

    async with RawServer(script) as server, Transport() as transport:
        with pytest.raises(ConfigError, match="invalid request"):
            await transport.send(streamed(server.url, pieces(b"abc", b"def"), length))
        await asyncio.wait_for(server.all_gone(), 60)


async def test_an_error_in_the_body_of_a_request_is_raised_and_closes_the_connection():
    async def broken() -> AsyncIterator[bytes]:
        yield b"abc"
        raise IncompleteReply("the client left")

    async def script(client: Client) -> None:
        await client.head()
        await client.hangup()

    async with RawServer(script) as server, Transport() as transport:
        with pytest.raises(IncompleteReply, match="the client left"):
            await transport.send(streamed(server.url, broken()))
        await asyncio.wait_for(server.all_gone(), 60)


async def test_a_reply_before_the_end_of_the_request_is_heard_and_ends_the_request():
    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 1000
                await asyncio.sleep(0)
        finally:
            left.set()

    async def script(client: Client) -> None:
        await client.head()
        await client.send(reply(b"enough", 413))
        await client.hangup()

    left = asyncio.Event()
    async with RawServer(script) as server, Transport() as transport:
        response = await transport.send(streamed(server.url, endless()))
        assert (response.status, await response.read()) == (413, b"enough")
        await asyncio.wait_for(left.wait(), 60)
        await asyncio.wait_for(server.all_gone(), 60)


async def test_a_server_that_does_not_read_holds_the_body_back():
    taken = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal taken
        while taken < 1000:
            taken += 1
            yield bytes(2**16)

    async def script(client: Client) -> None:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        asked.set()
        await go_on.wait()
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        await client.head()
        await client.reader.readexactly(1000 * 2**16)
        await client.send(reply(b"ok"))

    asked, go_on = asyncio.Event(), asyncio.Event()
    async with RawServer(script, window=4096) as server, Transport() as transport:
        task = asyncio.create_task(transport.send(streamed(server.url, counted(), 1000 * 2**16)))
        await asked.wait()
        for _ in range(2000):
            await asyncio.sleep(0)
        assert 0 < taken < 500
        go_on.set()
        assert await (await task).read() == b"ok"
    assert taken == 1000


@pytest.mark.parametrize("begun", [False, True])
async def test_a_caller_that_does_not_read_holds_the_server_back(begun):
    size = 48 * 2**20

    async def script(client: Client) -> None:
        await client.request()
        client.writer.write(head(length=size) + bytes(size))
        await client.hangup()

    async with RawServer(script) as server, Transport() as transport:
        response = await transport.send(post(server.url))
        stream = response.stream()
        seen = len(await anext(stream)) if begun else 0
        for _ in range(2000):
            await asyncio.sleep(0)
        assert server.clients[0].writer.transport.get_write_buffer_size() > size // 2
        async for piece in stream:
            assert len(piece) < 2**20
            seen += len(piece)
        assert seen == size


async def test_replies_are_never_mixed_up():
    """Also if calls are cancelled, and replies are followed by others."""

    async def script(client: Client) -> None:
        while True:
            received = await client.request()
            number = int(received.body)
            body = b"%d." % number * (1 + number % 700)
            await asyncio.sleep(0)
            if number % 3:
                await client.send(reply(body) + (reply(b"stolen") if number % 7 == 0 else b""))
            else:
                await client.drip(head(chunked=True) + chunk(body) + chunk(b""), size=1 + number % 90)

    async def call(number: int) -> None:
        for _ in range(number % 5):
            await asyncio.sleep(0)
        body = await (await transport.send(post(server.url, b"%d" % number))).read()
        assert body == b"%d." % number * (1 + number % 700)
        done.append(number)

    done = list[int]()
    async with RawServer(script) as server, Transport() as transport:
        for start in range(0, 600, 20):
            tasks = [asyncio.create_task(call(number)) for number in range(start, start + 20)]
            for turn in range(30):
                await asyncio.sleep(0)
                if turn % 3 == 0:
                    tasks[turn % 20].cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                assert result is None or isinstance(result, asyncio.CancelledError)
        assert len(done) > 200
        assert len(server.clients) < len(server.requests)


async def test_the_reply_arrives_through_every_door():
    async with RawServer(answers(reply(b"ok"))) as server, Transport() as transport:
        seen = bytearray()
        await (await transport.send(post(server.url))).pump(seen.extend)
        streamed_ = [piece async for piece in (await transport.send(post(server.url))).stream()]
        assert (bytes(seen), streamed_, await (await transport.send(post(server.url))).read()) == (
            b"ok",
            [b"ok"],
            b"ok",
        )
        assert len(server.clients) == 1
