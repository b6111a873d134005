"""The stored conversations: resuming one, or deleting it."""

from asyncio import to_thread
from datetime import datetime

from modelbay.catalog.summary import counted
from modelbay.chat.store import Saved, Store
from modelbay.tui.dialogs.deleting import Deleting
from modelbay.tui.dialogs.menu import Menu
from modelbay.tui.widgets.listing import Row


class Kept(Deleting[Saved], Menu[Saved]):
    def __init__(self, store: Store, saved: list[Saved]) -> None:
        super().__init__("Resume a conversation", saved, _row)
        self.keys = "↑↓ choose · Enter resume · D delete · Esc cancel"
        self._store = store

    def question(self, row: Saved) -> str:
        return f'Delete "{row.name}"?'

    def take(self) -> None:
        if self.armed is None:
            super().take()

    async def delete(self, row: Saved) -> None:
        await to_thread(self._store.delete, row.id)
        left = [one for one in self.listing.rows if one.id != row.id]
        self.listing.set_rows(left)


def _row(saved: Saved) -> Row:
    when = datetime.fromtimestamp(saved.saved).strftime("%Y-%m-%d %H:%M")
    return Row(saved.name or "(untitled)", f"{when} · {counted(saved.turns, 'turn')}", saved.model or "")
