"""A response whose headers have arrived. Its body is read or streamed within limits."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable
from typing import Self

from modelbay.errors import ModelbayError
from modelbay.transport.failure import of_hop
from modelbay.transport.request import Request, public

REST = 2.0
"""Seconds to wait for usage and terminator after a reply has finished. Some servers keep the connection open instead."""
PIECE = 2**20
"""Bytes that count as progress when a reply is read as a whole. Otherwise a server that sends single bytes would never
time out."""


class Response(ABC):
    """A response whose headers have arrived. Its body can be read once, by `read`, `stream` or `pump`."""

    status: int
    headers: dict[str, str]
    """Names in lower case; repeated headers are joined by commas."""

    def __init__(self, request: Request) -> None:
        self._request = request

    @property
    def url(self) -> str:
        """The URL without its query, which may be secret."""
        return public(self._request.url)

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.url}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def of_hop(self, error: ModelbayError, body: bytes) -> ModelbayError:
        """An error in this response, attributed to the server or the proxy that sent it."""
        return of_hop(error, self.status, self.headers, body, self._request)

    @abstractmethod
    async def read(self) -> bytes:
        """The whole body. Raises what `stream` raises, and MalformedReply if it is larger than `reply_bytes`."""

    @abstractmethod
    def stream(self) -> AsyncGenerator[bytes, None]:
        """The body as it arrives. Closing the iterator, or cancelling the task that reads it, closes the connection at
        once.

        Raises:
            TimedOut: no byte within `first_byte` or `idle`, or no `progress` for too long, while the caller was
                waiting.
            IncompleteReply: the connection broke first. Bytes received before were yielded; if a parser found the end
                of the reply in them, the reply is complete and this error can be ignored.
            MalformedReply: the body could not be decompressed, or is larger than `stream_bytes`.
        """

    @abstractmethod
    async def pump(self, consume: Callable[[bytes], None]) -> None:
        """Call `consume` with each piece of the body as it arrives. Returns at the end of the body, or after `finished`.
        `consume` may call all methods that are not coroutines.

        Raises:
            ModelbayError: what `stream` raises. What `consume` raises is raised after the connection has been closed.
        """

    @abstractmethod
    def pause(self) -> None:
        """Stop reading: the consumer is behind. The time until `resume` does not count as silence."""

    @abstractmethod
    def resume(self) -> None:
        """Go on reading after `pause`."""

    @abstractmethod
    def progress(self) -> None:
        """Report that the last bytes had content, not only keep-alives."""

    @abstractmethod
    def hurry(self) -> None:
        """Report that the reply is finished: the stream ends `REST` seconds later, time for usage and terminator."""

    @abstractmethod
    def finished(self, grace: float = 0.1) -> None:
        """Report that the reply has ended by its content: `pump` returns when the body ends, or after `grace` seconds, and
        then closes the connection instead of keeping it. Pieces that still arrive are consumed."""

    @abstractmethod
    async def finish(self, grace: float = 0.1) -> bytes:
        """Like `finished`, for a caller of `stream`: returns when the body has ended. Returns the bytes after the end of the
        reply, such as a blank line, unless they are compressed.

        Call it before the stream is closed, which would close the connection.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Close the connection at once, unless the body was read to its end."""


def collector(response: Response, chunks: list[bytes]) -> Callable[[bytes], None]:
    """A consumer that collects the body of a response that is read as a whole, and reports its progress."""
    size, due = 0, 1

    def collect(chunk: bytes) -> None:
        nonlocal size, due
        chunks.append(chunk)
        if not chunk.isspace():  # blank lines keep the connection open while a model thinks
            size += len(chunk)
        if size >= due:  # a server that sends byte by byte makes no progress
            response.progress()
            due = size + PIECE

    return collect
