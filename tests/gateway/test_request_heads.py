"""Request lines, headers and lengths: which forms are understood, and which end the connection.

A proxy in front of the gateway may read an ambiguous request in another way, and then take a part of one client's request for
that of another. The gateway refuses such requests and reads nothing after them.
"""

import asyncio
import json
from collections.abc import Iterator

import pytest

from modelbay.serving.client_connection import HEAD_BYTES
from modelbay.simulator import Simulator
from tests.gateway.raw import RawClient, RawResponse, head
from tests.gateway.running import KEY, RunningGateway, running
from tests.gateway.test_app import request

Running = tuple[RunningGateway, Simulator]
PATH, BODY = request("openai_chat", "anthropic")
DATA = json.dumps(BODY).encode()
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(DATA), DATA)
LENGTH = f"Content-Length: {len(DATA)}"
CHUNKED = "Transfer-Encoding: chunked"
NEXT = head("GET", "/v1/models")
LIMIT = 200_000


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("gateway"), settings=f"body_bytes = {LIMIT}") as found:
        yield found


def line(first: str, *lines: str, key: bool = True) -> bytes:
    """The head of a request whose first line is `first`."""
    fields = [f"Authorization: Bearer {KEY}"] if key else []
    return "\r\n".join([first, *fields, *lines, "", ""]).encode("latin-1")


async def two(gateway: Running, data: bytes) -> tuple[RawResponse, RawResponse]:
    """The responses to a request and to the one behind it."""
    async with RawClient(gateway[0].url) as client:
        await client.send(data + NEXT)
        return await client.response(body=not data.startswith(b"HEAD")), await client.response()


async def last(gateway: Running, data: bytes) -> bytes:
    """Everything that is sent for a request and another one behind it, until the server closes the connection."""
    async with RawClient(gateway[0].url) as client:
        await client.send(data + NEXT)
        return await client.rest()


# --- the length of a body ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        head("POST", PATH, LENGTH) + DATA,
        head("POST", PATH, f"Content-Length:\t  {len(DATA)} \t") + DATA,
        head("POST", PATH, f"content-length: 000{len(DATA)}") + DATA,
        head("POST", PATH, LENGTH, "Content_Length: 3") + DATA,
        head("POST", PATH, CHUNKED) + CHUNKS,
        head("POST", PATH, "TRANSFER-ENCODING:CHUNKED") + CHUNKS,
        head("POST", PATH, CHUNKED) + b'%x;a=1;b="c d"\r\n%b\r\n0;e\r\n\r\n' % (len(DATA), DATA),
        head("POST", PATH, CHUNKED) + b"%024X\r\n%b\r\n000\r\n\r\n" % (len(DATA), DATA),
        head("POST", PATH, CHUNKED) + b"%x\r\n%b\r\n0\r\nX-Sum: 1\r\nX-More:\r\n\r\n" % (len(DATA), DATA),
        head("POST", PATH, CHUNKED) + b"".join(b"1\r\n%c\r\n" % byte for byte in DATA) + b"0\r\n\r\n",
    ],
)
async def test_a_body_of_either_form_is_read_to_its_end(gateway: Running, data: bytes) -> None:
    before = len(gateway[1].journal)
    first, second = await two(gateway, data)
    assert (first.status, second.status) == (200, 200)
    assert len(gateway[1].journal) == before + 1
    assert "Hello there" in str(gateway[1].journal[-1].json)


