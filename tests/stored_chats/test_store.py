"""Stored conversations: what others may see of them, what is lost when (nothing), and what a deletion leaves (nothing)."""

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from modelbay.conversation import Media, Provenance, Text, Thinking, Turn, user
from modelbay.errors import ConfigError
from modelbay.json_text import encode
from modelbay.library import history
from modelbay.secrecy import register
from modelbay.stored_chats.store import DAY, VERSION, Store
from modelbay.stored_chats.stored_chat import StoredChat
from modelbay.usage import Usage

WORD = "a-word-that-occurs-nowhere-else-"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data" / "conversations.sqlite")


def exchange(question: str, answer: str = "An answer.") -> list[Turn]:
    return [user(question), Turn("assistant", [Text(text=answer)])]


def loaded(store: Store, chat: StoredChat) -> StoredChat:
    assert chat.id is not None
    return store.load(chat.id)


def test_a_conversation_comes_back_as_it_was(store: Store) -> None:
    chat = StoredChat(
        "m", "low", "Sky", turns=exchange("Why?"), usage=Usage(input=3, output=4), earlier_cost=0.5, context=7
    )
    assert not store.save(chat)
    assert loaded(store, chat) == chat
    assert [(one.id, one.name, one.model, one.turns) for one in store.list()] == [(chat.id, "Sky", "m", 2)]


def test_a_file_of_the_first_format_of_turns_can_be_read(store: Store) -> None:
    assert (VERSION, history.VERSION) == (3, 1), "a new format of turns needs a new version of the file"
    store.save(StoredChat())
    signed = {"type": "thinking", "origin": {"protocol": "anthropic", "vendor": "v", "family": "f"}, "opaque": "c2ln"}
    turn = {"role": "assistant", "parts": [{**signed, "texts": ["Hm."]}, {"type": "text", "text": "Blue."}]}
    with closing(sqlite3.connect(store.path)) as database, database:
        database.execute("insert into turns (chat, number, content) values (1, 0, ?)", (encode(turn),))
        database.execute("update chats set input_tokens = 3, output_tokens = 4, cost = 0.5")
    chat = store.load(1)
    thinking = Thinking(texts=["Hm."], opaque="c2ln", origin=Provenance("anthropic", "v", "f"))
    assert chat.turns == [Turn("assistant", [thinking, Text(text="Blue.")])]
    assert (chat.usage.input_total, chat.usage.output_total, chat.known_cost) == (3, 4, 0.5)


def test_only_new_turns_are_written(store: Store) -> None:
    chat = StoredChat(turns=exchange("Why?"))
    store.save(chat)
    with sqlite3.connect(store.path) as database:
        database.execute('update turns set content = \'{"role": "user", "parts": []}\' where number = 0')
    chat.turns += exchange("And?")
    store.save(chat)
    assert [bool(turn.parts) for turn in loaded(store, chat).turns] == [False, True, True, True]


def test_two_programs_with_one_conversation_lose_nothing(store: Store) -> None:
    first = StoredChat(turns=exchange("Why?"))
    store.save(first)
    second = loaded(store, first)
    first.turns += exchange("Said by the first")
    second.turns += exchange("Said by the second")
    assert not store.save(first)
    assert store.save(second), "it is stored as a copy"
    assert second.id != first.id
    assert [len(loaded(store, one).turns) for one in (first, second)] == [4, 4]
    second.turns += exchange("And more")
    assert not store.save(second)
    assert len(loaded(store, second).turns) == 6 and len(loaded(store, first).turns) == 4


def test_an_answer_in_progress_is_not_written_into_a_conversation_of_another_program(store: Store) -> None:
    first = StoredChat(turns=exchange("Why?"))
    store.save(first)
    second = loaded(store, first)
    second.question = user("Said by the second")
    store.save(second)
    first.pieces = ["Said by the first"]
    store.came(first)
    assert [loaded(store, second).question, len(loaded(store, second).turns)] == [second.question, 2]


def test_a_conversation_that_another_program_deleted_is_stored_again(store: Store) -> None:
    chat = StoredChat(turns=exchange("Why?"))
    store.save(chat)
    assert chat.id is not None
    store.delete(chat.id)
    chat.turns += exchange("And?")
    assert store.save(chat)
    assert len(loaded(store, chat).turns) == 4


def test_a_conversation_that_got_the_number_of_a_deleted_one_is_not_overwritten(store: Store) -> None:
    deleted, other = StoredChat(turns=exchange("Why?")), StoredChat(turns=[*exchange("When?"), *exchange("Where?")])
    store.save(deleted)
    assert deleted.id is not None
    store.delete(deleted.id)
    store.save(other)
    assert other.id == deleted.id
    deleted.turns += exchange("And?")
    assert store.save(deleted), "it is stored as a copy"
    assert loaded(store, other).turns == other.turns
    assert loaded(store, deleted).turns == deleted.turns


