"""The last filter before the terminal: no text of a widget can control the terminal."""

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from modelbay.stored_chats.plain import STEERING, plain


class ControlFilter(LineFilter):
    """Removes control characters. Textual removes some of them from some texts, and never Escape."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        if not any(STEERING.search(segment.text) for segment in segments):
            return segments
        return [Segment(plain(segment.text), segment.style, segment.control) for segment in segments]
