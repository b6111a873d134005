"""Chats that somebody wants to keep: a SQLite file for their owner alone."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from modelbay.chat.chat import Chat
from modelbay.config.paths import data_dir
from modelbay.errors import ConfigError, MalformedReply
from modelbay.json_text import decode_as

SCHEMA = """
create table if not exists chats (
  id integer primary key,
  name text not null,
  model text,
  turns integer not null,
  saved real not null,
  content blob not null
)
"""


LARGEST = 2**63
"""SQLite has no larger numbers."""


class Saved(Struct):
    """A kept chat, as a list shows it."""

    id: int
    name: str
    model: str | None
    turns: int
    saved: float
    """When it was last written, seconds since the epoch."""


class Store:
    """Every call opens the file anew, so that it may be called from any thread, and two programs may have it open."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or data_dir() / "chats.sqlite"

    def save(self, chat: Chat) -> None:
        """Keeps a chat, or what has become of it since.

        Raises:
            ConfigError: the file cannot be written.
        """
        with self._open() as database:
            content = msgspec.json.encode(chat)
            row = (chat.name, chat.model, len(chat.turns), time.time(), content)
            if chat.id is None:
                chat.id = database.execute(
                    "insert into chats (name, model, turns, saved, content) values (?, ?, ?, ?, ?)", row
                ).lastrowid
            else:
                database.execute(
                    "insert or replace into chats (name, model, turns, saved, content, id) values (?, ?, ?, ?, ?, ?)",
                    (*row, chat.id),
                )

    def list(self) -> list[Saved]:
        """The kept chats, the last one first."""
        if not self.path.exists():
            return []
        with self._open() as database:
            rows = database.execute("select id, name, model, turns, saved from chats order by saved desc, id desc")
            return [Saved(*row) for row in rows]

    def load(self, id: int) -> Chat:
        """
        Raises:
            ConfigError: there is no such chat, or it cannot be read.
        """
        with self._open() as database:
            row = (
                None if id >= LARGEST else database.execute("select content from chats where id = ?", (id,)).fetchone()
            )
        if row is None:
            raise ConfigError(f"there is no chat {id}", hint="`/resume` lists those that are kept")
        try:
            chat = decode_as(row[0], Chat)
        except MalformedReply as error:
            raise ConfigError(f"the chat {id} cannot be read: {error}") from None
        chat.id = id
        return chat

    def delete(self, id: int) -> None:
        with self._open() as database:
            database.execute("delete from chats where id = ?", (id,))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            if not self.path.exists():
                self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600))
            with closing(sqlite3.connect(self.path, timeout=10)) as database, database:
                database.execute(SCHEMA)
                yield database
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(f"{self.path} cannot be used: {error}", hint="look at its folder's rights") from None
