"""One line per request: who asked which model of which provider, and how it ended. No content, no keys, no queries."""

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from time import localtime, perf_counter, strftime, time
from typing import TYPE_CHECKING, Any, Literal, TextIO

from modelbay.json_text import encode
from modelbay.logs import REQUEST, escaped
from modelbay.secrecy import shown

if TYPE_CHECKING:
    from modelbay.gateway.visit import Visit

LOG = logging.getLogger("modelbay.access")


LAG = 0.1
"""Seconds after which a line for a stream is written."""
FIELDS = "modelbay_fields"
"""The attribute of a record that has the fields of a request."""


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
    """Lines about requests that have ended, for a stream or for Python's logging, whose cost is that of a small request.

    Lines for a stream are written together, a moment later: each write of one costs more than the line.
    """

    def __init__(self, stream: TextIO | None = None, form: Literal["text", "json"] = "text") -> None:
        self._stream = stream
        self._json = form == "json"
        self._lines: list[str] = []
        self._second = 0
        self._clock = ""

    def write(self, visit: "Visit") -> None:
        """Log a request that has ended."""
        if self._stream is not None:
            if not self._lines:
                asyncio.get_running_loop().call_later(LAG, self.flush)
            self._lines.append(self._line(_fields(visit)))
        elif LOG.isEnabledFor(logging.INFO):
            fields = _fields(visit)
            LOG.info("%s", _words(fields), extra={FIELDS: fields})

    def flush(self) -> None:
        """Write the lines that wait."""
        lines, self._lines = self._lines, []
        if lines and self._stream is not None:
            with suppress(OSError, ValueError):  # the reader of the log is gone
                self._stream.write("".join(lines))
                self._stream.flush()

    def _line(self, fields: dict[str, Any]) -> str:
        now = time()
        if self._json:
            return _json_line(now, "info", fields) + "\n"
        if int(now) != self._second:
            self._second, self._clock = int(now), strftime("%Y-%m-%d %H:%M:%S", localtime(now))
        return f"{self._clock},{int(now * 1000) % 1000:03} INFO {_words(fields)}\n"


def _fields(visit: "Visit") -> dict[str, Any]:
    exchange = visit.exchange
    target = visit.target
    error = visit.error or (exchange.error if exchange is not None else None)
    outcome = "failed" if error or visit.responder.status >= 400 else "ok"
    if visit.disconnected and not (exchange is not None and exchange.finished):
        outcome = "disconnected"
    fields: dict[str, Any] = {"request_id": visit.id}
    if visit.client:
        fields["client"] = visit.client
    fields["method"] = visit.http.head.method
    fields["path"] = visit.http.head.path
    if visit.responder.status:
        fields["status"] = visit.responder.status
    fields["outcome"] = outcome
    fields["milliseconds"] = round((perf_counter() - visit.began) * 1000)
    fields["bytes"] = visit.responder.sent
    if target is not None:
        fields["model"] = target.model.alias or target.model.id
        fields["provider"] = target.upstream.provider.id
        if exchange is not None:
            fields["attempts"] = exchange.attempts
    if error is not None:
        fields["error"] = shown(f"{type(error).__name__}: {error}")
    return fields


def _words(fields: dict[str, Any]) -> str:
    """The ID of the request, which is a word that never occurs again, and the others."""
    words = [
        f"{name}={value}" if type(value) is int else _pair(name, value)
        for name, value in fields.items()
        if name != "request_id"
    ]
    return f"request_id={fields['request_id']} {' '.join(words)}"


@lru_cache(maxsize=1024)
def _pair(name: str, value: str) -> str:
    if value and value.isprintable() and not any(character in ' "=' for character in value):
        return f"{name}={value}"
    return f"{name}={escaped(encode(value).decode())}"
