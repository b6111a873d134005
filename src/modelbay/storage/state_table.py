"""State that the gateway keeps for its clients: a SQLite table with a time to live and a size limit.

Each row belongs to one client. A row that was not used for some days is removed. If the table exceeds its size, the rows
that were not used for the longest time are removed first. Any thread and several processes may use the same file.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from modelbay.errors import StoreError
from modelbay.storage.paths import data_dir
from modelbay.storage.sqlite import Database, Glance

if TYPE_CHECKING:
    import sqlite3

SCHEMA = """
create table if not exists states (
  id integer primary key,
  client text not null,
  kind text not null,
  key text not null,
  variant text not null,
  used real not null,
  size integer not null,
  content blob not null,
  unique (client, kind, key, variant)
);
create index if not exists states_by_use on states (used, id, size);
create table if not exists totals (name text primary key, bytes integer not null) without rowid;
insert or ignore into totals values ('states', 0);
create trigger if not exists state_added after insert on states
  begin update totals set bytes = bytes + new.size; end;
create trigger if not exists state_removed after delete on states
  begin update totals set bytes = bytes - old.size; end;
"""
VERSION = 1
DAY = 86_400.0
ROW_BYTES = 400
"""Approximate size of a row without its content, with its entries in the indexes."""
_TOUCHES = 10
"""Number of times that a row which is used all the time is marked as used before it would expire."""
_BATCH = 500
"""Maximum number of rows in one SQL statement."""
_T = TypeVar("_T")
_LOG = logging.getLogger("modelbay")


class State(NamedTuple):
    key: str
    content: bytes
    variant: str = ""
    """Distinguishes rows with the same key. A client may have several."""


class Found(NamedTuple):
    """A row without its content."""

    id: int
    key: str
    variant: str
    used: float


class ClientStates:
    """The rows of one client, in one transaction."""

    def __init__(self, database: "sqlite3.Connection", client: str, now: float, since: float) -> None:
        self.database = database
        self._client = client
        self.now = now
        self.since = since
        """Time of the last use of the oldest row that is not expired."""

    def find(self, kind: str, keys: Iterable[str]) -> list[Found]:
        """The rows with these keys. Of rows with the same key, the one that was added first comes first."""
        found: list[Found] = []
        for batch in _batches(dict.fromkeys(keys)):
            marks = ", ".join("?" * len(batch))
            rows = self.database.execute(
                f"select id, key, variant, used from states where client = ? and kind = ? and key in ({marks})"
                " and used >= ? order by id",
                (self._client, kind, *batch, self.since),
            )
            found += map(Found._make, rows)
        return found

    def contents(self, ids: Iterable[int]) -> dict[int, bytes]:
        """The contents of rows, by the row's ID."""
        found: dict[int, bytes] = {}
        for batch in _batches(ids):
            marks = ", ".join("?" * len(batch))
            found.update(self.database.execute(f"select id, content from states where id in ({marks})", batch))
        return found

    def get(self, kind: str, key: str) -> bytes | None:
        """The content of the row with this key; None if there is none."""
        found = self.find(kind, [key])
        return self.contents([found[0].id])[found[0].id] if found else None

    def all(self, kind: str) -> Iterator[bytes]:
        """The contents of all rows of a kind."""
        found = self.database.execute(
            "select content from states where client = ? and kind = ? and used >= ?", (self._client, kind, self.since)
        )
        return (content for (content,) in found)

    def put(self, kind: str, states: Iterable[State], *, replace: bool) -> None:
        """Add rows. A row with the same key and variant is replaced, or kept and marked as used."""
        for state in states:
            where = (self._client, kind, state.key, state.variant)
            same = "client = ? and kind = ? and key = ? and variant = ?"
            if replace:
                self.database.execute(f"delete from states where {same}", where)
            else:
                self.database.execute(f"update states set used = max(used, ?) where {same}", (self.now, *where))
            self.database.execute(
                "insert or ignore into states (client, kind, key, variant, used, size, content)"
                " values (?, ?, ?, ?, ?, ?, ?)",
                (*where, self.now, ROW_BYTES + len(state.content), state.content),
            )

    def touch(self, ids: Iterable[int]) -> None:
        """Mark rows as used now. A clock that was set back makes no row older: it would expire when the clock is right again."""
        for batch in _batches(ids):
            marks = ", ".join("?" * len(batch))
            self.database.execute(f"update states set used = max(used, ?) where id in ({marks})", (self.now, *batch))

    def delete(self, kind: str, keys: Iterable[str]) -> int:
        """Delete the rows with these keys. Returns their number."""
        gone = 0
        for key in keys:
            where = (self._client, kind, key)
            gone += self.database.execute(
                "delete from states where client = ? and kind = ? and key = ?", where
            ).rowcount
        return gone


