"""Stores a conversation while it is in progress, for the command line and the app."""

from asyncio import to_thread
from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import Literal, TypeAlias

from modelbay.errors import StoreError
from modelbay.storage.sqlite import WAIT
from modelbay.stored_chats.store import Store
from modelbay.stored_chats.stored_chat import StoredChat

Keep: TypeAlias = Literal["always", "ask", "never"]
PERIOD = 2.0
"""Seconds between two writes of an answer in progress: a crash loses no more."""


class Keeper:
    """Stores questions when they are asked, and answers while they are received. A store that fails is reported and does not
    stop the conversation."""

    def __init__(self, store: Store, mode: Keep, report: Callable[[str], None]) -> None:
        self.store = store
        self.mode = mode
        self.leaving = False
        """Whether the program is about to end: a question without an answer then stays stored."""
        self._report = report
        self._failed = False
        self._next = 0.0
        self._one = Lock()
        """One write at a time: the write of an interrupted answer may still be running in a thread."""

    def keeps(self, chat: StoredChat) -> bool:
        """Whether a conversation is stored. With "ask", only conversations that the user has saved are."""
        return not chat.private and (
            self.mode == "always" or (self.mode == "ask" and (chat.saved or chat.id is not None))
        )

    def misses(self, chat: StoredChat) -> bool:
        """Whether turns of a conversation could not be stored."""
        return self._failed and bool(chat.turns) and self.keeps(chat) and not chat.whole_in_store

    async def turn_private(self, chat: StoredChat) -> None:
        """Make a conversation private and delete it from the store, or make a private one public and store it.

        Raises:
            StoreError: it cannot be deleted, so it is not private, or it cannot be stored.
        """
        if not chat.private:
            await to_thread(self._delete, chat)
        chat.private = not chat.private
        if self.keeps(chat):
            await to_thread(self._put, chat)

    async def changed(self, chat: StoredChat) -> None:
        """Store a new question, or the end of an answer."""
        if not self.keeps(chat):
            return
        self._next = monotonic() + PERIOD
        try:
            copied = await to_thread(self._put, chat)
        except StoreError as error:
            if not self._failed:
                self._report(f"This conversation is not stored: {error.message}")
            self._failed = True
            return
        self._failed = False
        if copied:
            self._report("Another program changed this conversation; it continues here as a copy")

    def _put(self, chat: StoredChat) -> bool:
        with self._one:
            self.store.wait(0.0 if self._failed else WAIT)  # wait only once, otherwise every question is delayed
            if not chat.empty:
                return self.store.save(chat)
            self._delete(chat)  # its only question was interrupted, and the user has it back
            return False

    def _delete(self, chat: StoredChat) -> None:
        if chat.id is not None:
            self.store.delete(chat.id)
            chat.id, chat.revision, chat.stored = None, 0, 0

    async def came(self, chat: StoredChat) -> None:
        """Store the answer so far, every few seconds."""
        if self._failed or chat.id is None or not self.keeps(chat) or monotonic() < self._next:
            return
        self._next = monotonic() + PERIOD
        try:
            await to_thread(self.store.came, chat)
        except StoreError:
            self._failed = True  # reported at the end of the answer
