"""The API key of a client's request, in each place that a client puts it."""

from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote_plus

HEADERS = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
"""The headers that clients of all protocols put their key into. Lower case."""
PARAMETER = "key"
"""The query parameter of Gemini clients."""
_SCHEME = "bearer "


def keys_of(headers: Mapping[str, str], query: str = "") -> list[str]:
    """The keys in a request; usually one. Some agents send a key of their own in one header, and the configured key in another.

    `query`: the query, if a key in it is accepted.
    """
    given = [_bare(headers[name]) for name in HEADERS if name in headers]
    if query:
        given += [value for name, value in parse_qsl(query) if name == PARAMETER]
    return given


def query_without_key(query: str) -> str:
    """The query without keys. The other parameters are unchanged, byte for byte."""
    if not query:
        return query
    return "&".join(part for part in query.split("&") if unquote_plus(part.partition("=")[0]) != PARAMETER)


def _bare(value: str) -> str:
    if value[: len(_SCHEME)].lower() == _SCHEME:
        value = value[len(_SCHEME) :]
    return value.strip()
