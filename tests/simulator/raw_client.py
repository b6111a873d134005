"""A client that records every byte, its time, and the end of the connection."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

from modelbay.simulator import Simulator


@dataclass
class Seen:
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    chunks: list[bytes] = field(default_factory=list)
    """The body in pieces, one per chunk."""
    head_after: float = 0.0
    body_after: float = 0.0
    """Seconds until the first byte of the body."""
    end: str = "open"
    """ "whole", "closed" early, "reset", or "open" at the time limit."""

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def watch(
    sim: Simulator, target: str, body: object = None, *, limit: float = 60.0, quiet: float = 60.0, **headers: str
) -> Seen:
    """Send a request and read the response, for at most `limit` seconds and until no data arrives for `quiet` seconds."""
    reader, writer = await asyncio.open_connection(sim.host, sim.port)
    seen = Seen()
    start = time.monotonic()
    try:
        writer.write(_request(target, body, headers))
        await asyncio.wait_for(_read(reader, seen, start, quiet), limit)
    except TimeoutError:
        seen.end = "open"
    except asyncio.IncompleteReadError:
        seen.end = "closed"
    except ConnectionResetError:
        seen.end = "reset"
    finally:
        writer.transport.abort()
    return seen


def _request(target: str, body: object, headers: dict[str, str]) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{'GET' if body is None else 'POST'} {target} HTTP/1.1", "host: 127.0.0.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += [f"content-length: {len(content)}", "", ""]
    return "\r\n".join(lines).encode() + content


async def _read(reader: asyncio.StreamReader, seen: Seen, start: float, quiet: float) -> None:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    seen.head_after = time.monotonic() - start
    seen.status = int(lines[0].split(" ")[1])
    seen.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:-2])}
    if "content-length" in seen.headers:
        left = int(seen.headers["content-length"])
        while left:
            data = await asyncio.wait_for(reader.read(left), quiet)
            if not data:
                raise asyncio.IncompleteReadError(b"", left)
            seen.body_after = seen.body_after or time.monotonic() - start
            seen.chunks.append(data)
            left -= len(data)
    else:
        while size := int(await asyncio.wait_for(reader.readuntil(b"\r\n"), quiet), 16):
            data = await reader.readexactly(size + 2)
            seen.body_after = seen.body_after or time.monotonic() - start
            seen.chunks.append(data[:-2])
        await reader.readuntil(b"\r\n")
    seen.end = "whole"
