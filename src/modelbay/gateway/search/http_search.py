"""Calls the HTTP API of a search back end, as its row says."""

from typing import Any
from urllib.parse import urlencode

from modelbay.config.schema import SearchSettings
from modelbay.conversation import Json
from modelbay.errors import MalformedReply, ModelbayError
from modelbay.gateway.search.found_pages import EXTRACT, page_of
from modelbay.json_text import decode, encode
from modelbay.protocols.hosted_search import ErrorCode, FoundPage, HostedSearch
from modelbay.protocols.shapes import objects
from modelbay.providers.search_backends import SearchBackend, SearchEndpoint, search_backends
from modelbay.transport import Limits, Request, Transport

REPLY_BYTES = 4 * 2**20
"""Maximum size of a reply of a search back end."""


class SearchFailed(Exception):
    """A search has no result. `code` is for the model and the client; the message, for the log, has no secrets."""

    def __init__(self, message: str, code: ErrorCode = "unavailable", *, rejected: bool = False) -> None:
        super().__init__(message)
        self.code: ErrorCode = code
        self.rejected = rejected
        """Whether the API key was rejected."""


def limits_of(seconds: float) -> Limits:
    """Limits for a call of a back end. The time limit of the whole search is the caller's."""
    return Limits(connect=seconds, first_byte=seconds, idle=seconds, reply_bytes=REPLY_BYTES, stream_bytes=REPLY_BYTES)


async def search_http(
    transport: Transport,
    endpoint: SearchEndpoint,
    settings: SearchSettings,
    query: str,
    hosted: HostedSearch,
    most: int,
) -> list[FoundPage]:
    """The pages that a back end finds.

    Raises:
        SearchFailed: there is no usable reply.
    """
    row = search_backends()[settings.backend]
    if row.longest and len(query) > row.longest:
        raise SearchFailed(
            f"the query has {len(query)} characters; at most {row.longest} are allowed", "query_too_long"
        )
    request = _request(row, endpoint, _parameters(row, query, hosted, most), limits_of(settings.timeout))
    try:
        async with await transport.send(request) as response:
            body = await response.read()
            status = response.status
        if status >= 400:
            raise failure(status, f"{request.method} {response.url}")
        reply = decode(body)
    except MalformedReply as error:
        raise SearchFailed(f"{request.method} {endpoint.origin}: the reply is not JSON: {error.message}") from None
    except ModelbayError as error:
        raise SearchFailed(error.message) from None
    items = _at(reply, row.results)
    return [page for item in objects(items) if (page := page_of(item, row.text, row.age)) is not None]


def failure(status: int, what: str) -> SearchFailed:
    """The failure that an HTTP status reports. `what`: method and URL."""
    message = f"{what} returned {status}"
    if status == 429:
        return SearchFailed(message, "too_many_requests")
    if status in (401, 403):
        return SearchFailed(
            f"{message}: the API key was rejected, or the service does not allow this form", rejected=True
        )
    return SearchFailed(message, "query_too_long" if status == 414 else "unavailable")


def _parameters(row: SearchBackend, query: str, hosted: HostedSearch, most: int) -> dict[str, Any]:
    found: dict[str, Any] = dict(row.fixed)
    _set(found, row.query, _with_operators(query, hosted, row) if row.operators else query)
    _set(found, row.count, min(most, row.most) if row.most else most)
    _set(found, row.allowed, [domain.partition("/")[0] for domain in hosted.allowed_domains])
    if not hosted.allowed_domains:
        _set(found, row.blocked, [domain for domain in hosted.blocked_domains if "/" not in domain])
    country = (hosted.location.country or "").upper() if hosted.location is not None else ""
    if not row.countries or country in row.countries:  # another one would be an error
        _set(found, row.country, country)
    _set(found, row.length, EXTRACT[hosted.size])
    return found


def _with_operators(query: str, hosted: HostedSearch, row: SearchBackend) -> str:
    """The query with the client's domains as operators, as far as they fit. All results are filtered anyway."""
    wanted = " OR ".join(f"site:{domain}" for domain in hosted.allowed_domains)
    others = [f"-site:{domain}" for domain in hosted.blocked_domains]
    for extra in (wanted, *others):
        longer = f"{query} {extra}".rstrip()
        if not row.longest or len(longer) <= row.longest:
            query = longer
    return query


def _set(fields: dict[str, Any], place: str, value: Json) -> None:
    """Set a member, with the objects around it."""
    if not place or value in (None, [], ""):
        return
    *outer, name = place.split(".")
    for step in outer:
        fields = fields.setdefault(step, {})
    fields[name] = value


def _at(value: Json, place: str) -> Json:
    for step in place.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _request(row: SearchBackend, endpoint: SearchEndpoint, fields: dict[str, Any], limits: Limits) -> Request:
    headers = {"Accept": "application/json", "User-Agent": "modelbay", **endpoint.headers}
    if row.method == "POST":
        posted = {"Content-Type": "application/json", **headers}
        return Request("POST", endpoint.url, posted, encode(fields), limits)
    mark = "&" if "?" in endpoint.url else "?"
    return Request("GET", f"{endpoint.url}{mark}{urlencode(fields)}", headers, None, limits)
