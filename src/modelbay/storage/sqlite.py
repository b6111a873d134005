"""SQLite files that only their owner can read. A transaction opens the file, so any thread and several programs may use it.

A damaged file is set aside under another name, and a new one is started: a server must not fail until its user renames the file.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Any

from modelbay.errors import StoreError
from modelbay.storage import files
from modelbay.storage.turns import turns_at

if TYPE_CHECKING:  # a gateway that stores nothing does not load SQLite
    import sqlite3

WAIT = 5.0
"""Seconds to wait for another program's write."""
_BRIEF = 0.05
"""Seconds that a reader waits before it waits for its turn."""
_TURNS = 6
"""How many times as long other processes of modelbay are waited for: each of them may wait for another program."""
_AGAIN = 1.0
"""Seconds to wait after a wait that was in vain: other requests must not wait for a program that holds the file for long."""
_BESIDE = ("-journal", "-wal", "-shm")
"""Suffixes of the files that belong to a SQLite file."""
_NOTHING = "file::memory:"
"""An empty database."""
_DAMAGED = (11, 26)
"""SQLite's codes for a file that is malformed, or not a database."""


class Database:
    """A SQLite file with a schema. Deleted rows are overwritten, and foreign keys are enforced."""

    def __init__(self, path: Path, title: str, schema: str, version: int, alternative: str) -> None:
        """
        Args:
            path: The file; created by the first write.
            title: What the file is called in messages, such as "conversation store".
            schema: SQL that creates missing tables.
            version: Version of the schema. A file with a higher version is refused and not changed.
            alternative: What to do if the file cannot be written, for hints.
        """
        self.path = path
        self.is_missing: Callable[[], bool] = files.Recent(partial(_is_missing, str(path))).get
        """Whether the file is missing. It is asked with each request of a client, so a new file is noticed late: see `Recent`."""
        self.wait = WAIT
        """Seconds to wait for another program's write."""
        self._title = title
        self._schema = schema
        self._version = version
        self._alternative = alternative

    @contextmanager
    def reading(self) -> "Iterator[sqlite3.Connection]":
        """A transaction that reads. A missing file is empty, and is not created.

        Raises:
            StoreError: the file cannot be used, or a newer version of modelbay wrote it.
        """
        with self._explained(write=False), closing(self._opened(write=False)) as connection, connection:
            yield connection

    @contextmanager
    def writing(self) -> "Iterator[sqlite3.Connection]":
        """A transaction that writes: committed at the end of the block, rolled back if the block raises.

        Raises:
            StoreError: the file cannot be used, or a newer version of modelbay wrote it.
        """
        with self._writer() as connection, connection:
            connection.execute("begin immediate")
            yield connection

    def compact(self) -> None:
        """Rewrite the file without deleted rows.

        Raises:
            StoreError: see `writing`.
        """
        with self._writer() as connection:
            connection.execute("vacuum")

    @contextmanager
    def _writer(self) -> "Iterator[sqlite3.Connection]":
        with self._explained(write=True):
            files.make_private(self.path.parent)
            with self._turn():
                created = _is_missing(str(self.path))
                with closing(self._opened(write=True)) as connection:
                    connection.execute("pragma secure_delete = on")
                    connection.execute("pragma foreign_keys = on")
                    yield connection
            if created:
                sleep(files.FRESH)  # until all processes know that it is there

    @contextmanager
    def _turn(self, *, soon: bool = False) -> Iterator[None]:
        with turns_at(self.path).turn(_TURNS * self._patience(write=True), soon=soon):
            yield

    def _patience(self, *, write: bool) -> float:
        return min(self.wait, _AGAIN) if write in turns_at(self.path).in_vain else self.wait

    def _opened(self, *, write: bool) -> "sqlite3.Connection":
        """A connection to the file, with its tables. If the file is damaged, to a new one."""
        import sqlite3

        seen, opened = _number_of(self.path), self._to_write if write else self._to_read
        try:
            return opened()
        except sqlite3.DatabaseError as error:
            if not self._set_aside(error, seen):
                raise
            return opened()

    def _to_write(self) -> "sqlite3.Connection":
        if _is_missing(str(self.path)):
            # only a new file: closing another one would remove the locks of this process's connections
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, files.PRIVATE))
        return self._connected(self._patience(write=True), write=True)

    def _to_read(self) -> "sqlite3.Connection":
        """A connection in a transaction. While writers follow one another, SQLite has no time for readers: they take turns, too."""
        import sqlite3

        patience = self._patience(write=False)
        try:
            return self._connected(min(patience, _BRIEF), write=False)
        except sqlite3.OperationalError as error:
            if not _is_locked(error):
                raise
        with self._turn(soon=True):  # it takes no time, and a request waits for it
            return self._connected(patience, write=False)

    def _connected(self, patience: float, *, write: bool) -> "sqlite3.Connection":
        import sqlite3

        place = _NOTHING
        if not _is_missing(str(self.path)):
            os.stat(self.path)  # raises the system's own words
            place = f"{self.path.absolute().as_uri()}?mode=rw"
        connection = sqlite3.connect(place, uri=True, timeout=patience, isolation_level=None)
        try:
            if not write:
                connection.execute("begin")  # the file is not locked again until the end
            version: int = connection.execute("pragma user_version").fetchone()[0]
            if version == 0 and not write:  # another thread or process is about to make its tables
                connection.close()
                connection = sqlite3.connect(_NOTHING, uri=True, isolation_level=None)
            self._prepare(connection, version)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: "sqlite3.Connection", version: int) -> None:
        if version > self._version:
            raise StoreError(
                f"the {self._title} {self.path} cannot be used: a newer version of modelbay wrote it",
                hint="update modelbay, or rename the file to start a new one",
                file=str(self.path),
            )
        if version < self._version:  # as one transaction: each takes seconds on a slow disk
            connection.executescript(f"begin immediate; {self._schema} pragma user_version = {self._version}; commit;")

    # --- problems ---

    @contextmanager
    def _explained(self, *, write: bool) -> Iterator[None]:
        """Make a `StoreError` of an error of SQLite or of the system."""
        import sqlite3

        seen, in_vain = _number_of(self.path), turns_at(self.path).in_vain
        try:
            yield
            in_vain.discard(write)
        except (sqlite3.Error, OSError) as error:
            if _is_locked(error):
                in_vain.add(write)
            hint = "try again: a new file is in use" if self._set_aside(error, seen) else self._hint(error)
            reason = error.strerror if isinstance(error, OSError) else error
            raise StoreError(
                f"the {self._title} {self.path} cannot be used: {reason}", hint=hint, file=str(self.path)
            ) from None

    def _set_aside(self, error: Exception, seen: int | None) -> bool:
        """Set the file aside if an error says that it is damaged. Returns whether that was done, perhaps by another process.
        `seen`: the number of the file that had the error."""
        import sqlite3

        if not isinstance(error, sqlite3.Error) or getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED:
            return False
        try:
            with self._turn():
                if seen == _number_of(self.path):
                    # its journal first: SQLite would change the new file by it
                    files.set_aside(self.path, self._title, str(error), _BESIDE)
        except OSError:
            return False
        return True

    def _hint(self, error: Exception) -> str:
        """The fix for an error of SQLite or of the system."""
        import sqlite3

        if _is_locked(error):
            return "close the other program that uses the file, or wait until it is done"
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
            return "rename the file to start a new one: this one is damaged"
        return f"check that its folder is writable and has free space, or {self._alternative}"


