"""The conversations that are kept: going on with one, or deleting it."""

from asyncio import to_thread
from datetime import datetime
from typing import ClassVar

from textual.binding import Binding, BindingType

from modelbay.catalog.summary import counted
from modelbay.chat.store import Saved, Store
from modelbay.tui.dialogs.menu import Menu
from modelbay.tui.widgets.listing import Row


class Kept(Menu[Saved]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d,D", "arm", show=False),
        Binding("y,Y", "delete", show=False),
        Binding("n,N", "disarm", show=False),
    ]

    def __init__(self, store: Store, saved: list[Saved]) -> None:
        super().__init__("Go on with", saved, _row)
        self.keys = "↑↓ choose · Enter go on · D delete · Esc cancel"
        self._store = store
        self._armed: Saved | None = None

    def action_arm(self) -> None:
        if (saved := self.listing.highlighted) is not None:
            self._armed = saved
            self.said.warns(f'Delete "{saved.name}"? [y/N]')

    def action_disarm(self) -> None:
        if self._armed is not None:
            self._armed = None
            self.said.clear()

    def action_back(self) -> None:
        if self._armed is not None:
            self.action_disarm()
        else:
            super().action_back()

    def take(self) -> None:
        if self._armed is None:
            super().take()

    def action_delete(self) -> None:
        if self._armed is not None:
            saved, self._armed = self._armed, None
            self.during("deleting", self._delete(saved))

    async def _delete(self, saved: Saved) -> None:
        await to_thread(self._store.delete, saved.id)
        left = [one for one in self.listing.rows if one.id != saved.id]
        self.listing.set_rows(left)


def _row(saved: Saved) -> Row:
    when = datetime.fromtimestamp(saved.saved).strftime("%Y-%m-%d %H:%M")
    return Row(saved.name or "(untitled)", f"{when} · {counted(saved.turns, 'turn')}", saved.model or "")
