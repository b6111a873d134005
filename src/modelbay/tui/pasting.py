"""Pasted text without what a terminal would obey.

Textual takes an escape sequence inside a bracketed paste for keys: text is lost, and a line break behind it acts as Enter, so
that a paste could send itself.
"""

import re
from collections.abc import Iterable
from weakref import WeakKeyDictionary

from textual._xterm_parser import XTermParser
from textual.message import Message

BEGIN, END = "\x1b[200~", "\x1b[201~"
STEERING = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-_]?|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f]")
"""Escape sequences and control characters, without tab and line breaks."""


class Pastes:
    """Filters what a terminal sends, in any pieces."""

    def __init__(self) -> None:
        self._inside = False
        self._passed = ""
        """The end of what was passed on, in which a mark may have begun."""
        self._held = ""
        """The end of what came of a paste, which may be the beginning of its closing mark or of a sequence."""

    def feed(self, data: str) -> str:
        """What to pass on of the next piece."""
        out: list[str] = []
        rest = self._held + data
        self._held = ""
        while rest:
            if not self._inside:
                at = (self._passed + rest).find(BEGIN)
                end = len(rest) if at < 0 else at + len(BEGIN) - len(self._passed)
                out.append(rest[:end])
                self._passed = "" if at >= 0 else (self._passed + rest)[-(len(BEGIN) - 1) :]
                self._inside, rest = at >= 0, rest[end:]
                continue
            text, closing, rest = rest.partition(END)
            if not closing and (escape := text.rfind("\x1b")) >= len(text) - 32 and escape >= 0:
                text, self._held = text[:escape], text[escape:]
            out.append(STEERING.sub("", text) + closing)
            self._inside = not closing
        return "".join(out)


_feed = XTermParser.feed
_pastes: WeakKeyDictionary[XTermParser, Pastes] = WeakKeyDictionary()


def filtered(self: XTermParser, data: str) -> Iterable[Message]:
    passed = _pastes.setdefault(self, Pastes()).feed(data) if data else data
    return _feed(self, passed) if passed or not data else ()  # nothing at all would mean the end of the input


def install() -> None:
    """Puts the filter before Textual's reader of what a terminal sends."""
    XTermParser.feed = filtered  # type: ignore[method-assign]
