"""Mutated replies of a provider, and the rules for what clients of the gateway and callers of the transport get."""

import asyncio
import gzip
import json
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

from modelbay.conversation import Conversation, Protocol, Text
from modelbay.dialect import PLAIN
from modelbay.errors import ModelbayError
from modelbay.events import Event, Failed, Finished, PartDelta, PartEnded, PartStarted, Started, UsageReported, collect
from modelbay.protocols.codec import codec
from modelbay.transport import Limits, Request, Transport
from modelbay.usage import Usage
from tests.fuzzing import damaged
from tests.gateway.raw import post
from tests.gateway.test_app import request
from tools.fuzz import mutations
from tools.fuzz.mutations import Message
from tools.fuzz.nonces import nonce, nonces
from tools.fuzz.reading import HttpResponse, NotHttp, responses

PROTOCOLS: tuple[Protocol, ...] = ("openai_chat", "openai_responses", "anthropic", "google")
IDLE = 30.0
"""Seconds of silence that the gateway and the transport bear. A busy machine must not reach it."""
LONGEST = 300.0
"""Seconds after which a call that does not end is a finding: several attempts, with all their limits."""
LIMITS = Limits(connect=IDLE, first_byte=IDLE, idle=IDLE, first_event=2 * IDLE, content=2 * IDLE)
FOREIGN = 10**9
"""The case of a reply that belongs to no request."""
BOMB = gzip.compress(b" " * 2**24, mtime=0)
STATUSES = [
    b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.0 200 OK", b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified",
    b"HTTP/1.1 101 Switching Protocols", b"HTTP/1.1 99 x", b"HTTP/1.1 600 x", b"HTTP/1.1 2000 x", b"HTTP/2 200 OK",
    b"HTTP/1.1 302 Found", b"HTTP/1.1 401 x", b"HTTP/1.1 404 x", b"HTTP/1.1 400 x", b"HTTP/1.1 413 x", b"ICY 200 OK",
    b"HTTP/1.1  200 OK", b"200 OK", b"", b"HTTP/1.1 999 x", b"HTTP/1.1 500 x", b"HTTP/1.1 304 x",
    b"HTTP/1.1 200 \xff\0", b"HTTP/1.1 -200 OK", b"http/1.1 200 OK", b"HTTP/1.1 205 x", b"HTTP/1.1 206 Partial Content", b"\0\0",
]  # fmt: skip


@dataclass
class ReplyCase:
    """One call, and what its provider sends for it."""

    number: int
    client: Protocol
    upstream: Protocol
    stream: bool
    direct: bool
    """Whether the call is made by the library's transport, not by a client of the gateway."""
    reads: bool = True
    """Whether such a call reads the reply as a whole."""
    pieces: list[bytes] = field(default_factory=list)
    body: bytes = b""
    """The whole reply, as it is before compression and framing."""
    end: str = "keep"
    """Action of the provider after the last piece: keep the connection, close or reset it, or stall."""
    must: str = ""
    """Whether the reply must be accepted ("whole") or not ("fail"), or be whole if it is accepted ("framing")."""


def case(seed: int, number: int) -> ReplyCase:
    choose = Random(f"{seed} {number} reply")
    client, upstream = choose.choice(PROTOCOLS), choose.choice(PROTOCOLS)
    tried = ReplyCase(number, client, upstream, choose.random() < 0.6, choose.random() < 0.5, choose.random() < 0.5)
    tried.body = _reply(tried)
    kind = b"text/event-stream" if tried.stream else b"application/json"
    message = Message(b"HTTP/1.1 200 OK", [b"Content-Type: " + kind, b"X-Request-Id: r%d" % number], tried.body)
    if choose.random() < 0.3:
        message.headers.append(b"Content-Encoding: gzip")
        message.body = gzip.compress(tried.body, mtime=0)
    if choose.random() < 0.6:
        mutations.split(choose, message)
    data = choose.choice(MUTATIONS)(choose, tried, message)
    tried.pieces = [data]
    if choose.random() < 0.4 and tried.end != "extra":
        cuts = sorted(choose.randrange(len(data) + 1) for _ in range(choose.randrange(1, 6)))
        tried.pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    return tried


def last_word(number: int) -> str:
    return f"end-{nonce(number)}"


def _reply(tried: ReplyCase) -> bytes:
    pieces = [nonce(tried.number), " some", " words", " of a reply, then", f" {last_word(tried.number)}"]
    deltas: list[Event] = [PartDelta(0, piece) for piece in pieces]
    events: list[Event] = [
        Started("r1", "m"),
        PartStarted(0, Text(text="")),
        *deltas,
        PartEnded(0, Text(text="".join(pieces))),
        UsageReported(Usage(input=3, output=5)),
        Finished("stop"),
    ]
    of = codec(tried.upstream)
    if not tried.stream:
        return of.render_reply(collect(events))
    renderer = of.stream_renderer(Conversation(stream=True, include_usage=True))
    return b"".join(renderer.feed(event) for event in events)