class Glance:
    """Looks at a file without waiting, on a connection that stays open: opening it for each request of a client would cost more
    than the rest of the request. What was found is kept until the file changes, and is at most `files.FRESH` seconds old."""

    def __init__(self, path: Path, version: int) -> None:
        """`version`: see `Database`."""
        self._path = path
        self._version = version
        self._is_readable = files.Recent(self._look).get
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._state = 0
        """The state of the file, as SQLite counts the changes that others make."""
        self._found: dict[tuple[str, ...], list[Any]] = {}

    def find(self, query: str, *values: str) -> list[Any] | None:
        """The rows of a query; None if they cannot be read at once, or the file is missing, damaged or of another version."""
        import sqlite3

        if not self._is_readable() or self._connection is None:
            return None
        found = self._found.get((query, *values))
        if found is None:
            try:
                found = self._connection.execute(query, values).fetchall()
            except sqlite3.Error:
                return None
            if len(self._found) >= _GLANCES:
                self._found.clear()
            self._found[query, *values] = found
        return found

    def close(self) -> None:
        """Close the connection until it is needed again."""
        connection, self._connection = self._connection, None
        self._found.clear()
        if connection is not None:
            connection.close()

    def _look(self) -> bool:
        """Whether the file can be read now. Drops what was found in another state of it."""
        import sqlite3

        try:
            inode = os.stat(self._path).st_ino
            if self._connection is None or inode != self._inode:
                self.close()
                self._connection, self._inode = self._opened(), inode
            state: int = self._connection.execute("pragma data_version").fetchall()[0][0]
            if state != self._state:
                self._state = state
                self._found.clear()
        except (sqlite3.Error, OSError):
            self.close()
            return False
        return True

    def _opened(self) -> "sqlite3.Connection":
        import sqlite3

        place = f"{self._path.absolute().as_uri()}?mode=ro"
        connection = sqlite3.connect(place, uri=True, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            if connection.execute("pragma user_version").fetchall() != [(self._version,)]:
                raise sqlite3.DatabaseError
        except BaseException:
            connection.close()
            raise
        return connection


_GLANCES = 1024
"""Maximum number of queries whose rows are kept."""


def _is_locked(error: Exception) -> bool:
    """Whether another program held the file for too long."""
    import sqlite3

    return isinstance(error, TimeoutError) or (isinstance(error, sqlite3.OperationalError) and "locked" in str(error))


def _number_of(path: Path) -> int | None:
    """A number that differs if the file was replaced; None if it does not exist."""
    found = files.identity(path)
    return None if found is None else found[0]


def _is_missing(place: str) -> bool:
    try:
        os.stat(place)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # its folder cannot be read
        return False
    return False
