"""Selects models of a provider's list to add."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from modelbay.catalog.search import Finder
from modelbay.catalog.summary import facts
from modelbay.model import Model
from modelbay.onboarding.choose_models import marked_at_first
from modelbay.tui.dialogs.list_dialog import ListDialog
from modelbay.tui.widgets.search_box import SearchBox
from modelbay.tui.widgets.virtual_list import ListRow, VirtualList


class ModelChecklist(ListDialog[list[str]]):
    """Returns the IDs of the selected models, in the order of the list."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", show=False),
        Binding("ctrl+a", "all(True)", show=False),
        Binding("ctrl+n", "all(False)", show=False),
    ]
    keys = (
        "type to search · Space select · Ctrl-A all shown · Ctrl-N none shown\nEnter add selected models · Esc cancel"
    )

    def __init__(self, heading: str, models: Sequence[Model], marked: Sequence[str] | None = None) -> None:
        super().__init__()
        self.heading = heading
        self._models = models
        self._finder = Finder(models)
        self._selected = set(marked_at_first(models) if marked is None else marked)

    def content(self) -> Iterable[Widget]:
        yield SearchBox(spaces=False)
        yield VirtualList(self._models, self._row)
        yield Static(id="facts")

    def on_mount(self) -> None:
        self.listing.steady(12)
        self.query_one(SearchBox).focus()
        self._count()

    @on(Input.Changed, "#query")
    def filter(self, event: Input.Changed) -> None:
        found = self._finder.find(event.value, len(self._models)) if event.value.strip() else self._models
        self.listing.set_rows(found)

    @on(Input.Submitted, "#query")
    def take(self) -> None:
        taken = [model.id for model in self._models if model.id in self._selected]
        if taken:
            self.dismiss(taken)
        else:
            self.status.warn("No model selected. Select one with Space, or all shown models with Ctrl-A")

    @on(VirtualList.Chosen)
    def action_mark(self) -> None:
        if (model := self.listing.highlighted) is not None:
            self._selected ^= {model.id}
            self._count()

    def action_all(self, marked: bool) -> None:
        shown = {model.id for model in self.listing.rows}
        self._selected = self._selected | shown if marked else self._selected - shown
        self._count()

    def _count(self) -> None:
        self.query_one("#facts", Static).update(Content(f"{len(self._selected):,} of {len(self._models):,} selected"))
        self.listing.redraw()

    def _row(self, model: Model) -> ListRow:
        name = model.name if model.name and model.name != model.id else ""
        note = " · ".join(text for text in (name, facts(model)) if text)
        return ListRow(model.id, note, mark=model.id in self._selected)
