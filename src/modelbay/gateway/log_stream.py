"""Standard error for a log whose reader may be stopped."""

import select
import threading
from collections import deque
from typing import TextIO

MOST_WAITING = 10_000
"""Lines that wait for the reader; then the oldest are dropped."""
_PATIENCE = 20
"""Milliseconds to wait for a reader that was reading: it may only be slower than a burst of lines."""
_AT_ONCE = 4096
"""Bytes that a pipe accepts without blocking if it accepts any (PIPE_BUF of Linux)."""


class LogStream:
    """A text stream that is written to only if that does not block: a stopped reader, such as a terminal after Ctrl-S, a pager or a
    container's log driver, must not stop the server. Lines wait until it reads again."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._waiting: deque[str] = deque()
        self.dropped = 0
        """Lines that were dropped."""
        self._stopped = False
        self._poll = _poll_of(stream)

    @property
    def waits(self) -> bool:
        """Whether lines wait for the reader."""
        return bool(self._waiting)

    def write(self, text: str) -> None:
        """Write whole lines, or keep them.

        Raises:
            OSError, ValueError: the stream cannot be written to.
        """
        if self._poll is None:
            self._stream.write(text)
            return
        with self._lock:
            self._waiting += text.splitlines(keepends=True)
            while len(self._waiting) > MOST_WAITING:
                self._waiting.popleft()
                self.dropped += 1

    def flush(self) -> None:
        """Write the lines that wait, as far as the reader accepts them. Raises what `write` raises."""
        if self._poll is None:
            self._stream.flush()
            return
        with self._lock:
            while self._waiting and self._accepts():
                piece = [self._waiting.popleft()]
                size = len(piece[0].encode())
                while self._waiting and (size := size + len(self._waiting[0].encode())) <= _AT_ONCE:
                    piece.append(self._waiting.popleft())
                self._stream.write("".join(piece))
                self._stream.flush()

    def _accepts(self) -> bool:
        assert self._poll is not None
        self._stopped = not self._poll.poll(0 if self._stopped else _PATIENCE)
        return not self._stopped


def _poll_of(stream: TextIO) -> "select.poll | None":
    """The question to the system whether a stream can be written to; None if it does not know."""
    if not hasattr(select, "poll"):
        return None
    poll = select.poll()
    try:
        poll.register(stream.fileno(), select.POLLOUT)
    except (OSError, ValueError):  # not a stream of the system
        return None
    return poll
