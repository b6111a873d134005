"""ASGI types, reading request bodies, and sending whole responses."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias

from modelbay.errors import RequestTooLarge
from modelbay.serving.replies import JSON

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

LARGEST = 64 * 2**20
"""Default maximum size of a request body, in bytes."""


TRANSPORT = "modelbay.transport"
"""The scope extension with the connection's transport, set by `server.py`. ASGI itself cannot close a connection."""
Headers: TypeAlias = Iterable[tuple[bytes, bytes]]


async def body_of(scope: Message, receive: Receive, limit: int = LARGEST) -> bytes | None:
    """The request body; None if the client disconnected before its end.

    Raises:
        RequestTooLarge: it has more than `limit` bytes. The rest of it was not read.
    """
    check_length(scope["headers"], limit)
    pieces, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > limit:
            raise too_large(limit)
        if not message.get("more_body"):
            return b"".join(pieces)


def check_length(headers: Headers, limit: int) -> None:
    """Check the length that a request declares, before its body is read.

    Raises:
        RequestTooLarge: it is more than `limit` bytes.
    """
    declared = next((value for name, value in headers if name == b"content-length"), b"0")
    if declared.isdigit() and int(declared) > limit:
        raise too_large(limit)


def too_large(limit: int) -> RequestTooLarge:
    """The error for a request body of more than `limit` bytes."""
    return RequestTooLarge(f"the request body exceeds {limit:,} bytes", status=413)


async def disconnected(receive: Receive) -> None:
    """Wait until the client disconnects. Call it after the body was read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def respond(send: Send, status: int, body: bytes, headers: Headers) -> None:
    """Send a whole response. `headers` must contain its `content-length`."""
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


async def respond_json(send: Send, status: int, body: bytes) -> None:
    length = b"%d" % len(body)
    await respond(send, status, body, [JSON, (b"content-length", length)])
