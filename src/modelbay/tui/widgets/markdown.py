"""Markdown as it is shown: one drawing for a stretch of text, so that a long answer is a few widgets and not a thousand.

Everything visible in the source is drawn: models write `Vec<T>`, JSX and LaTeX outside of code, which Markdown takes for HTML
and for escapes, and would drop.
"""

import re
from functools import cache
from typing import ClassVar

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_block.table import escapedSplit, table
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Heading, ListElement, ListItem, Markdown, MarkdownElement, TableElement
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table

THEME = "ansi_dark"
LONG, LONG_CODE = 1_200, 6_000
"""Characters after which a text goes on in a stretch of its own."""
PARAGRAPH = re.compile(r"\n\n(?=[^\s>|*+-]|#)(?!\d+[.)])")
FENCE = re.compile(r" {0,3}(`{3,}|~{3,}|\\\[|\\\]|\$\$)")
MATH = ((r"\(", r"\)"), (r"\[", r"\]"), ("$$", "$$"))
"""What encloses LaTeX. Its source is shown as it is."""
DOLLARS = re.compile(r"\$(?=\S)[^$\n]*?(?<=\S)\$(?!\d)")
"""LaTeX between single dollars, by Pandoc's rule: prices are not."""
ESCAPED = frozenset("*_`~#>|-+.!<")
"""Characters before which a backslash is Markdown's. Before others it is LaTeX's, or a path's, and is drawn."""


def stretches(text: str) -> list[str]:
    """A text cut into parts that are drawn one by one and look as the whole would: at paragraphs outside of code, LaTeX, lists,
    quotations and tables; and within long code, where each part gets fences of its own."""
    parts: list[str] = []
    begin = position = 0
    block, head = "", ""
    """What closes the block that is open, and the line that opened it."""
    for line in text.splitlines(keepends=True):
        position += len(line)
        if match := FENCE.match(line):
            block, head = _after(match[1], block, head, line)
        size = position - begin
        if block and size > LONG_CODE and line.endswith("\n") and block[0] in "`~" and not head.startswith(" "):
            parts.append(f"{text[begin:position]}{block}\n")
            text = f"{text[:position]}{head}{text[position:]}"
            begin = position
            position += len(head)
        elif not block and size > LONG and PARAGRAPH.match(text, position - 1):
            parts.append(text[begin : position + 1])
            begin = position + 1
    return [*parts, text[begin:]]


def _after(mark: str, block: str, head: str, line: str) -> tuple[str, str]:
    """What closes the open block behind a line with a fence, "" for none, and the line that opened it."""
    if not block:
        return ("", "") if mark == r"\]" else (r"\]" if mark == r"\[" else mark, line)
    return ("", "") if mark.startswith(block) else (block, head)


@cache
def _parser() -> MarkdownIt:
    made = MarkdownIt("commonmark").enable("strikethrough")
    # tags within a line, pictures, and definitions of links would vanish
    made.disable(["html_inline", "image", "reference"])
    made.block.ruler.before("code", "table", _table, {"alt": ["paragraph", "reference"]})
    made.block.ruler.before("fence", "math", _math_block, {"alt": ["paragraph", "blockquote", "list"]})
    made.inline.ruler.before("escape", "math", _math)
    made.inline.ruler.at("escape", _escape)
    return made


def _math(state: StateInline, silent: bool) -> bool:
    """LaTeX within a line."""
    for opening, closing in MATH:
        if state.src.startswith(opening, state.pos):
            end = state.src.find(closing, state.pos + len(opening))
            if end >= 0:
                return _verbatim(state, end + len(closing), silent)
    match = DOLLARS.match(state.src, state.pos)
    return match is not None and _verbatim(state, match.end(), silent)