def _batches(values: Iterable[_T]) -> Iterator[tuple[_T, ...]]:
    rest = iter(values)
    while batch := tuple(islice(rest, _BATCH)):
        yield batch


class StateTable:
    def __init__(
        self, path: Path | None = None, *, days: float, max_bytes: int, clock: Callable[[], float] = time.time
    ) -> None:
        """
        Args:
            path: The file. Default: `gateway.sqlite` in the data folder.
            days: Days after its last use until a row is removed.
            max_bytes: Maximum size of all rows in bytes.
        """
        path = path or data_dir() / "gateway.sqlite"
        self._file = Database(path, "state of the gateway", SCHEMA, VERSION, "set store = false in [gateway]")
        self.is_missing = self._file.is_missing
        """Whether the file does not exist yet: nothing can be found."""
        self._glance = Glance(path, VERSION)
        self._days = days
        self._max_bytes = max_bytes
        self._clock = clock
        self._failing = False

    def close(self) -> None:
        """Close what `at_once` keeps open, until it is called again."""
        self._glance.close()

    def now(self) -> float:
        return self._clock()

    def fits(self, content: bytes) -> bool:
        """Whether a row of this content can be kept at all."""
        return ROW_BYTES + len(content) <= self._max_bytes

    def at_once(self, client: str, kind: str) -> list[bytes] | None:
        """The contents of a client's rows of a kind, for a caller that must not wait; None if they cannot be read at once. They are
        at most `files.FRESH` seconds old, and may have expired."""
        found = self._glance.find("select content from states where client = ? and kind = ?", client, kind)
        return None if found is None else [content for (content,) in found]

    @contextmanager
    def reading(self, client: str) -> Iterator[ClientStates]:
        """The rows of a client, not to be changed.

        Raises:
            StoreError: the file cannot be used.
        """
        with self._file.reading() as database:
            yield self._states(database, client)

    @contextmanager
    def writing(self, client: str) -> Iterator[ClientStates]:
        """The rows of a client. At the end, expired rows are removed, and others if the table is too large.

        Raises:
            StoreError: the file cannot be used. Nothing was changed.
        """
        with self._file.writing() as database:
            states = self._states(database, client)
            yield states
            self._shrink(database, states.since)
        self._failing = False

    def aging(self, rows: Iterable[Found]) -> list[int]:
        """The IDs of the rows that must be marked as used again. A row that is used all the time is written only a few times."""
        before = self._clock() - min(1.0, self._days / _TOUCHES) * DAY
        return [row.id for row in rows if row.used < before]

    def _states(self, database: "sqlite3.Connection", client: str) -> ClientStates:
        now = self._clock()
        return ClientStates(database, client, now, now - self._days * DAY)

    def report(self, error: StoreError) -> None:
        """Log an error that does not fail a request. Only the first one since the file was last written is logged."""
        if not self._failing:
            self._failing = True
            _LOG.warning("%s; requests continue without it (%s)", error.message, error.hint)

    def _shrink(self, database: "sqlite3.Connection", since: float) -> None:
        oldest = "select id from states where used < ? order by used, id limit ?"
        database.execute(f"delete from states where id in ({oldest})", (since, _BATCH))
        over: int = database.execute("select bytes from totals").fetchone()[0] - self._max_bytes
        if over <= 0:
            return
        ids = []
        for id, size in database.execute("select id, size from states order by used, id"):
            ids.append((id,))
            over -= size
            if over <= 0:
                break
        database.executemany("delete from states where id = ?", ids)
