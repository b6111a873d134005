"""Where keys, values and comments begin and end in TOML text.

`tomllib` has accepted the text before, so nothing is validated here. `tomllib` gives no positions, and tomlkit attaches
a comment to the table before it: an edit needs to know which table each line belongs to.
"""

import re
from typing import TypeAlias

Keys: TypeAlias = tuple[str, ...]
"""A path of keys into tables."""

KEY = r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|[A-Za-z0-9_-]+)"""
PATH = rf"{KEY}(?:[ \t]*\.[ \t]*{KEY})*"
COMMENT = r"\#[^\r\n]*"
END = r"(?:\r?\n|\Z)"
STRING = r'''"""(?:\\.|[^\\])*?"""(?:"{0,2})|\'\'\'.*?\'\'\'(?:'{0,2})|"(?:\\.|[^"\\])*"|'[^']*\''''

BLANK = re.compile(rf"[ \t]*(?:{COMMENT})?{END}")
"""An empty line or a comment."""
HEADER = re.compile(rf"[ \t]*\[\[?[ \t]*(?P<path>{PATH})[ \t]*\]\]?[ \t]*(?:{COMMENT})?{END}")
ASSIGNMENT = re.compile(rf"[ \t]*(?P<path>{PATH})[ \t]*=[ \t]*")
REST = re.compile(rf"[ \t]*(?:{COMMENT})?{END}")
"""Text that may follow a value on its last line."""
GAP = re.compile(rf"(?:\s|{COMMENT})*")
"""Text that may separate the items of an array."""
NOTE = re.compile(rf"(?:[ \t]*{COMMENT})?")
"""A comment after an item, on the same line."""
OFF = re.compile(rf"[ \t]*\#+[ \t]*(?P<path>{PATH})[ \t]*=(?!=)")
"""A setting that is commented out."""
OFF_HEADER = re.compile(rf"[ \t]*\#+[ \t]*\[\[?[ \t]*(?P<path>{PATH})[ \t]*\]\]?[ \t]*(?:{COMMENT})?{END}")
"""A table header that is commented out."""

_ONE_KEY = re.compile(KEY)
_SCALAR = re.compile(rf"{STRING}|[^,#\]}}\r\n]+", re.DOTALL)
_TOKEN = re.compile(rf"{STRING}|{COMMENT}|[\[{{\]}}]|[^\[\]{{}}\"'#]+", re.DOTALL)


def value_end(text: str, start: int) -> int:
    """End of the value that begins at `start`."""
    if text[start] not in "[{":
        return start + len(_whole(_SCALAR, text, start).rstrip(" \t"))
    depth = 0
    for token in _TOKEN.finditer(text, start):
        if token[0] in ("[", "{"):
            depth += 1
        elif token[0] in ("]", "}"):
            depth -= 1
            if depth == 0:
                return token.end()
    return len(text)


def gap(text: str, start: int) -> str:
    return _whole(GAP, text, start)


def note(text: str, start: int) -> str:
    return _whole(NOTE, text, start)


def rest(text: str, start: int) -> str:
    return _whole(REST, text, start)


def _whole(pattern: re.Pattern[str], text: str, start: int) -> str:
    match = pattern.match(text, start)
    return match[0] if match else ""


def keys_of(path: str) -> Keys:
    """The keys of a written path: `a."b.c"` has two."""
    return tuple(_unquoted(match[0]) for match in _ONE_KEY.finditer(path))


def _unquoted(key: str) -> str:
    if key[0] not in "\"'":
        return key
    if "\\" not in key:
        return key[1:-1]
    import tomllib

    return str(tomllib.loads(f"key = {key}")["key"])
