"""One line per request: who asked which model of which provider, and how it ended. No content, no keys, no queries."""

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from time import localtime, strftime, time
from typing import Any, Literal

from msgspec import Struct, field

from modelbay.calling.target import Target
from modelbay.gateway.log_stream import LogStream
from modelbay.json_text import encode
from modelbay.logs import REQUEST, escaped
from modelbay.secrecy import shown

LOG = logging.getLogger("modelbay.access")

LAG = 0.1
"""Seconds after which a line for a stream is written."""
LONGEST = 500
"""Characters of a path that are logged."""
FIELDS = "modelbay_fields"
"""The attribute of a record that has the fields of a request."""


class EndedRequest(Struct, gc=False, kw_only=True):
    """A request that has ended."""

    id: str
    method: str
    path: str
    seconds: float
    """How long it took."""
    client: str = ""
    """The name of the client; "" if no key was accepted."""
    status: int = 0
    """0 if the client got no response."""
    disconnected: bool = False
    """Whether the client left before the end."""
    sent: int = 0
    """Bytes of the body of the response."""
    target: Target | None = None
    attempts: int | None = None
    """Attempts of the call; None if it is not a call of a model."""
    error: BaseException | None = None
    at: float = field(default_factory=time)
    """Unix time of the end."""

    def fields(self) -> dict[str, Any]:
        """The fields of its line, apart from the ID."""
        failed = self.error is not None or self.status >= 400
        found: dict[str, Any] = {"client": self.client} if self.client else {}
        found["method"] = self.method
        found["path"] = self.path if len(self.path) <= LONGEST else f"{self.path[:LONGEST]}…"
        if self.status:
            found["status"] = self.status
        found["outcome"] = "disconnected" if self.disconnected else "failed" if failed else "ok"
        found["milliseconds"] = round(self.seconds * 1000)
        found["bytes"] = self.sent
        if self.target is not None:
            found["model"] = self.target.model.alias or self.target.model.id
            found["provider"] = self.target.upstream.provider.id
            if self.attempts is not None:
                found["attempts"] = self.attempts
        if self.error is not None:
            found["error"] = shown(f"{type(self.error).__name__}: {self.error}")
        return found


class TextLines(logging.Formatter):
    """A line per record. Lines about a request have its ID."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        if (id := REQUEST.get()) and not hasattr(record, FIELDS):
            record.message = f"request_id={id} {record.message}"
        return super().formatMessage(record)


class JsonLines(logging.Formatter):
    """A JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] | None = getattr(record, FIELDS, None)
        if fields is None:
            id = REQUEST.get()
            fields = {**({"request_id": id} if id else {}), "message": super().format(record)}
        return _json_line(record.created, record.levelname.lower(), fields)


def _json_line(when: float, level: str, fields: dict[str, Any]) -> str:
    at = datetime.fromtimestamp(when, UTC).isoformat(timespec="milliseconds")
    return encode({"time": at, "level": level, **fields}).decode()


class AccessLog:
    """Logs requests that have ended: to a stream, or with Python's logging, which costs as much as a small request.

    Lines for a stream are written together, a moment later: one by one, they would cost several times as much.
    """

    def __init__(self, stream: LogStream | None = None, form: Literal["text", "json"] = "text") -> None:
        self._stream = stream
        self._json = form == "json"
        self._waiting: list[EndedRequest] = []
        self._timer: asyncio.TimerHandle | None = None
        self._second = 0
        self._clock = ""

    def write(self, ended: EndedRequest) -> None:
        if self._stream is not None:
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(LAG, self.flush)
            self._waiting.append(ended)
        elif LOG.isEnabledFor(logging.INFO):
            fields = ended.fields()
            LOG.info("%s", _words(ended.id, fields), extra={FIELDS: {"request_id": ended.id, **fields}})

    def flush(self) -> None:
        """Write the lines that wait."""
        waiting, self._waiting, self._timer = self._waiting, [], None
        stream = self._stream
        if stream is None:
            return
        with suppress(OSError, ValueError):  # the reader of the log is gone
            stream.write("".join(map(self._line, waiting)))
            stream.flush()
        if stream.waits:
            self._timer = asyncio.get_running_loop().call_later(LAG, self.flush)
        elif stream.dropped:
            LOG.warning("%d lines of the log were dropped: its reader had stopped", stream.dropped)
            stream.dropped = 0

    def _line(self, ended: EndedRequest) -> str:
        at, fields = ended.at, ended.fields()
        if self._json:
            return _json_line(at, "info", {"request_id": ended.id, **fields}) + "\n"
        if int(at) != self._second:
            self._second, self._clock = int(at), strftime("%Y-%m-%d %H:%M:%S", localtime(at))
        return f"{self._clock},{int(at * 1000) % 1000:03} INFO {_words(ended.id, fields)}\n"


def _words(id: str, fields: dict[str, Any]) -> str:
    """The ID and the other fields. The ID is not cached, because no later line has it."""
    words = [f"{name}={value}" if type(value) is int else _pair(name, value) for name, value in fields.items()]
    return f"request_id={id} {' '.join(words)}"


@lru_cache(maxsize=1024)
def _pair(name: str, value: str) -> str:
    if value and value.isprintable() and not any(character in ' "=' for character in value):
        return f"{name}={value}"
    return f"{name}={escaped(encode(value).decode())}"
