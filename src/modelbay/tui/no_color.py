"""What NO_COLOR asks for: no colour at all. Textual's own answer to it is shades of gray."""

from functools import lru_cache

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

CONTRAST = 0.3
"""How much brighter or darker than around it a background must be to be drawn in reverse: the cursor, a selection."""


class NoColorFilter(LineFilter):
    """Leaves bold, dim, underlined and reversed text; a background that stands out becomes reverse."""

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
