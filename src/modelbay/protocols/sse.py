"""Server-sent events, decoded as bytes arrive (WHATWG HTML §9.2), and written.

Bytes are split at LF, CRLF and CR only: U+2028 and its like stay inside data, where `str.splitlines` would cut. A last
event without its blank line still counts, as servers that close right after `[DONE]` leave it so.
"""

from modelbay.errors import MalformedReply

LIMIT = 32 * 1024 * 1024
"""Bytes one event may have: a generated image in base64 fits, an endless line does not."""
LINE = 64
"""What a line of an event counts beside its bytes, so that endless empty ones are too many."""


class Decoder:
    """`feed` gives `(event name, data)` pairs; the name is "" where the server gave none."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._begun = False
        self._between = False
        """Whether the next byte begins an event: nothing is held."""
        self._head, self._head_name = b"data: ", ""
        """What stood before the data of the last event, and its name."""
        self._rest: list[bytes] = []
        self._rest_size = 0
        self._after_cr = False
        self._name = ""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[tuple[str, bytes]]:
        """The events completed by `chunk`, which may be cut anywhere.

        Raises:
            MalformedReply: an event is larger than the limit.
        """
        if self._between and chunk.startswith(self._head):
            # the usual case, quickly: one whole event of one data line, named as the last
            last = len(chunk) - 2
            if chunk.find(b"\n", len(self._head)) == last and chunk[-1] == 10 and 13 not in chunk:
                return [(self._head_name, chunk[len(self._head) : last])]
        if self._after_cr and chunk:
            # the CR ended its line when it came; an LF here is the second half of that line end
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
        self._between = self._begun and not (self._rest_size or self._data or self._name or self._after_cr)
        if self._size + self._rest_size > self._limit:
            self._rest, self._rest_size, self._data, self._size = [], 0, [], 0
            raise MalformedReply(f"one event of the stream has more than {self._limit:,} bytes")
        return events

    def close(self) -> list[tuple[str, bytes]]:
        """The event that was under way when the stream ended."""
        rest = b"".join(self._rest)
        self._rest, self._rest_size = [], 0
        return self._take([rest, b""] if rest else [b""])

    def _take(self, lines: list[bytes]) -> list[tuple[str, bytes]]:
        events = []
        if not self._begun:
            self._begun = True
            lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")  # a byte order mark
        for line in lines:
            if line[:6] == b"data: ":
                self._size += len(line) + (LINE - 6 if self._data else -6)
                self._data.append(line[6:])
                continue
            if not line:
                if self._data:
                    events.append((self._name, b"\n".join(self._data) if len(self._data) > 1 else self._data[0]))
                    self._data = []
                    self._size = 0
                    if self._name != self._head_name:
                        self._head_name = self._name
                        self._head = b"event: %b\ndata: " % self._name.encode() if self._name else b"data: "
                self._name = ""
                continue
            field, _, value = line.partition(b":")
            if value[:1] == b" ":
                value = value[1:]
            if field == b"data":
                self._size += len(value) + (LINE if self._data else 0)
                self._data.append(value)
            elif field == b"event":
                self._name = value.decode("utf-8", "replace")
        return events


def encode(data: bytes, name: str = "") -> bytes:
    """One event. JSON from our encoder has no line ends, so one `data:` line is enough."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data) if name else b"data: %b\n\n" % data
