"""Chooses a model and its reasoning effort: one tab per provider, search, model facts."""

from collections.abc import Iterable, Sequence
from shlex import quote
from typing import ClassVar

from msgspec import Struct
from textual import on
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from modelbay.catalog.search import Finder
from modelbay.catalog.summary import facts
from modelbay.model import Model
from modelbay.onboarding.choose_models import level, levels
from modelbay.tui.dialogs.list_dialog import ListDialog
from modelbay.tui.state import AppState
from modelbay.tui.widgets.search_box import SearchBox
from modelbay.tui.widgets.virtual_list import ListRow, VirtualList

ALL = "All"
FOUND = 200
"""Maximum rows of a search: each keystroke builds them again."""


class ModelSelection(Struct):
    model: str
    """Alias of the model."""
    effort: str | None
    """Reasoning effort; None: unchanged."""
    kept: bool
    """Whether it becomes the default model."""
    top: str | None = None
    """The highest reasoning effort of the model."""


class ModelPicker(ListDialog[ModelSelection]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "effort(-1)", show=False),
        Binding("right", "effort(1)", show=False),
        Binding("tab", "tab(1)", show=False),
        Binding("shift+tab", "tab(-1)", show=False),
        Binding("alt+s", "take(False)", show=False),
        Binding("ctrl+x", "hide", show=False),
        Binding("ctrl+a", "show_hidden", show=False),
    ]
    keys = (
        "↑↓ choose · Tab provider · ←→ effort · Enter set as default\n"
        "Alt-S this session · Ctrl-X hide · Ctrl-A show hidden · Esc cancel"
    )
    """The keys while the search box is empty. With a query in it, Esc clears the query."""

    def __init__(self, state: AppState, models: Sequence[Model], *, tab: str = ALL, note: str = "") -> None:
        super().__init__()
        self._state, self._config = state, state.config
        self._current, self._effort = (state.model.alias if state.model else None), state.chat.effort
        self._recent = {alias: place for place, alias in enumerate(state.preferences.recent)}
        self._models = sorted(models, key=lambda model: self._recent.get(model.alias, len(self._recent)))
        self._tabs = [ALL, *dict.fromkeys(model.provider for model in models)]
        self._tab = tab if tab in self._tabs else ALL
        self._all = False
        """Whether hidden models are shown."""
        self._finders: dict[str, Finder[_Searched]] = {}
        self._drafts: dict[str, str] = {}
        """Effort levels changed in this dialog, by alias."""
        self.heading = f"Select a model · {note}" if note else "Select a model"

    def content(self) -> Iterable[Widget]:
        yield Static(id="tabs")
        yield SearchBox()
        yield VirtualList(self._in_tab(), self._row)
        yield Static(id="facts")
        yield Static(id="thinking")

    def on_mount(self) -> None:
        self.listing.steady(8)
        self._show_tabs()
        self._show_rows()
        self.query_one(SearchBox).focus()

    @on(Input.Changed, "#query")
    def _show_rows(self) -> None:
        query = self.query_one(SearchBox).value
        rows: Sequence[Model] = [model for model in self._in_tab() if self._listed(model)]
        if query.strip():
            rows = [found.model for found in self._finder().find(query, FOUND)]
        at = next((model for model in rows if model.alias == self._current), None) if not query else None
        self.listing.set_rows(rows, at)
        self.query_one(".keys", Static).update(
            Content(self.keys.replace("cancel", "clear search") if query else self.keys)
        )
        if not rows:
            self._show_model()

    @on(VirtualList.Moved)
    def _show_model(self) -> None:
        model = self.listing.highlighted
        about = [model.name] if model and model.name and model.name != model.alias else []
        known = facts(model) if model else self._why_none()
        if model and not known:
            known = f"No facts known. Set them: modelbay model set {quote(model.alias)} max_context_size=…"
        self.query_one("#facts", Static).update(Content(" · ".join([*about, known])))
        self.query_one("#thinking", Static).update(self._segments(model) if model else Content(""))

    @on(Input.Submitted, "#query")
    @on(VirtualList.Chosen)
    def take_default(self) -> None:
        self.action_take(True)

    def action_take(self, kept: bool) -> None:
        if (model := self.listing.highlighted) is not None:
            there = levels(model)
            effort = self._drafts.get(model.alias)
            self.dismiss(ModelSelection(model.alias, effort, kept, there[-1] if there else None))

    async def action_hide(self) -> None:
        """Hide a model or show it again. The highlight stays at the same position."""
        model = self.listing.highlighted
        if model is None:
            return
        at = list(self.listing.rows).index(model)
        await self._state.prefer(hidden=self._state.preferences.toggled(model.alias))
        self._show_rows()
        rows = self.listing.rows
        if rows:
            self.listing.set_rows(rows, rows[min(at, len(rows) - 1)])

    def action_show_hidden(self) -> None:
        self._all = not self._all
        self._show_rows()

    def _listed(self, model: Model) -> bool:
        return self._all or model.alias == self._current or model.alias not in self._state.preferences.hidden

    def _why_none(self) -> str:
        searched = bool(self.query_one(SearchBox).value.strip())
        return "No model matches" if searched else "All models here are hidden. Show them with Ctrl-A"

    def action_back(self) -> None:
        written = [box for box in self.query(SearchBox) if box.value]  # no box if the content could not be made
        if written:
            written[0].value = ""
        else:
            super().action_back()

    def action_tab(self, by: int) -> None:
        self._tab = self._tabs[(self._tabs.index(self._tab) + by) % len(self._tabs)]
        self._show_tabs()
        self._show_rows()

    def action_effort(self, by: int) -> None:
        model = self.listing.highlighted
        there = levels(model) if model else []
        if model and len(there) > 1:
            at = there.index(self._level(model) or there[0])
            self._drafts[model.alias] = there[min(max(at + by, 0), len(there) - 1)]
            self._show_model()

    def _level(self, model: Model) -> str | None:
        chosen = self._effort if model.alias == self._current else None
        return level(self._config, model, self._drafts.get(model.alias) or chosen)

    def _in_tab(self) -> Sequence[Model]:
        if self._tab == ALL:
            return self._models
        return [model for model in self._models if model.provider == self._tab]

    def _finder(self) -> "Finder[_Searched]":
        if self._tab not in self._finders:
            self._finders[self._tab] = Finder([_searched(model) for model in self._in_tab()])
        return self._finders[self._tab]

    def _row(self, model: Model) -> ListRow:
        note = model.provider if self._tab == ALL else ""
        return ListRow(model.alias or model.id, note, self._mark(model))

    def _mark(self, model: Model) -> str:
        if model.alias == self._current:
            return "← current"
        if model.alias in self._state.preferences.hidden:
            return "hidden"
        return "recent" if model.alias in self._recent else ""

    def _segments(self, model: Model) -> Content:
        there = levels(model)
        if not there:
            word = "not supported" if model.can("thinking") is False else "unknown"
            return Content.assemble(("Effort  ", "dim"), (word, "dim"))
        at = self._level(model)
        cells = [(f"[ {one.capitalize()} ]", "bold") if one == at else (f"  {one.capitalize()}  ", "") for one in there]
        return Content.assemble(("Effort  ", "dim"), *cells)

    def _show_tabs(self) -> None:
        """Show the tabs that fit, always including the current one."""
        at = self._tabs.index(self._tab)
        first, room = 0, 72
        while first < at and sum(len(name) + 3 for name in self._tabs[first : at + 1]) > room:
            first += 1
        cells: list[tuple[str, str]] = [("… ", "dim")] if first else []
        for number, name in enumerate(self._tabs[first:], first):
            room -= len(name) + 3
            if room < 0 and number > at:
                cells.append((f"… {len(self._tabs) - number:,} more", "dim"))
                break
            cells.append((f" {name} ", "reverse bold" if number == at else "dim"))
            cells.append((" ", ""))
        self.query_one("#tabs", Static).update(Content.assemble(*cells))


class _Searched(Struct):
    """The fields of a model that the search uses: alias, name, model ID and provider."""

    id: str
    name: str
    provider: str
    model: Model


def _searched(model: Model) -> _Searched:
    return _Searched(model.alias or model.id, f"{model.name or ''} {model.id}", model.provider, model)
