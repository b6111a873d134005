"""The usual event of a stream is the one before it with another text. It is recognized by its first and last bytes, and not
decoded.

It leaves the parser in the state in which the event before left it, because they differ in nothing else.
"""

import re

from modelbay.events import Event, PartDelta
from modelbay.protocols.assembly import Assembly

_is_encoded = re.compile(rb'[\x00-\x1f"\\]').search
"""Finds the end of a JSON string, or a character in it that is not written as itself."""
_looks_like_json = re.compile(r"[-\d\[{]|true|false").match
"""Whether a text may be that of a value which is not a string. Its string, if there is one, is then another one of the event."""
_USELESS = 4
"""Maximum frames in a row that fit no later event. Some providers number the events, or fill them up with random characters."""
_NONE = b"\0"
"""Bytes with which no event begins."""


class TextFrame:
    """The bytes around the text of the last event. For a parser whose state does not depend on texts."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._before, self._after = _NONE, b""
        self._begin = self._end = 0
        self._key = self._index = 0
        self._texts: list[str] = []
        """The texts of the part that the event continues."""
        self._useless = 0

    def feed(self, data: bytes) -> list[Event] | None:
        """The events in the next bytes of the stream; None if the parser must read them."""
        if data.startswith(self._before) and data.endswith(self._after):
            text = data[self._begin : self._end]
            if text and _is_encoded(text) is None:
                try:
                    found = text.decode()
                except UnicodeDecodeError:
                    return None
                self._texts.append(found)
                self._useless = 0
                return [PartDelta(self._key, found, self._index)]
        return None

    def learn(self, data: bytes, events: list[Event]) -> None:
        """Find the frame of bytes that the parser has read. They are one whole event, and the parser did nothing but add its text
        if there is one `PartDelta` in `events`."""
        delta = events[0] if len(events) == 1 else None
        if type(delta) is not PartDelta:
            self._before = _NONE
            return
        if data.startswith(self._before) and data.endswith(self._after):
            return  # its text has an escape
        self._before = _NONE
        if self._useless < _USELESS and not delta.logprobs and _looks_like_json(delta.text) is None:
            self._find(data, delta)

    def _find(self, data: bytes, delta: PartDelta) -> None:
        texts = self._assembly.plain_texts(delta.key, delta.index)
        string = b'"%b"' % delta.text.encode("utf-8", "surrogatepass")
        if texts is None or b"\\" in data or data.count(string) != 1:
            return
        before, _, after = data.partition(string)
        self._before, self._after = before + b'"', b'"' + after
        self._begin, self._end = len(self._before), -len(self._after)
        self._key, self._index, self._texts = delta.key, delta.index, texts
        self._useless += 1
