"""Fetching what somebody else wrote for us to read: manifests, lists. Capped in size and time.

The origins that the user typed or agreed to are the user's own choice. Wherever else an answer or a document points, it must
be on the open internet: not this machine, its network or a cloud's metadata. That is checked when connecting, at every
step. A key goes to the origin it is for, and follows no redirect elsewhere.
"""

import asyncio
from collections.abc import Collection
from urllib.parse import urlsplit

from msgspec import Struct

from modelbay.config.origin import Origin, is_open, origin
from modelbay.conversation import Json
from modelbay.errors import ModelbayError, ProviderError, Redirected, TimedOut
from modelbay.json_text import decode
from modelbay.line import USER_AGENT
from modelbay.protocols.failures import summary, text_of
from modelbay.providers.endpoint import Endpoint
from modelbay.secrecy import register_url

SECONDS = 15.0
"""For the whole of it, redirects included."""
BYTES = 16 * 2**20
REDIRECTS = 3


class Document(Struct):
    """What was found, and where in the end."""

    url: str
    body: bytes


async def fetch(url: str, trusted: Collection[Origin], endpoint: Endpoint | None = None) -> Document:
    """What is at an address. `trusted` are the origins that need not be public; with an `endpoint` its key is sent.

    Raises:
        ModelbayError: it is not to be had; a status of 401 or 403 is in `status`.
    """
    register_url(url)
    try:
        async with asyncio.timeout(SECONDS):
            return await _followed(url, trusted, endpoint)
    except TimeoutError:
        raise TimedOut(f"{_place(url)} took more than {SECONDS:g} s", stage="first_byte") from None


async def anybodys(url: str) -> Json:
    """The JSON at an address that the user typed, as who has no key gets it; None where there is none."""
    try:
        return decode((await fetch(url, [origin(url)])).body)
    except ModelbayError:
        return None


def check_reachable(url: str, trusted: Collection[Origin]) -> None:
    """That an address which a document names may be called at all, as far as its words tell.

    Raises:
        ModelbayError: it leads into this machine or its network, and nobody typed that origin.
    """
    where = origin(url)
    if where not in trusted and not is_open(where):
        raise ModelbayError(
            f"{where} is this machine or in a private network",
            hint=f"a manifest may only name such an address where it is at {where} itself",
        )


async def _followed(url: str, trusted: Collection[Origin], endpoint: Endpoint | None) -> Document:
    from modelbay.transport import Limits, Request, Transport

    limits = Limits(first_byte=SECONDS, idle=SECONDS, reply_bytes=BYTES)
    plain = {"Accept": "application/json", "User-Agent": USER_AGENT}
    async with Transport() as transport:
        for _ in range(REDIRECTS + 1):
            where = origin(url)
            request = Request("GET", url, plain, limits=limits, public=where not in trusted)
            if endpoint is not None:
                request.proxy = endpoint.proxy
                if where == endpoint.origin:  # its certificates, and trusting anybody, are for there too
                    request.tls, request.headers = endpoint.tls, endpoint.sent_headers(plain)
            try:
                async with await transport.send(request) as response:
                    body = await response.read()
            except Redirected as error:
                url = _next(url, error)
                continue
            if response.status != 200:
                message = f"{_place(url)} answered {response.status}: {summary(text_of(body[:2000]))}"
                raise ProviderError(message, status=response.status)
            return Document(url, body)
    raise ProviderError(f"{_place(url)} was reached by {REDIRECTS} redirects, and points elsewhere again")


def _next(url: str, error: Redirected) -> str:
    """Where an answer points. An encrypted connection is not left for an open one."""
    try:
        after = origin(error.location or "")
    except ValueError:
        raise error from None
    if origin(url).scheme == "https" and after.scheme != "https":
        error.hint = "it leaves an encrypted connection for an open one"
        raise error
    return error.location or ""


def _place(url: str) -> str:
    return f"{origin(url)}{urlsplit(url).path}"
