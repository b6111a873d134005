"""Heads that were read before: a request that has one needs no parser, and must not be read in another way."""

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbay.serving.http_request import HttpRequest
from modelbay.serving.request_head import LONGEST, MOST, KnownHeads, RequestHead, split
from modelbay.serving.server import HttpServer, RequestHandler, listen
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
