"""A list to choose from, with an optional search box."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from textual import on
from textual.widget import Widget
from textual.widgets import Input

from modelbay.tui.dialogs.list_dialog import ListDialog
from modelbay.tui.widgets.search_box import SearchBox
from modelbay.tui.widgets.virtual_list import ListRow, VirtualList

R = TypeVar("R")


class Menu(ListDialog[R]):
    """Returns the chosen row. `find` adds a search box; it returns the rows that match a query, best first."""

    def __init__(
        self,
        heading: str,
        rows: Sequence[R],
        show: Callable[[R], ListRow],
        *,
        find: Callable[[str], Sequence[R]] | None = None,
        at: R | None = None,
    ) -> None:
        super().__init__()
        self.heading = heading
        self.keys = "↑↓ choose · Enter select · Esc cancel"
        self._rows, self._show, self._find, self._first = rows, show, find, at

    def content(self) -> Iterable[Widget]:
        if self._find is not None:
            yield SearchBox()
        yield VirtualList(self._rows, self._show)

    def on_mount(self) -> None:
        self.listing.steady(14)
        self.listing.set_rows(self._rows, self._first)
        (self.listing if self._find is None else self.query_one(SearchBox)).focus()

    @on(Input.Changed, "#query")
    def filter(self, event: Input.Changed) -> None:
        self.search(event.value)

    def search(self, query: str) -> None:
        """Show the rows that match a query."""
        assert self._find is not None
        self.listing.set_rows(self._find(query) if query.strip() else self._rows)

    @on(Input.Submitted, "#query")
    def submit(self) -> None:
        self.choose_highlighted()

    def choose_highlighted(self) -> None:
        """Choose the highlighted row."""
        self.listing.action_choose()

    @on(VirtualList.Chosen)
    def take(self) -> None:
        if not self.busy and (row := self.listing.highlighted) is not None:
            self.choose(row)

    def choose(self, row: R) -> None:
        """Return a row."""
        self.dismiss(row)
