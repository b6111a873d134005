"""A client that writes the bytes of its requests itself, and reads responses one after the other."""

import asyncio
import json
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.fault_config import LONG
from tests.gateway.running import KEY


def head(method: str, target: str, *lines: str, key: str | None = KEY) -> bytes:
    """The head of a request. A header that is given replaces the usual one of its name; an empty one removes it."""
    usual = ["Host: 127.0.0.1", *([f"Authorization: Bearer {key}"] if key else [])]
    given = {line.partition(":")[0].lower() for line in lines}
    kept = [line for line in usual if line.partition(":")[0].lower() not in given]
    shown = [*kept, *(line for line in lines if not line.endswith(":"))]
    return "\r\n".join([f"{method} {target} HTTP/1.1", *shown, "", ""]).encode("utf-8")


def post(target: str, body: Any, *lines: str, key: str | None = KEY) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return head("POST", target, f"Content-Length: {len(data)}", *lines, key=key) + data


def upload(target: str, model: str, *lines: str) -> bytes:
    """A request with a multipart form that has a model and a file."""
    form = (
        f'--xYz\r\nContent-Disposition: form-data; name="model"\r\n\r\n{model}\r\n'
        '--xYz\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n--xYz--\r\n'
    ).encode()
    usual = f"Content-Length: {len(form)}", "Content-Type: multipart/form-data; boundary=xYz"
    return head("POST", target, *(lines or usual[:1]), usual[1]) + form


class RawResponse:
    def __init__(self, status: int, headers: dict[str, str]) -> None:
        self.status = status
        self.headers = headers
        self.body = b""


class RawClient:
    """One connection."""

    def __init__(self, url: str, *, buffer: int | None = None) -> None:
        """`buffer`: maximum bytes to hold while nothing is read."""
        self._at = urlsplit(url)
        self._buffer = buffer

    async def __aenter__(self) -> Self:
        limits = {} if self._buffer is None else {"limit": self._buffer}
        self.reader, self.writer = await asyncio.open_connection(self._at.hostname, self._at.port, **limits)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def leave(self) -> None:
        self.writer.transport.abort()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> RawResponse:
        async with asyncio.timeout(LONG):
            lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = (line.partition(":") for line in lines[1:-2])
        return RawResponse(int(lines[0].split(" ")[1]), {name.lower(): value.strip() for name, _, value in fields})

    async def piece(self) -> bytes:
        """The next piece of a chunked body; b"" at its end."""
        async with asyncio.timeout(LONG):
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            return (await self.reader.readexactly(size + 2))[:-2]

    async def until(self, end: bytes) -> bytes:
        """The pieces of a chunked body until `end` is in them."""
        data = b""
        while end not in data:
            piece = await self.piece()
            assert piece, data
            data += piece
        return data

    async def response(self, *, body: bool = True) -> RawResponse:
        """A whole response; without its body, if it has none (HEAD)."""
        found = await self.head()
        if not body or found.status == 100:
            return found
        if "content-length" in found.headers:
            async with asyncio.timeout(LONG):
                found.body = await self.reader.readexactly(int(found.headers["content-length"]))
        else:
            while piece := await self.piece():
                found.body += piece
        return found

    async def rest(self) -> bytes:
        """Everything until the server closes the connection."""
        async with asyncio.timeout(LONG):
            return await self.reader.read()
