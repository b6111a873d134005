"""Requests in progress, by client. Several workers count together: each writes its own column of a shared file."""

import mmap
import struct
from pathlib import Path
from types import ModuleType
from typing import Protocol

try:
    import fcntl as _fcntl
except ImportError:  # Windows: see `CAN_SHARE`
    fcntl: ModuleType | None = None
else:
    fcntl = _fcntl

CAN_SHARE = fcntl is not None
"""Whether the system has what several processes need to count together."""
ROWS = 4_096
"""Rows of the shared file. Two clients whose digests share a row share a limit, which needs thousands of clients."""
_CELL = struct.Struct("<I")


class InProgress(Protocol):
    def enter(self, client: str, limit: int) -> bool:
        """Count a request; False, and nothing is counted, if `limit` are in progress."""

    def leave(self, client: str) -> None:
        """End a request that was counted."""


class OneProcess:
    """Counts of a single process."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def enter(self, client: str, limit: int) -> bool:
        count = self._counts.get(client, 0)
        if count >= limit:
            return False
        self._counts[client] = count + 1
        return True

    def leave(self, client: str) -> None:
        count = self._counts[client] - 1
        if count:
            self._counts[client] = count
        else:
            del self._counts[client]


class SharedCounts:
    """Counts of one of several workers. The counts of a killed worker end when its successor starts."""

    def __init__(self, file: Path, worker: int, workers: int) -> None:
        """`worker`: its number, from 0. `file` must exist: see `create`."""
        self._worker, self._workers = worker, workers
        self._file = file.open("r+b")
        self._cells = mmap.mmap(self._file.fileno(), 0)
        for row in range(ROWS):
            self._set(row, 0)

    @staticmethod
    def create(file: Path, workers: int) -> None:
        file.write_bytes(bytes(ROWS * workers * _CELL.size))

    def enter(self, client: str, limit: int) -> bool:
        row = self._row(client)
        own = self._get(row, self._worker)
        self._set(row, own + 1)
        # of workers that count at the same time, the last one sees all; the lock, which is slow, decides who gets the last place
        if self._sum(row) <= limit:
            return True
        self._set(row, own)
        assert fcntl is not None
        fcntl.flock(self._file, fcntl.LOCK_EX)  # the system releases the lock of a killed worker
        try:
            if self._sum(row) >= limit:
                return False
            self._set(row, own + 1)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        return True

    def _sum(self, row: int) -> int:
        return sum(self._get(row, worker) for worker in range(self._workers))

    def leave(self, client: str) -> None:
        row = self._row(client)
        self._set(row, self._get(row, self._worker) - 1)

    def close(self) -> None:
        self._cells.close()
        self._file.close()

    def _row(self, client: str) -> int:
        return int(client[:8] or "0", 16) % ROWS

    def _at(self, row: int, worker: int) -> int:
        return (row * self._workers + worker) * _CELL.size

    def _get(self, row: int, worker: int) -> int:
        found: int = _CELL.unpack_from(self._cells, self._at(row, worker))[0]
        return found

    def _set(self, row: int, count: int) -> None:
        _CELL.pack_into(self._cells, self._at(row, self._worker), count)
