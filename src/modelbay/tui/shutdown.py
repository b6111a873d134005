"""Leaving the app, also when its terminal accepts no output: a stuck ssh connection, or output stopped by Ctrl-S.

Textual writes in a thread, waits for it when it ends, and blocks the event loop when that thread is behind: then no handler of
the loop runs, those of SIGTERM and SIGHUP neither.
"""

import os
import select
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from types import FrameType
from typing import Any

ENDING = ("SIGTERM", "SIGHUP", "SIGQUIT")
"""Signals that end the app in an orderly way: without that the terminal stays in raw mode, on the alternate screen."""
PATIENCE = 5.0
"""Seconds for the orderly way. Behind it the output that the terminal has not taken is dropped. At most two seconds of an answer
are not stored then."""
RESTORE = b"\x1b[?2004l\x1b[?1000l\x1b[?1003l\x1b[?1006l\x1b[<u\x1b[?1049l\x1b[?25h\x1b[?1004l"
"""Ends bracketed paste, reports of the mouse and focus, the keyboard protocol and the alternate screen; shows the cursor."""


class Shutdown:
    """Ends the process if the app does not end by itself."""

    def __init__(self) -> None:
        self._left = Event()
        self._began = False
        self._before: dict[int, Any] = {}
        self._terminal = _attributes()

    @property
    def hung_up(self) -> bool:
        """Whether the terminal is gone. Its end comes without SIGHUP if the app does not belong to its session."""
        if self._terminal is None or not hasattr(select, "poll"):
            return False
        poll = select.poll()
        poll.register(sys.__stdin__.fileno(), 0)  # type: ignore[union-attr]
        return any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))

    def begin(self, code: int) -> None:
        """Starts waiting for the end of the app. May be called from a signal handler."""
        if not self._began:
            self._began = True
            Thread(target=self._wait, args=(code,), daemon=True).start()

    def end(self) -> None:
        """The app has ended."""
        self._left.set()
        if self.hung_up:  # Python would exit with 120 for the output that it cannot write
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def on_signals(self, leave: Callable[[int], object]) -> None:
        """Calls `leave` with the exit code when the process is to end.

        Handlers of Python's own run also while the event loop is blocked.
        """

        def ended(number: int, frame: FrameType | None) -> None:
            self.begin(128 + number)
            leave(128 + number)

        for name in ENDING:
            number = signal.Signals[name]
            self._before[number] = signal.signal(number, ended)

    def _wait(self, code: int) -> None:
        if not self._left.wait(PATIENCE):
            _restore(self._terminal)
            os._exit(code)


def _attributes() -> list[Any] | None:
    """How the terminal is set before the app changes it."""
    with suppress(ImportError, OSError, ValueError, AttributeError):
        import termios

        with suppress(termios.error):
            return termios.tcgetattr(sys.__stdin__.fileno())  # type: ignore[union-attr]
    return None


def _restore(attributes: list[Any] | None) -> None:
    """Gives the terminal back as far as it accepts it."""
    if attributes is None:
        return
    import termios

    with suppress(termios.error, OSError, ValueError, AttributeError):
        terminal = sys.__stdin__.fileno()  # type: ignore[union-attr]
        termios.tcflush(terminal, termios.TCOFLUSH)
        termios.tcsetattr(terminal, termios.TCSANOW, attributes)
        os.set_blocking(terminal, False)
        os.write(terminal, RESTORE)
        os.set_blocking(terminal, True)