def test_a_question_that_was_taken_back_leaves_nothing_in_the_file(store: Store) -> None:
    chat = StoredChat(question=user(f"{WORD} " * 20))
    store.save(chat)
    assert WORD.encode() in store.path.read_bytes()
    chat.take_back()
    store.save(chat)
    assert WORD.encode() not in store.path.read_bytes()


def test_a_deletion_gives_the_disk_space_back(store: Store) -> None:
    kept, deleted = StoredChat(turns=exchange("Why?")), StoredChat(turns=exchange("What is this? " * 100_000))
    store.save(kept)
    before = store.path.stat().st_size
    store.save(deleted)
    assert deleted.id is not None
    store.delete(deleted.id)
    assert store.path.stat().st_size == before


def test_a_partial_answer_survives_the_end_of_its_program(store: Store) -> None:
    chat = StoredChat(turns=exchange("Why?"), question=user("And?"))
    store.save(chat)
    chat.pieces = ["Half of ", "an answer"]
    store.came(chat)
    found = loaded(store, chat)
    assert found.turns[2:] == [user("And?"), Turn("assistant", [Text(text="Half of an answer")])]
    assert found.question is None
    assert found.endings == {3: "interrupted"}
    store.save(found)
    assert loaded(store, found).endings == {3: "interrupted"}


def test_the_ending_of_an_answer_is_stored_with_its_turn(store: Store) -> None:
    chat = StoredChat(turns=exchange("Why?"), endings={1: "length"})
    store.save(chat)
    chat.turns += exchange("And?")
    store.save(chat)
    chat.turns += exchange("And then?")
    chat.endings[5] = "failed"
    store.save(chat)
    assert loaded(store, chat).endings == {1: "length", 5: "failed"}
    assert chat.id is not None
    store.delete(chat.id)
    with closing(sqlite3.connect(store.path)) as database:
        assert database.execute("select count(*) from endings").fetchone() == (0,)


def test_a_question_that_nothing_came_of_is_there_to_be_asked_again(store: Store) -> None:
    chat = StoredChat(question=user("Why?"))
    store.save(chat)
    found = loaded(store, chat)
    assert (found.turns, found.question) == ([], user("Why?"))
    assert store.list()[0].name == "Why?"


def test_a_deleted_conversation_leaves_nothing_in_the_file(store: Store) -> None:
    chats = [StoredChat(turns=exchange(f"{WORD}{number} " * 200)) for number in range(5)]
    for chat in chats:
        store.save(chat)
    assert f"{WORD}3".encode() in store.path.read_bytes()
    assert chats[3].id is not None
    store.delete(chats[3].id)
    left = b"".join(file.read_bytes() for file in store.path.parent.iterdir())
    assert f"{WORD}3".encode() not in left and f"{WORD}4".encode() in left


def test_conversations_expire_by_their_last_change(store: Store) -> None:
    for name in ("old", "new"):
        store.save(StoredChat(turns=exchange(name)))
    with sqlite3.connect(store.path) as database:
        database.execute("update chats set saved = ? where name = 'old'", (1_000_000.0,))
        database.execute("update chats set saved = ? where name = 'new'", (1_000_000.0 + 6 * DAY,))
    assert store.expire(5, 1_000_000.0 + 7 * DAY) == 1
    assert [one.name for one in store.list()] == ["new"]


def test_a_key_of_the_configuration_that_a_server_repeats_is_not_stored(store: Store) -> None:
    register("sk-configured-0123456789")
    chat = StoredChat(
        turns=exchange("Why?", "Your key is sk-configured-0123456789"), question=user("sk-configured-0123456789")
    )
    store.save(chat)
    assert b"sk-configured-0123456789" not in store.path.read_bytes()


def test_a_conversation_is_readable_by_its_owner_only(store: Store) -> None:
    before = os.umask(0)
    try:
        store.save(StoredChat("m", turns=exchange("Why?")))
        with store._file.writing() as database:
            database.execute("update chats set name = 'secret'")  # a journal beside it while this is not done
            files = list(store.path.parent.iterdir())
            suffixes = {file.name.removeprefix(store.path.name) for file in files}
            assert suffixes == {"", "-journal", ".lock", ".queue.lock"}
            assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    finally:
        os.umask(before)
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700


def test_a_file_that_is_not_a_database_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = "this is not a database, but a text that is long enough to be taken for a header"
    (tmp_path / "conversations.sqlite").write_text(text)
    store = Store(tmp_path / "conversations.sqlite")
    assert store.list() == []
    store.save(StoredChat(turns=exchange("Why?")))
    assert len(store.list()) == 1
    [left] = tmp_path.glob("conversations.sqlite.damaged-*")
    assert left.read_text() == text
    [line] = caplog.messages
    assert f"was damaged (file is not a database): it is now {left.name}" in line


def test_an_unknown_number_is_reported(store: Store) -> None:
    with pytest.raises(ConfigError, match="conversation 7 does not exist"):
        store.load(7)


