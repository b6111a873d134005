"""Turns at a file: the threads of this process and other processes of modelbay write to it one after the other.

SQLite lets all of them try again at intervals. On a slow disk, a process with many threads gets the file again and again, and
another one waits in vain.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock, get_ident

from modelbay.storage.files import PRIVATE

_POLL = 0.01
"""Seconds between two attempts of a process to get its turn."""


class Turns:
    """The turns at one file."""

    def __init__(self, path: Path) -> None:
        self.in_vain: set[bool] = set()
        """For writers (True) and readers (False): whether another program held the file during the last wait."""
        self._path = path
        self._guard = Lock()
        self._line: list[Lock] = []
        """A lock for each thread that has a turn or waits for one, which is released when its turn comes."""
        self._owner = 0

    @contextmanager
    def turn(self, wait: float, *, soon: bool = False) -> Iterator[None]:
        """A turn of this thread. Its other threads are waited for as long as they take, and other processes for `wait` seconds.
        A thread that has a turn can enter again. `soon`: before the threads that wait otherwise.

        Raises:
            TimeoutError: the turn of another process did not end.
            OSError: the files of the locks cannot be created.
        """
        if self._owner == get_ident():
            yield
            return
        own = Lock()
        own.acquire()
        with self._guard:
            self._line.insert(1 if soon else len(self._line), own)
            if self._line[0] is own:
                own.release()
        try:
            own.acquire()
            with self._alone(wait):
                self._owner = get_ident()
                try:
                    yield
                finally:
                    self._owner = 0
        finally:
            with self._guard:
                first = self._line[0] is own
                self._line.remove(own)
                if first and self._line:
                    self._line[0].release()

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
