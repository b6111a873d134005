"""Heads that were read before: a request that has one needs no parser, and must not be read in another way."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st

from modelbay.serving.client_connection import SILENCE, ConnectionState, DirectConnection
from modelbay.serving.http_request import HttpRequest
from modelbay.serving.request_head import LONGEST, MOST, KnownHeads, RequestHead, split
from modelbay.serving.server import HttpServer, RequestHandler, listen
from modelbay.threads import run
from tests.fault_config import LONG

VALID = b"POST /v1/messages?a=1 HTTP/1.1\r\nHost: here\r\nX-One: 1\r\nContent-Length: %d\r\nX-Two: 2\r\n\r\n%b"


class Echo(RequestHandler):
    """Answers with what it was asked."""

    async def start(self) -> None:
        pass

    async def answer(self, request: HttpRequest) -> None:
        body = await request.read(2**20)
        head = request.head
        asked = [head.method, head.path, head.query, head.headers, body.decode("latin-1")]
        request.respond(200, [], json.dumps(asked).encode())

    async def aclose(self) -> None:
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    listener = listen("127.0.0.1", 0)
    server = HttpServer(Echo(), listener)
    server.start()
    yield listener.getsockname()[1]
    server.stop()


END = b"GET /end HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"


def answers(port: int, *pieces: bytes) -> bytes:
    """The server's answers to a connection that sends these pieces, and then a request that ends it."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            client.sendall(piece)
        found = b""
        client.settimeout(0.05)  # with a longer one, the last request would seldom arrive in the same piece
        with suppress(TimeoutError):
            found = client.recv(2**16)
        client.settimeout(LONG)
        with suppress(ConnectionError):
            client.sendall(END)
            while data := client.recv(2**16):
                found += data
    answered = found.partition(b'["GET", "/end"')[0]
    return b"".join(
        line for line in answered.splitlines(keepends=True) if not line.startswith((b"date: ", b"content-length: "))
    )


def asked_of(found: bytes) -> list[Any]:
    answer = found.partition(b"\r\n\r\n")[2]
    return list(json.JSONDecoder().raw_decode(answer.decode())[0])


def test_a_request_with_a_known_head_has_its_own_body(port: int) -> None:
    for body in (b"first", b"the second, which is longer", b"3"):
        method, path, query, headers, sent = asked_of(answers(port, VALID % (len(body), body)))
        assert (method, path, query) == ("POST", "/v1/messages", "a=1")
        assert isinstance(headers, dict)
        assert (headers["x-one"], headers["x-two"]) == ("1", "2")
        assert sent == body.decode()


@pytest.mark.parametrize("length", [0, 1, 4, 6])
def test_a_request_that_is_not_whole_is_read_by_the_parser(port: int, length: int) -> None:
    whole = VALID % (5, b"hello")
    answers(port, whole)
    head_end = whole.index(b"\r\n\r\n") + 4
    sent = VALID % (length, b"hello")
    assert asked_of(answers(port, sent, b"!"))[4] == "hello!"[:length]
    assert asked_of(answers(port, sent[:head_end], b"hello", b"!"))[4] == "hello!"[:length]


LINES = [
    b"Host: here", b"host: here", b"Host: there", b"Content-Length: %d", b"content-length: %d", b"Content-Length:%d",
    b"Content-Length: 0%d", b"Content-Length: +%d", b"Content-Length: %d, %d", b"Content-Length : %d",
    b" Content-Length: %d", b"X: a\r\n b", b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity",
    b"Expect: 100-continue", b"Connection: close", b"Connection: keep-alive", b"Connection: Upgrade\r\nUpgrade: h2c",
    b"X: \x00", b"X: \xff", b"X: a\nY: b", b"X:", b": x", b"X", b"A: 1", b"A: 2",
]  # fmt: skip
STARTS = [
    b"POST / HTTP/1.1", b"POST /a?b HTTP/1.1", b"POST http://here/x HTTP/1.1", b"POST / HTTP/1.0", b"GET / HTTP/1.1",
    b"POST * HTTP/1.1", b"post / HTTP/1.1", b"POST  / HTTP/1.1", b"POST / HTTP/1.1\r\nContent-Length: 0",
]  # fmt: skip

BODIES = [b"", b"x", b"hello", b"0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"]


@given(
    start=st.sampled_from(STARTS),
    lines=st.lists(st.sampled_from(LINES), max_size=5),
    bodies=st.lists(st.sampled_from(BODIES), min_size=2, max_size=3),
    off=st.sampled_from([0, 0, 0, 1, -1]),
)
def test_a_request_is_read_as_the_parser_reads_it(
    port: int, start: bytes, lines: list[bytes], bodies: list[bytes], off: int
) -> None:
    mark = b"X-Mark: " + uuid4().hex.encode()  # so that no other example made the head known
    for body in bodies:
        head = b"\r\n".join([start, mark, b"Host: here", *lines, b"", b""])
        whole = head.replace(b"%d", b"%d" % max(len(body) + off, 0)) + body
        end = whole.index(b"\r\n\r\n") + 2
        parsed = answers(port, whole[:end], whole[end:])
        assert answers(port, whole) == parsed
        assert answers(port, whole) == parsed, "the head is known now"


