"""Fetching what others wrote for us to read: manifests, lists, media. The one place that follows redirects.

- No credential follows to another origin: there, only `PLAIN` headers and no client certificate are sent.
- An encrypted connection is never left for an open one, and no address with a user or password in it is followed.
- Redirects, bytes and seconds are limited, the seconds for all of it together.
- Where an address came from elsewhere than the user, it must be on the open internet: at every step.
- With `offline` in `[network]`, nothing is fetched.
"""

import asyncio
from collections.abc import Collection
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from modelbay.errors import ConfigError, Redirected, TimedOut
from modelbay.origin import Origin, origin
from modelbay.transport.client import Transport
from modelbay.transport.failure import final
from modelbay.transport.request import Request, public

REDIRECTS = 5
PLAIN = frozenset(("accept", "user-agent"))


class Fetched(Struct):
    """An answer of any status that is not a redirect, and where it came from in the end."""

    url: str
    status: int
    headers: dict[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"<Fetched {self.status} {public(self.url)}>"  # a server may repeat what it was sent

    def __rich_repr__(self) -> list[tuple[str, int | str]]:
        return [("status", self.status), ("url", public(self.url))]


class Fetching(Struct, kw_only=True):
    """How to fetch."""

    trusted: Collection[Origin] = ()
    """Origins that the user typed or agreed to: they need not be public."""
    keyed: Origin | None = None
    """Where the request's own headers and certificates belong; None: the origin of its URL."""
    seconds: float = 15.0
    redirects: int = REDIRECTS


async def fetch(transport: Transport, request: Request, how: Fetching, trail: list[str] | None = None) -> Fetched:
    """The answer to a GET, redirects followed. The addresses of those are noted in `trail`.

    Raises:
        ModelbayError: there is no answer, or the way to it is not to be followed.
    """
    check_online(transport, request.url)
    keyed = how.keyed or origin(request.url)
    try:
        async with asyncio.timeout(how.seconds):
            return await _followed(transport, request, keyed, how, [] if trail is None else trail)
    except TimeoutError:
        what = f"{public(request.url)} took more than {how.seconds:g} s"
        raise TimedOut(what, stage="first_byte", hint="try again") from None


def check_online(transport: Transport, url: str) -> None:
    """
    Raises:
        ConfigError: the configuration says that nothing but a called provider is contacted.
    """
    if transport.offline:
        hint = "remove `offline = true` from [network] to fetch it"
        raise ConfigError(f"offline: {public(url)} is not fetched", hint=hint)


async def _followed(transport: Transport, request: Request, keyed: Origin, how: Fetching, trail: list[str]) -> Fetched:
    url = request.url
    while True:
        where = origin(url)
        step = replace(request, url=url, public=where not in how.trusted)
        if where != keyed:
            step.tls = None
            step.headers = {name: value for name, value in request.headers.items() if name.lower() in PLAIN}
        try:
            async with await transport.send(step) as response:
                return Fetched(url, response.status, response.headers, await response.read())
        except Redirected as error:
            trail.append(error.location or "")
            url = _next(url, error)
            if len(trail) > how.redirects:
                error.hint = f"there were {len(trail)} redirects, of which {how.redirects} are followed"
                raise


def _next(url: str, error: Redirected) -> str:
    """Where an answer points."""
    location = error.location or ""
    try:
        after = origin(location)
    except ValueError:
        raise error from None
    if origin(url).scheme == "https" and after.scheme != "https":
        error.hint = "it leaves an encrypted connection for an open one, and is not followed"
        raise final(error)
    if "@" in urlsplit(location).netloc:
        error.hint = "the address has a user or password in it, and is not followed"
        raise final(error)
    return location