@pytest.mark.parametrize(
    "lines",
    [
        # two lengths
        [LENGTH, LENGTH],
        [LENGTH, "Content-Length: 0"],
        ["Content-Length: 0", LENGTH],
        [f"{LENGTH}, {len(DATA)}"],
        # not a number
        ["Content-Length: "],
        ["Content-Length: -1"],
        [f"Content-Length: +{len(DATA)}"],
        ["Content-Length: 1 2"],
        ["Content-Length: 0x10"],
        ["Content-Length: 1.0"],
        ["Content-Length: 1e1"],
        ["Content-Length: \xb2"],
        ["Content-Length: 18446744073709551617"],
        [f"Content-Length: {'9' * 5_000}"],
        [f"Content-Length: {len(DATA)}\x0b"],
        # a length and chunks
        [LENGTH, CHUNKED],
        [CHUNKED, LENGTH],
        [CHUNKED, "Content-Length: 0"],
        ["Transfer-Encoding: identity", LENGTH],
        ["Transfer-Encoding:", LENGTH],
        # chunks that only one of two servers sees
        ["Transfer-Encoding: xchunked"],
        ["Transfer-Encoding: chunkedx"],
        ["Transfer-Encoding: x, chunked"],
        ["Transfer-Encoding: chunked, chunked"],
        ["Transfer-Encoding: chunked, identity"],
        ["Transfer-Encoding: identity, chunked"],
        ["Transfer-Encoding: identity"],
        ["Transfer-Encoding: gzip, chunked"],
        ["Transfer-Encoding: ,chunked"],
        ["Transfer-Encoding: chunked,"],
        ["Transfer-Encoding: chunked;q=1"],
        ['Transfer-Encoding: "chunked"'],
        ["Transfer-Encoding: \x0bchunked"],
        ["Transfer-Encoding: chunked\x0c"],
        ["Transfer-Encoding: \xa0chunked"],
        ["Transfer-Encoding: chunked\0"],
        ["Transfer-Encoding:\r\n chunked"],
        ["X: 1\r\n Transfer-Encoding: chunked", LENGTH],
        ["Transfer-Encoding : chunked"],
        ["Transfer-Encoding\t: chunked", LENGTH],
        ["Transfer-Encoding\xa0: chunked", LENGTH],
        [" Transfer-Encoding: chunked", LENGTH],
        [CHUNKED, CHUNKED],
        [CHUNKED, "Transfer-Encoding: identity"],
        ["Transfer-Encoding: identity", CHUNKED],
        ["Transfer-Encoding: x", CHUNKED],
        # ends of lines
        [f"X: 1\n{CHUNKED}", LENGTH],
        [f"X: 1\r{CHUNKED}", LENGTH],
        [f"X: 1\r\r\n{CHUNKED}", LENGTH],
        [f"X: 1\n\r\n{CHUNKED}"],
        [f"X: 1\r\n {LENGTH}"],
        [f"X: 1\r\n\t{LENGTH}"],
        [f"X\0: 1\r\n{LENGTH}"],
        [f"X: a\0b\r\n{LENGTH}"],
    ],
)
@pytest.mark.parametrize("form", ["length", "chunks"])
async def test_a_length_that_can_be_read_in_two_ways_is_refused(gateway: Running, lines: list[str], form: str) -> None:
    before = len(gateway[1].journal)
    sent = line(f"POST {PATH} HTTP/1.1", "Host: 127.0.0.1", *lines) + (DATA if form == "length" else CHUNKS)
    received = await last(gateway, sent)
    assert received.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 ")), received
    assert received.count(b"HTTP/1.1 ") == 1, "the next request is not answered"
    assert b"\r\nconnection: close\r\n" in received
    assert len(gateway[1].journal) == before


