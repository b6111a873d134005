"""Reads bracketed pastes and removes their control characters.

Textual reads an escape sequence in a bracketed paste as keys: text is lost, and the next line break acts as Enter, so a paste
could send a message. Textual also reads a paste character by character, which takes 12 seconds for 10 MB.
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
"""Escape sequences and control characters, except tab and line breaks."""


class PasteFilter:
    """Separates pastes from other terminal input. The input may be split at any place."""

    def __init__(self) -> None:
        self.texts: deque[str] = deque()
        """Complete pastes, oldest first."""
        self._inside = False
        self._passed = ""
        """The end of the forwarded input; it may be the start of an opening sequence."""
        self._held = ""
        """The end of the current paste; it may be the start of the closing sequence or of another escape sequence."""
        self._text: list[str] = []
        """The pieces of the current paste."""

    def feed(self, data: str) -> str:
        """Reads the next piece of input. Returns the part for Textual: keys, and the opening and closing sequences of pastes."""
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
            if (last := rest.partition(BEGIN)[0].rfind(END)) >= 0:
                # the pasted text has a closing sequence, which tmux does not remove: the text after it would act as keys
                text, rest = text + rest[:last], rest[last + len(END) :]
            if not closing and (escape := text.rfind("\x1b")) >= len(text) - 32 and escape >= 0:
                text, self._held = text[:escape], text[escape:]
            self._text.append(STEERING.sub("", text))
            self._inside = not closing
            if closing:
                out.append(BEGIN + END)  # if the opening sequence came slowly, Textual read it as keys
                self.texts.append("".join(self._text))
                self._text = []
        return "".join(out)


_feed = XTermParser.feed
_pastes: WeakKeyDictionary[XTermParser, PasteFilter] = WeakKeyDictionary()


def filtered(self: XTermParser, data: str) -> Iterable[Message]:
    pastes = _pastes.setdefault(self, PasteFilter())
    passed = pastes.feed(data) if data else data
    if data and not passed:
        return  # an empty string means end of input
    for event in _feed(self, passed):
        if isinstance(event, events.Paste) and pastes.texts:
            event.text = pastes.texts.popleft()
        yield event


def install() -> None:
    """Installs the filter in front of Textual's input parser."""
    XTermParser.feed = filtered  # type: ignore[method-assign]


def accept_any_bytes() -> None:
    """Replaces bytes that are not UTF-8, as in a pasted file name in Latin-1. Textual's strict decoder ends the app."""
    if sys.platform != "win32":
        from textual.drivers import linux_driver

        setattr(linux_driver, "getincrementaldecoder", _decoder)  # noqa: B010 for mypy the name is an overloaded function


def _decoder(encoding: str) -> Callable[[], IncrementalDecoder]:
    return partial(getincrementaldecoder(encoding), errors="replace")
