"""Tables in plain text."""

import shutil
import sys
import textwrap
from collections.abc import Sequence

from modelbay.cli import terminal

GAP = "  "
BELOW = "    "
"""Indentation of the cells that do not fit beside the first ones."""
NARROWEST = 10
"""Smallest width of the text below a row, on terminals that are even narrower."""


def write_rows(rows: Sequence[Sequence[str]], *, indent: str = "") -> None:
    """Write rows in aligned columns. On a terminal that is too narrow, the last columns are wrapped below each row."""
    if not rows:
        return
    widths = [max(cells(row[column]) for row in rows) for column in range(len(rows[0]))]
    wide = shutil.get_terminal_size().columns if terminal.is_terminal(sys.stdout) else None
    beside = len(widths) if wide is None else _fitting(widths, wide - len(indent))
    for row in rows:
        line = GAP.join(cell + " " * (width - cells(cell)) for cell, width in zip(row[:beside], widths, strict=False))
        terminal.write(f"{indent}{line.rstrip()}\n")
        rest = GAP.join(cell for cell in row[beside:] if cell)
        for part in _wrapped(rest, (wide or 0) - len(indent + BELOW)) if rest else ():
            terminal.write(f"{indent}{BELOW}{part}\n")


def _fitting(widths: list[int], wide: int) -> int:
    """The number of leading columns that fit into a line; at least one."""
    total = 0
    for number, width in enumerate(widths):
        total += width + len(GAP) * (number > 0)
        if total > wide:
            return max(number, 1)
    return len(widths)


def _wrapped(text: str, wide: int) -> list[str]:
    # a path or URL is not divided: the terminal wraps it, and it can still be copied
    return textwrap.wrap(text, max(wide, NARROWEST), break_long_words=False, break_on_hyphens=False)


def cells(text: str) -> int:
    """The columns of a terminal that a text takes: Chinese letters take two, accents none."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
