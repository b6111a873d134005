"""Sends a request once. `routing.retry` decides whether to send it again.

A call always ends: connecting, the first byte and silence after that have time limits. A reply that broke off, could
not be decompressed or grew too large is an error, never a shorter reply. Redirects are not followed, cookies are not
stored, and errors contain no header, query string or password.
"""

import asyncio
import io
from collections.abc import AsyncIterable
from typing import Self

import aiohttp
from msgspec.structs import replace
from yarl import URL

from modelbay.config.proxies import NONE, Proxies
from modelbay.config.schema import Tls
from modelbay.origin import is_open, origin
from modelbay.secrecy import without_frames
from modelbay.transport.connection import PENDING, Pending, open_session
from modelbay.transport.failure import explained, not_public, refused, timed_out
from modelbay.transport.request import Request, check, check_proxy, is_socks
from modelbay.transport.response import Response

DIRECT = Proxies()
LARGE_BODY = 2**20
"""Size in bytes from which a body is passed to aiohttp as a file, so that it is written in pieces."""


class Transport:
    """An HTTP client with a connection pool. Belongs to the event loop it is first used in."""

    def __init__(self, proxies: Proxies = DIRECT, ca: str | None = None, *, offline: bool = False) -> None:
        """Create a transport.

        `proxies` apply to requests that have no proxy of their own; `ca` is the path of a CA bundle to trust in
        addition.
        """
        self.offline = offline
        """Whether `fetch` is forbidden. Calls to providers are not affected."""
        self._proxies = proxies
        self._ca = ca
        self._sessions: dict[tuple[str | None, Tls | None, bool], aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections, including those in use."""
        sessions = list(self._sessions.values())
        self._sessions.clear()
        for session in sessions:
            await session.close()

    def abandon(self) -> None:
        """Drop all connections without closing them. In a forked child they belong to the parent, which still uses
        them."""
        for session in self._sessions.values():
            session.detach()
        self._sessions.clear()

    async def send(self, request: Request) -> Response:
        """Send a request once. Returns when the response headers have arrived, with any status.

        Raises:
            ConfigError: the request is invalid; nothing was sent.
            ConnectFailed, TimedOut, Disconnected: there is no response.
            Redirected: the server answered with a redirect.
            MalformedReply: the response is not HTTP, or uses an unknown compression.
        """
        check(request)
        request = self._routed(request)
        proxy = request.proxy
        # a proxy decides itself where it connects to; direct connections are checked when the socket is created
        session = self._session(proxy, request.tls, request.public and proxy is None)
        call = Pending(request.limits)
        token = PENDING.set(call)
        try:
            async with asyncio.timeout(request.limits.connect) as call.deadline:
                reply = await session.request(
                    request.method,
                    URL(request.url, encoded=request.url.isascii()),
                    data=_payload(request.body),
                    headers=request.headers if request.length is None else _with_length(request),
                    proxy=None if is_socks(proxy) else proxy,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=request.limits.connect),
                )
            response = Response(reply, request, call.connected_at)
            del reply  # its repr contains the whole URL
            call.answered = True
        except TimeoutError:
            raise timed_out("connect" if call.connection is None else "first_byte", request) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise explained(without_frames(error), request, connected=call.connection is not None) from None
        except BaseException as error:  # cancellation, above all
            without_frames(error)  # aiohttp's frames hold the URL and the headers in its own types
            raise
        finally:
            PENDING.reset(token)
            if not call.answered:
                call.abort()
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
        elif request.proxy is None and self._proxies.urls:
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

    def _session(self, proxy: str | None, tls: Tls | None, public: bool) -> aiohttp.ClientSession:
        session = self._sessions.get((proxy, tls, public))
        if session is None:
            session = self._sessions[proxy, tls, public] = open_session(proxy, tls, public, self._ca)
        return session


def _payload(body: bytes | AsyncIterable[bytes] | None) -> bytes | io.BytesIO | AsyncIterable[bytes] | None:
    return io.BytesIO(body) if isinstance(body, bytes) and len(body) >= LARGE_BODY else body


def _with_length(request: Request) -> dict[str, str]:
    """The headers with the length of a body in pieces, which would be sent in chunks otherwise; not all servers read those."""
    return {**request.headers, "Content-Length": str(request.length)}
