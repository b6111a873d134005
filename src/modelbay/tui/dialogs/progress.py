"""Waits for a task, which the user can cancel."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from modelbay.tui.dialogs.dialog import Dialog

T = TypeVar("T")


class Progress(Dialog[T]):
    """Returns the result of the task; None if the user cancelled it, or closed the dialog after an error."""

    def __init__(self, heading: str, work: Callable[[], Coroutine[Any, Any, T]]) -> None:
        super().__init__()
        self.heading = heading
        self._work = work

    def on_mount(self) -> None:
        self.during(self.heading, self._wait)

    async def _wait(self) -> None:
        self.dismiss(await self._work())

    def action_back(self) -> None:
        super().action_back()
        if self.is_current:
            self.dismiss(None)
