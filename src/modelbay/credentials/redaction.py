"""Redaction by value: whatever was made a `Secret` in this process is taken out of texts before anybody sees them.

Names of headers and keys tell only where secrets should be; providers quote keys in their errors, proxies in their pages.
Values are remembered beyond their `Secret`'s life, as an error that quotes one may be shown after everything is closed.
"""

import re
from json.encoder import encode_basestring_ascii
from threading import Lock
from urllib.parse import quote, quote_plus, unquote

MASK = "…"
SHORTEST = 6
"""Characters. What is shorter would be found in words that are no secret, and guessed besides."""
MOST = 10_000
"""Values remembered, the newest. A year of hourly tokens is fewer."""
_SCHEME = re.compile(r"(?:bearer|basic|token|apikey|key) +(?=\S)", re.IGNORECASE)
_SECRET_PARAMETER = re.compile(r"(?:[\w-]*[-_])?(?:key|token|sig|signature|secret|password|auth)", re.IGNORECASE)

_known: dict[str, None] = {}
_longest_first: list[str] | None = []
_lock = Lock()


def register(value: str) -> None:
    """Remembers a secret. Of "Bearer …" and the like only what follows the scheme."""
    global _longest_first  # noqa: PLW0603 one registry for the process, as logs and errors cross everything
    value = value[found.end() :] if (found := _SCHEME.match(value)) else value
    if len(value) < SHORTEST or value in _known:
        return
    with _lock:
        for form in {value, quote(value, safe=""), quote_plus(value), encode_basestring_ascii(value)[1:-1]}:
            _known[form] = None
        while len(_known) > MOST:
            del _known[next(iter(_known))]
        _longest_first = None


def register_url(url: str) -> None:
    """Remembers what is secret in a URL: its password, and parameters that are called keys or tokens."""
    authority = url.partition("://")[2].partition("/")[0].partition("?")[0]
    user, at, _ = authority.rpartition("@")
    if at:
        register(unquote(user.partition(":")[2] or user))
    for parameter in url.partition("?")[2].partition("#")[0].split("&"):
        name, _, value = parameter.partition("=")
        if _SECRET_PARAMETER.fullmatch(name):
            register(unquote(value))


def redact(text: str) -> str:
    """The text without any secret's value."""
    for value in _values():
        if value in text:
            text = text.replace(value, MASK)
    return text


def _values() -> list[str]:
    """Longest first: a secret may begin with another one, whose rest would stay."""
    global _longest_first  # noqa: PLW0603
    values = _longest_first
    if values is None:
        with _lock:
            values = _longest_first = sorted(_known, key=len, reverse=True)
    return values
