"""Transactions of threads and programs, and glances at a file, which see each change of it, and never wait."""

import errno
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
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
    with database.writing() as connection:
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
    with file.writing() as connection:
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

    with first.writing() as connection:
        connection.execute("insert into t values (1)")
        other = threading.Thread(target=write)
        other.start()
        writing.wait()
        time.sleep(3 * SHORT)
    other.join()
    assert failed == []
    with first.writing() as connection:
        assert connection.execute("select n from t order by n").fetchall() == [(0,), (1,), (2,)]


def test_a_file_that_another_program_locks_is_an_error_soon(tmp_path: Path) -> None:
    file = slow_database(tmp_path, SHORT)
    add(file, 0)
    with closing(sqlite3.connect(file.path, isolation_level=None)) as program:
        program.execute("begin exclusive")
        with pytest.raises(StoreError, match="database is locked"):
            add(file, 1)
    add(file, 2)


def test_a_missing_file_is_read_as_an_empty_one_and_not_created(tmp_path: Path) -> None:
    with slow_database(tmp_path, SHORT).reading() as connection:
        assert connection.execute("select n from t").fetchall() == []
    assert not list(tmp_path.iterdir())


def test_a_file_can_be_read_while_a_thread_and_another_process_wait_to_write_it(tmp_path: Path) -> None:
    file, other = slow_database(tmp_path, SHORT), slow_database(tmp_path, SHORT)
    add(file, 0)
    with file.writing() as connection:
        connection.execute("insert into t values (1)")
        with other.reading() as reader:
            assert reader.execute("select n from t").fetchall() == [(0,)]


def test_a_reader_waits_for_a_writer_of_its_process_longer_than_for_another_program(tmp_path: Path) -> None:
    """On a slow disk, SQLite locks readers out for almost the whole time of a transaction, and writers follow one another."""
    first, second = slow_database(tmp_path, SHORT), slow_database(tmp_path, SHORT)
    add(first, 0)
    reading, found = threading.Event(), list[object]()

    def read() -> None:
        reading.set()
        try:
            found.append(numbers(second))
        except StoreError as error:
            found.append(error)

    with first.writing() as connection:
        connection.execute("commit")
        connection.execute("begin exclusive")
        connection.execute("insert into t values (1)")
        other = threading.Thread(target=read)
        other.start()
        reading.wait()
        time.sleep(3 * SHORT)
    other.join()
    assert found == [[0, 1]]


# --- damage ---


def damage_middle(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executemany("insert into t values (?)", ((number,) for number in range(5_000)))
    data = bytearray(path.read_bytes())
    data[4096:] = b"x" * (len(data) - 4096)
    path.write_bytes(data)


def damage_beginning(path: Path) -> None:
    path.write_bytes(b"not a database" * 100)


def numbers(file: Database) -> list[int]:
    with file.reading() as connection:
        return [number for (number,) in connection.execute("select n from t")]


@pytest.mark.parametrize("first", ["reader", "writer"])
@pytest.mark.parametrize("damage", [damage_beginning, damage_middle])
def test_a_damaged_file_is_set_aside_and_a_new_one_started(
    tmp_path: Path, damage: Callable[[Path], None], first: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = slow_database(tmp_path, SHORT)
    add(file, 1)
    damage(file.path)
    damaged = file.path.read_bytes()
    file.path.with_name("a.sqlite-journal").write_bytes(b"of the damaged file")
    with suppress(StoreError):  # damage in the middle is found in the block, which cannot be repeated
        if first == "reader":
            numbers(file)
        else:
            add(file, 2)
    add(file, 3)
    assert numbers(file) in ([3], [2, 3])
    [aside] = (path for path in tmp_path.glob("*.damaged-*") if not path.name.endswith("-journal"))
    assert aside.read_bytes() == damaged
    assert not file.path.with_name("a.sqlite-journal").exists()
    assert len(caplog.messages) == 1 and aside.name in caplog.text
    assert file.path.stat().st_mode & 0o077 == 0


def test_two_damaged_files_of_a_second_are_both_there(tmp_path: Path) -> None:
    file = slow_database(tmp_path, SHORT)
    for _ in range(3):
        damage_beginning(file.path)
        add(file, 1)
    assert len(list(tmp_path.glob("*.damaged-*"))) == 3


def test_a_file_that_another_process_has_set_aside_is_not_set_aside_again(tmp_path: Path) -> None:
    file = slow_database(tmp_path, SHORT)
    add(file, 1)
    damage_middle(file.path)
    with pytest.raises(StoreError, match="malformed") as caught, file.reading() as connection:
        file.path.rename(tmp_path / "aside")
        add(file, 2)
        connection.execute("select sum(n) from t").fetchall()
    assert numbers(file) == [2]
    assert caught.value.hint == "try again: a new file is in use"
    assert not list(tmp_path.glob("*.damaged-*"))


def test_a_damaged_file_that_cannot_be_renamed_is_an_error_with_the_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = slow_database(tmp_path, SHORT)
    add(file, 1)
    damage_beginning(file.path)

    def rename(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(StoreError, match="file is not a database") as caught:
        numbers(file)
    assert caught.value.hint == "rename the file to start a new one: this one is damaged"
