"""Choosing a theme, with the one under the pointer already worn."""

from collections.abc import Callable

from textual import on

from modelbay.tui.dialogs.menu import Menu
from modelbay.tui.themes import CHOICES, ThemeChoice
from modelbay.tui.widgets.virtual_list import ListRow, VirtualList


class ThemePicker(Menu[ThemeChoice]):
    def __init__(self, current: str, wear: Callable[[str], None]) -> None:
        at = next((choice for choice in CHOICES if choice.name == current), CHOICES[0])
        super().__init__("Choose a theme", CHOICES, lambda one: ListRow(one.name, one.about, _mark(one is at)), at=at)
        self._wear = wear

    @on(VirtualList.Moved)
    def preview(self) -> None:
        if (choice := self.listing.highlighted) is not None:
            self._wear(choice.name)


def _mark(current: bool) -> str:
    return "← current" if current else ""
