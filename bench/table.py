"""Tables for a terminal: words to the left, numbers to the right."""


def table(title: str, head: list[str], rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [title, _line(head, widths), _line(["─" * width for width in widths], widths)]
    return "\n".join([*lines, *[_line(row, widths) for row in rows], ""])


def _line(cells: list[str], widths: list[int]) -> str:
    numbers = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return "  ".join(["  " + cells[0].ljust(widths[0]), *numbers]).rstrip()


def ratio(value: float, to: float) -> str:
    return f"{value / to:.2f} x"
