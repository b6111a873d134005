"""The terminal's background color. The terminal is asked for it, and answers at once, late or never (OSC 11).

The answer comes in between what is typed. It is taken out there, in any pieces: a late answer must not land in the composer.
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
"""An answer whose end is missing, behind its first character."""
COLOR = re.compile(r"rgba?:([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})")


class BackgroundDetected(Message):
    """The terminal has answered."""

    def __init__(self, dark: bool) -> None:
        super().__init__()
        self.dark = dark


class BackgroundReplies:
    """Takes answers out of what a terminal sends."""

    def __init__(self) -> None:
        self._held = ""
        """The beginning of an answer, at the end of the last piece."""
        self._passed = False
        """Whether the Escape at its start has been passed on: it may have been a key."""

    def feed(self, data: str) -> tuple[str, list[bool]]:
        """What to pass on of the next piece; and of each answer in it, whether the background is dark."""
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
    """Whether a color as terminals write it (`rgb:1e1e/1e1e/1e1e`) is dark; None if it is not a color."""
    found = COLOR.match(color)
    if found is None:
        return None
    red, green, blue = (int(part, 16) / int("f" * len(part), 16) for part in found.groups())
    return 0.299 * red + 0.587 * green + 0.114 * blue < 0.5


_answers: WeakKeyDictionary[XTermParser, BackgroundReplies] = WeakKeyDictionary()


def _filtered(self: XTermParser, data: str) -> Iterable[Message]:
    passed, dark = _answers.setdefault(self, BackgroundReplies()).feed(data) if data else (data, [])
    yield from (BackgroundDetected(one) for one in dark)
    if passed or not data:  # nothing at all would mean the end of the input
        yield from bracketed_paste.filtered(self, passed)


def install() -> None:
    """Puts this filter, and behind it the one of pastes, before Textual's reader of what a terminal sends."""
    bracketed_paste.accept_any_bytes()
    XTermParser.feed = _filtered  # type: ignore[method-assign]
