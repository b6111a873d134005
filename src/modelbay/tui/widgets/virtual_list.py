"""A list of one-line rows. It draws only visible rows, so 5000 rows cost no more than 20."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from msgspec import Struct
from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

R = TypeVar("R")
POINTER = "❯"
MEASURED = 300
"""Rows that determine the widths of the columns."""
GAP = 2
LEAST = 20
"""Cells of a label that the other columns must leave; on a narrow terminal they are left out."""
SHORTEST = 4
"""Smallest width of a note."""


class ListRow(Struct):
    """Content of a row: label, muted note, text at the right edge, check box."""

    label: str
    note: str = ""
    right: str = ""
    mark: bool | None = None
    heading: bool = False
    """Whether it is a heading, which cannot be chosen."""


class VirtualList(ScrollView, Generic[R], can_focus=True):
    """The rows, one of them highlighted. It has the focus, or the focused widget moves the highlight."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "listing--row", "listing--highlight", "listing--note", "listing--right", "listing--heading", "listing--mark",
    }  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down", "move(1)", show=False),
        Binding("pageup,left", "page(-1)", show=False),
        Binding("pagedown,right", "page(1)", show=False),
        Binding("home", "edge(0)", show=False),
        Binding("end", "edge(-1)", show=False),
        Binding("enter", "choose", show=False),
    ]

    class Moved(Message):
        """Another row is highlighted."""

        def __init__(self, listing: "VirtualList[Any]") -> None:
            super().__init__()
            self.listing = listing

        @property
        def control(self) -> "VirtualList[Any]":
            return self.listing

    class Chosen(Moved):
        """Enter was pressed on a row, or the row was double-clicked."""

    def __init__(self, rows: Sequence[R], show: Callable[[R], ListRow], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._show = show
        self._rows: Sequence[R] = rows
        self._at = 0
        self._label = self._note = self._right = 0
        """The widths of the columns."""
        self._clicked = False
        """Whether the first click of the current series was in this list, not in a dialog that was at this place before."""

    def on_mount(self) -> None:
        self.set_rows(self._rows)

    # --- rows ---

    @property
    def rows(self) -> Sequence[R]:
        return self._rows

    @property
    def highlighted(self) -> R | None:
        return self._rows[self._at] if self._at < len(self._rows) else None

    def set_rows(self, rows: Sequence[R], at: R | None = None) -> None:
        """Replace the rows and highlights `at`, or the first row that is not a heading."""
        self._rows = rows
        shown = [self._show(row) for row in rows[:MEASURED]]
        self._label = max((cell_len(row.label) for row in shown if not row.heading), default=0)
        self._note = max((cell_len(row.note) + GAP for row in shown if row.note), default=0)
        self._right = max((cell_len(row.right) + GAP for row in shown if row.right), default=0)
        self.virtual_size = Size(self.size.width, len(rows))
        self._at = rows.index(at) if at is not None and at in rows else 0
        if rows and self._show(rows[self._at]).heading:
            self._at = self._next(self._at, 1)
        self._seen()

    def redraw(self) -> None:
        """Call after the content of the rows has changed."""
        self.refresh()

    def steady(self, most: int) -> None:
        """Fix the height for the current rows, at most `most`, so that a search does not change it."""
        self.styles.height = max(min(len(self._rows), most), 1)

    # --- moving ---

    def action_move(self, by: int) -> None:
        self._go(self._next(self._at, by))

    def action_page(self, by: int) -> None:
        there = min(max(self._at + by * max(self.size.height - 1, 1), 0), len(self._rows) - 1)
        self._go(there if there >= 0 and not self._show(self._rows[there]).heading else self._next(there, by))

    def action_edge(self, end: int) -> None:
        self._go(self._next(-1, 1) if end == 0 else self._next(len(self._rows), -1))

    def action_choose(self) -> None:
        if self.highlighted is not None:
            self.post_message(self.Chosen(self))

    def _next(self, at: int, by: int) -> int:
        """The next row in a direction that is not a heading; `at` if there is none."""
        there = at + by
        while 0 <= there < len(self._rows):
            if not self._show(self._rows[there]).heading:
                return there
            there += by
        return max(at, 0) if at < len(self._rows) else max(len(self._rows) - 1, 0)

    def _go(self, at: int) -> None:
        if at != self._at and 0 <= at < len(self._rows):
            self._at = at
            self._seen()

    def _seen(self) -> None:
        self._scroll_to_highlight()
        self.refresh()
        self.post_message(self.Moved(self))

    def _scroll_to_highlight(self) -> None:
        top = max(self._at - 1, 0) if self._at == 1 else self._at  # shows a heading above the first row too
        self.scroll_to_region(Region(0, top, 1, 1 + self._at - top), animate=False)

    def on_click(self, event: events.Click) -> None:
        at = event.y + int(self.scroll_y)
        if at < len(self._rows) and not self._show(self._rows[at]).heading:
            self._go(at)
            self._clicked = self._clicked or event.chain == 1
            # one click only highlights: it may have been meant to focus the window
            if event.chain > 1 and self._clicked:
                self.action_choose()

    def on_resize(self, event: events.Resize) -> None:
        self.virtual_size = Size(event.size.width, len(self._rows))
        self._scroll_to_highlight()  # Enter chooses it also if the terminal has become smaller

    # --- drawing ---

    def render_line(self, y: int) -> Strip:
        at, width = y + int(self.scroll_y), self.size.width
        base = self.get_component_rich_style("listing--row")
        if at >= len(self._rows):
            return Strip.blank(width, base)
        row, here = self._show(self._rows[at]), at == self._at
        if here:
            base = self.get_component_rich_style("listing--highlight")
        return Strip(self._segments(row, here, width, base), width).apply_style(Style(meta={"row": at}))

    def _segments(self, row: ListRow, here: bool, width: int, base: Style) -> list[Segment]:
        def styled(name: str) -> Style:
            return base + self.get_component_rich_style(f"listing--{name}", partial=True)

        if row.heading:
            return [Segment(set_cell_size(f" {row.label}", width), styled("heading"))]
        lead = f" {POINTER if here else ' '} "
        segments = [Segment(lead, styled("mark") if here else base)]
        room = width - len(lead) - 1
        if row.mark is not None:
            segments.append(Segment("[x] " if row.mark else "[ ] ", styled("mark") if row.mark else base))
            room -= 4
        right = " " * (self._right - cell_len(row.right)) + row.right
        least = min(self._label, LEAST)
        if room - cell_len(right) < least:
            right = ""
        room -= cell_len(right)
        label = min(self._label, room if not row.note else max(room // 2, room - self._note))
        if label < least:
            label = min(self._label, room)
        note = room - label - GAP
        segments.append(Segment(_cut(row.label, label), base))
        if row.note and note >= SHORTEST:
            segments.append(Segment(" " * GAP + _cut(row.note, note), styled("note")))
        else:
            segments.append(Segment(" " * max(room - label, 0), base))
        segments += [Segment(right, styled("right")), Segment(" ", base)]
        return segments


def _cut(text: str, width: int) -> str:
    """The text in exactly `width` cells, with an ellipsis if it is too long. A name keeps its end, which tells names apart."""
    if cell_len(text) > width > 0:
        end = "" if " " in text else set_cell_size(text[::-1], width // 2)[::-1].lstrip()
        text = set_cell_size(text, width - 1 - cell_len(end)).rstrip() + "…" + end
    return set_cell_size(text, max(width, 0))
