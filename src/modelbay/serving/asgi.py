"""ASGI types, and reading request bodies."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

LARGEST = 64 * 2**20
"""Default maximum size of a request body, in bytes."""


class TooLarge(Exception):
    """The body exceeds the limit. The rest of it was not read."""


async def body_of(scope: Message, receive: Receive, limit: int = LARGEST) -> bytes | None:
    """The request body; None if the client disconnected before its end.

    Raises:
        TooLarge: it has more than `limit` bytes.
    """
    said = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if said.isdigit() and int(said) > limit:
        raise TooLarge
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise TooLarge
        if not message.get("more_body"):
            return b"".join(chunks)


async def disconnected(receive: Receive) -> None:
    """Wait until the client disconnects. Call it after the body was read."""
    while (await receive())["type"] != "http.disconnect":
        pass
