"""Parses Gemini streams: server-sent events, or a JSON array sent piece by piece without `alt=sse`."""

import re

from modelbay.conversation import Provenance
from modelbay.dialect import Dialect
from modelbay.errors import MalformedReply, ReplyError
from modelbay.events import Event
from modelbay.json_text import decode
from modelbay.protocols.failures import unreadable
from modelbay.protocols.google.reply import ReplyReader
from modelbay.protocols.sse import LIMIT, Decoder


def stream_parser(dialect: Dialect, origin: Provenance | None = None) -> "StreamParser":
    return StreamParser(dialect, origin)


class StreamParser:
    def __init__(self, dialect: Dialect, origin: Provenance | None = None) -> None:
        self._reader = ReplyReader(dialect, origin)
        self._start = b""
        self._events: Decoder | None = None
        self._array: ArrayDecoder | None = None

    @property
    def finishing(self) -> bool:
        return self._reader.finishing

    def feed(self, data: bytes) -> list[Event]:
        assembly = self._reader.assembly
        try:
            if self._events is None and self._array is None:
                data = self._choose(data)
            if self._events is not None:
                for _, payload in self._events.feed(data):
                    self._chunk(payload)
            elif self._array is not None:
                for payload in self._array.feed(data):
                    self._chunk(payload)
                if self._array.ended:
                    self._reader.end()
        except ReplyError as error:
            self._reader.fail(error)
        return assembly.take()

    def _choose(self, data: bytes) -> bytes:
        """Detect the framing from the first significant byte."""
        data = (self._start + data).lstrip(b" \t\r\n\xef\xbb\xbf")
        self._start = data
        if data:
            self._start = b""
            if data[:1] in (b"[", b"{"):
                self._array = ArrayDecoder()
            else:
                self._events = Decoder()
        return data

    def close(self) -> list[Event]:
        assembly = self._reader.assembly
        try:
            for _, payload in self._events.close(finished=self.finishing) if self._events is not None else ():
                self._chunk(payload)
        except ReplyError as error:
            self._reader.fail(error)
        if self._array is not None and self._array.cut_off and not assembly.ended and not self.finishing:
            self._reader.fail(MalformedReply("the stream stopped in the middle of a chunk"))
        self._reader.end()
        return assembly.take()

    def _chunk(self, payload: bytes) -> None:
        if self._reader.read_usual(payload):
            return
        payload = payload.strip()
        if not payload or self._reader.assembly.ended:
            return
        if payload == b"[DONE]":  # proxies that send OpenAI's terminator
            self._reader.end()
            return
        try:
            chunk = decode(payload)
        except MalformedReply as error:
            self._reader.fail(unreadable(f"a chunk of the stream is not JSON: {error}", payload))
            return
        self._reader.read(chunk[0] if isinstance(chunk, list) and len(chunk) == 1 else chunk)


class ArrayDecoder:
    """Extracts the objects from `[{…},\\r\\n{…}]` as their bytes arrive; a single object (an error) counts too."""

    _OUTSIDE = re.compile(rb'["{}\[\]]')
    _INSIDE = re.compile(rb'["\\]')

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._at = 0
        """Position up to which the buffer was read."""
        self._start: int | None = None
        """Start of the current object."""
        self._depth = 0
        self._in_string = False
        self.ended = False
        """Whether the array is closed."""

    @property
    def cut_off(self) -> bool:
        return self._start is not None

    def feed(self, data: bytes) -> list[bytes]:
        """The objects completed by `data`, which may be split anywhere.

        Raises:
            MalformedReply: an object exceeds the limit.
        """
        self._buffer += data
        found: list[bytes] = []
        while not self.ended and self._step(found):
            pass
        done = self._start if self._start is not None else self._at
        del self._buffer[:done]
        self._at -= done
        self._start = None if self._start is None else 0
        if len(self._buffer) > self._limit:
            raise MalformedReply(f"a chunk of the stream exceeds {self._limit:,} bytes")
        return found

    def _step(self, found: list[bytes]) -> bool:
        """Move to the next significant byte. Returns False if there is none yet."""
        match = (self._INSIDE if self._in_string else self._OUTSIDE).search(self._buffer, self._at)
        if match is None:
            self._at = len(self._buffer)
            return False
        place, byte = match.start(), match.group()
        if byte == b"\\":
            if place + 1 == len(self._buffer):  # the escaped character has not arrived yet
                self._at = place
                return False
            self._at = place + 2
            return True
        self._at = place + 1
        if byte == b'"':
            self._in_string = not self._in_string
        elif byte in b"{[":
            self._open(byte, place)
        else:
            self._close(found)
        return True

    def _open(self, byte: bytes, place: int) -> None:
        if byte == b"{" and self._start is None:
            self._start, self._depth = place, 0
        if self._start is not None:
            self._depth += 1

    def _close(self, found: list[bytes]) -> None:
        if self._start is None:
            self.ended = True
            return
        self._depth -= 1
        if self._depth == 0:
            found.append(bytes(self._buffer[self._start : self._at]))
            self._start = None
