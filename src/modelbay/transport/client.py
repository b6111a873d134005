"""Sends a call, once. Whether to send it again is decided by `routing.retry`.

A call ends in bounded time: there are limits for reaching the server, for its first byte, and for silence after that.
It ends with the truth: a reply that broke off, did not unpack or grew too large is an error, never a shorter reply.
Redirects are not followed, cookies are not kept, and no error quotes a header, a query or a password.
"""

import asyncio
import io
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
"""From here on a body is handed over as a file, so that it is written piece by piece."""


class Transport:
    """Sends requests over connections that it keeps. Belongs to the event loop that it is first used in."""

    def __init__(self, proxies: Proxies = DIRECT, ca: str | None = None, *, offline: bool = False) -> None:
        """`proxies` are for requests without a proxy of their own; `ca`: a file with more authorities to trust."""
        self.offline = offline
        """Nothing may be fetched; to call a provider is another thing."""
        self._proxies = proxies
        self._ca = ca
        self._sessions: dict[tuple[str | None, Tls | None, bool], aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection, those in use too."""
        sessions = list(self._sessions.values())
        self._sessions.clear()
        for session in sessions:
            await session.close()

    def abandon(self) -> None:
        """Forget every connection without touching it. In a forked child they are its parent's, who goes on using them."""
        for session in self._sessions.values():
            session.detach()
        self._sessions.clear()

    async def send(self, request: Request) -> Response:
        """Send a request, once, and return when the headers of its answer are here, whatever its status.

        Raises:
            ConfigError: the request cannot be sent as it is; nothing was sent.
            ConnectFailed, TimedOut, Disconnected: no answer came.
            Redirected: the answer points elsewhere.
            MalformedReply: what answered does not speak HTTP, or packs its reply in an unknown way.
        """
        check(request)
        request = self._routed(request)
        proxy = request.proxy
        # what a proxy connects to is for it to say; whom we connect to ourselves is checked when connecting
        session = self._session(proxy, request.tls, request.public and proxy is None)
        call = Pending(request.limits)
        token = PENDING.set(call)
        try:
            async with asyncio.timeout(request.limits.connect) as call.deadline:
                reply = await session.request(
                    request.method,
                    URL(request.url, encoded=request.url.isascii()),
                    data=_payload(request.body),
                    headers=request.headers,
                    proxy=None if is_socks(proxy) else proxy,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=request.limits.connect),
                )
            response = Response(reply, request, call.connected_at)
            del reply  # its repr has the whole URL
            call.answered = True
        except TimeoutError:
            raise timed_out("connect" if call.connection is None else "first_byte", request) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise explained(without_frames(error), request, connected=call.connection is not None) from None
        except BaseException as error:  # a call that is cancelled, above all
            without_frames(error)  # aiohttp's frames have the URL and the headers in types of its own
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
        """The request with the proxy that it goes through.

        Raises:
            ConfigError: that is not a proxy's URL.
            ConnectFailed: the address is not public, and the proxy would connect to it all the same.
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


def _payload(body: bytes | None) -> bytes | io.BytesIO | None:
    return io.BytesIO(body) if body is not None and len(body) >= LARGE_BODY else body
