"""Scripts that make `RawServer` a proxy. It connects to the port it is told, so the names asked for need not exist."""

import asyncio
import base64
import struct

from tests.faults.raw_server import Client, Script


async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Until `source` ends or `sink` is gone."""
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    except ConnectionError:
        pass


async def splice(client: Client, port: int) -> None:
    """Carry bytes both ways until one side ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    ways = [asyncio.create_task(carry(client.reader, writer)), asyncio.create_task(carry(reader, client.writer))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        writer.transport.abort()
        client.gone.set()


def http_proxy(port: int, password: str | None = None) -> Script:
    """Tunnels CONNECT to the port; answers 407 without `user:password`."""

    async def script(client: Client) -> None:
        request = await client.head()
        token = base64.b64encode(f"user:{password}".encode()).decode()
        if password is not None and request.headers.get("proxy-authorization") != f"Basic {token}":
            await client.send(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            await client.hangup()
            return
        await client.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await splice(client, port)

    return script


def socks5(port: int, asked: list[tuple[str, int]], password: str | None = None, answer: int = 0) -> Script:
    """Speak RFC 1928 and 1929; note the addresses asked for as they were given; `answer` is its reply code."""

    async def script(client: Client) -> None:
        read = client.reader.readexactly
        _, count = await read(2)
        methods = await read(count)
        method = 0 if password is None else 2
        await client.send(bytes([5, method if method in methods else 0xFF]))
        if method == 2:
            _, length = await read(2)
            user = (await read(length)).decode()
            given = (await read((await read(1))[0])).decode()
            await client.send(bytes([1, (user, given) != ("user", password)]))
        _, _, _, kind = await read(4)
        host = (await read((await read(1))[0])).decode() if kind == 3 else ".".join(map(str, await read(4)))
        asked.append((host, *struct.unpack(">H", await read(2))))
        await client.send(bytes([5, answer, 0, 1, 0, 0, 0, 0, 0, 0]))
        if answer == 0:
            await splice(client, port)

    return script


def forward_proxy(port: int, password: str | None = None) -> Script:
    """A whole HTTP proxy: CONNECT, and plain requests by their absolute URL; all of it goes to the port."""
    tunnel = http_proxy(port, password)

    async def script(client: Client) -> None:
        start = await client.reader.readexactly(7)
        client.reader._buffer[:0] = start  # type: ignore[attr-defined]
        if start == b"CONNECT":
            await tunnel(client)
            return
        request = await client.request()
        request.headers.pop("proxy-authorization", None)
        path = "/" + request.target.split("/", 3)[3]
        lines = [f"{request.method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers.items())]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write("\r\n".join([*lines, "connection: close", "", ""]).encode() + request.body)
        await carry(reader, client.writer)
        writer.transport.abort()

    return script
