"""Stored conversations: a SQLite file that only its owner can read.

Each turn is one row, and rows are only added, so that the hundredth turn of a long conversation with files is stored as fast as
the first. If two programs have the same conversation open, the second one that stores it stores a copy, so nothing is lost.
"""

import sqlite3
import time
from itertools import chain
from pathlib import Path
from secrets import randbits

from msgspec import Struct

from modelbay.conversation import Turn
from modelbay.errors import MalformedReply, StoreError, UnknownConversation
from modelbay.json_text import decode_as
from modelbay.library.history import stored_turn, turn_of
from modelbay.secrecy import stored
from modelbay.storage.paths import data_dir
from modelbay.storage.sqlite import Database
from modelbay.stored_chats.stored_chat import StoredChat
from modelbay.usage import Usage

SCHEMA = """
create table if not exists chats (
  id integer primary key,
  title text not null,
  name text not null,
  model text,
  effort text,
  saved real not null,
  revision integer not null,
  input_tokens integer not null,
  output_tokens integer not null,
  context integer not null,
  cost real,
  question blob,
  partial text not null
);
create table if not exists turns (
  chat integer not null references chats (id) on delete cascade,
  number integer not null,
  content blob not null,
  primary key (chat, number)
) without rowid;
create table if not exists details (
  chat integer not null,
  number integer not null,
  model text,
  words text not null,
  primary key (chat, number),
  foreign key (chat, number) references turns (chat, number) on delete cascade
) without rowid;
create table if not exists endings (
  chat integer not null,
  number integer not null,
  ending text not null,
  primary key (chat, number),
  foreign key (chat, number) references turns (chat, number) on delete cascade
) without rowid;
"""
"""`details` contains the columns for lists and searches: reading the content of a turn also reads its files. `words` is the text
of the turn in lower case."""
VERSION = 3
"""Version of the schema and of the stored turns. A file with a higher version is refused and not changed."""
COLUMNS = (
    "title", "name", "model", "effort", "saved", "revision",
    "input_tokens", "output_tokens", "context", "cost", "question", "partial",
)  # fmt: skip
HAS = "(instr(folded(name), ?) or exists (select 1 from details where chat = id and instr(words, ?)))"
"""SQL: a conversation contains a word in its name or in a message."""
DAY = 86_400.0
BITS = 53
"""Random bits of the first revision of a conversation."""
IDS = range(1, 2**63)
"""The IDs that SQLite can store."""


MOST_BYTES = 200 * 2**20
"""Maximum number of bytes that `Store.messages` reads."""


class _Part(Struct):
    type: str
    text: str = ""


class _Message(Struct):
    """A turn without its files."""

    role: str
    parts: list[_Part]


class Saved(Struct):
    """A row in the list of stored conversations."""

    id: int
    name: str
    model: str | None
    turns: int
    saved: float
    """Unix time of the last change."""


