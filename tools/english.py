"""Finds phrases that modelbay does not use in its texts: docstrings, comments, messages, names of tests and documentation.

`house.toml` lists the phrases. CONTRIBUTING.md has the rules behind them.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

Text = tuple[int, int | None, str]
"""A text, its first line, and its last line; None for a page."""

EXCEPTED = re.compile(r"(?:#|<!--) plain: \w")
CODE = re.compile(r"`[^`\n]*`|\]\([^)\s]*\)")
"""Code and link targets within Markdown: they quote the program."""
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


@lru_cache(maxsize=1)
def nodes(source: str) -> list[ast.AST]:
    """All nodes of a module, its own first. Those of the last one are kept: most of the time of a check was to find them for
    each rule again."""
    return list(ast.walk(ast.parse(source)))


class English:
    """The phrases to look for, each with the advice to print."""

    def __init__(self, phrases: dict[str, str]) -> None:
        self._rows = [
            (re.compile(pattern.replace(" ", r"\s+"), re.IGNORECASE), advice) for pattern, advice in phrases.items()
        ]

    def faults(self, path: Path, *, data: bool = False) -> Iterator[tuple[int, str]]:
        """The forbidden phrases of a file with their lines. In a file of `data` (a test) strings are not checked."""
        source = path.read_text(encoding="utf-8")
        lines = source.splitlines()
        for first, last, text in _texts(path.suffix, source, data=data):
            if last is not None and EXCEPTED.search(lines[last - 1]):
                continue
            for pattern, advice in self._rows:
                for found in pattern.finditer(text):
                    line = first + text.count("\n", 0, found.start())
                    if not EXCEPTED.search(lines[line - 1]):
                        yield line, f"`{' '.join(found[0].split())}`: {advice}"


def _texts(suffix: str, source: str, *, data: bool) -> Iterator[Text]:
    if suffix == ".py":
        yield from _comments(source)
        yield from _strings(source, data=data)
        yield from _test_names(source)
    elif suffix == ".toml":
        yield from _toml_comments(source)
    else:
        yield from _paragraphs(source)


def _comments(source: str) -> Iterator[Text]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.start[0], token.string.lstrip("# ")


def _strings(source: str, *, data: bool) -> Iterator[Text]:
    """Docstrings and other strings with more than one word."""
    standalone = {id(node.value) for node in nodes(source) if isinstance(node, ast.Expr)}
    for node in nodes(source):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or " " not in node.value:
            continue
        if data and id(node) not in standalone:
            continue
        yield node.lineno, node.end_lineno or node.lineno, node.value


def _test_names(source: str) -> Iterator[Text]:
    """The names of tests, which are read as sentences."""
    for node in nodes(source):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node.lineno, node.lineno, node.name.removeprefix("test_").replace("_", " ")


def _toml_comments(source: str) -> Iterator[Text]:
    for number, line in enumerate(source.splitlines(), 1):
        if found := re.search(r"(?:^|\s)#\s*(.*)", line):
            yield number, number, found[1]


def _paragraphs(source: str) -> Iterator[Text]:
    """The prose of a Markdown page without its code. Headings and cells may begin with any word."""
    prose = FENCE.sub(lambda block: "\n" * block[0].count("\n"), source)
    prose = CODE.sub(lambda span: "`" + "x" * (len(span[0]) - 2) + "`", prose)
    yield 1, None, "\N{ZERO WIDTH NO-BREAK SPACE}" + prose
