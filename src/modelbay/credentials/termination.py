"""Completes a short piece of work before a signal ends the process."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

ENDING = [signal.Signals[name] for name in ("SIGTERM", "SIGHUP") if name in signal.Signals.__members__]

_working: list[object] = []
"""One object for each piece of work in progress."""
_received: list[int] = []


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Delay SIGTERM and SIGHUP until the work is done. For tokens that a server issues only once.

    Signals with a handler of the program are not affected. Only the main thread can set handlers; in other threads,
    such as that of `sync.Hub`, nothing is delayed.
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
    """Whether a signal is delayed. Start nothing new then."""
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
