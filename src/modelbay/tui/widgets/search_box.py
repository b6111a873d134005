"""A search box above a list: letters filter the list, the arrow keys move in it."""

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input


class SearchBox(Input, inherit_bindings=False):
    """An input without arrow keys: they belong to the list below it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("backspace", "delete_left", show=False),
        Binding("ctrl+w", "delete_left_word", show=False),
        Binding("ctrl+u", "delete_left_all", show=False),
        Binding("ctrl+v", "paste", show=False),
        Binding("enter", "submit", show=False),
    ]

    class Space(Message):
        """Space was pressed while it is a key of the list."""

    def __init__(self, *, spaces: bool = True) -> None:
        super().__init__(placeholder="type to search", compact=True, select_on_focus=False, id="query")
        self.cursor_blink = False
        self._spaces = spaces
        """Whether space is typed as text; otherwise it is a key of the list."""

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "space" and not self._spaces:
            event.stop()
            event.prevent_default()
            self.post_message(self.Space())
