"""Logging of requests, responses and timings under "modelbay", without secrets.

One line per request and one per response, none for the chunks of a stream. Headers that hold secrets are shown as `…`;
a filter removes all registered secrets.
"""

import logging
from collections.abc import Mapping
from contextvars import ContextVar
from time import perf_counter
from typing import TYPE_CHECKING

from modelbay.credentials.secret import Secret
from modelbay.errors import ModelbayError
from modelbay.events import Event, Failed, Finished
from modelbay.providers.endpoint import Endpoint
from modelbay.secrecy import MASK, redact, secret_header, shown

if TYPE_CHECKING:
    from modelbay.transport import Request

PRIVATE_ANSWERS = frozenset(("set-cookie", "location", "www-authenticate", "openai-organization", "openai-project"))
"""Response headers whose values are hidden, as they name accounts or contain tokens."""


class Redacting(logging.Filter):
    """Removes secrets from every log record, including its traceback. Control characters in its values are escaped: a name
    or an error of a provider must not begin a line of its own, or control a terminal."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(map(_plain, record.args))
        record.msg, record.args = shown(record.getMessage()), None
        if record.exc_info:
            record.exc_text = shown(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None
        return True


LOG = logging.getLogger("modelbay")
REQUEST: ContextVar[str] = ContextVar("modelbay_request", default="")
"""The ID of the client's request that a server answers; "" elsewhere. Servers set it only if they log at level DEBUG."""
LOG.addFilter(Redacting())


def sent(request: "Request", endpoint: Endpoint) -> float:
    """Log a request that is about to be sent. Returns the start time."""
    if LOG.isEnabledFor(logging.DEBUG):
        from modelbay.transport import public

        size = len(request.body) if isinstance(request.body, bytes) else request.length or 0
        headers = _HeaderLines(shown_request(request.headers, endpoint))
        LOG.debug("→ %s %s (%s, %s bytes)%s", request.method, public(request.url), endpoint.provider, size, headers)
    return perf_counter()


def answered(status: int, headers: Mapping[str, str], start: float) -> None:
    if LOG.isEnabledFor(logging.DEBUG):
        LOG.debug("← %s after %.3f s%s", status, perf_counter() - start, _HeaderLines(shown_answer(headers)))


def failed(error: ModelbayError, start: float) -> None:
    LOG.debug("← no response after %.3f s: %s: %s", perf_counter() - start, type(error).__name__, error.message)


def ended(seconds: float, last: Event) -> None:
    """Log the end of a reply, given its duration and its last event."""
    if isinstance(last, Failed):
        how = f"{type(last.error).__name__}: {last.error.message}"
    else:
        how = last.reason if isinstance(last, Finished) else "without a finish reason"
    LOG.debug("the reply ended after %.3f s: %s", seconds, how)


def shown_request(headers: Mapping[str, str], endpoint: Endpoint) -> dict[str, str]:
    """A request's headers for output, without those that the endpoint marks as secret."""
    hidden = {
        name.lower()
        for name, value in endpoint.headers.items()
        if isinstance(value, Secret) and secret_header(name, value.reveal())
    }
    return {name: MASK if name.lower() in hidden else redact(value) for name, value in headers.items()}


def shown_answer(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: MASK if name in PRIVATE_ANSWERS else redact(value) for name, value in headers.items()}


class _HeaderLines:
    """Headers, each on a line of its own."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    def __str__(self) -> str:
        return "".join(f"\n    {escaped(name)}: {escaped(value)}" for name, value in self._headers.items())


def _plain(value: object) -> object:
    return value if isinstance(value, int | float | _HeaderLines) else escaped(str(value))


def escaped(text: str) -> str:
    """A text without control characters and line separators: they are shown as escapes."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )
