"""Server-sent events (WHATWG HTML, section 9.2): an incremental decoder, and an encoder.

Bytes are split at LF, CRLF and CR only: U+2028 and similar characters are part of the data, where `str.splitlines`
would split. A last event without a blank line counts too, as some servers close the connection right after `[DONE]`.

Two mistakes of servers are corrected, which by the standard would result in invalid JSON. Events separated by one
newline: a data line that begins a new JSON value after a complete one starts a new event. An object on its own line
without `data:`, or one on each line: proxies write a backend's errors into a stream this way. Google's errors are an array of
one object.
"""

from modelbay.errors import MalformedReply
from modelbay.json_text import decode

LIMIT = 32 * 1024 * 1024
"""Maximum bytes of an event: enough for a generated image in base64, but not for an endless line."""
LINE = 64
"""Bytes counted for each line in addition to its content, so that endless empty lines reach the limit."""


TRIES = 16
"""Maximum attempts per event to parse its lines as a complete value, as each attempt reads all of them."""


class Decoder:
    """An incremental decoder. `feed` returns `(event name, data)` pairs; the name is "" if the server sent none."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._begun = False
        self._between = False
        """Whether the next byte starts an event: nothing is buffered."""
        self._head, self._head_name = b"data: ", ""
        """The bytes before the data of the last event, and its name."""
        self.whole = False
        """Whether the last bytes were one event, of the same name as the one before."""
        self._rest: list[bytes] = []
        self._rest_size = 0
        self._after_cr = False
        self._name = ""
        self._next_name: str | None = None
        """A name after the data: this event's, or the next one's if no blank line separates them."""
        self._data: list[bytes] = []
        self._size = 0
        self._tries = 0
        self._unframed: list[bytes] = []
        """Lines of an object, or an array of objects, without `data:`."""

    def feed(self, chunk: bytes) -> list[tuple[str, bytes]]:
        """The events completed by `chunk`, which may be split anywhere.

        Raises:
            MalformedReply: an event exceeds the limit.
        """
        if self._between and chunk.startswith(self._head):
            # fast path: one complete event with one data line and the same name as the last
            last = len(chunk) - 2
            if chunk.find(b"\n", len(self._head)) == last and chunk[-1] == 10 and 13 not in chunk:
                self.whole = True
                return [(self._head_name, chunk[len(self._head) : last])]
        self.whole = False
        if self._after_cr and chunk:
            # the CR already ended its line; an LF here belongs to it
            self._after_cr = False
            if chunk[0] == 10:
                chunk = chunk[1:]
        if b"\r" in chunk:
            self._after_cr = chunk[-1] == 13
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        events: list[tuple[str, bytes]] = []
        if b"\n" in chunk:
            if self._rest_size:
                chunk = b"".join([*self._rest, chunk])
            lines = chunk.split(b"\n")
            rest = lines.pop()
            self._rest, self._rest_size = [rest], len(rest)
            events = self._take(lines)
        else:
            self._rest.append(chunk)
            self._rest_size += len(chunk)
        self._between = self._begun and not (
            self._rest_size or self._data or self._name or self._after_cr or self._unframed
        )
        if self._size + self._rest_size > self._limit:
            self._rest, self._rest_size, self._data, self._size, self._unframed = [], 0, [], 0, []
            raise MalformedReply(f"an event of the stream exceeds {self._limit:,} bytes")
        return events

    def close(self, *, finished: bool = False) -> list[tuple[str, bytes]]:
        """The incomplete event at the end of the stream, if any. `finished`: whether the reply has its finish reason. An event
        that broke off after it, such as the token usage, does not make it a failure."""
        rest = b"".join(self._rest)
        self._rest, self._rest_size = [], 0
        events = self._take([rest, b""] if rest else [b""])
        return [event for event in events if _is_whole(event[1])] if finished else events

    def _take(self, lines: list[bytes]) -> list[tuple[str, bytes]]:
        events: list[tuple[str, bytes]] = []
        if not self._begun:
            self._begun = True
            lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")  # a byte order mark
        for line in lines:
            if line[:6] == b"data: ":
                self._add(line[6:], events)
            elif not line:
                self._end(events)
            elif self._unframed or (line.startswith((b"{", b"[{")) and not self._data):
                if self._unframed and line[:1] == b"{" and self._tries < TRIES:
                    self._tries += 1
                    if _is_whole(b"\n".join(self._unframed)):  # an object on each line
                        self._end_unframed(events)
                self._unframed.append(line)
                self._size += len(line) + LINE
            else:
                field, _, value = line.partition(b":")
                if value[:1] == b" ":
                    value = value[1:]
                if field == b"data":
                    self._add(value, events)
                elif field == b"event":
                    name = value.decode("utf-8", "replace")
                    if self._data:
                        self._next_name = name
                    else:
                        self._name = name
        return events

    def _add(self, value: bytes, events: list[tuple[str, bytes]]) -> None:
        """Add a data line."""
        if self._unframed:
            self._end_unframed(events)
        if not self._data:
            self._size += len(value)
        elif self._is_next(value):
            self._emit(self._name, events)
            self._name = self._next_name or ""
            self._next_name = None
            self._size = len(value)
            if value == b"[DONE]":  # the last one; such a server may keep the connection open after it
                events.append((self._name, value))
                self._name, self._size = "", 0
                return
        else:
            self._size += len(value) + LINE
        self._data.append(value)

    def _is_next(self, value: bytes) -> bool:
        """Whether a data line begins the next event, because the data before it is a complete JSON value."""
        if value[:1] not in b"{[" or not value or self._data[-1].rstrip()[-1:] not in (b"}", b"]"):
            return False
        self._tries += 1
        if self._tries > TRIES:
            return False
        try:
            decode(b"\n".join(self._data))
        except MalformedReply:
            return False
        return True

    def _end(self, events: list[tuple[str, bytes]]) -> None:
        """End an event at a blank line."""
        if self._unframed:
            self._end_unframed(events)
        if self._data:
            name = self._name if self._next_name is None else self._next_name
            if name != self._head_name:
                self._head_name = name
                self._head = b"event: %b\ndata: " % name.encode() if name else b"data: "
            self._emit(name, events)
        self._name, self._next_name = "", None

    def _emit(self, name: str, events: list[tuple[str, bytes]]) -> None:
        events.append((name, b"\n".join(self._data) if len(self._data) > 1 else self._data[0]))
        self._data = []
        self._size = self._tries = 0

    def _end_unframed(self, events: list[tuple[str, bytes]]) -> None:
        lines, self._unframed, self._tries = self._unframed, [], 0
        self._size -= sum(len(line) + LINE for line in lines)
        try:
            found = decode(text := b"\n".join(lines))
        except MalformedReply:
            return
        if isinstance(found, dict | list):
            events.append((self._name, text))


def encode(data: bytes, name: str = "") -> bytes:
    """Encode one event. Our JSON encoder writes no line breaks, so a single `data:` line is enough."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data) if name else b"data: %b\n\n" % data


def _is_whole(payload: bytes) -> bool:
    """Whether the data of an event did not break off."""
    try:
        decode(payload)
    except MalformedReply:
        return payload.strip() in (b"", b"[DONE]")
    return True
