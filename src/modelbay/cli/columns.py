"""Tables in plain text."""

from collections.abc import Sequence

from modelbay.cli import terminal


def write_rows(rows: Sequence[Sequence[str]], *, indent: str = "") -> None:
    """Writes rows in aligned columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        terminal.write(f"{indent}{line.rstrip()}\n")
