"""Pasted text without what a terminal would obey.

Textual reads an escape sequence inside a bracketed paste as keys: text is lost, and a line break after it acts as Enter, so
that a paste could send itself. Textual also reads a paste letter by letter, which takes 12 seconds for 10 MB.
"""

import re
import sys
from codecs import IncrementalDecoder, getincrementaldecoder
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from weakref import WeakKeyDictionary

from textual import events
from textual._xterm_parser import XTermParser
from textual.message import Message

BEGIN, END = "\x1b[200~", "\x1b[201~"
STEERING = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-_]?|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f]")
"""Escape sequences and control characters, without tab and line breaks."""


class PasteFilter:
    """Separates pasted text from what a terminal sends, in any pieces."""

    def __init__(self) -> None:
        self.texts: deque[str] = deque()
        """Pastes that have ended, the oldest first."""
        self._inside = False
        self._passed = ""
        """The end of what was passed on, in which a mark may have begun."""
        self._held = ""
        """The end of the paste so far, which may be the beginning of its closing mark or of an escape sequence."""
        self._text: list[str] = []
        """The paste so far."""

    def feed(self, data: str) -> str:
        """What to pass on of the next piece: keys at once, and of a paste only the marks around it."""
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
            self._text.append(STEERING.sub("", text))
            self._inside = not closing
            if closing:
                out.append(BEGIN + END)  # the first mark may have come so slowly that Textual read it as keys
                self.texts.append("".join(self._text))
                self._text = []
        return "".join(out)


_feed = XTermParser.feed
_pastes: WeakKeyDictionary[XTermParser, PasteFilter] = WeakKeyDictionary()


def filtered(self: XTermParser, data: str) -> Iterable[Message]:
    pastes = _pastes.setdefault(self, PasteFilter())
    passed = pastes.feed(data) if data else data
    if data and not passed:
        return  # an empty text would mean the end of the input
    for event in _feed(self, passed):
        if isinstance(event, events.Paste) and pastes.texts:
            event.text = pastes.texts.popleft()
        yield event


def install() -> None:
    """Puts the filter before Textual's reader of what a terminal sends."""
    XTermParser.feed = filtered  # type: ignore[method-assign]


def accept_any_bytes() -> None:
    """Replaces input that is not UTF-8, as a pasted name of a file in Latin-1; Textual's strict decoder ended the app."""
    if sys.platform != "win32":
        from textual.drivers import linux_driver

        setattr(linux_driver, "getincrementaldecoder", _decoder)  # noqa: B010 mypy knows the name as an overloaded function


def _decoder(encoding: str) -> Callable[[], IncrementalDecoder]:
    return partial(getincrementaldecoder(encoding), errors="replace")
