"""Rendering of Markdown in chunks, so that a long answer needs a few widgets instead of a thousand.

No visible text of the source is lost. Models write `Vec<T>`, JSX and LaTeX outside of code; plain Markdown would read them as
HTML and escapes and drop them.
"""

import re
from collections.abc import Callable, Iterable
from functools import cache
from math import inf
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
from rich.text import Text

THEME = "ansi_dark"
LONG, LONG_CODE = 1_200, 6_000
"""Characters after which a text or a code block continues in a new chunk."""
DEEPEST, NARROWEST = 100, 10
"""Levels of blocks that the parser reads, and columns that a nested block needs. A chunk with more or fewer is shown as source: the
parser and rich drop such blocks."""
LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
"""A line in Markdown. `splitlines` also splits at a form feed or U+2028."""
CONTINUED = "\u2060"
"""Prefix of the info string in the continuation of a long code block, so that the info string is shown once."""
MATH = ((r"\(", r"\)"), (r"\[", r"\]"), ("$$", "$$"))
"""Delimiters of LaTeX, besides `\\begin{NAME}` and `\\end{NAME}`. Its source is shown unchanged."""
ENVIRONMENT = re.compile(r"\\begin(\{[^{}\n]+\})")
DOLLARS = re.compile(r"\$(?=\S)[^$\n]*?(?<=\S)\$(?!\d)")
"""LaTeX between single dollar signs, by Pandoc's rule, which excludes prices."""
ESCAPED = frozenset("*_`~#>|-+.!<")
"""Characters that a backslash escapes. Before others, the backslash belongs to LaTeX or a path and is shown."""


def chunks(text: str) -> list[str]:
    """Split a text into chunks that look the same as the whole text. Chunks begin at top-level blocks, and within long code
    blocks, where each chunk gets its own fences."""
    lines = LINE.findall(text)
    parts: list[str] = []
    part: list[str] = []
    size = at = 0
    for token in _blocks().parse(text):
        if token.level or token.map is None:
            continue
        first, end = token.map
        size += _add(part, lines[at:first])
        if size > LONG and lines[first].endswith(("\n", "\r")):  # an unfinished line may still join the previous block
            parts.append("".join(part))
            part, size = [], 0
        if token.type == "fence" and token.markup and lines[first].startswith(token.markup):
            *whole, part = _code(part, lines[first:end], token)
            parts += ["".join(one) for one in whole]
            size = sum(map(len, part))
        else:
            size += _add(part, lines[first:end])
        at = end
    return [*parts, "".join([*part, *lines[at:]])]


def _add(part: list[str], lines: list[str]) -> int:
    """Add lines to a chunk. Returns their number of characters."""
    part += lines
    return sum(map(len, lines))


def _code(part: list[str], lines: list[str], token: Token) -> list[list[str]]:
    """The chunks of a code block; the first one begins with the previous chunk."""
    parts, size = [part], sum(map(len, part))
    head = lines[0]
    if not token.info.startswith(CONTINUED) and token.info.strip():
        head = head.replace(token.markup, token.markup + CONTINUED, 1)
    for number, line in enumerate(lines):
        if size > LONG_CODE and 1 < number < len(lines) - 1:
            parts[-1].append(f"{token.markup}\n")
            parts.append([head])
            size = len(head)
        parts[-1].append(line)
        size += len(line)
    return parts


@cache
def _blocks() -> MarkdownIt:
    """The parser that finds the blocks of an unfinished text."""
    made = _made(_open_math_block)
    made.core.ruler.enableOnly(["normalize", "block"])
    return made


@cache
def _parser() -> MarkdownIt:
    return _made(_math_block)


def _made(math_block: Callable[[StateBlock, int, int, bool], bool]) -> MarkdownIt:
    made = MarkdownIt("commonmark", {"maxNesting": DEEPEST}).enable("strikethrough")
    made.normalizeLink = lambda url: url  # type: ignore[method-assign]  # a URL is shown unchanged
    # inline tags, images and link definitions would disappear
    made.disable(["html_inline", "image", "reference"])
    made.block.ruler.before("code", "table", _table, {"alt": ["paragraph", "reference"]})
    made.block.ruler.before("fence", "math", math_block, {"alt": ["paragraph", "blockquote", "list"]})
    made.inline.ruler.before("escape", "math", _math)
    made.inline.ruler.at("escape", _escape)
    return made


def _math(state: StateInline, silent: bool) -> bool:
    """Inline LaTeX."""
    if enclosed := _enclosed(state.src, state.pos, MATH):
        begin, closing = enclosed
        if (end := state.src.find(closing, begin)) >= 0:
            return _verbatim(state, end + len(closing), silent)
    match = DOLLARS.match(state.src, state.pos)
    return match is not None and _verbatim(state, match.end(), silent)


def _escape(state: StateInline, silent: bool) -> bool:
    """A backslash, alone or with the character that it escapes."""
    if state.src[state.pos] != "\\":
        return False
    following = state.src[state.pos + 1 : state.pos + 2]
    if following in ESCAPED and following:
        if not silent:
            state.pending += following
        state.pos += 2
        return True
    # two backslashes end a line in LaTeX: the second one escapes nothing
    return _verbatim(state, state.pos + (2 if following == "\\" else 1), silent)


