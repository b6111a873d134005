"""A stretch of Markdown, drawn once into lines whenever it changes or gets another width."""

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from modelbay.tui.widgets.markdown import Drawn


class Stretch(Widget):
    """Its lines are kept: scrolling past it, or drawing what is beside it, costs nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._text = ""
        self._lines: list[list[Segment]] = []
        self._wide = 0
        """The width that the lines were drawn for."""

    def show(self, text: str) -> None:
        """Shows another text, at once where the width is known."""
        self._text = text
        if self._wide:
            self._draw(self._wide)
        self.refresh(layout=True)

    def get_content_width(self, container: Size, viewport: Size) -> int:
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        if width != self._wide:
            self._draw(width)
        return len(self._lines)

    def render_line(self, y: int) -> Strip:
        if y >= len(self._lines):
            return Strip.blank(self.size.width, self.rich_style)
        line = list(Segment.apply_style(self._lines[y], self.rich_style))
        if (selection := self.text_selection) is not None and (span := selection.get_span(y)) is not None:
            line = _marked(line, *span, self.screen.get_component_rich_style("screen--selection"))
        return Strip(line, self._wide).apply_offsets(0, y)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        lines = ["".join(segment.text for segment in line).rstrip() for line in self._lines]
        return selection.extract("\n".join(lines)), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()

    def _draw(self, width: int) -> None:
        console = self.app.console
        options = console.options.update(width=width, height=None)
        self._lines = console.render_lines(Drawn(self._text), options) if self._text else []
        while self._lines and not "".join(segment.text for segment in self._lines[-1]).strip():
            self._lines.pop()
        self._wide = width


def _marked(line: list[Segment], start: int, end: int, style: Style) -> list[Segment]:
    """The line with a span of it, whose end may be -1 for its own, in another style."""
    strip = Strip(line)
    end = strip.cell_length if end == -1 else min(end, strip.cell_length)
    before, within, after = (
        strip.divide([start, end, strip.cell_length]) if start < end else (strip, Strip([]), Strip([]))
    )
    return [*before, *Segment.apply_style(within, post_style=style), *after]
