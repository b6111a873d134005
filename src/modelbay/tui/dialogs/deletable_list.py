"""Deletes rows of a list: `d` asks, `y` confirms, any other key cancels."""

from functools import partial
from typing import Any, ClassVar, TypeVar

from textual import on
from textual.binding import Binding, BindingType

from modelbay.tui.dialogs.dialog import Dialog
from modelbay.tui.widgets.virtual_list import VirtualList

T = TypeVar("T")


class DeletableList(Dialog[T]):
    """A dialog with a list whose rows can be deleted."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d,D", "arm", show=False),
        Binding("y,Y", "delete", show=False),
        Binding("n,N", "disarm", show=False),
    ]

    armed: Any = None
    """The row to delete after a yes."""

    def question(self, row: Any) -> str | None:
        """The question before a row is deleted; None if it cannot be deleted."""
        raise NotImplementedError

    async def delete(self, row: Any) -> None:
        """Delete the subject of a row and update the list."""
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
            self.during("Deleting", partial(self.delete, row))
