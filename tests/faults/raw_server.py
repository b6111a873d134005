"""A server that sends exactly the bytes a test says, when it says so, and sees what its client does.

async def script(client: Client) -> None:
    request = await client.request()
    await client.send(head(200, length=10) + b"half")
    await client.reset()

async with RawServer(script) as server:
    ...  # server.url; server.clients: one for each connection, in the order they came
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass
class Received:
    """A request, its header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Client:
    """One connection, seen from the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    requests: list[Received] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the client has closed the connection and the server has read to its end."""

    async def head(self) -> Received:
        """The next request without its body."""
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = lines[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:-2])}
        self.requests.append(Received(method, target, headers))
        return self.requests[-1]

    async def request(self) -> Received:
        """The next request, whole."""
        received = await self.head()
        received.body = await self.reader.readexactly(int(received.headers.get("content-length", "0")))
        return received

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def drip(self, data: bytes, size: int = 1, pause: float = 0) -> None:
        """Send a few bytes at a time, each in a segment of its own."""
        for start in range(0, len(data), size):
            await self.send(data[start : start + size])
            await asyncio.sleep(pause)

    async def hangup(self) -> None:
        """Wait until the client closes the connection."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            pass
        self.gone.set()

    async def reset(self) -> None:
        """Break the connection as a crash or a firewall does. What was sent is given time to arrive."""
        await asyncio.sleep(0.05)
        with suppress(OSError):  # the client left meanwhile
            connection = self.writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def start_tls(self, context: ssl.SSLContext) -> None:
        await self.writer.start_tls(context)


Script = Callable[[Client], Awaitable[None]]


class RawServer:
    """Runs `script` for every connection, on a port of its own; closes the connection when the script ends."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None, window: int | None = None) -> None:
        """`window` is how many bytes the system takes in for a script that does not read."""
        self.script = script
        self.tls = tls
        self.window = window
        self.clients: list[Client] = []
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._faults: list[Exception] = []

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[Received]:
        return [request for client in self.clients for request in client.requests]

    async def __aenter__(self) -> "RawServer":
        listener = socket.create_server(("127.0.0.1", 0))
        if self.window:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.window)
        self._server = await asyncio.start_server(self._accept, sock=listener, ssl=self.tls)
        self.port = listener.getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._faults:
            raise self._faults[0]  # a mistake in the script, which no client must hide

    async def all_gone(self) -> None:
        """Every client has closed its connection. For scripts that end in `hangup`."""
        await asyncio.gather(*(client.gone.wait() for client in self.clients))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        client = Client(reader, writer)
        self.clients.append(client)
        try:
            await self.script(client)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client left, or the test is over
        except Exception as fault:  # noqa: BLE001
            self._faults.append(fault)
        finally:
            self._tasks.discard(task)
            writer.close() if self._server.is_serving() else writer.transport.abort()


class Clock:
    """The time of the running event loop, which can be moved ahead: a test of a limit of minutes then takes no time. With
    `frozen` it moves only so, and no limit is reached on a slow machine."""

    def __init__(self, *, frozen: bool = False) -> None:
        loop = asyncio.get_running_loop()
        real, now = loop.time, loop.time()
        self._ahead = 0.0
        loop.time = lambda: (now if frozen else real()) + self._ahead  # type: ignore[method-assign]

    async def passes(self, seconds: float) -> None:
        """Move the time ahead, and let everything happen that is due then."""
        self._ahead += seconds
        for _ in range(10):
            await asyncio.sleep(0)


def head(status: int = 200, *headers: str, length: int | None = None, chunked: bool = False) -> bytes:
    """A status line and headers; a body without `length` or `chunked` ends with the connection."""
    lines = [f"HTTP/1.1 {status} Whatever", *headers]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    if chunked:
        lines.append("Transfer-Encoding: chunked")
    return "\r\n".join([*lines, "", ""]).encode()


def reply(body: bytes, status: int = 200, *headers: str) -> bytes:
    return head(status, *headers, length=len(body)) + body


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; the empty one ends it."""
    return b"%x\r\n%s\r\n" % (len(data), data)
