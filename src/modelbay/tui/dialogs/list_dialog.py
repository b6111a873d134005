"""The base class of dialogs with a list: the arrow keys move in the list, whichever widget has the focus."""

from typing import Any, ClassVar, TypeVar

from textual.binding import Binding, BindingType

from modelbay.tui.dialogs.dialog import Dialog
from modelbay.tui.widgets.virtual_list import VirtualList

T = TypeVar("T")


class ListDialog(Dialog[T]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "list('move', -1)", show=False),
        Binding("down", "list('move', 1)", show=False),
        Binding("pageup", "list('page', -1)", show=False),
        Binding("pagedown", "list('page', 1)", show=False),
    ]

    @property
    def listing(self) -> VirtualList[Any]:
        return self.query_one(VirtualList)

    def action_list(self, move: str, by: int) -> None:
        self.listing.action_move(by) if move == "move" else self.listing.action_page(by)
