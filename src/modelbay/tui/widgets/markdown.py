"""Markdown as it is shown: one drawing for a stretch of text, so that a long answer is a few widgets and not a thousand."""

import re
from typing import ClassVar

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown, MarkdownElement, TableElement
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table

THEME = "ansi_dark"
PARAGRAPH = re.compile(r"\n\n(?=[^\s>|*+-]|#)(?!\d+[.)])")
FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})", re.MULTILINE)


def boundary(drawn: str, text: str) -> int | None:
    """Where in `text`, which follows what is `drawn`, a paragraph begins that stands for itself: not within code, a list, a
    quotation or a table."""
    for match in PARAGRAPH.finditer(text):
        if not _in_code(drawn + text[: match.start()]):
            return match.end()
    return None


def _in_code(text: str) -> bool:
    """Whether a fence is open at the end."""
    fence = ""
    for found in FENCE.findall(text):
        if not fence:
            fence = found
        elif found.startswith(fence):
            fence = ""
    return bool(fence)


class _Heading(Heading):
    """To the left, and bold; what is below it says how much it heads."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.text.justify = "left"
        self.text.stylize("bold underline" if self.tag == "h1" else "bold")
        yield self.text


class _CodeBlock(CodeBlock):
    """Highlighted, on the background that is there, and set in."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = Syntax(str(self.text).rstrip(), self.lexer_name, theme=THEME, word_wrap=True)
        yield Padding(code, (0, 0, 0, 2))


class _Table(TableElement):
    """Lines between its rows would take half the screen."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for drawn in super().__rich_console__(console, options):
            if isinstance(drawn, Table):
                drawn.box, drawn.border_style = box.SIMPLE_HEAD, "dim"
            yield drawn


class Drawn(Markdown):
    """A stretch of Markdown."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements, "heading_open": _Heading, "fence": _CodeBlock, "code_block": _CodeBlock, "table_open": _Table,
    }  # fmt: skip

    def __init__(self, text: str) -> None:
        super().__init__(text, code_theme=THEME, hyperlinks=False)
