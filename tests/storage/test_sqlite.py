"""Transactions of threads and programs, and glances at a file, which see each change of it, and never wait."""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from modelbay.errors import StoreError
from modelbay.storage import files
from modelbay.storage.sqlite import Database, Glance

SHORT = 0.2
QUERY = "select content from notes where name = ?"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def pass_by(self) -> None:
        self.now += files.FRESH


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(files.Recent.__init__, "__defaults__", (lambda: clock.now,))
    return clock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a folder?#" / "notes.sqlite"
    write(path, "one")
    return path


@pytest.fixture
def glance(path: Path, clock: Clock) -> Iterator[Glance]:
    glance = Glance(path, 1)
    yield glance
    glance.close()


def write(path: Path, content: str) -> None:
    database = Database(path, "notes", "create table if not exists notes (name text, content text);", 1, "none")
    with database.open() as connection:
        connection.execute("insert into notes values ('a', ?)", (content,))


def test_rows_are_read_again_when_the_file_has_changed(glance: Glance, path: Path, clock: Clock) -> None:
    assert glance.find(QUERY, "a") == [("one",)]
    assert glance.find(QUERY, "b") == []
    write(path, "two")
    clock.pass_by()
    assert glance.find(QUERY, "a") == [("one",), ("two",)]


def test_the_system_is_not_asked_again_at_once(glance: Glance, path: Path, clock: Clock) -> None:
    assert glance.find(QUERY, "a") == [("one",)]
    write(path, "two")
    assert glance.find(QUERY, "a") == [("one",)]


def test_a_file_that_was_replaced_is_opened_again(glance: Glance, path: Path, clock: Clock) -> None:
    glance.find(QUERY, "a")
    write(path.with_suffix(".new"), "new")
    os.replace(path.with_suffix(".new"), path)
    clock.pass_by()
    assert glance.find(QUERY, "a") == [("new",)]


@pytest.mark.parametrize("damage", ["missing", "a folder", "damaged", "of another version", "locked"])
def test_a_file_that_cannot_be_read_at_once_says_nothing(glance: Glance, path: Path, clock: Clock, damage: str) -> None:
    glance.find(QUERY, "a")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        if damage == "locked":
            other.execute("begin exclusive")
        elif damage == "of another version":
            path.unlink()
            with closing(sqlite3.connect(path)) as newer:
                newer.execute("pragma user_version = 2")
        else:
            path.unlink()
            if damage == "a folder":
                path.mkdir()
            elif damage == "damaged":
                path.write_bytes(b"not a database, but long enough to be read as one" * 100)
        clock.pass_by()
        assert glance.find(QUERY, "a") is None
        if damage == "locked":
            other.execute("rollback")
            clock.pass_by()
            assert glance.find(QUERY, "a") == [("one",)]


def test_it_does_not_create_the_file(tmp_path: Path) -> None:
    assert Glance(tmp_path / "notes.sqlite", 1).find(QUERY, "a") is None
    assert not list(tmp_path.iterdir())


def test_after_it_was_closed_it_opens_the_file_again(glance: Glance, clock: Clock) -> None:
    glance.find(QUERY, "a")
    glance.close()
    clock.pass_by()
    assert glance.find(QUERY, "a") == [("one",)]


# --- transactions ---


def slow_database(folder: Path, wait: float) -> Database:
    found = Database(folder / "a.sqlite", "test file", "create table if not exists t (n integer);", 1, "do without it")
    found.wait = wait
    return found


def add(file: Database, number: int) -> None:
    with file.open() as connection:
        connection.execute("begin immediate")
        connection.execute("insert into t values (?)", (number,))


def test_threads_of_a_process_wait_for_each_other_longer_than_for_another_program(tmp_path: Path) -> None:
    """Each writes as fast as a slow disk allows, and the last one must not fail."""
    first, second = slow_database(tmp_path, SHORT), slow_database(tmp_path, SHORT)
    add(first, 0)
    writing, failed = threading.Event(), list[StoreError]()

    def write() -> None:
        writing.set()
        try:
            add(second, 2)
        except StoreError as error:
            failed.append(error)

    with first.open() as connection:
        connection.execute("begin immediate")
        connection.execute("insert into t values (1)")
        other = threading.Thread(target=write)
        other.start()
        writing.wait()
        time.sleep(3 * SHORT)
    other.join()
    assert failed == []
    with first.open() as connection:
        assert connection.execute("select n from t order by n").fetchall() == [(0,), (1,), (2,)]


def test_a_file_that_another_program_locks_is_an_error_soon(tmp_path: Path) -> None:
    file = slow_database(tmp_path, SHORT)
    add(file, 0)
    with closing(sqlite3.connect(file.path, isolation_level=None)) as program:
        program.execute("begin exclusive")
        with pytest.raises(StoreError, match="database is locked"):
            add(file, 1)
    add(file, 2)
