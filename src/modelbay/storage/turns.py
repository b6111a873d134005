"""Turns at a file: the threads of this process and other processes of modelbay write to it one after the other.

SQLite lets all of them try again at intervals. On a slow disk, a process with many threads gets the file again and again, and
another one waits in vain.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock

from modelbay.storage.files import PRIVATE

_POLL = 0.01
"""Seconds between two attempts of a process to get its turn."""


class Turns:
    """The turns at one file."""

    def __init__(self, path: Path) -> None:
        self.in_vain = False
        """Whether another program held the file during the last wait."""
        self._path = path
        self._lock = RLock()
        self._held = False

    @contextmanager
    def turn(self, wait: float) -> Iterator[None]:
        """A turn of this thread. Its other threads are waited for as long as they take, and other processes for `wait` seconds.
        A thread that has a turn can enter again.

        Raises:
            TimeoutError: the turn of another process did not end.
            OSError: the files of the locks cannot be created.
        """
        with self._lock:
            if self._held:
                yield
                return
            with self._alone(wait):
                self._held = True
                try:
                    yield
                finally:
                    self._held = False

    @contextmanager
    def _alone(self, wait: float) -> Iterator[None]:
        from filelock import FileLock

        queue, own = (
            FileLock(f"{self._path}{suffix}", timeout=wait, mode=PRIVATE, poll_interval=_POLL)
            for suffix in (".queue.lock", ".lock")
        )
        # a process that has had its turn gets the next one only after the process at the head of the queue
        with suppress(NotImplementedError):  # a file system without locks
            try:
                with queue:
                    own.acquire()
            except TimeoutError:
                raise TimeoutError(errno.ETIMEDOUT, "another process locks it") from None
        try:
            yield
        finally:
            own.release()


_turns: dict[Path, Turns] = {}
if hasattr(os, "register_at_fork"):  # another thread of the parent may hold a lock
    os.register_at_fork(after_in_child=_turns.clear)


def turns_at(path: Path) -> Turns:
    """The turns of this process at a file."""
    return _turns.setdefault(path, Turns(path))