@pytest.mark.parametrize(
    "chunks",
    [
        b"0x%x\r\n%b\r\n0\r\n\r\n" % (len(DATA), DATA),
        b"+%x\r\n%b\r\n0\r\n\r\n" % (len(DATA), DATA),
        b"-%x\r\n%b\r\n0\r\n\r\n" % (len(DATA), DATA),
        b" %x\r\n%b\r\n0\r\n\r\n" % (len(DATA), DATA),
        b"%x \r\n%b\r\n0\r\n\r\n" % (len(DATA), DATA),
        b"%x,1\r\n%b\r\n0\r\n\r\n" % (len(DATA), DATA),
        b"\r\n%b\r\n0\r\n\r\n" % DATA,
        b"g\r\n%b\r\n0\r\n\r\n" % DATA,
        b"1000000000000000%x\r\n%b\r\n0\r\n\r\n" % (len(DATA), DATA),
        b"%x\n%b\r\n0\r\n\r\n" % (len(DATA), DATA),
        b"%x\r%b\r\n0\r\n\r\n" % (len(DATA), DATA),
        b"%x\r\n%b\n0\r\n\r\n" % (len(DATA), DATA),
        b"%x\r\n%b0\r\n\r\n" % (len(DATA), DATA),
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(DATA) - 1, DATA),
        b"%x\r\n%b\r\n0\n\n" % (len(DATA), DATA),
        b"%x\r\n%b\r\n0\r\n\n" % (len(DATA), DATA),
        b"%x;a\n%b\r\n0\r\n\r\n" % (len(DATA), DATA),
        b"%x;a\rb\r\n%b\r\n0\r\n\r\n" % (len(DATA), DATA),
        b'%x;a="\n"\r\n%b\r\n0\r\n\r\n' % (len(DATA), DATA),
        b"%x\r\n%b\r\n0\r\nContent-Length: 3\r\n\r\n" % (len(DATA), DATA),
        b"%x\r\n%b\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n" % (len(DATA), DATA),
        b"%x\r\n%b\r\n0\r\nX T: 1\r\n\r\n" % (len(DATA), DATA),
        b"%x\r\n%b\r\n0\r\nX\r\n\r\n" % (len(DATA), DATA),
        b"%x\r\n%b\r\n0\r\n: 1\r\n\r\n" % (len(DATA), DATA),
    ],
)
async def test_invalid_chunks_are_refused(gateway: Running, chunks: bytes) -> None:
    before = len(gateway[1].journal)
    received = await last(gateway, head("POST", PATH, CHUNKED) + chunks)
    assert received.startswith(b"HTTP/1.1 400 "), received
    assert received.count(b"HTTP/1.1 ") == 1
    assert len(gateway[1].journal) == before


@pytest.mark.parametrize(
    "data",
    [
        head("POST", PATH, LENGTH) + DATA,
        head("POST", PATH, CHUNKED)
        + b"4;a=b\r\n%b\r\n%x\r\n%b\r\n0\r\nX: 1\r\n\r\n" % (DATA[:4], len(DATA) - 4, DATA[4:]),
    ],
    ids=["length", "chunks"],
)
async def test_a_request_may_arrive_in_any_two_pieces(gateway: Running, data: bytes) -> None:
    before = len(gateway[1].journal)
    async with RawClient(gateway[0].url) as client:
        for at in range(1, len(data), 7):
            await client.send(data[:at])
            await asyncio.sleep(0)
            await client.send(data[at:])
            assert (await client.response()).status == 200, at
    assert len(gateway[1].journal) == before + len(range(1, len(data), 7))


@pytest.mark.parametrize("method", ["POST", "TRACE", "GET"])
@pytest.mark.parametrize("key", [KEY, "wrong"])
@pytest.mark.parametrize("split", [0, 5])
async def test_invalid_chunks_end_a_request_that_is_refused_for_another_reason(
    gateway: Running, caplog: pytest.LogCaptureFixture, method: str, key: str, split: int
) -> None:
    async with RawClient(gateway[0].url) as client:
        await client.send(head(method, "/v1/audio/transcriptions", CHUNKED, key=key) + b"5\r\nab"[:split])
        await asyncio.sleep(0)
        await client.send(b"xyz\r\n" * 3 + NEXT)
        received = await client.rest()
    assert received.startswith(b"HTTP/1.1 4")
    assert received.count(b"HTTP/1.1 ") == 1
    async with RawClient(gateway[0].url) as client:
        await client.send(NEXT)
        assert (await client.response()).status == 200
    assert not caplog.text