# --- mutations ---------------------------------------------------------------------------------------------------------


def _unchanged(choose: Random, tried: ReplyCase, message: Message) -> bytes:
    tried.must, tried.end = "whole", choose.choice(["keep", "keep", "keep", "close"])
    return message.encode()


def _informed(choose: Random, tried: ReplyCase, message: Message) -> bytes:
    """Responses of status 1xx before the reply."""
    tried.must = "whole"
    each = [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
        b"HTTP/1.1 102 x\r\n\r\n",
    ]
    return b"".join(choose.choice(each) for _ in range(choose.randrange(1, 4))) + message.encode()


def _endless(choose: Random, tried: ReplyCase, message: Message) -> bytes:
    """Something that is repeated, and never becomes a reply."""
    tried.must, tried.end = "fail", choose.choice(["close", "keep"])
    each = [b"HTTP/1.1 103 Early Hints\r\n\r\n", b"X: 1\r\n", b"X", b"\r\n", b"HTTP/1.1 100 Continue\r\nX: 1\r\n\r\n"]
    piece = choose.choice(each)
    return (b"HTTP/1.1 200 OK\r\n" if piece.startswith(b"X") else b"") + piece * choose.choice([1_000, 30_000])


def _with_trailers(choose: Random, tried: ReplyCase, message: Message) -> bytes:
    tried.must = "whole"
    mutations.split(choose, message)
    message.trailers = [b"X-Sum: 1", b"X-Empty:"]
    return message.encode()


def _old(choose: Random, tried: ReplyCase, message: Message) -> bytes:
    """A reply without a length, which ends with the connection."""
    tried.must, tried.end = "whole", "close"
    message.framed, message.chunks = False, []
    message.first = choose.choice([b"HTTP/1.0 200 OK", b"HTTP/1.1 200 OK", b"HTTP/1.1 200"])
    return message.encode()


def _broken_off(choose: Random, tried: ReplyCase, message: Message) -> bytes:
    tried.must, tried.end = "fail", choose.choice(["close", "close", "reset"])
    if choose.random() < 0.03:
        tried.end = "stall"
    data = message.encode()
    return data[: choose.randrange(1, len(data))]


def _wrong_length(choose: Random, tried: ReplyCase, message: Message) -> bytes:
    tried.must, tried.end = "fail", "close"
    message.chunks, message.length = [], b"%d" % (len(message.body) + choose.choice([1, 2, 1_000]))
    return message.encode()


def _other_framing(choose: Random, tried: ReplyCase, message: Message) -> bytes:
    tried.must, tried.end = "framing", choose.choice(["close", "close", "keep"]) if choose.random() < 0.95 else "stall"
    mutations.framing(choose, message)
    return message.encode()


def _other_headers(choose: Random, tried: ReplyCase, message: Message) -> bytes:
    tried.must, tried.end = "framing", "close"
    for _ in range(choose.choice([1, 2, 3])):
        mutations.headers(choose, message)
    return message.encode()


def _other_status(choose: Random, tried: ReplyCase, message: Message) -> bytes:
    tried.end = choose.choice(["close", "keep"])
    message.first = choose.choice(STATUSES)
    return message.encode()


def _more(choose: Random, tried: ReplyCase, message: Message) -> bytes:
    """Bytes after the reply, which belong to no request."""
    tried.must, tried.end = "whole", "extra"
    foreign = ReplyCase(FOREIGN, tried.client, tried.upstream, tried.stream, tried.direct)
    reply = Message(message.first, message.headers[:1], _reply(foreign))
    return message.encode() + choose.choice([b"x", b"\r\n", b"0\r\n\r\n", reply.encode(), message.encode()])


def _other_content(choose: Random, tried: ReplyCase, message: Message) -> bytes:
    packed = message.headers[-1].startswith(b"Content-Encoding")
    message.body = tried.body
    if tried.stream:
        lines = message.body.split(b"\n")
        for _ in range(choose.randrange(1, 4)):
            at = choose.randrange(len(lines))
            if lines[at].startswith(b"data: {"):
                lines[at] = b"data: " + json.dumps(damaged(json.loads(lines[at][6:]), choose.randrange)).encode()
            else:
                lines[at : at + 1] = choose.choice(
                    [[], [lines[at]] * 2, [b"data: x"], [b": x"], [b"event: x"], [b"x" * 99]]
                )
        message.body = b"\n".join(lines)
    else:
        mutations.of_json(choose, message)
    if packed:
        message.body = gzip.compress(message.body, mtime=0)
    return message.encode()


def _packed_wrongly(choose: Random, tried: ReplyCase, message: Message) -> bytes:
    """A compressed reply that is not whole, not compressed, or too large."""
    tried.must = "fail"
    message.headers = [*message.headers[:2], b"Content-Encoding: " + choose.choice([b"gzip", b"deflate", b"GZIP"])]
    packed = gzip.compress(tried.body, mtime=0)
    half = packed[: choose.randrange(11, len(packed) - 8)]
    message.body = choose.choice([half, half, b"x" + packed, tried.body, BOMB, b"\x1f\x8b"])
    return message.encode()


