"""Connections: restricted to public addresses or not, through a proxy or direct, with TLS settings."""

import asyncio
import errno
import os
import socket
import ssl
from contextvars import ContextVar
from typing import Any
from urllib.parse import unquote, urlsplit

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from modelbay.config.schema import Tls
from modelbay.errors import ConfigError
from modelbay.origin import is_public
from modelbay.storage.paths import expanded
from modelbay.transport.failure import ProxyRefused
from modelbay.transport.request import PACKINGS, SOCKS, Limits, is_socks

KEEP_ALIVE = 30.0
"""Seconds an unused connection is kept. Servers close theirs after 5 to 75 s; a call sent at that moment would be lost."""
HEADER_BYTES = 32 * 1024
"""Maximum size of a response header, in bytes. Content security policies exceed aiohttp's default of 8 KiB."""


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
        self._process = os.getpid()

    def __del__(self, *more: Any) -> None:
        if os.getpid() == self._process:  # closing a parent's connections would remove them from its event loop
            super().__del__(*more)

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        PENDING.get().connected(connection)
        return connection


def _public_socket(address: Any) -> socket.socket:
    """A socket for an address that is about to be connected to. Raises PermissionError if it is not public."""
    family, kind, protocol, _, (host, *_) = address
    if not is_public(host):
        raise PermissionError(errno.EPERM, "not a public address")
    return socket.socket(family, kind, protocol)


def open_session(proxy: str | None, tls: Tls | None, public: bool, ca: str | None = None) -> aiohttp.ClientSession:
    security = True if tls is None and ca is None else _context(tls or Tls(), ca)
    options: dict[str, Any] = {"limit": 0, "keepalive_timeout": KEEP_ALIVE, "ssl": security}
    if public:
        options["socket_factory"] = _public_socket
    return aiohttp.ClientSession(
        connector=_socks(proxy, options) if proxy and is_socks(proxy) else _Connector(**options),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "modelbay", "Accept-Encoding": ", ".join(sorted(PACKINGS))},
        skip_auto_headers=("Content-Type",),
        auto_decompress=False,
        max_field_size=HEADER_BYTES,
    )


def _socks(proxy: str, options: dict[str, Any]) -> aiohttp.TCPConnector:
    from aiohttp_socks import ProxyConnectionError, ProxyConnector, ProxyError, ProxyTimeoutError, ProxyType

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
                raise ProxyRefused(
                    str(error) if isinstance(error, ProxyError) else "the connection was closed"
                ) from None

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


def _context(tls: Tls, ca: str | None) -> ssl.SSLContext:
    file = tls.ca
    try:
        context = ssl.create_default_context(cafile=tls.ca and expanded(tls.ca))
        if ca is not None and tls.ca is None:
            file = ca
            context.load_verify_locations(ca)
        if tls.cert is not None:
            file = tls.cert
            key = None if tls.key is None else expanded(tls.key)
            # without an explicit password, OpenSSL would prompt for one on the terminal
            context.load_cert_chain(expanded(tls.cert), key, password="")
    except OSError as error:
        why = "not a valid PEM file" if isinstance(error, ssl.SSLError) else (error.strerror or "unreadable").lower()
        hint = "tls.ca, tls.cert and tls.key must be PEM files; the key must have no password"
        raise ConfigError(f"could not load {file}: {why}", hint=hint) from None
    context.set_alpn_protocols(["http/1.1"])
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