async def test_invalid_chunks_are_not_welcomed(gateway: Running, caplog: pytest.LogCaptureFixture) -> None:
    received = await last(gateway, head("POST", PATH, CHUNKED, "Expect: 100-continue") + b"xyz\r\n")
    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.count(b"HTTP/1.1 ") == 1
    async with RawClient(gateway[0].url) as client:
        await client.send(NEXT)
        assert (await client.response()).status == 200
    assert "internal error" not in caplog.text


@pytest.mark.parametrize(
    "name", ["Authorization: Bearer " + KEY, "x-api-key: " + KEY, "Host: 127.0.0.1", "anthropic-beta: x"]
)
async def test_a_trailer_is_not_a_header(gateway: Running, name: str) -> None:
    path, body = request("anthropic", "anthropic")
    data = json.dumps(body).encode()
    chunks = b"%x\r\n%b\r\n0\r\n%b\r\n\r\n" % (len(data), data, name.encode())
    key = None if KEY in name else KEY
    async with RawClient(gateway[0].url) as client:
        await client.send(head("POST", path, CHUNKED, key=key) + chunks)
        assert (await client.response()).status == (401 if key is None else 200)
    if key:
        assert "anthropic-beta" not in gateway[1].journal[-1].headers


@pytest.mark.parametrize(
    "start", [b"", b"5\r\n", b"5\r\n{", b"5\r\n{    \r\n", b"5\r\n{    \r\n0\r\n", b"5\r\n{    \r\n0\r\nX: 1\r\n"]
)
async def test_chunks_without_an_end_are_awaited_and_reach_no_provider(gateway: Running, start: bytes) -> None:
    before = len(gateway[1].journal)
    async with RawClient(gateway[0].url) as client:
        await client.send(head("POST", PATH, CHUNKED) + start)
        client.writer.write_eof()
        assert await client.rest() == b""
    assert len(gateway[1].journal) == before


@pytest.mark.parametrize(
    "end",
    [b"x" * (9 * HEAD_BYTES), b"X: 1\r\n" * HEAD_BYTES, b"x: " + b"x" * (9 * HEAD_BYTES)],
    ids=["name", "many", "value"],
)
async def test_trailers_have_a_limit(gateway: Running, end: bytes) -> None:
    before = len(gateway[1].journal)
    async with RawClient(gateway[0].url) as client:
        await client.send(head("POST", PATH, CHUNKED) + CHUNKS[:-2] + end)
        assert (await client.rest()).startswith(b"HTTP/1.1 431 ")
    assert len(gateway[1].journal) == before


@pytest.mark.parametrize("lines", [["Content-Length: 5"], [CHUNKED]])
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
async def test_the_body_of_any_method_is_not_read_as_a_request(gateway: Running, method: str, lines: list[str]) -> None:
    body = b"GET /" if "5" in lines[0] else b"5\r\nGET /\r\n0\r\n\r\n"
    async with RawClient(gateway[0].url) as client:
        await client.send(head(method, "/v1/models", *lines) + body + NEXT)
        found = await client.response(body=method != "HEAD")
        if method in ("GET", "HEAD"):
            assert found.status == 200
            assert (await client.response()).status == 200
        else:
            assert found.status in (405, 501)
            rest = b"" if found.headers.get("connection") == "close" else (await client.response()).body
            assert b"Bad" not in rest


# --- the first line ----------------------------------------------------------------------------------------------------

