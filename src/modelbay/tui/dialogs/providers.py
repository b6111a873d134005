"""The provider manager: lists the providers, to edit, delete or add one."""

from collections.abc import Iterable
from typing import ClassVar, Literal

from msgspec import Struct
from textual import on
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from modelbay.catalog.summary import counted
from modelbay.onboarding.groups import Group, groups
from modelbay.onboarding.login import device as logging_in
from modelbay.tui.dialogs.deletable_list import DeletableList
from modelbay.tui.state import AppState
from modelbay.tui.widgets.virtual_list import ListRow, VirtualList

PAGE = 8
"""Number of visible rows."""
Line = Group | Literal["add"]


class Wish(Struct):
    """The user's choice: the providers to edit; empty: add a provider."""

    edit: list[str] = []


class Providers(DeletableList[Wish]):
    """Returns the user's choice: to add a provider, or to edit one."""

    heading = "Providers"
    keys = "↑↓ navigate · ←→ page · Enter or E edit · D delete · Esc close"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("e,E", "edit", show=False)]

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self._state = state

    def content(self) -> Iterable[Widget]:
        yield VirtualList(self._lines(), _row)
        yield Static(id="page")

    @property
    def listing(self) -> VirtualList[Line]:
        return self.query_one(VirtualList)

    def on_mount(self) -> None:
        self.listing.styles.max_height = PAGE
        self.query_one("#page").display = len(self._lines()) > PAGE
        lines = self._lines()
        current = next((line for line in lines if line != "add" and line.current), None)
        self.listing.set_rows(lines, current)
        self.listing.focus()

    def _lines(self) -> list[Line]:
        return [*groups(self._state.config, self._state.provider), "add"]

    @on(VirtualList.Moved)
    def show_page(self) -> None:
        count = len(self.listing.rows)
        pages = -(-count // PAGE)
        line = self.listing.highlighted
        at = list(self.listing.rows).index(line) // PAGE + 1 if line is not None else 1
        self.query_one("#page", Static).update(Content.styled(f" Page {at}/{pages}" if pages > 1 else "", "dim"))

    @on(VirtualList.Chosen)
    def choose(self) -> None:
        if self.listing.highlighted == "add" and self.armed is None:
            self.dismiss(Wish())
        else:
            self.action_edit()

    def action_edit(self) -> None:
        line = self.listing.highlighted
        if line is not None and line != "add" and self.armed is None and not self.busy:
            self.dismiss(Wish(line.providers))

    def question(self, row: Line) -> str | None:
        if row == "add":
            return None
        many = f" and all {len(row.providers)} providers" if len(row.providers) > 1 else ""
        models = f" ({counted(row.models, 'model')})" if row.models else ""
        return f'Delete "{row.label}"{many}{models}?'

    async def delete(self, row: Group) -> None:
        await logging_in.remove(self._state.config, row.providers)
        await self._state.reload()
        self.listing.set_rows(self._lines())


def _row(line: Line) -> ListRow:
    if line == "add":
        return ListRow("[ Add new provider ]")
    source = f" · {line.source}" if line.source else ""
    note = f"{counted(line.models, 'model')}{source} · {line.place}".rstrip(" ·")
    return ListRow(line.label, note, "← current" if line.current else "")
