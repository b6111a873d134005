"""Sends a request once. `routing.retry` decides whether to send it again.

A call always ends: connecting, the first byte and silence after that have time limits. A reply that broke off, could
not be decompressed or grew too large is an error, never a shorter reply. Redirects are not followed, cookies are not
stored, and errors contain no header, query string or password.

Calls are made by `direct`, those through a proxy by `aiohttp_client`.
"""

from asyncio import to_thread
from importlib import import_module
from typing import TYPE_CHECKING, Self

from msgspec.structs import replace

from modelbay.config.proxies import NONE, Proxies
from modelbay.origin import is_open, origin
from modelbay.transport.direct import DirectClient, DirectResponse
from modelbay.transport.failure import not_public, refused
from modelbay.transport.request import Head, Request, check_proxy
from modelbay.transport.response import Response
from modelbay.transport.tls import TlsContexts

if TYPE_CHECKING:  # aiohttp is imported only when a proxy is used
    from modelbay.transport.aiohttp_client import AiohttpClient

DIRECT = Proxies()


class Transport:
    """An HTTP client with a connection pool. Belongs to the event loop it is first used in."""

    def __init__(self, proxies: Proxies = DIRECT, ca: str | None = None, *, offline: bool = False) -> None:
        """Create a transport.

        `proxies` apply to requests that have no proxy of their own; `ca` is the path of a CA bundle to trust in
        addition.
        """
        self.offline = offline
        """Whether `fetch` is forbidden. Calls to providers are not affected."""
        self._proxies = proxies if proxies.urls else None
        self._contexts = TlsContexts(ca)
        self._direct: DirectClient | None = None
        self._proxied: AiohttpClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections, including those in use."""
        direct, self._direct = self._direct, None
        proxied, self._proxied = self._proxied, None
        if direct is not None:
            await direct.aclose()
        if proxied is not None:
            await proxied.aclose()

    def abandon(self) -> None:
        """Drop all connections without closing them. In a forked child they belong to the parent, which still uses
        them."""
        if self._direct is not None:
            self._direct.abandon()
        if self._proxied is not None:
            self._proxied.abandon()
        self._direct = self._proxied = None

    def begin(self, request: Request) -> DirectResponse | None:
        """Send a request at once; None if `send` must do it, which may wait for a connection. The result is for `send`, unless
        its caller needs no more than a reply that has arrived completely."""
        if self._direct is None or self._proxies is not None or request.proxy is not None:
            return None
        return self._direct.begin(request) if request.head is not None and request.head.fits(request) else None

    async def send(self, request: Request, begun: DirectResponse | None = None) -> Response:
        """Send a request once. Returns when the response headers have arrived, with any status. `begun`: the result of `begin`
        for it.

        Raises:
            ConfigError: the request is invalid; nothing was sent.
            ConnectFailed, TimedOut, Disconnected: there is no response.
            Redirected: the server answered with a redirect.
            MalformedReply: the response is not HTTP, or uses an unknown compression.
        """
        if request.head is None or not request.head.fits(request):
            request = replace(request, head=Head(request))
        if request.proxy is not None or self._proxies is not None:
            request = self._routed(request)
        response: Response
        if begun is not None and self._direct is not None:
            response = await self._direct.send(request, begun)
        else:
            client = await self._client(request)
            response = await client.send(request)
        if failure := refused(response.status, response.headers, request):
            await response.aclose()
            raise failure
        return response

    def _routed(self, request: Request) -> Request:
        """The request with the proxy to use for it.

        Raises:
            ConfigError: the proxy's URL is invalid.
            ConnectFailed: the address is not public, and the proxy would connect to it anyway.
        """
        if request.proxy == NONE:
            request = replace(request, proxy=None)
        elif request.proxy is None and self._proxies is not None:
            found = self._proxies.of(origin(request.url))
            if found is not None:
                request = replace(request, proxy=found.url, proxy_setting=found.setting)
        if request.proxy is not None:
            check_proxy(request)
            if request.public and not is_open(origin(request.url)):
                raise not_public(request)
            if origin(request.url).link_local:
                request = replace(request, proxy=None)
        return request

    async def _client(self, request: Request) -> "DirectClient | AiohttpClient":
        if request.proxy is not None:
            return await self._through_proxy()
        if self._direct is None:
            self._direct = DirectClient(self._contexts)
        return self._direct

    async def _through_proxy(self) -> "AiohttpClient":
        if self._proxied is None:
            # aiohttp takes a second to import from a slow disk
            module = await to_thread(import_module, "modelbay.transport.aiohttp_client")
            self._proxied = self._proxied or module.AiohttpClient(self._contexts)
        return self._proxied
