"""The last thing before the terminal: whatever a widget shows, nothing in it steers the terminal."""

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from modelbay.chat.plain import STEERING, plain


class ControlFilter(LineFilter):
    """Textual takes a few control characters out of some texts, and Escape out of none."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        if not any(STEERING.search(segment.text) for segment in segments):
            return segments
        return [Segment(plain(segment.text), segment.style, segment.control) for segment in segments]
