"""Mutated requests to the gateway, whose provider is the simulator, and the rules for what is answered."""

import asyncio
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from tests.gateway.raw import upload
from tests.gateway.running import KEY, PROTOCOLS
from tests.gateway.test_app import request
from tools.fuzz import mutations
from tools.fuzz.mutations import Message
from tools.fuzz.nonces import nonce, nonces
from tools.fuzz.reading import HttpResponse, NotHttp, responses

SILENCE = 0.3
"""Seconds of silence after which a client closes its half: the gateway waits for more of a request that was changed."""
LONGEST = 120.0
"""Seconds after which a connection that does not end is a finding."""
LAST = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
"""The last request of a connection. If it is reached, the gateway closes the connection."""
METHODS = [
    b"GET",
    b"POST",
    b"PUT",
    b"OPTIONS",
    b"DELETE",
    b"TRACE",
    b"CONNECT",
    b"PRI",
    b"get",
    b"G",
    b"",
    b"\xff",
    b"A" * 99,
]
TARGETS = [
    b"/", b"*", b"", b"/v1/models", b"http://127.0.0.1/health", b"http://evil.example/health", b"127.0.0.1:80", b"//", b"/%00",
    b"/v1/../v1/models", b"/v1/models?key=x#y", b"/" + b"a" * 70_000, b"/v1/models/%ff", b"/v1/responses/x/input_items?limit=x",
]  # fmt: skip
VERSIONS = [b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.2", b"HTTP/1.11", b"http/1.1", b"", b"ICE/1.0", b"RTSP/1.0"]
LINES = [
    b"Expect: 100-continue", b"Expect: x", b"Connection: close", b"Connection: keep-alive", b"Connection: Upgrade",
    b"Upgrade: h2c", b"Upgrade: websocket", b"Host: 127.0.0.1", b"Host: evil.example", b"Origin: https://evil.example",
    b"Content-Type: text/plain", b"Content-Type: multipart/form-data; boundary=xYz", b"Content-Encoding: gzip", b"TE: trailers",
    b"Authorization: Bearer x", b"anthropic-beta: a,b", b"Range: bytes=0-1", b"Accept-Encoding: gzip", b"x-http-method: PUT",
]  # fmt: skip
STREAM_ENDS = re.compile(rb"\[DONE\]|message_stop|response\.(?:completed|incomplete|failed)|finishReason|\"error\"")


@dataclass
class RequestCase:
    """The bytes of one connection."""

    number: int
    pieces: list[bytes]
    intact: list[bytes]
    """Words that the first responses must have: those to requests that were not changed."""
    leaves: bool = False
    """Whether the client leaves after the last piece."""


def case(seed: int, number: int) -> RequestCase:
    choose = Random(f"{seed} {number} request")
    count = choose.choice([1, 1, 1, 2, 3, 8])
    from_here = choose.choice([0, 0, choose.randrange(count + 1)])
    data, intact = b"", []
    for index in range(count):
        message, word = _request(choose, number, index)
        if index < from_here:
            intact.append(word)
            data += message.encode()
            continue
        for _ in range(choose.choice([0, 1, 1, 2, 3])):
            choose.choice(MUTATIONS)(choose, message)
        encoded = message.encode()
        data += mutations.scrambled(choose, encoded) if choose.random() < 0.2 else encoded
    leaves = choose.random() < 0.1
    pieces = _pieces(choose, data)
    return RequestCase(number, pieces if leaves else [*pieces, LAST], intact, leaves)


def _request(choose: Random, number: int, index: int) -> tuple[Message, bytes]:
    """A valid request, and a word that its response must have."""
    word = nonce(number, index)
    common = [b"Host: 127.0.0.1", b"Authorization: Bearer " + KEY.encode()]
    match choose.randrange(12):
        case 0:
            return Message(b"GET /health HTTP/1.1", common, framed=False), b'"status"'
        case 1:
            return Message(b"GET /v1/models HTTP/1.1", common, framed=False), b"anthropic"
        case 2:
            head, _, form = upload("/v1/audio/transcriptions", f"unknown-{word}").partition(b"\r\n\r\n")
            lines = [line for line in head.split(b"\r\n")[1:] if not line.startswith(b"Content-Length")]
            return Message(head.split(b"\r\n")[0], lines, form), word.encode()
        case 3:
            body = {"model": f"unknown-{word}", "input": "Hello"}
            return Message(b"POST /v1/embeddings HTTP/1.1", common, json.dumps(body).encode()), word.encode()
        case 4:
            path, asked = request("anthropic", choose.choice(PROTOCOLS), word)
            return Message(
                b"POST %b/count_tokens HTTP/1.1" % path.encode(), common, json.dumps(asked).encode()
            ), b"input_tokens"
        case _:
            path, asked = request(
                choose.choice(PROTOCOLS), choose.choice(PROTOCOLS), word, stream=choose.random() < 0.5
            )
            message = Message(b"POST %b HTTP/1.1" % path.encode(), common, json.dumps(asked).encode())
            if choose.random() < 0.2:
                mutations.split(choose, message)
            return message, word.encode()


def _first(choose: Random, message: Message) -> None:
    parts = message.first.split(b" ")
    place = choose.randrange(3)
    parts[place % len(parts)] = choose.choice([METHODS, TARGETS, VERSIONS][place])
    message.first = choose.choice([b" ", b" ", b" ", b"  ", b"\t"]).join(parts)


def _line(choose: Random, message: Message) -> None:
    message.headers.insert(choose.randrange(len(message.headers) + 1), choose.choice(LINES))


MUTATIONS = [_first, _line, mutations.headers, mutations.framing, mutations.framing, mutations.body, mutations.of_json]


def _pieces(choose: Random, data: bytes) -> list[bytes]:
    match choose.randrange(4):
        case 0:
            cuts = sorted(choose.randrange(len(data) + 1) for _ in range(choose.randrange(1, 9)))
            return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        case 1 if len(data) < 3_000:
            size = choose.choice([1, 3, 50])
            return [data[start : start + size] for start in range(0, len(data), size)]
        case _:
            return [data]


async def played(url: str, tried: RequestCase) -> str | None:
    """Send a case. Returns the fault of the responses, or None."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    received = b""
    itself = True
    try:
        async with asyncio.timeout(LONGEST):
            with suppress(ConnectionError):
                for data in tried.pieces:
                    writer.write(data)
                    await writer.drain()
                    await asyncio.sleep(0)
            if tried.leaves:
                return None
            while (piece := await _read(reader, received, len(tried.intact))) != b"":
                if piece is None:
                    itself = False
                    with suppress(OSError):
                        writer.write_eof()
                    received += await reader.read(-1)
                    break
                received += piece
    except TimeoutError:
        return f"the connection did not end; received {received[-300:]!r}"
    except ConnectionError:
        # the gateway closed the connection while more was sent: what was received before may be lost
        return judged(RequestCase(tried.number, [], []), received, itself=False)
    finally:
        writer.transport.abort()
    return judged(tried, received, itself=itself)


async def _read(reader: asyncio.StreamReader, received: bytes, expected: int) -> bytes | None:
    """The next bytes; b"" at the end; None after a silence, if all expected responses are there."""
    try:
        async with asyncio.timeout(SILENCE):
            return await reader.read(2**16)
    except TimeoutError:
        pass
    with suppress(NotHttp):
        if sum(found.whole for found in responses(received)) < expected:
            return await reader.read(2**16)
    return None


def judged(tried: RequestCase, received: bytes, *, itself: bool) -> str | None:
    """`itself`: whether the gateway ended the connection."""
    try:
        found = responses(received)
    except NotHttp as error:
        return f"{error}; received {received[-500:]!r}"
    last = 0
    for number, response in enumerate(found):
        if response.status == 500:
            return f"status 500: {response.body[:300]!r}"
        if not response.whole and itself:
            return f"response {number} broke off: {response.body[-300:]!r}"
        delimited = {b"content-length", b"transfer-encoding"} & response.headers.keys()
        if (itself or delimited) and (wrong := _of_stream(response)):
            return wrong
        words = nonces(response.body)
        if any(case != tried.number for case, _ in words):
            return f"response {number} is that of another connection: {words}"
        if words and min(words)[1] < last:
            return f"response {number} is in the wrong place: {words}"
        last = max([last, *(index for _, index in words)])
    for number, word in enumerate(tried.intact):
        if number and len(found) >= number and found[number - 1].headers.get(b"connection") == b"close":
            break  # a refusal before the whole body was received
        if len(found) <= number:
            return f"request {number} was not answered; received {received[-300:]!r}"
        if word not in found[number].body:
            return (
                f"response {number} is not the one to its request: {found[number].status} {found[number].body[:300]!r}"
            )
    return None


def _of_stream(response: HttpResponse) -> str | None:
    stream = response.headers.get(b"content-type", b"").startswith(b"text/event-stream")
    if stream and response.status == 200 and response.whole and not STREAM_ENDS.search(response.body):
        return f"a stream without an end: {response.body[-300:]!r}"
    return None