def test_a_store_that_cannot_be_looked_at_says_so_where_it_is_used(tmp_path: Path):
    store = Store(tmp_path / ("long" * 100) / "conversations.sqlite")
    assert not store.new
    for call in (store.list, lambda: store.messages(1), lambda: store.expire(1)):
        with pytest.raises(ConfigError, match=r"the conversation store .* cannot be used: File name too long(?:\n|$)"):
            call()


def test_a_store_of_a_newer_version_is_left_as_it_is(store: Store):
    store.path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(store.path)) as database:
        database.execute("create table chats (id integer primary key, other text)")
        database.execute("pragma user_version = 4")
    before = store.path.read_bytes()
    for call in (store.list, lambda: store.save(StoredChat(turns=exchange("Why?"))), lambda: store.expire(0)):
        with pytest.raises(ConfigError, match="a newer version of modelbay wrote it") as raised:
            call()
        assert raised.value.hint == "update modelbay, or rename the file to start a new one"
    assert store.path.read_bytes() == before


def test_a_locked_store_names_the_other_program(store: Store):
    store.save(StoredChat(turns=exchange("Why?")))
    store.wait(0.0)
    with closing(sqlite3.connect(store.path)) as other:
        other.execute("begin exclusive")
        with pytest.raises(ConfigError, match="database is locked") as raised:
            store.list()
    assert raised.value.hint == "close the other program that uses the file, or wait until it is done"


def test_sent_messages_are_listed_newest_first_each_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store.messages(10) == ()
    assert not store.path.exists()
    store.save(StoredChat("m", turns=[*exchange("Why?"), *exchange("How?")]))
    store.save(StoredChat("m", turns=exchange("When?"), question=user("Why?", Media(kind="image", data="A" * 2000))))
    assert store.messages(10) == ("Why?", "When?", "How?")
    assert store.messages(2) == ("Why?", "When?")
    monkeypatch.setattr("modelbay.stored_chats.store.MOST_BYTES", 1000)
    assert store.messages(10) == ()


def test_a_search_looks_at_titles_and_messages_in_any_case(store: Store) -> None:
    for title, question in (("Sky", "Why is it blue?"), ("", "Wo ist die STRASSE?"), ("Bread", "Flour and water")):
        store.save(StoredChat(turns=exchange(question, f"About {question}"), title=title))
    found = {
        query: [one.name for one in store.list(query)] for query in ("sKY", "BLUE why", "straße", "water sky", " ")
    }
    assert found == {
        "sKY": ["Sky"], "BLUE why": ["Sky"], "straße": ["Wo ist die STRASSE?"], "water sky": [],
        " ": ["Bread", "Wo ist die STRASSE?", "Sky"],
    }  # fmt: skip


def test_a_search_looks_at_no_file(store: Store) -> None:
    store.save(StoredChat(turns=[user("Read it", Media(kind="document", text="needle", name="notes.txt"))]))
    assert store.list("needle") == []


def test_a_search_shows_so_many_at_most(store: Store) -> None:
    for number in range(5):
        store.save(StoredChat(turns=exchange(f"Question {number}")))
    assert [one.name for one in store.list("question", 2)] == ["Question 4", "Question 3"]


def test_a_deleted_conversation_is_found_no_more_and_leaves_no_words(store: Store) -> None:
    chat = StoredChat(turns=exchange(WORD))
    store.save(chat)
    assert store.list(WORD)
    assert chat.id is not None
    store.delete(chat.id)
    assert store.list(WORD) == []
    assert WORD.encode() not in store.path.read_bytes()


def test_the_model_of_each_answer_is_stored(store: Store) -> None:
    chat = StoredChat(turns=exchange("Why?"), models={1: "sim/thinker"})
    store.save(chat)
    chat.turns += exchange("And?")
    chat.models[3] = "other"
    store.save(chat)
    assert loaded(store, chat).models == {1: "sim/thinker", 3: "other"}


def test_the_latest_is_the_one_that_changed_last(store: Store) -> None:
    assert store.latest() is None
    first, second = StoredChat(turns=exchange("One")), StoredChat(turns=exchange("Two"))
    store.save(first)
    store.save(second)
    assert store.latest() == second.id
    first.turns += exchange("More")
    store.save(first)
    assert store.latest() == first.id


def test_ten_thousand_conversations_are_searched_without_reading_their_files(store: Store) -> None:
    store.save(StoredChat(turns=exchange("The needle")))
    with sqlite3.connect(store.path) as database:
        database.execute(
            "with recursive n(i) as (select 2 union all select i + 1 from n where i < 10000)"
            " insert into chats select i, '', 'Chat ' || i, null, null, 0, 1, 0, 0, 0, null, null, '' from n"
        )
        database.execute("insert into turns select id, 0, x'00' from chats where id > 1")  # content that cannot be read
        database.execute("insert into details select id, 0, null, 'some words ' || id from chats where id > 1")
    assert [one.name for one in store.list("needle")] == ["The needle"]
    assert [one.name for one in store.list("words 9999")] == ["Chat 9999"]
    assert len(store.list("words", 200)) == 200
