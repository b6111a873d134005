"""Removes all colors if NO_COLOR is set. Textual's own support for NO_COLOR shows shades of gray."""

from functools import lru_cache

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

CONTRAST = 0.3
"""Minimum difference in brightness for a background to be drawn in reverse, such as the cursor or a selection."""


class NoColorFilter(LineFilter):
    """Keeps bold, dim, underlined and reversed text. A background that contrasts becomes reverse."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            Segment(segment.text, _plain(segment.style, background) if segment.style else None, segment.control)
            for segment in segments
        ]


@lru_cache(maxsize=1024)
def _plain(style: Style, background: Color) -> Style:
    plain = style.without_color
    if style.bgcolor is None or style.bgcolor.is_default:
        return plain
    stands_out = abs(Color.from_rich_color(style.bgcolor).brightness - background.brightness) > CONTRAST
    return plain + Style(reverse=True) if stands_out and not style.reverse else plain
