"""The message between composer and footer, such as the result of a command. In a terminal of a few lines it covers the footer."""

from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

SECONDS = 5.0
"""Minimum time that a message is shown."""
READ = 15
"""Characters that a user reads in a second."""


class StatusMessage(Static):
    """Shows a message for some seconds or until the next one."""

    def __init__(self) -> None:
        super().__init__(id="note")
        self.display = False
        self._words = ""
        self._timer: Timer | None = None

    def say(self, words: str) -> None:
        self._show(words)
        if self._timer is not None:  # it would remove the same message, if it is shown again, too early
            self._timer.stop()
        self._timer = self.set_timer(max(SECONDS, len(words) / READ), self._end)

    def clear(self, words: str) -> None:
        """Remove a message if it is still shown."""
        if self._words == words:
            self._end()

    def _end(self) -> None:
        self._show("")

    def _show(self, words: str) -> None:
        self._words = words
        self.display = bool(words)
        self.screen.query_one("#foot").set_class(self.display, "covered")
        self.update(Content(words))
