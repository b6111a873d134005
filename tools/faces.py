"""Groups of faces in the pages of docs/: the same act by command, in the app, in Python, in config.toml or with other libraries.

A face is a line with its name in bold type, and one block below it: a fenced block, a paragraph or a table. Two or more faces in
a row are a group. The site shows a group as tabs; everywhere else it reads as it is written.
"""

import re
import textwrap
from collections.abc import Iterator

from tools.comparison import LIBRARIES

NAMES = ("Command line", "App", "Python", "Async", "Blocking", "config.toml", *LIBRARIES.values())
_LABEL = rf"^\*\*(?P<name>{'|'.join(map(re.escape, NAMES))})\*\*\n\n"
_FACE = re.compile(rf"{_LABEL}(?P<block>```.*?^```\n|(?:[^\n]+\n)+)\n*", re.DOTALL | re.MULTILINE)


class LonelyFace(Exception):
    """A face is alone, or has more than one block."""


def groups(text: str) -> Iterator[list[re.Match[str]]]:
    """The groups of a page, as matches with `name` and `block`.

    Raises:
        LonelyFace: a face has no other one beside it.
    """
    group: list[re.Match[str]] = []
    for face in _FACE.finditer(text):
        if group and group[-1].end() != face.start():
            yield _checked(group)
            group = []
        group.append(face)
    if group:
        yield _checked(group)


def tabbed(text: str) -> str:
    """The page with its groups as tabs of the site."""
    pieces, end = [], 0
    for group in groups(text):
        pieces.append(text[end : group[0].start()])
        pieces += [f'=== "{face["name"]}"\n\n{textwrap.indent(face["block"], "    ")}\n' for face in group]
        end = group[-1].end()
    return "".join([*pieces, text[end:]])


def _checked(group: list[re.Match[str]]) -> list[re.Match[str]]:
    if len(group) == 1:
        raise LonelyFace(f"**{group[0]['name']}** has no other face beside it: each has one block")
    return group
