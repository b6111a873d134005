"""Fetching what somebody else wrote for us to read: manifests, lists. Capped in size and time.

The origins that the user typed or agreed to are the user's own choice; wherever else an address comes from, it must be on the
open internet. `transport.fetch` sees to that, and to redirects.
"""

from collections.abc import Collection

from msgspec import Struct

from modelbay.config.schema import Config
from modelbay.conversation import Json
from modelbay.errors import ModelbayError, SourceError
from modelbay.hints import About, explain
from modelbay.json_text import decode
from modelbay.line import USER_AGENT, ProviderClient
from modelbay.origin import Origin, is_open, origin
from modelbay.protocols.failures import provider_error, summary, text_of
from modelbay.providers.endpoint import Endpoint
from modelbay.secrecy import HiddenBytes, masked_url, register_url

SECONDS = 15.0
"""For the whole of it, redirects included."""
BYTES = 16 * 2**20


class FetchedDocument(Struct):
    """What was found, and where in the end."""

    url: str
    body: bytes


async def fetch(
    line: ProviderClient, url: str, trusted: Collection[Origin], endpoint: Endpoint | None = None
) -> FetchedDocument:
    """What is at an address. `trusted` are the origins that need not be public; with an `endpoint` its key is sent.

    Raises:
        ModelbayError: it is not to be had; a status of 401 or 403 is in `status`.
    """
    from modelbay import transport

    register_url(url)
    headers = {"Accept": "application/json", "User-Agent": USER_AGENT}
    request = transport.Request(
        "GET", url, headers, limits=transport.Limits(first_byte=SECONDS, idle=SECONDS, reply_bytes=BYTES)
    )
    how = transport.Fetching(trusted=trusted, seconds=SECONDS)
    if endpoint is not None:  # its certificates, and trusting any server, are for there too
        how.keyed, request.headers = endpoint.origin, endpoint.sent_headers(headers)
        request.tls, request.proxy = endpoint.tls, endpoint.proxy
    try:
        found = await transport.fetch(line.transport(), request, how)
    except ModelbayError as error:
        raise _of(error, url) from None
    if found.status != 200:
        raise _of(_refused(found.status, found.body), found.url)
    return FetchedDocument(found.url, HiddenBytes(found.body))  # a server may repeat the token that it was sent


def _refused(status: int, body: bytes) -> ModelbayError:
    text = text_of(body[:2000])
    return provider_error(status, summary(text), body=text)


async def anybodys(config: Config, url: str) -> Json:
    """The JSON at an address that the user typed, as who has no key gets it; None where there is none."""
    line = ProviderClient(config)
    try:
        return decode((await fetch(line, url, [origin(url)])).body)
    except ModelbayError:
        return None
    finally:
        await line.aclose()


def check_reachable(url: str, trusted: Collection[Origin]) -> None:
    """That an address which a document names may be called at all, as far as its words tell.

    Raises:
        ModelbayError: it leads into this machine or its network, and nobody typed that origin.
    """
    where = origin(url)
    if where not in trusted and not is_open(where):
        raise SourceError(
            f"{where} is this machine or in a private network",
            hint=f"a manifest may only name such an address where it is at {where} itself",
        )


def _of(error: ModelbayError, url: str) -> ModelbayError:
    """The error of fetching what is at an address."""
    error.operation, error.request = "fetch", f"GET {masked_url(url)}"
    return explain(error, About())
