"""ASGI types, reading request bodies, and sending whole responses."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from typing import Any, TypeAlias

from modelbay.errors import RequestTooLarge

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

LARGEST = 64 * 2**20
"""Default maximum size of a request body, in bytes."""
LINGER = 5.0
"""Maximum seconds to read the rest of a refused request."""


TRANSPORT = "modelbay.transport"
"""The scope extension with the connection's transport, set by `server.py`. ASGI itself cannot close a connection."""
DRAINING = "modelbay.draining"
"""The scope extension with a function that returns whether the server is stopping, set by `server.py`."""

Headers: TypeAlias = Iterable[tuple[bytes, bytes]]


async def body_of(scope: Message, receive: Receive, limit: int = LARGEST) -> bytes | None:
    """The request body; None if the client disconnected before its end.

    Raises:
        RequestTooLarge: it has more than `limit` bytes. The rest of it was not read.
    """
    check_length(scope, limit)
    try:
        return b"".join([piece async for piece in pieces_of(receive, limit)])
    except ClientLeft:
        return None


def check_length(scope: Message, limit: int) -> None:
    """Check the length that a request declares, before its body is read.

    Raises:
        RequestTooLarge: it is more than `limit` bytes.
    """
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)


class ClientLeft(Exception):
    """The client disconnected before the end of its request."""


async def pieces_of(receive: Receive, limit: int = LARGEST) -> AsyncGenerator[bytes, None]:
    """The request body as it arrives.

    Raises:
        RequestTooLarge: it has more than `limit` bytes.
        ClientLeft: the client disconnected before its end.
    """
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        piece = message.get("body", b"")
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        yield piece
        if not message.get("more_body"):
            return


def _too_large(limit: int) -> RequestTooLarge:
    return RequestTooLarge(f"the request body exceeds {limit:,} bytes", status=413)


async def disconnected(receive: Receive) -> None:
    """Wait until the client disconnects. Call it after the body was read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def discard(receive: Receive) -> None:
    """Read the rest of a refused request after its response was sent, for at most `LINGER` seconds. If the connection
    were closed with unread data, the system would reset it, and many clients would report that instead of the refusal."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER):
            while (await receive()).get("more_body"):
                pass


def is_draining(scope: Message) -> bool:
    """Whether the server accepts no more connections, and stops when the requests in progress are done."""
    draining: Callable[[], bool] = scope["extensions"][DRAINING]
    return draining()


async def respond(send: Send, status: int, body: bytes, headers: Headers) -> None:
    """Sends a whole response. `headers` must contain its `content-length`."""
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


async def respond_json(send: Send, status: int, body: bytes) -> None:
    length = b"%d" % len(body)
    await respond(send, status, body, [(b"content-type", b"application/json"), (b"content-length", length)])
