"""`native/load.c` in Python, for machines without a C compiler: the same arguments, the same output.

`python -m bench.gateway.python_load PORT CONNECTIONS REQUESTS FILE END`
"""

import asyncio
import json
import sys
import time
from pathlib import Path

import httptools
import uvloop

TAIL_BYTES = 1024


class Requests:
    """The work of all connections, and its result."""

    def __init__(self, port: int, count: int, request: bytes, ending: bytes) -> None:
        self.port, self.request, self.ending = port, request, ending
        self.left = count
        self.times: list[float] = []
        self.errors = self.events = self.bytes = 0

    def complain(self, what: str, status: int, body: bytes) -> None:
        if not self.errors:
            print(f"{what}, status {status}, body: {body.decode(errors='replace')}", file=sys.stderr)
        self.errors += 1

    async def send_all(self) -> None:
        """Send requests on one connection, until all are sent."""
        connection: ClientConnection | None = None
        loop = asyncio.get_running_loop()
        while self.left:
            self.left -= 1
            if connection is None or connection.closed:
                _, connection = await loop.create_connection(lambda: ClientConnection(self), "127.0.0.1", self.port)
            began = time.perf_counter()
            complete = await connection.send()
            self.times.append((time.perf_counter() - began) * 1e6)
            tail = bytes(connection.tail)
            if not complete:
                self.complain("the reply is incomplete", connection.status, tail)
            elif connection.status != 200:
                self.complain("not the status 200", connection.status, tail)
            elif self.ending not in tail:
                self.complain("the body does not end as expected", connection.status, tail)


class ClientConnection(asyncio.Protocol):
    def __init__(self, work: Requests) -> None:
        self._work = work
        self._reply: asyncio.Future[bool] | None = None
        self.closed = False
        self.status = 0
        self.tail = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def send(self) -> "asyncio.Future[bool]":
        """The end of the reply: whether it is complete."""
        self._reply = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self.status, self.tail = 0, bytearray()
        self._transport.write(self._work.request)
        return self._reply

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._work.bytes += len(body)
        self._work.events += (self.tail[-1:] + body).count(b"\n\n")
        self.tail = (self.tail + body)[-TAIL_BYTES:]

    def on_message_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self.closed = not self._parser.should_keep_alive()
        self._end(complete=True)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._end(complete=False)

    def _end(self, *, complete: bool) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_result(complete)


async def main(connections: int, work: Requests) -> None:
    began = time.perf_counter()
    await asyncio.gather(*(work.send_all() for _ in range(connections)))
    seconds, times = time.perf_counter() - began, sorted(work.times)
    counts = {"requests": len(times), "errors": work.errors, "events": work.events, "bytes": work.bytes}
    print(
        json.dumps({**counts, "seconds": seconds, "p50": times[len(times) // 2], "p99": times[len(times) * 99 // 100]})
    )


if __name__ == "__main__":
    to, many, count, file, end = sys.argv[1:]
    uvloop.run(main(int(many), Requests(int(to), int(count), Path(file).read_bytes(), end.encode())))
