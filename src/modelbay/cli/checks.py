"""The output of one check of a provider test."""

import sys

from modelbay.cli import terminal
from modelbay.onboarding.model_checks import Check

MARKS = {"yes": ("✓", "green"), "no": ("✗", "red"), "unknown": ("?", "yellow")}


def show_check(check: Check, width: int) -> None:
    """Write a check with its detail and hint. `width`: that of the names."""
    mark, colour = MARKS[check.result]
    detail = " ".join(check.detail.split())
    line = f"{check.name.ljust(width)}  {check.result.ljust(7)}  {detail}"
    terminal.write_marked(terminal.styled(mark, sys.stdout, fg=colour), line.rstrip())
    if check.hint and check.result in ("no", "unknown"):
        terminal.write(f"  {' ' * width}  hint: {check.hint}\n")
