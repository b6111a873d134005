"""An HTTP response as a list of sending steps. Building one has no side effects, so a fault is a function of a response."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TypeAlias

from msgspec import Struct, field


class Pause(Struct, frozen=True):
    """A pause of `seconds` without data."""

    seconds: float


class Cut(Struct, frozen=True):
    """The end of the connection: closed normally, or reset."""

    reset: bool = False


Step: TypeAlias = bytes | Pause | Cut


class SimulatedResponse(Struct):
    status: int
    steps: Iterable[Step]
    """The body in pieces. The headers are sent with the first piece, which may be empty."""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    """Length of the body in bytes; None for a chunked body."""


def whole(status: int, body: bytes, content_type: str = "application/json") -> SimulatedResponse:
    return SimulatedResponse(status, [body], {"content-type": content_type}, len(body))


def streamed(steps: Iterable[Step], content_type: str) -> SimulatedResponse:
    """A streamed response. Its headers are sent before the first event."""
    return SimulatedResponse(200, chain([b""], steps), {"content-type": content_type})


def sliced(data: bytes, size: int = 65_536) -> Iterator[bytes]:
    """A large piece in slices. Each slice is made after the network has accepted the one before it."""
    for start in range(0, len(data), size):
        yield data[start : start + size]