def _scrambled(choose: Random, tried: ReplyCase, message: Message) -> bytes:
    tried.end = choose.choice(["close", "close", "keep"]) if choose.random() < 0.95 else "stall"
    return mutations.scrambled(choose, message.encode())


MUTATIONS = [
    _unchanged, _unchanged, _unchanged, _informed, _endless, _with_trailers, _old, _broken_off, _broken_off, _wrong_length,
    _other_framing, _other_framing, _other_headers, _other_headers, _other_status, _more, _more, _other_content, _other_content,
    _packed_wrongly, _scrambled, _scrambled,
]  # fmt: skip


# --- the provider ------------------------------------------------------------------------------------------------------


class HostileProvider:
    """Sends the pieces of the case that a request names."""

    def __init__(self) -> None:
        self.cases: dict[int, ReplyCase] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=1_000)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._reply(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client left, or all is over
        finally:
            self._tasks.discard(task)
            writer.transport.abort() if task.cancelling() else writer.close()

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Reply to one request. Returns whether the connection stays open."""
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        size = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        words = nonces(await reader.readexactly(size))
        tried = self.cases.get(words[-1][0]) if words else None
        if tried is None:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return True
        for piece in tried.pieces:
            writer.write(piece)
            await writer.drain()
            if len(tried.pieces) > 1:
                await asyncio.sleep(0.001)
        if tried.end == "stall":
            await reader.read(1)
        elif tried.end == "reset":
            linger = struct.pack("ii", 1, 0)
            with suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        return tried.end in ("keep", "extra")


# --- the calls ---------------------------------------------------------------------------------------------------------


async def asked(url: str, tried: ReplyCase) -> str | None:
    """Call the gateway. Returns the fault of its response, or None."""
    word = nonce(tried.number)
    path, body = request(tried.client, tried.upstream, word, stream=tried.stream)
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        async with asyncio.timeout(LONGEST):
            writer.write(post(path, body, "Connection: close"))
            received = await reader.read(-1)
    except TimeoutError:
        return "the call did not end"
    except ConnectionError as error:
        return f"the gateway broke the connection: {error}"
    finally:
        writer.transport.abort()
    try:
        found = responses(received)
    except NotHttp as error:
        return f"{error}; received {received[-500:]!r}"
    if len(found) != 1 or not found[0].whole:
        return f"{len(found)} responses, not a whole one: {received[-300:]!r}"
    return _judged(tried, found[0])


def _judged(tried: ReplyCase, response: HttpResponse) -> str | None:
    if any(case != tried.number for case, _ in nonces(response.body)):
        return f"the reply to another call: {response.body[:500]!r}"
    if b"internal error" in response.body:
        return f"an internal error: {response.body[:500]!r}"
    accepted = response.status == 200 and _is_success(tried, response.body)
    whole = last_word(tried.number).encode() in response.body
    if tried.must == "whole" and not (accepted and whole):
        return f"a valid reply was not accepted: {response.status} {response.body[:500]!r}"
    if tried.must in ("fail", "framing") and accepted and not whole:
        return f"a reply that broke off was accepted: {response.body[-500:]!r}"
    if tried.must == "fail" and accepted and not tried.stream:
        return f"an invalid reply was accepted: {response.body[-500:]!r}"
    return None


def _is_success(tried: ReplyCase, body: bytes) -> bool:
    of = codec(tried.client)
    try:
        if tried.stream:
            parser = of.stream_parser(PLAIN)
            events = [*parser.feed(body), *parser.close()]
        else:
            events = of.parse_reply(body, PLAIN)
    except ModelbayError:
        return False
    return not any(type(event) is Failed for event in events)


async def sent(transport: Transport, url: str, tried: ReplyCase) -> str | None:
    """Call the provider with the transport. Returns the fault of the result, or None."""
    asked_for = Request("POST", f"{url}/v1/x", {"x": "1"}, nonce(tried.number).encode(), LIMITS)
    body, error = b"", None
    try:
        async with asyncio.timeout(LONGEST):
            async with await transport.send(asked_for) as response:
                if tried.reads:
                    body = await response.read()
                else:
                    async for piece in response.stream():
                        body += piece
    except ModelbayError as raised:
        error = raised
    except TimeoutError:
        return "the call did not end"
    except Exception as raised:  # noqa: BLE001 this is what is looked for
        return f"{type(raised).__name__}: {raised}"
    if any(case != tried.number for case, _ in nonces(body)):
        return f"the reply to another call: {body[:500]!r}"
    if tried.must == "whole" and (error is not None or body != tried.body):
        return f"a valid reply was not accepted: {error!r} {body[-300:]!r}"
    if tried.must == "fail" and error is None and response.status == 200:
        return f"an invalid reply was accepted: {body[-300:]!r}"
    return None
