"""Ends the app even if its terminal accepts no output, for example over a stuck ssh connection or after Ctrl-S.

Textual writes in a thread and waits for that thread at the end. If the thread is blocked, Textual blocks the event loop, so no
handler runs, not even those of SIGTERM and SIGHUP.
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
"""Signals after which the app restores the terminal. Otherwise the terminal stays in raw mode, on the alternate screen."""
PATIENCE = 5.0
"""Timeout of a normal exit, in seconds. After that, pending output is dropped, and the last two seconds of an answer may not be
stored."""
RESTORE = b"\x1b[?2004l\x1b[?1000l\x1b[?1003l\x1b[?1006l\x1b[<u\x1b[?1049l\x1b[?25h\x1b[?1004l"
"""Turns off bracketed paste, mouse and focus reports, the keyboard protocol and the alternate screen; shows the cursor."""


class Shutdown:
    """Ends the process if the app does not end in time."""

    def __init__(self) -> None:
        self._left = Event()
        self._began = False
        self._before: dict[int, Any] = {}
        self._terminal = _attributes()

    @property
    def hung_up(self) -> bool:
        """Whether the terminal is gone. There is no SIGHUP if the app is not in the session of the terminal."""
        if self._terminal is None or not hasattr(select, "poll"):
            return False
        poll = select.poll()
        poll.register(sys.__stdin__.fileno(), 0)  # type: ignore[union-attr]
        return any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in poll.poll(0))

    def begin(self, code: int) -> None:
        """Start the timeout. May be called from a signal handler."""
        if not self._began:
            self._began = True
            Thread(target=self._wait, args=(code,), daemon=True).start()

    def end(self) -> None:
        """Call when the app has ended."""
        self._left.set()
        if self.hung_up:  # otherwise Python exits with 120 because it cannot write its output
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def on_signals(self, leave: Callable[[int], object]) -> None:
        """Call `leave` with the exit code after a signal.

        Handlers of the signal module also run while the event loop is blocked.
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
    """The terminal attributes before the app changes them."""
    with suppress(ImportError, OSError, ValueError, AttributeError):
        import termios

        with suppress(termios.error):
            return termios.tcgetattr(sys.__stdin__.fileno())  # type: ignore[union-attr]
    return None


def _restore(attributes: list[Any] | None) -> None:
    """Restore the terminal as far as possible."""
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