HOST = "Host: 127.0.0.1"


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://127.0.0.1/v1/models", 200),
        ("HTTP://localhost:8484/v1/models", 200),
        ("https://127.0.0.1/v1/models?x=1", 200),
        ("http://127.0.0.1", 200),
        ("http://127.0.0.1?x=1", 200),
        ("http://evil.example/v1/models", 403),
        ("http://evil.example", 403),
        ("http://127.0.0.1@evil.example/v1/models", 403),
        ("http://evil.example@127.0.0.1/v1/models", 403),
        ("http://evil.example?@127.0.0.1/v1/models", 403),
        ("ftp://evil.example/v1/models", 403),
    ],
)
async def test_the_host_of_a_whole_url_counts_instead_of_the_header(gateway: Running, target: str, status: int) -> None:
    async with RawClient(gateway[0].url) as client:
        await client.send(line(f"GET {target} HTTP/1.1", HOST))
        assert (await client.response()).status == status
    async with RawClient(gateway[0].url) as client:
        await client.send(line(f"GET {target} HTTP/1.1", "Host: evil.example"))
        assert (await client.response()).status == status


@pytest.mark.parametrize(
    "first",
    [
        "get /v1/models HTTP/1.1",
        "Get /v1/models HTTP/1.1",
        "GETS /v1/models HTTP/1.1",
        "NOTHING /v1/models HTTP/1.1",
        "G\0ET /v1/models HTTP/1.1",
        "A" * 5_000 + " /v1/models HTTP/1.1",
        " GET /v1/models HTTP/1.1",
        "GET\t/v1/models\tHTTP/1.1",
        "GET /v1/models HTTP/1.1 ",
        "GET /v1/models http/1.1",
        "GET /v1/models HTTP/1.2",
        "GET /v1/models HTTP/1.10",
        "GET /v1/models HTTP/01.1",
        "GET /v1/models HTTP/1,1",
        "GET /v1/models HTTP/2.0",
        "GET /v1/models HTTP/0.9",
        "GET /v1/models",
        "GET v1/models HTTP/1.1",
        "GET 127.0.0.1:80 HTTP/1.1",
        "GET  HTTP/1.1",
        "GET /v1/models x HTTP/1.1",
        "GET /v1/models\x7f HTTP/1.1",
        "GET /v1/models\x01 HTTP/1.1",
        "GET /v1/mod\xe9ls HTTP/1.1",
        "GET http:// HTTP/1.1",
        "GET http:///v1/models HTTP/1.1",
        "GET http://127.0.0.1:99999/v1/models HTTP/1.1",
        "GET * HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "CONNECT 127.0.0.1:80 HTTP/1.1",
        "CONNECT example.com:443 HTTP/1.1",
        "PRI * HTTP/2.0",
    ],
)
async def test_a_first_line_that_is_not_valid_ends_the_connection(gateway: Running, first: str) -> None:
    received = await last(gateway, line(first, HOST))
    assert received.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5")), received
    assert not received.startswith(b"HTTP/1.1 500"), received
    assert received.count(b"HTTP/1.1 ") == 1, received


@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "CONNECT", "PROPFIND", "PURGE", "M-SEARCH", "QUERY"])
async def test_a_method_that_no_path_has_is_refused(gateway: Running, method: str) -> None:
    async with RawClient(gateway[0].url) as client:
        await client.send(line(f"{method} /v1/models HTTP/1.1", HOST))
        assert (await client.response()).status in (400, 405, 501)


@pytest.mark.parametrize(
    "data",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)), b"\0" * 100, b"\xff\xfe", b"SSH-2.0-x\r\n"],
)
async def test_another_protocol_ends_the_connection(gateway: Running, data: bytes) -> None:
    received = await last(gateway, data)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("first", [b"\r\n", b"\r\n\r\n\r\n"])
async def test_blank_lines_before_a_request_are_ignored(gateway: Running, first: bytes) -> None:
    async with RawClient(gateway[0].url) as client:
        for _ in range(2):
            await client.send(first + NEXT)
            assert (await client.response()).status == 200


