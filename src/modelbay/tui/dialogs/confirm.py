"""A yes-or-no question with details above it."""

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content

from modelbay.tui.dialogs.dialog import TextDialog


class Confirm(TextDialog[bool]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,Y", "answer(True)", show=False),
        Binding("n,N,enter", "answer(False)", show=False),
    ]

    def __init__(self, heading: str, about: Iterable[tuple[str, str]], question: str) -> None:
        super().__init__()
        self.heading = heading
        self.keys = f"{question} [y/N]"
        self._about = list(about)

    def text(self) -> Content:
        width = max((len(name) for name, _ in self._about), default=0)
        indent = "\n" + " " * (width + 2)
        lines = [
            Content.assemble((f"{name.ljust(width)}  ", "dim"), value.replace("\n", indent), "\n")
            for name, value in self._about
        ]
        return Content.assemble(*lines).rstrip()

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)
