"""The input for messages: several lines, history, pasted files, folded pastes and slash commands."""

from rich.text import Text
from textual import events
from textual.document._document import EditResult, Selection
from textual.document._edit import Edit
from textual.geometry import Offset
from textual.message import Message
from textual.widgets import TextArea

from modelbay.stored_chats.attachments import dragged
from modelbay.tui.folded_pastes import UNFOLDED, FoldedPastes, drawn, spans

PLACEHOLDER = "Ask something · / commands · @ files"


class Composer(TextArea):
    """Enter sends; Ctrl-J, Alt-Enter and Shift-Enter start a new line; ↑ in the first row and ↓ in the last show the history.

    Its text has placeholders for long pastes; `folds` gives the full text. The cursor skips over a placeholder, and an edit
    inside a placeholder replaces all of it.
    """

    class Sent(Message):
        """Enter was pressed. The text may have placeholders for pastes."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Attached(Message):
        """Paths of files were pasted."""

        def __init__(self, sources: list[str]) -> None:
            super().__init__()
            self.sources = sources

    class Detached(Message):
        """The paths were pasted again, so they are text."""

    class RecallRequested(Message):
        """↑ was pressed: return the last queued message to the composer."""

    class SearchRequested(Message):
        """Ctrl-R was pressed: search the history."""

    class EditorRequested(Message):
        """Ctrl-G was pressed: open the external editor."""

    class Folded(Message):
        """A long paste was folded."""

    class TooLong(Message):
        """A paste is too long to expand in the composer."""

        def __init__(self, characters: int) -> None:
            super().__init__()
            self.characters = characters

    class SuggestionMoved(Message):
        """↑, ↓ or Tab (`by` 0) was pressed while suggestions are shown."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    def __init__(self) -> None:
        super().__init__(
            compact=True,
            soft_wrap=True,
            highlight_cursor_line=False,
            placeholder=PLACEHOLDER,
            id="composer",
        )
        self.cursor_blink = False  # each blink writes to the terminal, even over ssh
        self.folds = FoldedPastes()
        self.asked: list[str] = []
        self._at = 0
        """Position in the history; its length stands for the current draft."""
        self._draft = ""
        self.pasted = ""
        """The pasted paths that were attached last, until they are sent or removed."""
        self.offers = False
        """Whether suggestions are shown: then the arrow keys move in them."""
        self.queued = False
        """Whether messages are queued: then ↑ returns the last one."""

    async def _on_key(self, event: events.Key) -> None:
        # no priority bindings: they would run before letters typed earlier
        match event.key:
            case "enter":
                self._send()
            case "ctrl+j" | "shift+enter" | "alt+enter":
                self._new_line()
            case "ctrl+underscore":
                self.undo()  # TextArea uses Ctrl-Z, which suspends the app
                self.history.checkpoint()  # otherwise the next edit is undone together with the previous one
            case "ctrl+g":
                self.post_message(self.EditorRequested())
            case "ctrl+r":
                self.post_message(self.SearchRequested())
            case "ctrl+o":
                self._unfold()
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
        """Replace the text. A text that is too long to show is folded."""
        self.text = self._shown(text)
        self.move_cursor(self.document.end)

    def rewrite(self, text: str) -> None:
        """Replace the text. The user can undo it."""
        self._at = len(self.asked)
        self.replace(self._shown(text), (0, 0), self.document.end, maintain_selection_offset=False)

    def _shown(self, text: str) -> str:
        """The text, folded if it is too long to show."""
        return text if len(text) <= UNFOLDED else self.folds.fold(self.folds.unfold(text))

    def paste(self, text: str) -> None:
        """Insert pasted text, folded if it is long."""
        folded = self.folds.fold(text, self.text)
        self._replace_via_keyboard(folded, *self.selection)
        if spans(folded):
            self.post_message(self.Folded())

    def scroll_cursor_visible(self, center: bool = False, animate: bool = False) -> Offset:
        if self.cursor_location[0] >= self.document.line_count:
            return Offset(0, 0)  # during an undo of many lines, Textual uses a cursor outside the text
        return super().scroll_cursor_visible(center, animate)

    # --- placeholders for pastes ---

    def get_line(self, line_index: int) -> Text:
        raw = self.document.get_line(line_index)
        line = Text(drawn(raw), end="", no_wrap=True)
        for start, end in spans(raw):
            line.stylize("dim", start, end)
        return line

    def validate_selection(self, selection: Selection) -> Selection:
        return Selection(
            *(self._beside(place, before) for place, before in zip(selection, self.selection, strict=True))
        )

    def _beside(self, place: tuple[int, int], before: tuple[int, int]) -> tuple[int, int]:
        """The location, moved out of a placeholder in the direction of the move."""
        row, column = place
        for start, end in spans(self.document.get_line(row)):
            if start < column < end:
                return row, end if before <= (row, start) else start
        return place

    def edit(self, edit: Edit) -> EditResult:
        top, bottom = edit.top, edit.bottom
        for row, column in (top, bottom):
            for start, end in spans(self.document.get_line(row)) if row < self.document.line_count else ():
                if start < column < end:
                    top, bottom = min(top, (row, start)), max(bottom, (row, end))
        if (top, bottom) != (edit.top, edit.bottom):
            self.history.checkpoint()
        edit.from_location, edit.to_location = top, bottom
        return super().edit(edit)

    def _unfold(self) -> None:
        """Expand the last paste before the cursor, or the first paste."""
        marks = [(row, span) for row in range(self.document.line_count) for span in spans(self.document.get_line(row))]
        if not marks:
            return
        before = [(row, span) for row, span in marks if (row, span[0]) <= self.cursor_location]
        row, (start, end) = (before or marks[:1])[-1]
        text = self.folds.unfold(self.document.get_line(row)[start:end])
        if len(text) > UNFOLDED:
            self.post_message(self.TooLong(len(text)))
        else:
            self.replace(text, (row, start), (row, end), maintain_selection_offset=False)

    def action_cut(self) -> None:
        start, end = self.selection
        cut = self._delete_cursor_line() if start == end else self._delete_via_keyboard(start, end)
        if cut is not None:
            self.app.copy_to_clipboard(self.folds.unfold(cut.replaced_text))

    def action_copy(self) -> None:
        if self.selected_text:
            self.app.copy_to_clipboard(self.folds.unfold(self.selected_text))

    def action_paste(self) -> None:
        self.paste(self.app.clipboard)

    def _send(self) -> None:
        self.post_message(self.Sent(self.text.strip()))

    def sent(self, text: str) -> None:
        """Clear the composer and add its text to the history."""
        self.put("")
        self._at = len(self.asked)
        self.remember(text)

    def remember(self, text: str) -> None:
        """Add a message to the history."""
        writing = self._at == len(self.asked)
        if text and (not self.asked or self.asked[-1] != text):
            self.asked.append(text)
        if writing:
            self._at = len(self.asked)

    def _new_line(self) -> None:
        self.insert("\n")

    def _complete(self) -> None:
        if self.offers:
            self.post_message(self.SuggestionMoved(0))
        else:
            self.insert("    ")

    @property
    def _first_row(self) -> bool:
        return self.wrapped_document.location_to_offset(self.cursor_location).y == 0

    @property
    def _last_row(self) -> bool:
        return self.wrapped_document.location_to_offset(self.cursor_location).y == self.wrapped_document.height - 1

    def _up(self) -> None:
        if self.offers:
            self.post_message(self.SuggestionMoved(-1))
        elif self._first_row and self.queued and self._at == len(self.asked):
            self.post_message(self.RecallRequested())
        elif self._first_row and self._at > 0:
            if self._at == len(self.asked):
                self._draft = self.text
            self._leaf(-1)
        else:
            self.action_cursor_up()

    def _down(self) -> None:
        if self.offers:
            self.post_message(self.SuggestionMoved(1))
        elif self._last_row and self._at < len(self.asked):
            self._leaf(1)
        else:
            self.action_cursor_down()

    def _leaf(self, by: int) -> None:
        self._at += by
        self.put(self.asked[self._at] if self._at < len(self.asked) else self._draft)

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()  # otherwise Textual also calls TextArea's own handler
        sources = dragged(event.text)
        if sources and event.text != self.pasted:
            self.pasted = event.text
            self.post_message(self.Attached(sources))
            return
        if sources:
            self.pasted = ""
            self.post_message(self.Detached())  # the second paste is text
        self.paste(event.text)
