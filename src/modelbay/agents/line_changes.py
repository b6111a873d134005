"""The lines of a text that a change replaced, kept so that they can be put back after other lines have changed.

Only the replaced lines are kept. The other lines of the text are known by their digests: a file may contain secrets that are not
part of the change.
"""

from collections.abc import Callable
from difflib import Match, SequenceMatcher
from hashlib import sha256

from msgspec import Struct

DIGITS = 16
"""Digits of the digest of a line."""


class ReplacedLines(Struct, frozen=True):
    """Lines from `start` to `end` of the new text, and the old lines in their place."""

    start: int
    end: int
    old: list[str]


class LineChanges(Struct, frozen=True):
    """The change of a text."""

    lines: list[str]
    """The digests of all lines of the new text."""
    replaced: list[ReplacedLines]


def changes(old: str, new: str, salt: str) -> LineChanges:
    """The change from an old text to a new one."""
    before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    steps = SequenceMatcher(None, after, before, autojunk=False).get_opcodes()
    replaced = [
        ReplacedLines(start, end, before[old_start:old_end])
        for step, start, end, old_start, old_end in steps
        if step != "equal"
    ]
    return LineChanges(_digests(after, salt), replaced)


def substituted(changed: LineChanges, text: str, salt: str, substitute: Callable[[str], str]) -> LineChanges:
    """The same change after values were replaced in all texts. `text`: the present text, before that."""
    lines = text.splitlines(keepends=True)
    after = _digests([substitute(line) for line in lines], salt)
    digests = dict(zip(_digests(lines, salt), after, strict=True))
    replaced = [ReplacedLines(one.start, one.end, list(map(substitute, one.old))) for one in changed.replaced]
    return LineChanges([digests.get(line, line) for line in changed.lines], replaced)


def closest(changed: list[LineChanges], text: str, salt: str) -> LineChanges | None:
    """The change whose new text is most like a text; None if there is none."""
    lines = _digests(text.splitlines(keepends=True), salt)
    return max(changed, key=lambda one: SequenceMatcher(None, one.lines, lines, autojunk=False).ratio(), default=None)


def reverted(text: str, changed: LineChanges, salt: str, chosen: set[int]) -> str:
    """The text with the old lines of the `chosen` replacements, except those whose new lines have changed since."""
    lines = text.splitlines(keepends=True)
    blocks = SequenceMatcher(None, changed.lines, _digests(lines, salt), autojunk=False).get_matching_blocks()
    for number, one in reversed(list(enumerate(changed.replaced))):
        at = _place(one, blocks, len(changed.lines), len(lines)) if number in chosen else None
        if at is not None:
            end = at + one.end - one.start
            open_end = bool(one.old) and end < len(lines) and not one.old[-1].endswith(("\n", "\r"))
            lines[at:end] = [*one.old[:-1], f"{one.old[-1]}\n"] if open_end else one.old
    return "".join(lines)


def _place(one: ReplacedLines, blocks: list[Match], total: int, now: int) -> int | None:
    """The index of the new lines in the present text; None if they changed.

    Lines that were removed have no new lines: their neighbors must still be neighbors.
    """
    removed = one.start == one.end
    first = one.start - 1 if removed and one.start else one.start
    last = one.end + 1 if removed and one.end < total else one.end
    for block in blocks:
        if block.a <= first and last <= block.a + block.size:
            at: int = block.b + one.start - block.a
            at_the_end = at == now or not removed or one.end < total
            at_the_start = at == 0 or not removed or one.start > 0
            return at if at_the_end and at_the_start else None
    return None


def _digests(lines: list[str], salt: str) -> list[str]:
    return [sha256(f"{salt}{line}".encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS] for line in lines]
