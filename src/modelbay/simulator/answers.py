"""An HTTP answer as the steps of sending it. Making one is pure, so that a fault is a function from one to another."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TypeAlias

from msgspec import Struct, field


class Pause(Struct, frozen=True):
    """Nothing is sent for so many seconds."""

    seconds: float


class Cut(Struct, frozen=True):
    """The connection ends here: closed as if all were well, or reset."""

    reset: bool = False


Step: TypeAlias = bytes | Pause | Cut


class Answer(Struct):
    status: int
    steps: Iterable[Step]
    """The body, in the pieces it is written in. The head goes out with the first of them, which may be empty."""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    """The body's length; None: chunked."""


def whole(status: int, body: bytes, content_type: str = "application/json") -> Answer:
    return Answer(status, [body], {"content-type": content_type}, len(body))


def streamed(steps: Iterable[Step], content_type: str) -> Answer:
    """A stream; its head does not wait for the first event."""
    return Answer(200, chain([b""], steps), {"content-type": content_type})


def sliced(data: bytes, size: int = 65_536) -> Iterator[bytes]:
    """A large piece in slices, each of which the network must take before the next is made."""
    for start in range(0, len(data), size):
        yield data[start : start + size]
