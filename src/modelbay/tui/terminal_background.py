"""Detects the terminal's background color with the query OSC 11. The reply may come at once, late or never.

The reply arrives among the keys, in any pieces. It is removed there: a late reply must not appear in the composer.
"""

import re
from collections.abc import Iterable
from weakref import WeakKeyDictionary

from textual._xterm_parser import XTermParser
from textual.message import Message

from modelbay.tui import bracketed_paste

QUESTION = "\x1b]11;?\x1b\\"
ANSWER = re.compile(r"\x1b\]11;([^\x07\x1b]{1,40})(?:\x07|\x1b\\)")
BEGUN = re.compile(r"\x1b\](?:1(?:1(?:;[^\x07\x1b]{0,40}\x1b?)?)?)?\Z")
"""An incomplete reply, after its first character."""
COLOR = re.compile(r"rgba?:([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})")


class BackgroundDetected(Message):
    """The terminal reported its background."""

    def __init__(self, dark: bool) -> None:
        super().__init__()
        self.dark = dark


class BackgroundReplies:
    """Removes replies from terminal input."""

    def __init__(self) -> None:
        self._held = ""
        """The start of a reply, at the end of the last piece."""
        self._passed = False
        """Whether its Escape was forwarded, because it may have been a key."""

    def feed(self, data: str) -> tuple[str, list[bool]]:
        """Read the next piece of input. Returns the input without replies and, for each reply, whether the background is dark."""
        text = self._held + data
        dark = [known for color in ANSWER.findall(text) if (known := is_dark(color)) is not None]
        passed = self._passed and not ANSWER.match(text)
        text = ANSWER.sub("", text)
        begun = BEGUN.search(text)
        end = begun.start() if begun else len(text)
        out, self._held = text[:end], text[end:]
        self._passed = passed and end == 0
        if out.endswith("\x1b"):
            self._held, self._passed = "\x1b", True
        return out[1:] if passed and out else out, dark


def is_dark(color: str) -> bool | None:
    """Whether a color in the format of terminals (`rgb:1e1e/1e1e/1e1e`) is dark; None if it is not a color."""
    found = COLOR.match(color)
    if found is None:
        return None
    red, green, blue = (int(part, 16) / int("f" * len(part), 16) for part in found.groups())
    return 0.299 * red + 0.587 * green + 0.114 * blue < 0.5


_answers: WeakKeyDictionary[XTermParser, BackgroundReplies] = WeakKeyDictionary()


def _filtered(self: XTermParser, data: str) -> Iterable[Message]:
    passed, dark = _answers.setdefault(self, BackgroundReplies()).feed(data) if data else (data, [])
    yield from (BackgroundDetected(one) for one in dark)
    if passed or not data:  # an empty string means end of input
        yield from bracketed_paste.filtered(self, passed)


def install() -> None:
    """Install this filter, followed by the one for pastes, in front of Textual's input parser."""
    bracketed_paste.accept_any_bytes()
    XTermParser.feed = _filtered  # type: ignore[method-assign]
    XTermParser.tick = bracketed_paste.ticked  # type: ignore[method-assign,assignment]
