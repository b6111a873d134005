"""An input line that accepts pastes of several lines."""

from textual import events
from textual.widgets import Input


class LineInput(Input):
    """Joins the lines of a pasted text, such as JSON. `Input` takes only the first, which may be empty."""

    def on_paste(self, event: events.Paste) -> None:
        event.text = " ".join(line.strip() for line in event.text.splitlines() if line.strip())
