"""A chunk of Markdown, rendered when it becomes visible."""

from functools import lru_cache

from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.dom import NoScreen
from textual.errors import NoWidget
from textual.geometry import Size
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from modelbay.tui.widgets.markdown import MarkdownText

KEPT = 128
"""Chunks in the cache: more than fit on a screen. Others are rendered again when they become visible."""


@lru_cache(maxsize=KEPT)
def _lines(console: Console, text: str, width: int) -> list[list[Segment]]:
    """The rendered lines of a text, without blank lines at the end."""
    options = console.options.update(width=width, height=None)
    lines = console.render_lines(MarkdownText(text), options) if text else []
    while lines and not "".join(segment.text for segment in lines[-1]).strip():
        lines.pop()
    return lines


class MarkdownChunk(Widget):
    """Renders only if visible: a resize of a long conversation renders only visible chunks, and memory holds only the text."""

    def __init__(self) -> None:
        super().__init__()
        self._text = ""
        self._wide = 0
        """The width for which the height was measured."""
        self._high = 0

    def show(self, text: str) -> None:
        """Replace the text."""
        self._text = text
        if self._wide:
            self._measure(self._wide)
        self.refresh(layout=True)

    def get_content_width(self, container: Size, viewport: Size) -> int:
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        if width != self._wide and (not self._wide or self._seen):
            self._measure(width)
        return self._high  # the old height is good enough until the chunk becomes visible

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if width != self._wide and width:
            self._measure(width)
            self.call_later(self.refresh, layout=True)
        lines = _lines(self.app.console, self._text, self._wide) if self._wide else []
        if y >= len(lines):
            return Strip.blank(width, self.rich_style)
        line = list(Segment.apply_style(lines[y], self.rich_style))
        if (selection := self.text_selection) is not None and (span := selection.get_span(y)) is not None:
            line = _marked(line, *span, self.screen.get_component_rich_style("screen--selection"))
        return Strip(line, self._wide).apply_offsets(0, y)

    @property
    def _seen(self) -> bool:
        """Whether a part of it was visible in the last layout."""
        try:
            return bool(self.screen.find_widget(self).visible_region)
        except (NoScreen, NoWidget):
            return False

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        drawn = _lines(self.app.console, self._text, self._wide) if self._wide else []
        lines = ["".join(segment.text for segment in line).rstrip() for line in drawn]
        return selection.extract("\n".join(lines)), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()

    def _measure(self, width: int) -> None:
        self._wide = width
        self._high = len(_lines(self.app.console, self._text, width))


def _marked(line: list[Segment], start: int, end: int, style: Style) -> list[Segment]:
    """The line with a span in another style. An end of -1 is the end of the line."""
    strip = Strip(line)
    end = strip.cell_length if end == -1 else min(end, strip.cell_length)
    before, within, after = (
        strip.divide([start, end, strip.cell_length]) if start < end else (strip, Strip([]), Strip([]))
    )
    return [*before, *Segment.apply_style(within, post_style=style), *after]
