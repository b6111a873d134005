"""`native/upstream.c` in Python, for machines without a C compiler: the same argument, the same output.

`python -m bench.gateway.python_upstream FILE`
"""

import asyncio
import random
import sys
from pathlib import Path

import httptools
import uvloop
from msgspec import Struct


class ScriptedReply(Struct, frozen=True):
    pieces: list[bytes]
    pace: float
    """Seconds between two pieces."""


MISSING = ScriptedReply([b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"], 0)


def read(data: bytes) -> dict[bytes, ScriptedReply]:
    found, at = {}, 0
    while at < len(data):
        end = data.index(b"\n", at)
        path, count, pace = data[at:end].split()
        at, pieces = end + 1, []
        for _ in range(int(count)):
            end = data.index(b"\n", at)
            size = int(data[at:end])
            pieces.append(data[end + 1 : end + 1 + size])
            at = end + 1 + size
        found[path] = ScriptedReply(pieces, int(pace) / 1e6)
    return found


class ProviderConnection(asyncio.Protocol):
    def __init__(self, replies: dict[bytes, ScriptedReply]) -> None:
        self._replies = replies
        self._next: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._next is not None:
            self._next.cancel()

    def on_url(self, url: bytes) -> None:
        self._url = url

    def on_message_complete(self) -> None:
        reply = self._replies.get(self._url.partition(b"?")[0], MISSING)
        self._transport.write(reply.pieces[0])
        if len(reply.pieces) > 1:
            loop = asyncio.get_running_loop()
            self._schedule(reply, 1, loop.time() + random.random() * reply.pace)

    def _schedule(self, reply: ScriptedReply, number: int, due: float) -> None:
        self._next = asyncio.get_running_loop().call_at(due, self._piece, reply, number, due)

    def _piece(self, reply: ScriptedReply, number: int, due: float) -> None:
        self._transport.write(reply.pieces[number])
        if number + 1 < len(reply.pieces):
            self._schedule(reply, number + 1, due + reply.pace)


async def serve(file: Path) -> None:
    replies = read(file.read_bytes())
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: ProviderConnection(replies), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1])))
