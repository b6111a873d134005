"""Finish a short piece of work before a signal ends the process."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

ENDING = [signal.Signals[name] for name in ("SIGTERM", "SIGHUP") if name in signal.Signals.__members__]

_working: list[object] = []
"""One for each piece of work under way."""
_received: list[int] = []


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Hold back SIGTERM and SIGHUP, then let them act. For a token that a server hands out only once.

    Signals that the program handles itself are left to it. Only the main thread can set handlers; elsewhere, as in a
    thread of `sync.Hub`, nothing is held back.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if not _working:
        for number in ENDING:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _hold)
    work = object()
    _working.append(work)
    try:
        yield
    finally:
        _working.remove(work)
        if not _working:
            _release()


def terminating() -> bool:
    """Whether a signal is held back: nothing new should begin."""
    return bool(_received)


def _hold(number: int, _: object) -> None:
    _received.append(number)


def _release() -> None:
    for number in ENDING:
        if signal.getsignal(number) is _hold:
            signal.signal(number, signal.SIG_DFL)
    if _received:
        first = _received[0]
        _received.clear()
        os.kill(os.getpid(), first)
