"""Downloads documents: manifests, model lists, media. The only place that follows redirects.

- Credentials are not sent to another origin: it gets `PLAIN` headers only and no client certificate.
- A redirect from https to http, or to a URL with a user or password, is not followed.
- The number of redirects, the size and the total time are limited.
- A URL that does not come from the user must be a public address, and so must every redirect.
- With `offline` in `[network]`, nothing is downloaded.
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
    """A response that is not a redirect, of any status, and the URL it finally came from."""

    url: str
    status: int
    headers: dict[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"<Fetched {self.status} {public(self.url)}>"  # a server may repeat what it was sent

    def __rich_repr__(self) -> list[tuple[str, int | str]]:
        return [("status", self.status), ("url", public(self.url))]


class Fetching(Struct, kw_only=True):
    """Options of `fetch`."""

    trusted: Collection[Origin] = ()
    """Origins that the user typed or approved. They may be private addresses."""
    keyed: Origin | None = None
    """Origin that the request's headers and client certificate are meant for. Default: the origin of its URL."""
    seconds: float = 15.0
    redirects: int = REDIRECTS


async def fetch(transport: Transport, request: Request, how: Fetching, trail: list[str] | None = None) -> Fetched:
    """The response to a GET request, after redirects. The URLs of the redirects are appended to `trail`.

    Raises:
        ModelbayError: there is no response, or a redirect must not be followed.
    """
    check_online(transport, request.url)
    keyed = how.keyed or origin(request.url)
    try:
        async with asyncio.timeout(how.seconds):
            return await _followed(transport, request, keyed, how, [] if trail is None else trail)
    except TimeoutError:
        what = f"{public(request.url)} took longer than {how.seconds:g} s"
        raise TimedOut(what, stage="first_byte", hint="try again") from None


def check_online(transport: Transport, url: str) -> None:
    """Check that downloads are allowed.

    Raises:
        ConfigError: `offline` is set in `[network]`.
    """
    if transport.offline:
        hint = "remove `offline = true` from [network] to allow downloads"
        raise ConfigError(f"could not download {public(url)}: offline is set", hint=hint)


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
                error.hint = f"there were {len(trail)} redirects; at most {how.redirects} are followed"
                raise


def _next(url: str, error: Redirected) -> str:
    """The target of a redirect. Raises `error` if it must not be followed."""
    location = error.location or ""
    try:
        after = origin(location)
    except ValueError:
        raise error from None
    if origin(url).scheme == "https" and after.scheme != "https":
        error.hint = "the redirect from https to http is not followed"
        raise final(error)
    if "@" in urlsplit(location).netloc:
        error.hint = "the redirect is not followed: its URL contains a user or password"
        raise final(error)
    return location
