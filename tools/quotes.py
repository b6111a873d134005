"""Finds messages in the guides that the program does not have.

A guide quotes messages in the first column of its table "Troubleshooting". `…` stands for a value.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

TABLE = re.compile(r"^## Troubleshooting\n(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)
QUOTE = re.compile(r"`([^`]+)`")


def stale(pages: Iterable[Path], package: Path) -> Iterator[tuple[Path, int, str]]:
    """The quoted messages that no module of `package` contains, with page and line."""
    program = "".join(f"{text}\n" for path in sorted(package.rglob("*.*")) for text in _texts(path)).lower()
    for page in pages:
        source = page.read_text(encoding="utf-8")
        for table in TABLE.finditer(source):
            first = source.count("\n", 0, table.start(1)) + 1
            for number, row in enumerate(table[1].splitlines(), first):
                cells = row.split("|")
                if len(cells) < 3:
                    continue
                for quote in QUOTE.findall(cells[1]):
                    if not _contains(program, quote.lower()):
                        yield page, number, quote


def _contains(program: str, quote: str) -> bool:
    """Whether a line contains the quote. Only lines with its longest part are compared: a pattern takes long for them all."""
    parts = [part.strip() for part in quote.split("…")]
    pattern, longest = re.compile(".*?".join(map(re.escape, parts))), max(parts, key=len)
    place = program.find(longest)
    while place >= 0:
        end = program.index("\n", place)
        if pattern.search(program, program.rfind("\n", 0, place) + 1, end):
            return True
        place = program.find(longest, end)
    return False


def _texts(path: Path) -> Iterator[str]:
    """The strings of a module, or the lines of a TOML file."""
    if path.suffix == ".toml":
        yield path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            parts = (str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
            yield " ".join("".join(parts).split())
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield " ".join(node.value.split())
