"""A search box over a listing: letters filter, the arrows move in the list."""

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input


class SearchBox(Input, inherit_bindings=False):
    """An input that leaves the arrows to the list below it, whose highlighted row they move or change."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("backspace", "delete_left", show=False),
        Binding("ctrl+w", "delete_left_word", show=False),
        Binding("ctrl+u", "delete_left_all", show=False),
        Binding("ctrl+v", "paste", show=False),
        Binding("enter", "submit", show=False),
    ]

    class Space(Message):
        """A blank was typed, where it is a key of the list's."""

    def __init__(self, *, spaces: bool = True) -> None:
        super().__init__(placeholder="type to search", compact=True, select_on_focus=False, id="query")
        self.cursor_blink = False
        self._spaces = spaces
        """Whether a blank is a letter like others; else it is a key of the list's."""

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "space" and not self._spaces:
            event.stop()
            event.prevent_default()
            self.post_message(self.Space())