# --- headers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "hosts", "status"),
    [
        ("1.1", [], 400),
        ("1.1", [HOST, HOST], 400),
        ("1.1", [HOST, "Host: evil.example"], 400),
        ("1.0", [HOST, "Host: evil.example"], 400),
        ("1.1", ["Host: "], 403),
        ("1.0", [], 403),
        ("1.0", [HOST], 200),
        ("1.1", [HOST], 200),
    ],
)
async def test_a_request_has_one_host(gateway: Running, version: str, hosts: list[str], status: int) -> None:
    async with RawClient(gateway[0].url) as client:
        await client.send(line(f"GET /v1/models HTTP/{version}", *hosts))
        found = await client.response()
        assert found.status == status
        if status == 400:
            assert found.headers["connection"] == "close"


@pytest.mark.parametrize(
    "header", [": 1", "x", "x y: 1", "x\x01: 1", "x: \x01", "x: \x7f", "x(: 1", "\xe9: 1", "x: a\r b", "x: a\n b"]
)
async def test_an_invalid_header_ends_the_connection(gateway: Running, header: str) -> None:
    received = await last(gateway, line("GET /v1/models HTTP/1.1", HOST, header))
    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("header", ["x: \xe9\xff", "x: a\tb", "x:", "x: ", "X-A: 1\r\nx-a: 2", "!#$%&'*+.^_`|~: 1"])
async def test_an_unusual_header_is_accepted(gateway: Running, header: str) -> None:
    found = await two(gateway, line("GET /v1/models HTTP/1.1", HOST, header))
    assert [response.status for response in found] == [200, 200]


