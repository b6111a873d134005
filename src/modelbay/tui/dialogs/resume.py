"""Lists, searches, resumes and deletes stored conversations."""

from asyncio import to_thread
from datetime import datetime
from functools import partial
from typing import ClassVar

from textual.binding import Binding, BindingType

from modelbay.catalog.summary import counted
from modelbay.stored_chats.store import Saved, Store
from modelbay.tui.dialogs.deletable_list import DeletableList
from modelbay.tui.dialogs.menu import Menu
from modelbay.tui.widgets.search_box import SearchBox
from modelbay.tui.widgets.virtual_list import ListRow

FOUND = 200
"""Maximum conversations that a search shows."""


class ResumeDialog(DeletableList[Saved], Menu[Saved]):
    """Letters search. During a delete confirmation, they answer it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+d", "arm", show=False, priority=True)]

    def __init__(self, store: Store, saved: list[Saved]) -> None:
        super().__init__("Resume a conversation", saved, _row, find=lambda query: ())
        self.keys = "type to search · ↑↓ choose · Enter resume\nCtrl-D delete · Esc cancel"
        self._store = store
        self._searching: str | None = None
        """The query of the running search."""
        self._enter_pending = False
        """Whether Enter was pressed during the search."""

    def search(self, query: str) -> None:
        self._searching = query
        work = partial(self._search, query)
        self.run_worker(work, group="search", exclusive=True)  # type: ignore[arg-type]

    async def _search(self, query: str) -> None:
        try:
            found = await to_thread(self._store.list, query, FOUND) if query.strip() else self._rows
        finally:
            if self._searching == query:
                self._searching = None
        self.listing.set_rows(found)
        if found:
            self.status.clear()
        else:
            self.status.info("No conversation matches")
        if self._enter_pending:
            self.choose_highlighted()

    def choose_highlighted(self) -> None:
        # Enter right after a letter chooses the result for that letter
        self._enter_pending = self._searching is not None
        if not self._enter_pending:
            super().choose_highlighted()

    def question(self, row: Saved) -> str:
        return f'Delete "{row.name}"?'

    def action_arm(self) -> None:
        super().action_arm()
        if self.armed is not None:
            self.set_focus(None)  # the next key answers the question

    def action_disarm(self) -> None:
        super().action_disarm()
        self.set_focus(self.query_one(SearchBox))

    def choose(self, row: Saved) -> None:
        if self.armed is None:
            super().choose(row)

    async def delete(self, row: Saved) -> None:
        await to_thread(self._store.delete, row.id)
        self._rows = [one for one in self._rows if one.id != row.id]
        self.listing.set_rows([one for one in self.listing.rows if one.id != row.id])
        self.set_focus(self.query_one(SearchBox))


def _row(saved: Saved) -> ListRow:
    when = datetime.fromtimestamp(saved.saved).strftime("%Y-%m-%d %H:%M")
    return ListRow(saved.name or "(untitled)", f"{when} · {counted(saved.turns, 'turn')}", saved.model or "")
