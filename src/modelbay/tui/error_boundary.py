"""Catches exceptions inside the app: a failed handler, timer or worker is reported, and the app continues.

After an unhandled exception, Textual ends the app and prints all local variables, including keys. It also ends the message loop
of the widget whose handler failed, so the widget stops working.
"""

from time import monotonic
from traceback import format_exception
from typing import Any

from textual._callback import invoke
from textual._context import active_app
from textual.geometry import Region
from textual.message import Message
from textual.message_pump import MessagePump
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget
from textual.worker import WorkerFailed

MANY = 20
"""Maximum errors within `SECONDS`. After more, the app ends: each report may cause the next error."""
SECONDS = 5.0
KEPT = 100
"""Maximum errors that are kept."""

_dispatch = MessagePump._dispatch_message
_tick = Timer._tick
_render_lines = Widget.render_lines


async def _guarded(self: MessagePump, message: Message) -> None:
    try:
        await _dispatch(self, message)
    except Exception as error:  # noqa: BLE001 the edge of every handler
        self.app._handle_exception(error)


async def _guarded_tick(self: Timer, *, next_timer: float, count: int) -> None:
    app: Any = active_app.get()
    if app._exit or not app._running:  # the screens, which callbacks need, are closed before the timers end
        return
    if self._callback is None:
        await _tick(self, next_timer=next_timer, count=count)
        return
    try:
        await invoke(self._callback)
    except Exception as error:  # noqa: BLE001 the edge of every timer
        app.report_error(error, recurs=True)


def _guarded_lines(self: Widget, crop: Region) -> list[Strip]:
    """A widget that cannot be drawn is blank, so that the rest of the screen is drawn."""
    try:
        return _render_lines(self, crop)
    except Exception as error:  # noqa: BLE001 the edge of every widget's drawing
        app: Any = self.app
        app.report_error(error, recurs=True)
        return [Strip.blank(crop.width)] * crop.height


MessagePump._dispatch_message = _guarded  # type: ignore[method-assign]
Timer._tick = _guarded_tick  # type: ignore[method-assign]
Widget.render_lines = _guarded_lines  # type: ignore[method-assign]


class ErrorLog:
    """The internal errors of the session. Each is reported once."""

    def __init__(self) -> None:
        self.seen: list[Exception] = []
        self._reported: set[str] = set()
        self._recent: list[float] = []

    def add(self, error: Exception, *, recurs: bool = False) -> bool:
        """Record an error. Returns whether it is new. `recurs`: it comes from a timer or from drawing, which is repeated
        anyway, so it does not count toward `MANY`.
        """
        self.seen = [*self.seen, error][-KEPT:]
        now = monotonic()
        self._recent = [then for then in self._recent if now - then < SECONDS] + [now] * (not recurs)
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
