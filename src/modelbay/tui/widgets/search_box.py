"""A search box above a list: letters filter the list, the arrow keys move in it."""

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType

from modelbay.tui.widgets.line_input import LineInput

MOST = 1_000
"""Maximum characters of a pasted query. A search for a whole file would take minutes, or be too complex for the database."""


class SearchBox(LineInput, inherit_bindings=False):
    """An input without arrow keys: they belong to the list below it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("backspace", "delete_left", show=False),
        Binding("ctrl+w", "delete_left_word", show=False),
        Binding("ctrl+u", "delete_left_all", show=False),
        Binding("ctrl+v", "paste", show=False),
        Binding("enter", "submit", show=False),
    ]

    def __init__(self, *, spaces: bool = True) -> None:
        super().__init__(placeholder="type to search", compact=True, select_on_focus=False, id="query")
        self.cursor_blink = False
        self._spaces = spaces
        """Whether space is typed as text; otherwise it is a key of the list."""

    def check_consume_key(self, key: str, character: str | None) -> bool:
        return super().check_consume_key(key, character) and (self._spaces or key != "space")

    def on_paste(self, event: events.Paste) -> None:
        event.text = event.text[:MOST]

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "space" and not self._spaces:
            event.prevent_default()  # it goes on to the bindings, in the order of the keys