def _escape(state: StateInline, silent: bool) -> bool:
    """A backslash, alone or with the character that it makes plain."""
    if state.src[state.pos] != "\\":
        return False
    following = state.src[state.pos + 1 : state.pos + 2]
    if following in ESCAPED and following:
        if not silent:
            state.pending += following
        state.pos += 2
        return True
    # of two backslashes, which end a line in LaTeX, the second does not escape what follows
    return _verbatim(state, state.pos + (2 if following == "\\" else 1), silent)


def _verbatim(state: StateInline, end: int, silent: bool) -> bool:
    if not silent:
        state.pending += state.src[state.pos : end]
    state.pos = end
    return True


def _math_block(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    """LaTeX on lines of its own, drawn as a block of code."""
    start = state.bMarks[first] + state.tShift[first]
    closing = next((closing for opening, closing in MATH[1:] if state.src.startswith(opening, start)), None)
    if closing is None or state.sCount[first] - state.blkIndent >= 4:
        return False
    begin, line = start + 2, first
    while closing not in state.src[begin : state.eMarks[line]]:
        line += 1
        if line >= last:
            return False
        begin = state.bMarks[line]
    end = state.src.index(closing, begin) + len(closing)
    if state.src[end : state.eMarks[line]].strip(" .,;"):
        return False  # a sentence goes on behind it
    if not silent:
        token = state.push("fence", "code", 0)
        token.info, token.map = "latex", [first, line + 1]
        token.content = state.getLines(first, line + 1, state.sCount[first], True)
        state.line = line + 1
    return True


def _table(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    """A table; as its source if a row has more cells than the head, which would vanish."""
    before = len(state.tokens)
    if not table(state, first, last, silent):
        return False
    if silent:
        return True
    columns = sum(token.type == "th_open" for token in state.tokens[before:])
    rows = [state.src[state.bMarks[line] : state.eMarks[line]].strip().strip("|") for line in range(first, state.line)]
    if any(len(escapedSplit(row)) > columns for row in rows):
        del state.tokens[before:]
        token = state.push("fence", "code", 0)
        token.map, token.content = [first, state.line], state.getLines(first, state.line, state.sCount[first], True)
    return True


class _Heading(Heading):
    """Left-aligned and bold."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.text.justify = "left"
        self.text.stylize("bold underline" if self.tag == "h1" else "bold")
        yield self.text


class _CodeBlock(CodeBlock):
    """Highlighted, on the terminal's background, and indented."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = Syntax(str(self.text).rstrip(), self.lexer_name, theme=THEME, word_wrap=True)
        yield Padding(code, (0, 0, 0, 2))


class _Table(TableElement):
    """Without lines between its rows, which would take half the screen."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for drawn in super().__rich_console__(console, options):
            if isinstance(drawn, Table):
                drawn.box, drawn.border_style = box.SIMPLE_HEAD, "dim"
                for column in drawn.columns:
                    column.overflow = "fold"  # a long word would end in an ellipsis
            yield drawn


class _Item(ListItem):
    number: int | None = None
    """The number in the source."""

    @classmethod
    def create(cls, markdown: Markdown, token: Token) -> "_Item":
        made = cls()
        made.number = int(token.info) if token.info.isdigit() else None
        return made


class _List(ListElement):
    """Its items keep their own numbers."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        numbers = [item.number for item in self.items if isinstance(item, _Item) and item.number is not None]
        for item in self.items:
            if isinstance(item, _Item) and item.number is not None:
                yield from item.render_number(console, options, item.number, max(numbers))
            else:
                yield from item.render_bullet(console, options)


class Drawn(Markdown):
    """A stretch of Markdown."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements, "heading_open": _Heading, "fence": _CodeBlock, "code_block": _CodeBlock, "table_open": _Table,
        "bullet_list_open": _List, "ordered_list_open": _List, "list_item_open": _Item,
    }  # fmt: skip

    def __init__(self, text: str) -> None:
        super().__init__("", code_theme=THEME, hyperlinks=False)
        self.markup, self.parsed = text, _parser().parse(text)
        for token in self.parsed:
            if token.type == "html_block":
                token.type, token.tag, token.info = "fence", "code", "html"