class Store:
    """The stored conversations. Every call opens the file, so that any thread and several programs may use it."""

    def __init__(self, path: Path | None = None) -> None:
        path = path or data_dir() / "conversations.sqlite"
        self._file = Database(path, "conversation store", SCHEMA, VERSION, 'set keep = "never" in [chat]')

    @property
    def path(self) -> Path:
        return self._file.path

    @property
    def new(self) -> bool:
        """Whether the file is missing."""
        return self._file.is_missing()

    def wait(self, seconds: float) -> None:
        """Set the seconds to wait for another program's write (5 at first)."""
        self._file.wait = seconds

    def save(self, chat: StoredChat) -> bool:
        """Store a conversation, or the turns that were added to it. Returns whether it was stored as a copy, because another
        program has changed or deleted the stored one in the meantime.

        Raises:
            StoreError: the file cannot be written.
        """
        with self._file.writing() as database:
            copied = chat.id is not None and self._revision(database, chat.id) != chat.revision
            if copied:
                chat.id, chat.stored = None, 0
            # a number may be that of a deleted conversation, so no two conversations begin with the same revision
            revision = chat.revision + 1 if chat.id is not None else randbits(BITS)
            row = (
                stored(chat.title), stored(chat.name), chat.model, chat.effort, time.time(), revision,
                chat.usage.input_total, chat.usage.output_total, chat.context, chat.known_cost,
                _encoded(chat.question), stored("".join(chat.pieces)),
            )  # fmt: skip
            id = chat.id
            if id is None:
                marks = ", ".join("?" * len(COLUMNS))
                id = database.execute(f"insert into chats ({', '.join(COLUMNS)}) values ({marks})", row).lastrowid
            else:
                assigned = ", ".join(f"{column} = ?" for column in COLUMNS)
                database.execute(f"update chats set {assigned} where id = ?", (*row, id))
            database.executemany(
                "insert into turns (chat, number, content) values (?, ?, ?)",
                [(id, number, _encoded(chat.turns[number])) for number in range(chat.stored, len(chat.turns))],
            )
            database.executemany(
                "insert into details (chat, number, model, words) values (?, ?, ?, ?)",
                [
                    (id, number, chat.models.get(number), _words(chat.turns[number]))
                    for number in range(chat.stored, len(chat.turns))
                ],
            )
            database.executemany(
                "insert into endings (chat, number, ending) values (?, ?, ?)",
                [(id, number, ending) for number, ending in chat.endings.items() if number >= chat.stored],
            )
        chat.id, chat.revision, chat.stored = id, revision, len(chat.turns)
        return copied

    def came(self, chat: StoredChat) -> None:
        """Store the answer so far.

        Raises:
            StoreError: the file cannot be written.
        """
        with self._file.writing() as database:
            database.execute(
                "update chats set partial = ? where id = ? and revision = ?",
                (stored("".join(chat.pieces)), chat.id, chat.revision),
            )

    def list(self, query: str = "", most: int = -1) -> list[Saved]:
        """The stored conversations, the latest first. With a query, only those whose title and messages contain all its words,
        ignoring case."""
        if self.new:
            return []
        words = query.casefold().split()
        with self._file.reading() as database:
            database.create_function("folded", 1, str.casefold, deterministic=True)
            rows = database.execute(
                "select id, name, model, (select count(*) from turns where chat = id) + (question is not null), saved"
                f" from chats where {' and '.join([HAS] * len(words)) or 'true'}"
                " order by saved desc, id desc limit ?",
                (*(word for word in words for _ in range(2)), most),
            )
            return [Saved(*row) for row in rows]

    def messages(self, most: int) -> tuple[str, ...]:
        """The distinct texts of user messages in the stored conversations, at most `most`. The conversation that changed last
        comes first, and within a conversation the last message.

        Raises:
            StoreError: the file cannot be read.
        """
        found: dict[str, None] = {}
        left = MOST_BYTES
        if self.new:
            return ()
        with self._file.reading() as database:
            chats = database.execute("select id, question from chats order by saved desc, id desc").fetchall()
            for id, question in chats:
                turns = database.execute("select content from turns where chat = ? order by number desc", (id,))
                for content in chain([question] if question else [], (content for (content,) in turns)):
                    left -= len(content)
                    if len(found) == most or left < 0:
                        return tuple(found)
                    if text := _sent(content):
                        found[text] = None
        return tuple(found)

    def latest(self) -> int | None:
        """The ID of the conversation that was changed last; None if none is stored."""
        found = self.list(most=1)
        return found[0].id if found else None

    def load(self, id: int) -> StoredChat:
        """A stored conversation. If the program ended during an answer, it contains the answer so far.

        Raises:
            UnknownConversation: it does not exist.
            StoreError: it cannot be read.
        """
        if id not in IDS:
            raise _missing(id)
        with self._file.reading() as database:
            row = database.execute(f"select {', '.join(COLUMNS)} from chats where id = ?", (id,)).fetchone()
            turns = database.execute("select content from turns where chat = ? order by number", (id,)).fetchall()
            models = database.execute("select number, model from details where chat = ? and model is not null", (id,))
            answered_by = dict(models.fetchall())
            endings = dict(database.execute("select number, ending from endings where chat = ?", (id,)).fetchall())
        if row is None:
            raise _missing(id)
        fields = dict(zip(COLUMNS, row, strict=True))
        try:
            chat = StoredChat(
                turns=[turn_of(content) for (content,) in turns],
                question=turn_of(fields["question"]) if fields["question"] else None,
                models=answered_by,
                endings=endings,
                pieces=[fields["partial"]] if fields["partial"] else [],
                usage=Usage(input=fields["input_tokens"], output=fields["output_tokens"]),
                earlier_cost=fields["cost"],
                **{name: fields[name] for name in ("title", "model", "effort", "revision", "context")},
            )
        except MalformedReply as error:
            raise StoreError(
                f"conversation {id} cannot be read: {error.message}",
                hint="delete it with /resume in the app, or continue another one",
                file=str(self.path),
            ) from None
        chat.id, chat.stored = id, len(chat.turns)
        chat.settle()
        return chat

    def delete(self, id: int) -> None:
        """Delete a conversation, and overwrites its data in the file.

        Raises:
            StoreError: the file cannot be written.
        """
        with self._file.writing() as database:
            database.execute("delete from chats where id = ?", (id,))
        self._file.compact()

    def expire(self, days: int, now: float | None = None) -> int:
        """Delete the conversations that have not changed for that number of days. Returns their number."""
        if self.new:
            return 0
        before = (time.time() if now is None else now) - days * DAY
        with self._file.writing() as database:
            gone = database.execute("delete from chats where saved < ?", (before,)).rowcount
        if gone:
            self._file.compact()
        return gone

    @staticmethod
    def _revision(database: sqlite3.Connection, id: int) -> int | None:
        row = database.execute("select revision from chats where id = ?", (id,)).fetchone()
        return row[0] if row else None


def _sent(content: bytes) -> str:
    """The text of a user's turn; "" for any other turn."""
    try:
        turn = decode_as(content, _Message)
    except MalformedReply:
        return ""
    return "".join(part.text for part in turn.parts if part.type == "text") if turn.role == "user" else ""


def _missing(id: int) -> UnknownConversation:
    return UnknownConversation(f"conversation {id} does not exist")


def _encoded(turn: Turn | None) -> bytes | None:
    return None if turn is None else stored_turn(turn)


def _words(turn: Turn) -> str:
    return stored(turn.text).casefold()
