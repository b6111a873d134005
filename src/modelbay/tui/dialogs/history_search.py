"""Searches earlier messages of this session and of stored conversations."""

import re
from asyncio import to_thread
from collections.abc import Iterable
from functools import partial
from typing import ClassVar

from msgspec import Struct
from textual import on
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from modelbay.stored_chats.store import Store
from modelbay.tui.dialogs.list_dialog import ListDialog
from modelbay.tui.folded_pastes import drawn
from modelbay.tui.widgets.search_box import SearchBox
from modelbay.tui.widgets.virtual_list import ListRow, VirtualList

MOST = 2_000
"""Maximum stored messages searched."""
BEFORE, SHOWN = 30, 300
"""Characters of a row before the match, and in total."""
PREVIEW = 400
"""Characters of the preview."""


class HistoryEntry(Struct):
    """A message as text for the composer, with placeholders for pastes, and its full text."""

    text: str
    whole: str


class HistorySearch(ListDialog[str]):
    """Returns the chosen message as text for the composer."""

    heading = "Search earlier messages"
    keys = "Ctrl-R ↓ older · ↑ newer · Enter use · Esc cancel"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+r", "list('move', 1)", show=False)]

    def __init__(self, session: list[HistoryEntry], store: Store | None) -> None:
        """`session` has the newest message first. Without a store, only these messages are searched."""
        super().__init__()
        first: dict[str, HistoryEntry] = {}
        for message in session:
            first.setdefault(message.whole, message)
        self._messages = list(first.values())
        self._store = store
        self._query = ""

    def content(self) -> Iterable[Widget]:
        yield SearchBox()
        yield VirtualList[HistoryEntry]([], self._row)
        yield Static(id="preview")

    def on_mount(self) -> None:
        self.query_one(SearchBox).focus()
        self._show()
        if self._store is not None:
            self.during("Reading stored conversations", partial(self._read, self._store))

    def action_back(self) -> None:
        self.dismiss(None)  # also while it reads stored messages

    async def _read(self, store: Store) -> None:
        known = {message.whole for message in self._messages}
        stored = await to_thread(store.messages, MOST)
        self._messages = self._messages + [HistoryEntry(text, text) for text in stored if text not in known]
        self._show(self.listing.highlighted)

    @on(Input.Changed, "#query")
    def search(self, event: Input.Changed) -> None:
        self._query = event.value
        self._show()

    def _show(self, at: HistoryEntry | None = None) -> None:
        wanted = re.compile(re.escape(self._query), re.IGNORECASE)
        found = [message for message in self._messages if wanted.search(message.whole)]
        self.listing.set_rows(found, at)
        self.listing.steady(8)

    def _row(self, message: HistoryEntry) -> ListRow:
        found = re.search(re.escape(self._query), message.whole, re.IGNORECASE) if self._query else None
        start = max(found.start() - BEFORE, 0) if found else 0
        words = " ".join(message.whole[start : start + SHOWN].split())
        return ListRow(f"…{words}" if start else words)

    @on(VirtualList.Moved)
    def preview(self) -> None:
        message = self.listing.highlighted
        words = "No message found" if message is None else drawn(message.text)[:PREVIEW]
        self.query_one("#preview", Static).update(Content(words))

    @on(Input.Submitted, "#query")
    @on(VirtualList.Chosen)
    def use(self) -> None:
        if (message := self.listing.highlighted) is not None:
            self.dismiss(message.text)