def test_few_heads_are_kept() -> None:
    heads = KnownHeads()
    for number in range(3 * MOST):
        data = VALID.replace(b"X-One: 1", b"X-One: %d" % number) % (1, b"x")
        key, _, _ = split(data) or (b"", 0, 0)
        heads.add(key, RequestHead("POST", b"/", []))
        assert heads.find(key) is not None
    assert len(heads) <= MOST


def test_a_long_head_is_not_kept() -> None:
    assert split(VALID.replace(b"X-One: 1", b"X-One: " + b"1" * LONGEST) % (1, b"x")) is None


class Patient(Echo):
    """Waits for whole bodies."""

    def expects(self, head: RequestHead) -> bool:
        return True


class Wire(asyncio.Transport):
    """Keeps what a connection writes."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 1), "peername": ("127.0.0.1", 2)})
        self.sent = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def write_eof(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


def connected() -> tuple[DirectConnection, Wire]:
    """A connection that knows the head of `VALID`."""
    config = uvicorn.Config(lambda: None, ws="none", lifespan="off", log_config=None, access_log=False)
    config.load()
    found = DirectConnection(Patient(), KnownHeads(), config=config, server_state=ConnectionState(), app_state={})
    wire = Wire()
    found.connection_made(wire)
    found.data_received(VALID % (1, b"x"))
    return found, wire


async def bodies_of(wire: Wire, count: int) -> list[str]:
    """The bodies that were answered, when there are so many."""
    async with asyncio.timeout(LONG):
        while wire.sent.count(b"HTTP/1.1 200") < count:
            await asyncio.sleep(0)
    answers = wire.sent.split(b"\r\n\r\n")[1:]
    return [json.JSONDecoder().raw_decode(answer.decode())[0][-1] for answer in answers]


@given(bodies=st.lists(st.binary(min_size=2, max_size=40), min_size=1, max_size=4), data=st.data())
def test_bodies_that_arrive_in_pieces_are_answered_in_order(bodies: list[bytes], data: st.DataObject) -> None:
    sent, cuts = b"", []
    for body in bodies:  # each is cut in its middle; some pieces have the beginning of the next request, too
        request = VALID % (len(body), body)
        within = st.integers(len(request) - len(body), len(request) - data.draw(st.integers(0, 1)))
        cuts += [len(sent) + cut for cut in data.draw(st.lists(within, min_size=1, max_size=3))]
        sent += request
    pieces = [sent[begin:end] for begin, end in pairwise(sorted({0, *cuts, len(sent)}))]

    async def answered() -> list[str]:
        connection, wire = connected()
        await bodies_of(wire, 1)
        for piece in pieces:
            connection.data_received(piece)
            if data.draw(st.booleans()):  # else the request before is still in progress
                await asyncio.sleep(0)
        return await bodies_of(wire, 1 + len(bodies))

    assert run(answered()) == ["x", *(body.decode("latin-1") for body in bodies)]


async def test_the_rest_of_a_body_is_awaited_after_the_process_was_stopped() -> None:
    connection, wire = connected()
    await bodies_of(wire, 1)
    state, request = connection.server_state, VALID % (10, b"half of it")
    state.tick(1_000)
    connection.data_received(request[:-5])
    connection.data_received(request[-5:-2])  # these bytes are read before the next tick
    state.tick(1_000 + 2 * SILENCE)
    connection.close_if_silent(state.now)
    connection.data_received(request[-2:])
    await asyncio.sleep(0)
    assert b"HTTP/1.1 408" not in wire.sent
    assert wire.sent.count(b"HTTP/1.1 200") == 2


async def test_a_client_that_does_not_send_the_rest_of_a_body_is_refused() -> None:
    connection, wire = connected()
    await bodies_of(wire, 1)
    connection.data_received((VALID % (10, b"half of it"))[:-5])
    connection.close_if_silent(SILENCE - 1)
    assert wire.sent.count(b"HTTP/1.1") == 1
    connection.close_if_silent(SILENCE + 1)
    assert b"HTTP/1.1 408" in wire.sent
    connection.data_received(b"of it" + VALID % (1, b"y"))
    await asyncio.sleep(0)
    assert wire.sent.count(b"HTTP/1.1") == 2, "everything after it is ignored"


async def test_a_client_that_leaves_in_the_middle_of_a_body_leaves_nothing() -> None:
    connection, wire = connected()
    await bodies_of(wire, 1)
    connection.data_received((VALID % (10, b"half of it"))[:-5])
    connection.connection_lost(None)
    await asyncio.sleep(0)
    assert wire.sent.count(b"HTTP/1.1") == 1
    assert not connection.tasks