def _verbatim(state: StateInline, end: int, silent: bool) -> bool:
    if not silent:
        state.pending += state.src[state.pos : end]
    state.pos = end
    return True


def _enclosed(text: str, at: int, pairs: Iterable[tuple[str, str]]) -> tuple[int, str] | None:
    """The start of LaTeX that opens here, and its closing delimiter."""
    if match := ENVIRONMENT.match(text, at):
        return match.end(), rf"\end{match[1]}"
    return next(((at + len(opening), closing) for opening, closing in pairs if text.startswith(opening, at)), None)


def _math_block(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    """A block of LaTeX, shown as code."""
    end = _math_end(state, first, last)
    return end is not None and end <= last and _math_lines(state, first, end, silent)


def _open_math_block(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    """A block of LaTeX whose end may still be missing."""
    end = _math_end(state, first, last)
    return end is not None and _math_lines(state, first, min(end, last), silent)


def _math_end(state: StateBlock, first: int, last: int) -> int | None:
    """The line after a block of LaTeX; `last` + 1 if it has no end; None if no block begins here."""
    start = state.bMarks[first] + state.tShift[first]
    enclosed = _enclosed(state.src, start, MATH[1:])
    if enclosed is None or state.sCount[first] - state.blkIndent >= 4:
        return None
    (begin, closing), line = enclosed, first
    while closing not in state.src[begin : state.eMarks[line]]:
        line += 1
        if line >= last:
            return last + 1
        begin = state.bMarks[line]
    end = state.src.index(closing, begin) + len(closing)
    if state.src[end : state.eMarks[line]].strip(" .,;"):
        return None  # it is part of a sentence
    return line + 1


def _math_lines(state: StateBlock, first: int, end: int, silent: bool) -> bool:
    if not silent:
        token = state.push("fence", "code", 0)
        token.info, token.map = "latex", [first, end]
        token.content = state.getLines(first, end, state.sCount[first], True)
        state.line = end
    return True


def _table(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    """A table. Shown as source if a row has more cells than the head, because they would disappear."""
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
    """Highlighted and indented, on the terminal's background, with its info string above."""

    info = ""

    @classmethod
    def create(cls, markdown: Markdown, token: Token) -> "_CodeBlock":
        info = token.info.strip()
        made = cls(info.removeprefix(CONTINUED).partition(" ")[0] or "text", markdown.code_theme)
        if token.markup and not info.startswith(CONTINUED):  # without fences, modelbay set the info string
            made.info = info
        return made

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.info:
            yield Padding(Text(self.info, style="dim"), (0, 0, 0, 2))
        code = Syntax(str(self.text).rstrip(), self.lexer_name, theme=THEME, word_wrap=True)
        yield Padding(code, (0, 0, 0, 2))


class _Table(TableElement):
    """Without lines between rows, which would fill half the screen."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for drawn in super().__rich_console__(console, options):
            if isinstance(drawn, Table):
                drawn.box, drawn.border_style = box.SIMPLE_HEAD, "dim"
                for column in drawn.columns:
                    column.overflow = "fold"  # otherwise a long word ends in an ellipsis
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
    """A list whose items keep their numbers from the source."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        numbers = [item.number for item in self.items if isinstance(item, _Item) and item.number is not None]
        for item in self.items:
            if isinstance(item, _Item) and item.number is not None:
                yield from item.render_number(console, options, item.number, max(numbers))
            else:
                yield from item.render_bullet(console, options)


class MarkdownText(Markdown):
    """A chunk of Markdown that rich renders."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements, "heading_open": _Heading, "fence": _CodeBlock, "code_block": _CodeBlock, "table_open": _Table,
        "bullet_list_open": _List, "ordered_list_open": _List, "list_item_open": _Item,
    }  # fmt: skip

    def __init__(self, text: str) -> None:
        super().__init__("", code_theme=THEME, hyperlinks=False)
        self.markup, self.parsed = text, _parser().parse(text)
        self._indent = _deepest_indent(self.parsed)
        for token in self.parsed:
            if token.type == "html_block":
                token.type, token.tag, token.info = "fence", "code", "html"
            for part in token.children or ():
                if part.type == "link_open" and (title := part.attrs.get("title")):
                    part.attrs["href"] = f'{part.attrs["href"]} "{title}"'

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._indent + NARROWEST > options.max_width and self._indent:
            yield Text(self.markup.rstrip())
        else:
            yield from super().__rich_console__(console, options)


def _deepest_indent(tokens: list[Token]) -> float:
    """Columns that rich takes at the left of the most nested block; infinite if the parser dropped blocks in it."""
    open_blocks, deepest = [0], 0
    for token in tokens:
        if token.level >= DEEPEST - 2:
            return inf
        if token.type in ("list_item_open", "blockquote_open"):
            open_blocks.append(open_blocks[-1] + len(token.info) + 3)
            deepest = max(deepest, open_blocks[-1])
        elif token.type in ("list_item_close", "blockquote_close"):
            open_blocks.pop()
    return deepest
