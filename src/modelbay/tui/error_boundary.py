"""Catches exceptions inside the app: a failed handler, timer or worker is reported, and the app continues.

After an unhandled exception, Textual ends the app and prints all local variables, including keys. It also ends the message loop
of the widget whose handler failed, so the widget stops working.
"""

from time import monotonic
from traceback import format_exception

from textual.message import Message
from textual.message_pump import MessagePump
from textual.worker import WorkerFailed

MANY = 20
"""Maximum errors within `SECONDS`. After more, the app ends: each report may cause the next error."""
SECONDS = 5.0

_dispatch = MessagePump._dispatch_message


async def _guarded(self: MessagePump, message: Message) -> None:
    try:
        await _dispatch(self, message)
    except Exception as error:  # noqa: BLE001 the edge of every handler
        self.app._handle_exception(error)


MessagePump._dispatch_message = _guarded  # type: ignore[method-assign]


class ErrorLog:
    """The internal errors of the session. Each is reported once."""

    def __init__(self) -> None:
        self.seen: list[Exception] = []
        self._reported: set[str] = set()
        self._recent: list[float] = []

    def add(self, error: Exception) -> bool:
        """Records an error. Returns whether it is new."""
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
    """The error itself, without the wrapper of a worker."""
    return error.error if isinstance(error, WorkerFailed) and isinstance(error.error, Exception) else error


def trace(error: Exception) -> str:
    """A traceback without local variables."""
    return "".join(format_exception(error)).rstrip()


def _where(error: Exception) -> str:
    """The type and the source line of an error, which identify it."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else ""
    return f"{type(error).__name__} {place}"
