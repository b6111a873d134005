"""One line per request: who asked which model of which provider, and how it ended. No content, no keys, no queries."""

import logging
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any

from modelbay.json_text import encode
from modelbay.logs import escaped
from modelbay.secrecy import shown

if TYPE_CHECKING:
    from modelbay.gateway.visit import Visit

LOG = logging.getLogger("modelbay.access")


FIELDS = "modelbay_fields"
"""The attribute of a record that has the fields of a request."""


class JsonLines(logging.Formatter):
    """A JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = getattr(record, FIELDS, None) or {"message": super().format(record)}
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        return encode({"time": when, "level": record.levelname.lower(), **fields}).decode()


class AccessLog:
    def write(self, visit: "Visit") -> None:
        """Log a request that has ended."""
        if not LOG.isEnabledFor(logging.INFO):
            return
        fields = _fields(visit)
        LOG.info("%s", " ".join(f"{name}={_word(value)}" for name, value in fields.items()), extra={FIELDS: fields})


def _fields(visit: "Visit") -> dict[str, Any]:
    exchange = visit.exchange
    target = visit.target
    error = visit.error or (exchange.error if exchange is not None else None)
    succeeded = exchange is not None and exchange.finished
    fields: dict[str, Any] = {
        "request_id": visit.id,
        "client": visit.client or None,
        "method": visit.http.method,
        "path": visit.http.path,
        "status": visit.responder.status or None,
        "outcome": "disconnected"
        if visit.disconnected and not succeeded
        else "failed"
        if error or visit.responder.status >= 400
        else "ok",
        "milliseconds": round((perf_counter() - visit.began) * 1000),
        "bytes": visit.responder.sent,
        "model": target.model.alias or target.model.id if target is not None else None,
        "provider": target.upstream.provider.id if target is not None else None,
        "attempts": exchange.attempts if exchange is not None and target is not None else None,
        "error": shown(f"{type(error).__name__}: {error}") if error is not None else None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _word(value: Any) -> str:
    text = str(value)
    if text and text.isprintable() and not any(character in ' "=' for character in text):
        return text
    return escaped(encode(text).decode())