@pytest.mark.parametrize(
    "data",
    [
        b"GET /" + b"a" * HEAD_BYTES,
        b"GET /?" + b"a" * HEAD_BYTES + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"a" * HEAD_BYTES,
        b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nx: " + b"a" * HEAD_BYTES,
        b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nx:" + b" " * HEAD_BYTES,
        b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"x:\r\n" * (HEAD_BYTES // 4),
        b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"x:1\r\n" * (HEAD_BYTES // 5) + b"\r\n",
    ],
    ids=["path", "query", "name", "value", "blanks", "headers without an end", "headers"],
)
@pytest.mark.parametrize("size", [1_000, 100_000])
async def test_a_head_that_is_too_large_is_refused(gateway: Running, data: bytes, size: int) -> None:
    async with RawClient(gateway[0].url) as client:
        for start in range(0, len(data), size):
            await client.send(data[start : start + size])
            await asyncio.sleep(0)
        received = await client.rest()
    assert received.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 414 ")), received


# --- older clients -----------------------------------------------------------------------------------------------------


async def test_a_client_of_http_1_0_gets_a_response_that_ends_with_the_connection(gateway: Running) -> None:
    async with RawClient(gateway[0].url) as client:
        await client.send(line("GET /v1/models HTTP/1.0", HOST) + NEXT)
        found = await client.response()
        assert found.headers["connection"] == "close"
        assert await client.rest() == b""


async def test_a_client_of_http_1_0_gets_a_stream_without_chunks(gateway: Running) -> None:
    path, body = request("openai_chat", "anthropic", stream=True)
    data = json.dumps(body).encode()
    async with RawClient(gateway[0].url) as client:
        await client.send(line(f"POST {path} HTTP/1.0", HOST, f"Content-Length: {len(data)}") + data)
        found = await client.head()
        assert "transfer-encoding" not in found.headers
        assert (await client.rest()).startswith(b"data: {")


async def test_a_client_of_http_1_0_sends_no_chunks(gateway: Running) -> None:
    received = await last(gateway, line(f"POST {PATH} HTTP/1.0", HOST, CHUNKED) + CHUNKS)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.count(b"HTTP/1.1 ") == 1


async def test_a_client_of_http_1_0_gets_no_status_100(gateway: Running) -> None:
    async with RawClient(gateway[0].url) as client:
        await client.send(line(f"POST {PATH} HTTP/1.0", HOST, LENGTH, "Expect: 100-continue") + DATA)
        assert (await client.response()).status == 200


# --- expectations ------------------------------------------------------------------------------------------------------


async def test_a_body_is_welcomed_once(gateway: Running) -> None:
    async with RawClient(gateway[0].url) as client:
        await client.send(head("POST", PATH, CHUNKED, "Expect: 100-Continue"))
        assert (await client.response()).status == 100
        for start in range(0, len(DATA), 10):
            await client.send(b"%x\r\n%b\r\n" % (len(DATA[start : start + 10]), DATA[start : start + 10]))
            await asyncio.sleep(0)
        await client.send(b"0\r\n\r\n" + NEXT)
        assert (await client.response()).status == 200
        assert (await client.response()).status == 200


@pytest.mark.parametrize("lines", [[f"Content-Length: {LIMIT + 1}"], ["Content-Length: 99999999999999"]])
async def test_a_body_that_is_too_large_is_not_welcomed(gateway: Running, lines: list[str]) -> None:
    async with RawClient(gateway[0].url) as client:
        await client.send(head("POST", PATH, "Expect: 100-continue", *lines))
        found = await client.response()
        assert found.status == 413
        assert found.headers["connection"] == "close"


async def test_a_request_without_a_body_is_not_welcomed(gateway: Running) -> None:
    first, second = await two(gateway, head("GET", "/v1/models", "Expect: 100-continue"))
    assert (first.status, second.status) == (200, 200)


async def test_an_unknown_expectation_is_ignored_or_refused(gateway: Running) -> None:
    async with RawClient(gateway[0].url) as client:
        await client.send(head("POST", PATH, LENGTH, "Expect: something-else") + DATA)
        assert (await client.response()).status in (200, 417)


# --- offers of another protocol ----------------------------------------------------------------------------------------

WEBSOCKET = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)
HTTP_2 = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")


@pytest.mark.parametrize("offer", [WEBSOCKET, HTTP_2, ("Connection: upgrade", "Upgrade: x/1"), ("Upgrade: h2c",)])
async def test_an_offer_of_another_protocol_is_ignored(gateway: Running, offer: tuple[str, ...]) -> None:
    first, second = await two(gateway, head("GET", "/v1/models", *offer))
    assert (first.status, second.status) == (200, 200)


async def test_requests_with_offers_may_be_pipelined(gateway: Running) -> None:
    each = head("POST", PATH, LENGTH, *HTTP_2) + DATA
    async with RawClient(gateway[0].url) as client:
        await client.send(each * 5 + NEXT)
        assert [(await client.response()).status for _ in range(6)] == [200] * 6


async def test_the_preface_of_http_2_after_an_offer_ends_the_connection(gateway: Running) -> None:
    async with RawClient(gateway[0].url) as client:
        await client.send(head("GET", "/v1/models", *HTTP_2) + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + NEXT)
        assert (await client.response()).status == 200
        received = await client.rest()
    assert received.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 505 "))
    assert received.count(b"HTTP/1.1 ") == 1


async def test_invalid_chunks_after_an_offer_are_refused(gateway: Running) -> None:
    received = await last(gateway, head("POST", PATH, CHUNKED, *HTTP_2) + b"2\r\n{}xx\r\n0\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.count(b"HTTP/1.1 ") == 1


async def test_a_body_after_an_offer_is_welcomed(gateway: Running) -> None:
    async with RawClient(gateway[0].url) as client:
        await client.send(head("POST", PATH, LENGTH, "Expect: 100-continue", *HTTP_2))
        assert (await client.response()).status == 100
        await client.send(DATA)
        assert (await client.response()).status == 200


async def test_invalid_chunks_of_a_request_that_is_answered_end_the_connection(gateway: Running) -> None:
    async with RawClient(gateway[0].url) as client:
        await client.send(head("GET", "/v1/models", CHUNKED) + b"1\r\n")
        assert (await client.response()).status == 200
        await client.send(b"xyz\r\n" + NEXT)
        assert await client.rest() == b""
