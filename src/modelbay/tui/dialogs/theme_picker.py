"""Choosing a theme. The highlighted theme is applied as a preview."""

from collections.abc import Callable

from textual import on

from modelbay.tui.dialogs.menu import Menu
from modelbay.tui.themes import CHOICES, ThemeChoice
from modelbay.tui.widgets.virtual_list import ListRow, VirtualList


class ThemePicker(Menu[ThemeChoice]):
    def __init__(self, current: str, apply: Callable[[str], None]) -> None:
        at = next((choice for choice in CHOICES if choice.name == current), CHOICES[0])
        super().__init__(
            "Choose a theme", CHOICES, lambda one: ListRow(one.name, one.about, "✓" if one is at else ""), at=at
        )
        self.keys = "Enter select · Esc cancel"  # on one line of a small terminal, so that all themes are visible
        self._apply = apply

    @on(VirtualList.Moved)
    def preview(self) -> None:
        if (choice := self.listing.highlighted) is not None:
            self._apply(choice.name)
