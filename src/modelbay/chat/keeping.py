"""Storing a conversation while it happens, for every face."""

from asyncio import to_thread
from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import Literal, TypeAlias

from modelbay.chat.chat import Chat
from modelbay.chat.store import Store
from modelbay.errors import StoreError
from modelbay.storage.sqlite import WAIT

Keep: TypeAlias = Literal["always", "ask", "never"]
PERIOD = 2.0
"""Seconds of an answer that a crash may lose."""


class Keeper:
    """Stores questions when they are asked, answers while they come. A store that fails is reported and never stops a
    conversation."""

    def __init__(self, store: Store, mode: Keep, report: Callable[[str], None]) -> None:
        self.store = store
        self.mode = mode
        self.leaving = False
        """Whether the program is about to end: a question without an answer then stays stored."""
        self._report = report
        self._failed = False
        self._next = 0.0
        self._one = Lock()
        """An interrupted answer leaves a thread that still stores: the next one must see what it did."""

    def keeps(self, chat: Chat) -> bool:
        """Whether a conversation is stored: with "ask", only one that its user has saved."""
        return not chat.private and (
            self.mode == "always" or (self.mode == "ask" and (chat.saved or chat.id is not None))
        )

    async def turn_private(self, chat: Chat) -> None:
        """Makes a conversation private and deletes what is stored of it, or ends that.

        Raises:
            StoreError: it cannot be deleted.
        """
        if not chat.private:
            await to_thread(self._delete, chat)
        chat.private = not chat.private
        await self.changed(chat)

    async def changed(self, chat: Chat) -> None:
        """Stores a question that was asked, or an answer that has ended."""
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
            self._report("This conversation was changed elsewhere: it continues here as a copy")

    def _put(self, chat: Chat) -> bool:
        with self._one:
            self.store.wait(0.0 if self._failed else WAIT)  # once is enough: each question would be late
            if not chat.empty:
                return self.store.save(chat)
            self._delete(chat)  # its only question was not answered, and is the user's again
            return False

    def _delete(self, chat: Chat) -> None:
        if chat.id is not None:
            self.store.delete(chat.id)
            chat.id, chat.revision, chat.stored = None, 0, 0

    async def came(self, chat: Chat) -> None:
        """Stores what has come of an answer, every few seconds."""
        if self._failed or chat.id is None or not self.keeps(chat) or monotonic() < self._next:
            return
        self._next = monotonic() + PERIOD
        try:
            await to_thread(self.store.came, chat)
        except StoreError:
            self._failed = True  # said when the answer has ended
