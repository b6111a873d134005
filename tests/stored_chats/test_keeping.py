"""Storing a conversation while it happens, as `keep` says."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import aclosing, closing
from functools import partial
from pathlib import Path

import pytest

from modelbay.conversation import user
from modelbay.errors import ModelbayError, StoreError
from modelbay.events import PartDelta
from modelbay.hub import Hub
from modelbay.stored_chats import keeping
from modelbay.stored_chats.keeping import Keep, Keeper
from modelbay.stored_chats.store import Store
from modelbay.stored_chats.stored_chat import StoredChat


class Reports(list[str]):
    def keeper(self, mode: Keep = "always") -> Keeper:
        return Keeper(Store(), mode, self.append)


@pytest.fixture
def reports() -> Reports:
    return Reports()


async def ask(chat: StoredChat, hub: Hub, keeper: Keeper, text: str = "Why?") -> None:
    async for _ in chat.ask(hub, text, keeper=keeper):
        pass


async def test_a_question_is_stored_before_its_answer_and_the_answer_while_it_comes(
    hub: Hub, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "PERIOD", 0.0)
    chat, keeper, seen = StoredChat("openai_chat/sim-text!pace=0.01"), reports.keeper(), 0
    async with aclosing(chat.ask(hub, "write 50 words", keeper=keeper)) as events:
        async for event in events:
            assert chat.id is not None
            stored = keeper.store.load(chat.id)
            if isinstance(event, PartDelta):
                seen += 1
                assert stored.turns[0] == user("write 50 words") and stored.turns[1].parts
            elif not seen:
                assert stored.question == user("write 50 words")
    assert seen > 5
    assert chat.id is not None
    again = keeper.store.load(chat.id)
    assert (again.turns, again.models, again.context) == (chat.turns, chat.models, chat.context)
    assert (again.usage.total, again.known_cost) == (chat.usage.total, chat.known_cost)


async def test_leaving_in_the_middle_stores_what_came(hub: Hub, reports: Reports) -> None:
    chat, keeper = StoredChat("openai_chat/sim-text!pace=0.01"), reports.keeper()
    async with aclosing(chat.ask(hub, "write 50 words", keeper=keeper)) as events:
        async for event in events:
            if isinstance(event, PartDelta):
                break
    assert chat.id is not None
    assert [turn.role for turn in keeper.store.load(chat.id).turns] == ["user", "assistant"]


@pytest.mark.parametrize("turns", [0, 2])
@pytest.mark.parametrize("leaving", [True, False])
async def test_a_question_without_an_answer_stays_stored_only_when_the_program_ends(
    hub: Hub, reports: Reports, leaving: bool, turns: int
) -> None:
    chat, keeper = StoredChat("openai_chat/sim-text"), reports.keeper()
    if turns:
        await ask(chat, hub, keeper)
    chat.model = "openai_chat/sim-text!slow-headers"
    stored = asyncio.Event()
    changed = keeper.changed

    async def storing(chat: StoredChat) -> None:
        await changed(chat)
        stored.set()

    keeper.changed = storing  # type: ignore[method-assign]
    asking = asyncio.create_task(ask(chat, hub, keeper, "Why not?"))
    await stored.wait()
    keeper.leaving = leaving
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    kept = [keeper.store.load(one.id) for one in keeper.store.list()]
    assert [(len(one.turns), one.question) for one in kept] == (
        [(turns, user("Why not?"))] if leaving else [(2, None)] if turns else []
    )


@pytest.mark.parametrize(("mode", "stored"), [("always", 1), ("ask", 0), ("never", 0)])
async def test_each_mode_stores_its_conversations(hub: Hub, reports: Reports, mode: Keep, stored: int) -> None:
    keeper = reports.keeper(mode)
    await ask(StoredChat("openai_chat/sim-text"), hub, keeper)
    assert len(keeper.store.list()) == stored


async def test_with_ask_a_saved_conversation_goes_on_being_stored(hub: Hub, reports: Reports) -> None:
    chat, keeper = StoredChat("openai_chat/sim-text"), reports.keeper("ask")
    await ask(chat, hub, keeper)
    keeper.store.save(chat)
    await ask(chat, hub, keeper)
    assert keeper.store.list()[0].turns == 4


async def test_a_question_that_failed_leaves_no_empty_conversation(hub: Hub, reports: Reports) -> None:
    chat, keeper = StoredChat("openai_chat/sim-text!401"), reports.keeper()
    with pytest.raises(ModelbayError):
        await ask(chat, hub, keeper)
    assert keeper.store.list() == [] and chat == StoredChat("openai_chat/sim-text!401")


async def test_turning_private_deletes_what_is_stored_and_back(hub: Hub, reports: Reports) -> None:
    chat, keeper = StoredChat("openai_chat/sim-text"), reports.keeper()
    await ask(chat, hub, keeper, "a-word-to-look-for")
    await keeper.turn_private(chat)
    assert keeper.store.list() == [] and b"a-word-to-look-for" not in keeper.store.path.read_bytes()
    await ask(chat, hub, keeper)
    assert keeper.store.list() == []
    await keeper.turn_private(chat)
    assert keeper.store.list()[0].turns == 4


async def test_a_conversation_that_cannot_be_stored_again_says_so(
    hub: Hub, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat, keeper = StoredChat("openai_chat/sim-text"), reports.keeper()
    await keeper.turn_private(chat)
    await ask(chat, hub, keeper)

    def full(chat: StoredChat) -> bool:
        raise StoreError("database or disk is full")

    monkeypatch.setattr(keeper.store, "save", full)
    with pytest.raises(StoreError, match="disk is full"):
        await keeper.turn_private(chat)
    assert not chat.private


async def test_a_store_that_fails_is_reported_once_and_made_up_for_when_it_works_again(
    hub: Hub, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat, keeper = StoredChat("openai_chat/sim-text"), reports.keeper()

    def full(*_: object) -> bool:
        raise StoreError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "save", full)
        await ask(chat, hub, keeper)
        await ask(chat, hub, keeper)
    assert reports == ["This conversation is not stored: database or disk is full"]
    await ask(chat, hub, keeper)
    assert keeper.store.list()[0].turns == 6


@pytest.mark.parametrize("answered", [True, False])
async def test_interrupting_while_it_stores_stores_nothing_twice(
    hub: Hub, reports: Reports, monkeypatch: pytest.MonkeyPatch, answered: bool
) -> None:
    chat, keeper = StoredChat("openai_chat/sim-text"), reports.keeper()
    if answered:
        await ask(chat, hub, keeper)
    save, storing, goes_on = Store.save, threading.Event(), threading.Event()

    def slow(store: Store, chat: StoredChat) -> bool:
        copied = save(store, chat) if answered else False
        storing.set()
        goes_on.wait(60)
        return copied if answered else save(store, chat)

    monkeypatch.setattr(Store, "save", slow)
    asking = asyncio.create_task(ask(chat, hub, keeper, "And?"))
    await asyncio.to_thread(storing.wait, 60)
    monkeypatch.setattr(Store, "save", save)
    asking.cancel()
    await asyncio.sleep(0.05)
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert chat.question is None
    listed = keeper.store.list()
    assert [saved.turns for saved in listed] == ([2] if answered else [])
    assert reports == []


async def test_a_copy_is_reported(hub: Hub, reports: Reports) -> None:
    chat, keeper = StoredChat("openai_chat/sim-text"), reports.keeper()
    await ask(chat, hub, keeper)
    assert chat.id is not None
    await ask(keeper.store.load(chat.id), hub, keeper)
    await ask(chat, hub, keeper)
    assert reports == ["Another program changed this conversation; it continues here as a copy"]
    assert [one.turns for one in keeper.store.list()] == [4, 4]


async def test_a_locked_store_is_waited_for_once(hub: Hub, reports: Reports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "WAIT", 0.01)
    chat, keeper = StoredChat("openai_chat/sim-text"), reports.keeper()
    keeper.store.save(StoredChat(turns=[user("another")]))
    waited: list[float] = []
    monkeypatch.setattr("sqlite3.connect", partial(_connected, sqlite3.connect, waited))
    with closing(sqlite3.connect(keeper.store.path, timeout=60)) as other:
        waited.clear()
        other.execute("begin exclusive")
        await ask(chat, hub, keeper)
        await ask(chat, hub, keeper, "And now?")
        assert waited == [0.01, 0, 0, 0] and len(reports) == 1 and "locked" in reports[0]
    await ask(chat, hub, keeper, "At last?")
    await ask(chat, hub, keeper, "And again?")
    assert waited[4:] == [0, 0.01, 0.01, 0.01] and len(keeper.store.load(chat.id or 0).turns) == 8


def _connected(
    connect: Callable[..., sqlite3.Connection], waited: list[float], path: Path, *, timeout: float, **options: None
) -> sqlite3.Connection:
    waited.append(timeout)
    return connect(path, timeout=timeout, **options)
