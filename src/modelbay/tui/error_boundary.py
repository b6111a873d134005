"""The boundary for faults inside the app: a handler, timer or worker that fails is reported, and the app goes on.

Textual ends the app at an unhandled exception and prints a traceback with all local variables, keys among them; and it
ends the message loop of the widget whose handler failed, which then hears nothing any more.
"""

from time import monotonic
from traceback import format_exception

from textual.message import Message
from textual.message_pump import MessagePump
from textual.worker import WorkerFailed

MANY = 20
"""So many faults within `SECONDS` mean that the app cannot go on: each report may cause the next fault."""
SECONDS = 5.0

_dispatch = MessagePump._dispatch_message


async def _guarded(self: MessagePump, message: Message) -> None:
    try:
        await _dispatch(self, message)
    except Exception as error:  # noqa: BLE001 the edge of every handler
        self.app._handle_exception(error)


MessagePump._dispatch_message = _guarded  # type: ignore[method-assign]


class ErrorLog:
    """The faults so far: each is reported once, and too many at a time end the app."""

    def __init__(self) -> None:
        self.seen: list[Exception] = []
        self._reported: set[str] = set()
        self._recent: list[float] = []

    def add(self, error: Exception) -> bool:
        """Notes a fault. Whether to report it: it is not the same as one before."""
        self.seen.append(error)
        now = monotonic()
        self._recent = [then for then in self._recent if now - then < SECONDS] + [now]
        where = _where(error)
        new = where not in self._reported
        self._reported.add(where)
        return new

    @property
    def too_many(self) -> bool:
        return len(self._recent) > MANY


def cause(error: Exception) -> Exception:
    """The fault itself, where a worker wrapped it."""
    return error.error if isinstance(error, WorkerFailed) and isinstance(error.error, Exception) else error


def trace(error: Exception) -> str:
    """A traceback without local variables."""
    return "".join(format_exception(error)).rstrip()


def _where(error: Exception) -> str:
    """What makes two faults the same one: their type and the line they come from."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else ""
    return f"{type(error).__name__} {place}"
