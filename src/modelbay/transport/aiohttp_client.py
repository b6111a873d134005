"""Calls through proxies, by aiohttp. All others are made by `direct`; this module is imported with the first proxy."""

import asyncio
import atexit
import io
import os
from collections.abc import AsyncIterable
from contextvars import ContextVar
from typing import Any
from urllib.parse import unquote, urlsplit
from weakref import WeakSet

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from aiohttp_socks import ProxyConnectionError, ProxyConnector, ProxyError, ProxyTimeoutError, ProxyType
from yarl import URL

from modelbay.errors import ModelbayError
from modelbay.secrecy import without_frames
from modelbay.transport.aiohttp_response import AiohttpResponse
from modelbay.transport.failure import NotHttp, ProxyRefused, explained, timed_out
from modelbay.transport.http_connection import HEADER_BYTES
from modelbay.transport.pool import KEEP_ALIVE
from modelbay.transport.request import ACCEPTED, SOCKS, Limits, Request, is_socks
from modelbay.transport.tls import TlsContexts

LARGE_BODY = 2**20
"""Size in bytes from which a body is passed to aiohttp as a file, so that it is written in pieces."""


class Pending:
    """A call until its response headers arrive: the connection to abort on failure, and the deadline."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.deadline: asyncio.Timeout
        self.connection: asyncio.Transport | None = None
        self.connected_at = 0.0
        self.answered = False

    def connected(self, connection: Connection) -> None:
        self.connection = connection.transport
        self.connected_at = asyncio.get_running_loop().time()
        if not self.deadline.expired():
            self.deadline.reschedule(self.connected_at + self.limits.first_byte)

    def abort(self) -> None:
        """Abort the connection. aiohttp's `close` waits until the whole request has been sent."""
        if self.connection is not None:
            self.connection.abort()


PENDING: ContextVar[Pending] = ContextVar("call")


class _Connector(aiohttp.TCPConnector):
    """Reports to the pending call when it is connected, so that connecting has a time limit of its own."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._process: int | None = os.getpid()

    def abandon(self) -> None:
        """Leave the connections open when this is deleted."""
        self._process = None

    def __del__(self, *more: Any) -> None:
        if os.getpid() == self._process:  # closing a parent's connections would remove them from its event loop
            super().__del__(*more)

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        PENDING.get().connected(connection)
        return connection


class _Refused(aiohttp.ClientError):
    """A SOCKS proxy refused to connect, or the server is not one."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        words = str(error) if isinstance(error, ProxyError) else "the connection was closed"
        self.reason = ProxyRefused(words, password="authentication" in words.lower())


class AiohttpClient:
    """Sends calls through proxies. Has a session for each proxy."""

    def __init__(self, contexts: TlsContexts) -> None:
        self._contexts = contexts
        self._sessions: dict[str | None, aiohttp.ClientSession] = {}
        _clients.add(self)

    async def aclose(self) -> None:
        sessions = list(self._sessions.values())
        self._sessions.clear()
        for session in sessions:
            await session.close()

    def abandon(self) -> None:
        sessions = list(self._sessions.values())
        self._sessions.clear()
        for session in sessions:
            if isinstance(session.connector, _Connector):
                session.connector.abandon()
            session.detach()

    async def send(self, request: Request) -> AiohttpResponse:
        """Send a valid request once. Raises what `Transport.send` raises."""
        proxy = request.proxy
        session, context = self._session(proxy), self._contexts.of(request.tls)
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
                    ssl=context,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=request.limits.connect),
                )
            response = AiohttpResponse(reply, request, call.connected_at)
            del reply  # its repr contains the whole URL
            call.answered = True
        except TimeoutError:
            raise timed_out("connect" if call.connection is None else "first_byte", request) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _explained(without_frames(error), request, connected=call.connection is not None) from None
        except BaseException as error:  # cancellation, above all
            without_frames(error)  # aiohttp's frames hold the URL and the headers in its own types
            raise
        finally:
            PENDING.reset(token)
            if not call.answered:
                call.abort()
        return response

    def _session(self, proxy: str | None) -> aiohttp.ClientSession:
        session = self._sessions.get(proxy)
        if session is None:
            options: dict[str, Any] = {"limit": 0, "keepalive_timeout": KEEP_ALIVE}
            session = self._sessions[proxy] = aiohttp.ClientSession(
                connector=_socks(proxy, options) if proxy and is_socks(proxy) else _Connector(**options),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=ACCEPTED,
                skip_auto_headers=("Content-Type",),
                auto_decompress=False,
                max_field_size=HEADER_BYTES,
            )
        return session


_clients: WeakSet[AiohttpClient] = WeakSet()


def _abandon_all() -> None:
    """Drop the sessions of hubs that are open when the program ends. Otherwise aiohttp reports on stderr that they are not closed.
    Calls in progress, which daemon threads wait for, keep their connections."""
    for client in list(_clients):
        client.abandon()


atexit.register(_abandon_all)


def _explained(error: Exception, request: Request, *, connected: bool) -> ModelbayError:
    """The error for a request without a response. aiohttp's messages quote URLs, headers and what the server sent."""
    reason: Exception = error
    if isinstance(error, _Refused):
        reason = error.reason
    elif isinstance(error, aiohttp.ClientHttpProxyError):
        reason = ProxyRefused(f"it answered {error.status}", password=error.status == 407)
    elif isinstance(error, aiohttp.ClientResponseError):
        reason = NotHttp(large=error.message.startswith(("Got more", "Too many")))
    return explained(reason, request, connected=connected, of_proxy=_is_of_proxy(error, request))


def _is_of_proxy(error: Exception, request: Request) -> bool:
    """Whether the connection to the proxy itself failed."""
    if request.proxy is None or not isinstance(error, aiohttp.ClientConnectorError):
        return False
    proxy = urlsplit(request.proxy)
    return isinstance(error, aiohttp.ClientProxyConnectionError) or (
        proxy.scheme == "https" and (error.host, error.port) == (proxy.hostname, proxy.port or 443)
    )


def _payload(body: bytes | AsyncIterable[bytes] | None) -> bytes | io.BytesIO | AsyncIterable[bytes] | None:
    return io.BytesIO(body) if isinstance(body, bytes) and len(body) >= LARGE_BODY else body


def _with_length(request: Request) -> dict[str, str]:
    """The headers with the length of a body in pieces, which would be sent in chunks otherwise; not all servers read those."""
    return {**request.headers, "Content-Length": str(request.length)}


def _socks(proxy: str, options: dict[str, Any]) -> aiohttp.TCPConnector:
    class SocksConnector(_Connector, ProxyConnector):
        async def connect(
            self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
        ) -> Connection:
            try:
                return await super().connect(req, traces, timeout)
            except ProxyTimeoutError:
                raise TimeoutError from None
            except ProxyConnectionError as error:
                raise aiohttp.ClientOSError from error
            except (ProxyError, EOFError) as error:
                raise _Refused(error) from None

    parts = urlsplit(proxy)
    return SocksConnector(
        host=parts.hostname or "",
        port=parts.port or 1080,
        proxy_type=ProxyType.SOCKS4 if parts.scheme.startswith("socks4") else ProxyType.SOCKS5,
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        rdns=SOCKS[parts.scheme],
        **options,
    )
