"""Deleting from a list: `d` asks, `y` does it, and anything else, moving on too, is a no."""

from functools import partial
from typing import Any, ClassVar, TypeVar

from textual import on
from textual.binding import Binding, BindingType

from modelbay.tui.dialogs.dialog import Dialog
from modelbay.tui.widgets.virtual_list import VirtualList

T = TypeVar("T")


class DeletableList(Dialog[T]):
    """A dialog with a list whose rows may go."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d,D", "arm", show=False),
        Binding("y,Y", "delete", show=False),
        Binding("n,N", "disarm", show=False),
    ]

    armed: Any = None
    """The row that goes if the answer is yes."""

    def question(self, row: Any) -> str | None:
        """What to ask before a row goes; None for one that cannot."""
        raise NotImplementedError

    async def delete(self, row: Any) -> None:
        """Deletes what a row stands for, and shows what is left."""
        raise NotImplementedError

    def action_arm(self) -> None:
        row = self.query_one(VirtualList).highlighted
        if row is not None and not self.busy and (question := self.question(row)) is not None:
            self.armed = row
            self.status.warn(f"{question} [y/N]")

    @on(VirtualList.Moved)
    def moved(self) -> None:
        if self.armed is not None:
            self.action_disarm()

    def action_disarm(self) -> None:
        if self.armed is not None:
            self.armed = None
            self.status.clear()

    def action_back(self) -> None:
        if self.armed is not None:
            self.action_disarm()
        else:
            super().action_back()

    def action_delete(self) -> None:
        if self.armed is not None:
            row, self.armed = self.armed, None
            self.during("deleting", partial(self.delete, row))
