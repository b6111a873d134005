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
from time import monotonic
from weakref import WeakKeyDictionary

from textual import events
from textual._xterm_parser import XTermParser
from textual.message import Message

BEGIN, END = "\x1b[200~", "\x1b[201~"
STEERING = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-_]?|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f]")
"""Escape sequences and control characters, except tab and line breaks."""


QUIET = 0.05
"""Seconds without input after which a paste has ended. Its text may contain the closing sequence, which tmux does not remove."""


class PasteFilter:
    """Separates pastes from other terminal input. The input may be split at any place.

    Input that follows a closing sequence at once is held: it belongs to the paste if another closing or opening sequence follows,
    which may be in the text of the paste, and is keys otherwise.
    """

    def __init__(self) -> None:
        self.texts: deque[str] = deque()
        """Complete pastes, oldest first."""
        self._inside = self._after = False
        """Whether the input is in a paste, or directly after one."""
        self._last = 0.0
        """Time of the last input."""
        self._passed = ""
        """The end of the forwarded input; it may be the start of an opening sequence."""
        self._held = ""
        """The end of the current paste, or of the input after it; it may be the start of a sequence."""
        self._text: list[str] = []
        """The pieces of the current paste, or of the input after it."""

    def feed(self, data: str) -> str:
        """Read the next piece of input. Returns the part for Textual: keys, and the opening and closing sequences of pastes."""
        if self._after and self._is_quiet():
            self._after, self._held, self._text = False, "".join([*self._text, self._held]), []
        self._last = monotonic()
        out: list[str] = []
        rest = self._held + data
        self._held = ""
        while rest:
            if self._inside:
                rest = self._in_paste(rest, out)
            elif self._after:
                rest = self._after_paste(rest, out)
            else:
                at = (self._passed + rest).find(BEGIN)
                end = len(rest) if at < 0 else at + len(BEGIN) - len(self._passed)
                out.append(rest[:end])
                self._passed = "" if at >= 0 else (self._passed + rest)[-(len(BEGIN) - 1) :]
                self._inside, rest = at >= 0, rest[end:]
        return "".join(out)

    def settled(self) -> str:
        """The keys after a paste, once no more input follows."""
        return self.feed("") if self._after and self._is_quiet() else ""

    def _is_quiet(self) -> bool:
        return monotonic() - self._last >= QUIET

    def _in_paste(self, rest: str, out: list[str]) -> str:
        text, closing, rest = rest.partition(END)
        if not closing and (escape := text.rfind("\x1b")) >= len(text) - 32 and escape >= 0:
            text, self._held = text[:escape], text[escape:]
        self._text.append(STEERING.sub("", text))
        if closing:
            self._close("".join(self._text), out)
        return rest

    def _after_paste(self, rest: str, out: list[str]) -> str:
        begin, end = rest.find(BEGIN), rest.find(END)
        if end >= 0 and not 0 <= begin < end:
            self._close(STEERING.sub("", "".join([*self._text, rest[:end]])), out)
            return rest[end + len(END) :]
        if begin >= 0:
            if between := STEERING.sub("", "".join([*self._text, rest[:begin]])):
                self._close(between, out)
            self._after, self._text = False, []
            return rest[begin:]
        at = max(len(rest) - len(END) + 1, 0)
        self._text.append(rest[:at])
        self._held = rest[at:]
        return ""

    def _close(self, text: str, out: list[str]) -> None:
        out.append(BEGIN + END)  # if the opening sequence came slowly, Textual read it as keys
        self.texts.append(text)
        self._inside, self._after, self._text = False, True, []


_feed, _tick = XTermParser.feed, XTermParser.tick
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


def ticked(self: XTermParser) -> Iterable[Message]:
    """End the wait for the rest of a paste. Textual calls it whenever it has read, and ten times a second."""
    yield from _tick(self)
    if (pastes := _pastes.get(self)) is not None and (keys := pastes.settled()):
        yield from _feed(self, keys)


def accept_any_bytes() -> None:
    """Replace bytes that are not UTF-8, such as those of a pasted file name in Latin-1. Textual's strict decoder ends the app."""
    if sys.platform != "win32":
        from textual.drivers import linux_driver

        setattr(linux_driver, "getincrementaldecoder", _decoder)  # noqa: B010 for mypy the name is an overloaded function


def _decoder(encoding: str) -> Callable[[], IncrementalDecoder]:
    return partial(getincrementaldecoder(encoding), errors="replace")
