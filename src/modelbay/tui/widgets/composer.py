"""Where a question is written: several lines, a history, files that are pasted, commands behind a slash."""

from textual import events
from textual.message import Message
from textual.widgets import TextArea

from modelbay.chat.attachments import dragged


class Composer(TextArea):
    """Enter sends; Ctrl-J, Alt-Enter and Shift-Enter begin a new line; ↑ and ↓ at its edges leaf through what was sent."""

    class Sent(Message):
        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Attached(Message):
        """Files were pasted, by their paths."""

        def __init__(self, sources: list[str]) -> None:
            super().__init__()
            self.sources = sources

    class Detached(Message):
        """Pasted paths were meant as text."""

    class Leafed(Message):
        """↑, ↓ or Tab was pressed while commands are offered."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    def __init__(self) -> None:
        super().__init__(
            compact=True,
            soft_wrap=True,
            highlight_cursor_line=False,
            placeholder="Ask something · / for commands",
            id="composer",
        )
        self.cursor_blink = False  # each blink is written to the terminal, also over ssh
        self.asked: list[str] = []
        self._at = 0
        """Where in the history we are; its length is the text that is being written."""
        self._draft = ""
        self.pasted = ""
        """The paths that were pasted last and attached, until they are sent or removed."""
        self.offers = False
        """Whether commands are offered: then the arrows are theirs."""

    async def _on_key(self, event: events.Key) -> None:
        # not by bindings of priority: they would run before the letters that were typed just before them
        match event.key:
            case "enter":
                self._send()
            case "ctrl+j" | "shift+enter" | "alt+enter":
                self._new_line()
            case "ctrl+underscore":
                self.undo()  # Ctrl-Z, TextArea's key for it, suspends the app
            case "tab":
                self._complete()
            case "up":
                self._up()
            case "down":
                self._down()
            case _:
                return  # TextArea's own handler follows
        event.stop()
        event.prevent_default()

    def put(self, text: str) -> None:
        """Replaces what is written."""
        self.text = text
        self.move_cursor(self.document.end)

    def _send(self) -> None:
        text = self.text.strip()
        if text or self.offers:
            self.post_message(self.Sent(text))

    def sent(self, text: str) -> None:
        """What was written is on its way: it can be fetched back with ↑."""
        if text and (not self.asked or self.asked[-1] != text):
            self.asked.append(text)
        self._at = len(self.asked)
        self.put("")

    def _new_line(self) -> None:
        self.insert("\n")

    def _complete(self) -> None:
        if self.offers:
            self.post_message(self.Leafed(0))
        else:
            self.insert("    ")

    def _up(self) -> None:
        if self.offers:
            self.post_message(self.Leafed(-1))
        elif self.cursor_at_first_line and self._at > 0:
            if self._at == len(self.asked):
                self._draft = self.text
            self._leaf(-1)
        else:
            self.action_cursor_up()

    def _down(self) -> None:
        if self.offers:
            self.post_message(self.Leafed(1))
        elif self.cursor_at_last_line and self._at < len(self.asked):
            self._leaf(1)
        else:
            self.action_cursor_down()

    def _leaf(self, by: int) -> None:
        self._at += by
        self.put(self.asked[self._at] if self._at < len(self.asked) else self._draft)

    async def _on_paste(self, event: events.Paste) -> None:
        # Textual calls TextArea's own handler after this one, unless the default is prevented
        sources = dragged(event.text)
        if sources and event.text == self.pasted:
            self.pasted = ""
            self.post_message(self.Detached())  # pasted twice, it is text
        elif sources:
            event.stop()
            event.prevent_default()
            self.pasted = event.text
            self.post_message(self.Attached(sources))
