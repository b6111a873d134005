"""Fetches documents of third parties, such as manifests and lists, with limits for size and time.

Origins that the user typed or agreed to are trusted. Any other URL must be on the public internet; `transport.fetch` checks
this and follows redirects.
"""

from collections.abc import Collection

from msgspec import Struct

from modelbay.calling.network_client import USER_AGENT, NetworkClient
from modelbay.config.schema import Config
from modelbay.conversation import Json
from modelbay.errors import ModelbayError, SourceError, TransportError
from modelbay.hints import About, explain
from modelbay.json_text import decode
from modelbay.origin import Origin, is_open, origin
from modelbay.protocols.failures import provider_error, summary, text_of
from modelbay.providers.endpoint import Endpoint
from modelbay.secrecy import HiddenBytes, masked_url, register_url

SECONDS = 15.0
"""Time limit for a document in seconds, including redirects."""
BYTES = 16 * 2**20


class FetchedDocument(Struct):
    """A fetched document, with its URL after redirects."""

    url: str
    body: bytes

    @property
    def request(self) -> str:
        """The request that fetched it, for messages."""
        return f"GET {masked_url(self.url)}"


async def fetch(
    client: NetworkClient, url: str, trusted: Collection[Origin], endpoint: Endpoint | None = None
) -> FetchedDocument:
    """Fetch a document. `trusted`: origins that may be in a private network. With an `endpoint`, its API key is sent.

    Raises:
        ModelbayError: it could not be fetched; `status` has an HTTP status such as 401.
    """
    from modelbay import transport

    register_url(url)
    headers = {"Accept": "application/json", "User-Agent": USER_AGENT}
    request = transport.Request(
        "GET", url, headers, limits=transport.Limits(first_byte=SECONDS, idle=SECONDS, reply_bytes=BYTES)
    )
    how = transport.Fetching(trusted=trusted, seconds=SECONDS)
    if endpoint is not None:  # the provider's TLS settings and proxy apply to its documents too
        how.keyed, request.headers = endpoint.origin, endpoint.sent_headers(headers)
        request.tls, request.proxy = endpoint.tls, endpoint.proxy
    trail: list[str] = []
    try:
        found = await transport.fetch(client.transport(), request, how, trail)
    except ModelbayError as error:
        if getattr(error, "too_large", False):
            error.hint = "check the URL: documents of this size are not read"
        if trail and isinstance(error, TransportError):
            error.message = f"redirected to {masked_url(trail[-1])}: {error.message}"
            error.hint = f"if you trust that address, use it as the URL: {masked_url(trail[-1])}"
        raise _of(error, url) from None
    if found.status != 200:
        raise _of(_refused(found.status, found.body), found.url)
    return FetchedDocument(found.url, HiddenBytes(found.body))  # a server may repeat the token that it was sent


def _refused(status: int, body: bytes) -> ModelbayError:
    text = text_of(body[:2000])
    return provider_error(status, summary(text), body=text)


async def without_key(config: Config, url: str) -> Json:
    """The JSON document at a URL that the user typed, requested without an API key; None if there is none."""
    client = NetworkClient(config)
    try:
        return decode((await fetch(client, url, [origin(url)])).body)
    except ModelbayError:
        return None
    finally:
        await client.aclose()


def check_reachable(url: str, trusted: Collection[Origin]) -> None:
    """Check that a URL from a document may be called, judged by its host name alone.

    Raises:
        SourceError: it is local or in a private network, and its origin is not trusted.
    """
    where = origin(url)
    if where not in trusted and not is_open(where):
        raise SourceError(
            f"{where} is local or in a private network",
            hint=f"serve the manifest from {where} too: only then may it name this URL",
        )


def _of(error: ModelbayError, url: str) -> ModelbayError:
    """The error with the method and URL that failed."""
    error.operation, error.request = "fetch", f"GET {masked_url(url)}"
    return explain(error, About())
