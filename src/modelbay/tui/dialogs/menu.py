"""A list to choose from, with an optional search box."""

from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from textual import on
from textual.app import App
from textual.widget import Widget
from textual.widgets import Input

from modelbay.tui.dialogs.list_dialog import ListDialog
from modelbay.tui.widgets.search_box import SearchBox
from modelbay.tui.widgets.virtual_list import ListRow, VirtualList

R = TypeVar("R")
T = TypeVar("T")


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

    def again(self, at: R) -> "Menu[R]":
        """The same menu, to be shown once more."""
        menu = Menu(self.heading, self._rows, self._show, find=self._find, at=at)
        menu.keys = self.keys
        return menu

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


async def choose(
    app: App[Any], menu: Menu[R], use: Callable[[R], Coroutine[Any, Any, T | None]]
) -> T | None:  # fmt: skip
    """Use the row that the user chooses from a menu. None from `use` means that the user left its dialog: then the menu is shown
    again, at that row. None if the user leaves the menu."""
    while (row := await app.push_screen_wait(menu)) is not None:
        if (result := await use(row)) is not None:
            return result
        menu = menu.again(row)
    return None
