"""What happens on the wire, told to Python's logging under "modelbay": requests, answers and times, never a secret.

A line for a request and one for its answer, nothing for the pieces of it; headers that carry secrets are shown as `…`, and
a filter takes out by value what is left.
"""

import logging
from collections.abc import Mapping
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
"""Headers of answers whose values are not shown: they name accounts, or carry tokens."""


class Redacting(logging.Filter):
    """Takes secrets out of every record, its traceback too."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = shown(record.getMessage()), None
        if record.exc_info:
            record.exc_text = shown(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None
        return True


LOG = logging.getLogger("modelbay")
LOG.addFilter(Redacting())


def sent(request: "Request", endpoint: Endpoint) -> float:
    """Tells of a request that goes out now; gives the time."""
    if LOG.isEnabledFor(logging.DEBUG):
        from modelbay.transport import public

        size = len(request.body or b"")
        headers = _lines(shown_request(request.headers, endpoint))
        LOG.debug("→ %s %s (%s, %s bytes)%s", request.method, public(request.url), endpoint.provider, size, headers)
    return perf_counter()


def answered(status: int, headers: Mapping[str, str], start: float) -> None:
    if LOG.isEnabledFor(logging.DEBUG):
        LOG.debug("← %s after %.3f s%s", status, perf_counter() - start, _lines(shown_answer(headers)))


def failed(error: ModelbayError, start: float) -> None:
    LOG.debug("← no answer after %.3f s: %s: %s", perf_counter() - start, type(error).__name__, error.message)


def ended(start: float, last: Event) -> None:
    """Tells of a reply's end, by its last event."""
    if isinstance(last, Failed):
        how = f"{type(last.error).__name__}: {last.error.message}"
    else:
        how = last.reason if isinstance(last, Finished) else "without a word"
    LOG.debug("the reply ended after %.3f s: %s", perf_counter() - start, how)


def shown_request(headers: Mapping[str, str], endpoint: Endpoint) -> dict[str, str]:
    """A request's headers as they may be seen: without those that the endpoint holds as secrets."""
    hidden = {
        name.lower()
        for name, value in endpoint.headers.items()
        if isinstance(value, Secret) and secret_header(name, value.reveal())
    }
    return {name: MASK if name.lower() in hidden else redact(value) for name, value in headers.items()}


def shown_answer(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: MASK if name in PRIVATE_ANSWERS else redact(value) for name, value in headers.items()}


def _lines(headers: Mapping[str, str]) -> str:
    return "".join(f"\n    {name}: {value}" for name, value in headers.items())
