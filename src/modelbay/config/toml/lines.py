"""Line numbers of tables and keys, which `tomllib` does not report. They are computed only for error messages."""

import re
from collections.abc import Iterable

from modelbay.config.schema import Table
from modelbay.config.toml.scan import Keys

KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
BARE = re.compile(r"[A-Za-z0-9_-]+")
PATH = rf"{KEY}(?:\s*\.\s*{KEY})*"
HEADER = re.compile(rf"\s*\[\[?\s*({PATH})\s*\]\]?\s*(?:#.*)?$")
ASSIGNMENT = re.compile(rf"\s*({PATH})\s*=\s*(.*)$")


def line_of(text: str, *path: str) -> int | None:
    """The line, counted from 1, of the key at `path`; if it has no line of its own, the line of the table around it."""
    return lines_of(text, [path]).get(path)


def lines_of(text: str, paths: Iterable[Keys]) -> dict[Keys, int]:
    """Same for many paths, in one pass over the text."""
    wanted = list(paths)
    if not wanted:
        return {}
    written: dict[Keys, int] = {}
    implied: dict[Keys, int] = {}
    """Tables without a header, by the first header of a table in them."""
    table: Keys = ()
    closing = ""
    for number, line in enumerate(text.splitlines(), 1):
        if closing:
            closing = "" if closing in line else closing
        elif header := HEADER.match(line):
            table = _keys(header[1])
            written.setdefault(table, number)
            for depth in range(1, len(table)):
                implied.setdefault(table[:depth], number)
        elif assignment := ASSIGNMENT.match(line):
            written.setdefault((*table, *_keys(assignment[1])), number)
            closing = _left_open(assignment[2])
    found: dict[Keys, int] = {}
    for path in wanted:
        around = (written.get(path[:depth]) for depth in range(len(path) - 1, 0, -1))
        places = (place for place in (written.get(path), implied.get(path), *around) if place is not None)
        if (nearest := next(places, None)) is not None:
            found[path] = nearest
    return found


def _keys(path: str) -> tuple[str, ...]:
    if BARE.fullmatch(path):
        return (path,)
    import tomllib

    table: Table = tomllib.loads(f"{path} = 0")
    keys = []
    while isinstance(table, dict):
        key, table = next(iter(table.items()))
        keys.append(key)
    return tuple(keys)


def _left_open(value: str) -> str:
    """The closing quotes of a multi-line string that starts here; the lines inside it are not TOML."""
    for mark in ('"""', "'''"):
        if value.startswith(mark) and mark not in value[3:]:
            return mark
    return ""
