"""The only file that sends HTTP: one call, sent once. Whether to send it again is for `routing.retry` to say.

A call ends in bounded time: three limits stand for reaching the server, for its first byte, and for silence after that.
It ends with the truth: a reply that broke off, did not unpack or grew too large is an error, never a shorter reply.
And what it knows stays where it belongs: redirects are not followed, cookies not kept, the environment's proxies not
used, and no error tells a header, a query or a password.
"""

import asyncio
import errno
import io
import os
import re
import socket
import ssl
import zlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self, TypeVar
from urllib.parse import unquote, urljoin, urlsplit

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from msgspec import Struct, field
from yarl import URL

from modelbay.config.origin import is_public
from modelbay.config.schema import Tls
from modelbay.errors import (
    ConfigError,
    ConnectFailed,
    Disconnected,
    IncompleteReply,
    MalformedReply,
    ModelbayError,
    Redirected,
    TimedOut,
)

E = TypeVar("E", bound=ModelbayError)

KEEP_ALIVE = 30.0
"""Seconds an unused connection is kept. Servers close theirs after 5 to 75; a call that meets the closing is lost."""
HEADER_BYTES = 32 * 1024
"""The longest header taken; security policies grow beyond aiohttp's 8 KiB."""
PIECE = 64 * 1024
"""The most that is unpacked at once."""
LARGE_BODY = 2**20
"""From here on a body is handed over as a file, so that it is written piece by piece."""
UNPACKED_FREELY = 2**20
"""What a compressed reply may unpack to, however small it was."""


class Limits(Struct, frozen=True):
    """Seconds and bytes. `first_byte` runs from the connection, sending included, to the first byte of the body."""

    connect: float = 10.0
    first_byte: float = 300.0
    idle: float = 120.0
    max_reply_bytes: int = 64 * 2**20
    """Of a reply read whole."""
    max_expansion: int = 200
    """How many times its size a compressed reply may unpack to: JSON shrinks 5 to 20 times, a bomb 1,000."""


class Request(Struct):
    """The URL is sent as it is. `proxy` is a URL too: http, https, socks4, socks4a, socks5 or socks5h."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    limits: Limits = Limits()
    proxy: str | None = None
    tls: Tls | None = None
    public: bool = False
    """The address came from elsewhere than the user: only the open internet is connected to, and no proxy is used."""

    def __repr__(self) -> str:
        return f"<Request {self.method} {public(self.url)}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("method", self.method), ("url", public(self.url))]

    @property
    def server(self) -> str:
        """Who is asked, as errors name it."""
        return origin(self.url)


class Transport:
    """Sends requests over connections that it keeps. Belongs to the event loop that it is first used in."""

    def __init__(self) -> None:
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

    async def send(self, request: Request) -> "Response":
        """Send a request, once, and return when the headers of its answer are here, whatever its status.

        Raises:
            ConfigError: the request cannot be sent as it is; nothing was sent.
            ConnectFailed, TimedOut, Disconnected: no answer came.
            Redirected: the answer points elsewhere.
            MalformedReply: what answered does not speak HTTP, or packs its reply in an unknown way.
        """
        _check(request)
        proxy = None if request.public else request.proxy
        session = self._session(proxy, request.tls, request.public)
        call = _Call(request.limits)
        token = _CALL.set(call)
        try:
            async with asyncio.timeout(request.limits.connect) as call.deadline:
                reply = await session.request(
                    request.method,
                    URL(request.url, encoded=request.url.isascii()),
                    data=_payload(request.body),
                    headers=request.headers,
                    proxy=None if _is_socks(proxy) else proxy,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=request.limits.connect),
                )
            call.answered = True
        except TimeoutError:
            raise _timed_out("connect" if call.connection is None else "first_byte", request) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _explained(error, request, connected=call.connection is not None) from None
        finally:
            _CALL.reset(token)
            if not call.answered:
                call.abort()
        response = Response(reply, request, call.connected_at)
        if failure := _refused(response, request):
            await response.aclose()
            raise failure
        return response

    def _session(self, proxy: str | None, tls: Tls | None, public: bool) -> aiohttp.ClientSession:
        session = self._sessions.get((proxy, tls, public))
        if session is None:
            session = self._sessions[proxy, tls, public] = _open(proxy, tls, public)
        return session


class Response:
    """An answer whose headers are here. Its body is read once, by `read` or `stream`; then it is closed or finished."""

    def __init__(self, reply: aiohttp.ClientResponse, request: Request, connected_at: float) -> None:
        self.status = reply.status
        self.headers: dict[str, str] = {}
        """Under lower-case names; repeated ones joined by commas."""
        for name, value in reply.headers.items():
            before = self.headers.get(name.lower())
            self.headers[name.lower()] = value if before is None else f"{before}, {value}"
        self.url = public(request.url)
        self._request = request
        self._reply = reply
        self._loop = asyncio.get_running_loop()
        self._stage: Literal["first_byte", "idle"] = "first_byte"
        self._waits_since: float | None = connected_at
        self._timer: asyncio.TimerHandle | None = None
        self._late = self._finishing = False

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.url}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def read(self) -> bytes:
        """The whole body; raises what `stream` raises, and MalformedReply where it is larger than `max_reply_bytes`."""
        limit, size = self._request.limits.max_reply_bytes, 0
        chunks: list[bytes] = []
        async with aclosing(self.stream()) as stream:
            async for chunk in stream:
                size += len(chunk)
                if size > limit:
                    what = f"{self._request.server} sent a reply of more than {limit:,} bytes"
                    raise _final(MalformedReply(what, hint=TOO_LARGE))
                chunks.append(chunk)
        return b"".join(chunks)

    def stream(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes. Closing the iterator, or cancelling who waits for it, closes the connection at once.

        Raises:
            TimedOut: no byte within `first_byte`, or none for `idle` while somebody waited for it.
            IncompleteReply: the connection broke first. What had come was yielded; a parser that saw its reply's end
                in it has a whole reply, and may take this for a server's bad manners.
            MalformedReply: the body does not unpack, or unpacks without bounds.
        """
        packing = self.headers.get("content-encoding", "").lower()
        return _unpacked(self._arriving(), packing, self._request) if packing in PACKINGS else self._arriving()

    async def _arriving(self) -> AsyncGenerator[bytes, None]:
        content, now = self._reply.content, self._loop.time
        self._watch()
        try:
            chunk = await content.readany()
            self._stage, self._waits_since = "idle", None
            self._watch()
            while chunk:
                self._waits_since = None
                yield chunk
                self._waits_since = now()
                chunk = await content.readany()
        except (aiohttp.ClientError, OSError):
            if rest := content._read_nowait(-1):  # aiohttp raises before it hands out what it still has
                yield rest
            late = _timed_out(self._stage, self._request) if self._late else None
            raise late or _cut(self._request, content.total_bytes) from None
        finally:
            self._cancel_timer()
            if not content.is_eof() and not self._finishing:
                self._abandon()

    async def finish(self, grace: float = 0.1) -> None:
        """The reply said its last word: keep the connection if the body ends within `grace` seconds, else close it.

        To be called before the stream is left, which would close it.
        """
        content, self._finishing = self._reply.content, True
        try:
            async with asyncio.timeout(grace):
                while not content.is_eof():
                    await content.readany()
        except (TimeoutError, aiohttp.ClientError):
            pass
        finally:
            self._abandon()

    async def aclose(self) -> None:
        """Close the connection at once, unless the body was read to its end."""
        self._abandon()

    def _abandon(self) -> None:
        self._cancel_timer()
        connection = self._reply.connection  # None when the body has ended and the connection serves others
        if connection is not None and connection.transport is not None:
            connection.transport.abort()  # close() would first send what is left of the request
        self._reply.close()

    def _watch(self) -> None:
        """Give up if the server has been silent too long. It looks now and then: a timer for each chunk would cost."""
        self._cancel_timer()
        if self._reply.content.is_eof():
            return
        limits, now = self._request.limits, self._loop.time()
        limit = limits.first_byte if self._stage == "first_byte" else limits.idle
        due = limit + (now if self._waits_since is None else self._waits_since)
        if now < due:
            self._timer = self._loop.call_at(due, self._watch)
        else:
            self._late = True
            self._abandon()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


async def _unpacked(chunks: AsyncGenerator[bytes, None], packing: str, request: Request) -> AsyncGenerator[bytes, None]:
    """Unpacks a piece at a time, however large the whole. (aiohttp's own unpacking takes a cut gzip for a whole.)"""
    received = unpacked = 0
    unpacker: zlib._Decompress | None = None
    async with aclosing(chunks):
        async for chunk in chunks:
            received += len(chunk)
            rest, full = chunk, False
            while rest or full:
                if unpacker is None:  # some send `deflate` without the header that the standard asks for
                    bare = packing == "deflate" and rest[0] & 0x0F != 8
                    unpacker = zlib.decompressobj(-zlib.MAX_WBITS if bare else zlib.MAX_WBITS | 32)
                try:
                    piece = unpacker.decompress(rest, PIECE)
                except zlib.error:
                    what = f"{request.server} sent a compressed reply that does not unpack"
                    raise MalformedReply(what, hint=AGAIN) from None
                unpacked += len(piece)
                if unpacked > max(UNPACKED_FREELY, received * request.limits.max_expansion):
                    what = f"{request.server} sent a compressed reply that unpacks endlessly"
                    raise _final(MalformedReply(what, hint=TOO_LARGE))
                if piece:
                    yield piece
                rest = unpacker.unused_data or unpacker.unconsumed_tail
                full = len(piece) == PIECE and not unpacker.eof
                if unpacker.eof:
                    unpacker = None  # what follows would be another file, and they count as one
        if unpacker is not None:
            raise _cut(request, received)


# What a request must be


HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
NOT_IN_URL = re.compile(r"[\x00-\x20\x7f]")
FRAMING = {"connection", "content-length", "transfer-encoding"}
PACKINGS = {"gzip", "deflate"}
SOCKS = {"socks4": False, "socks4a": True, "socks5": True, "socks5h": True}
"""Whether the proxy looks names up. It knows names that we do not, and ours stay private."""


def public(url: str) -> str:
    """A URL without what may be secret in it: user, password, query and fragment."""
    try:
        return f"{origin(url)}{urlsplit(url).path}"
    except ValueError:
        return "(no URL)"


def origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


@lru_cache(maxsize=256)
def _is_url(url: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0 and not NOT_IN_URL.search(url)
    except ValueError:
        return False


def _check(request: Request) -> None:
    """Refuse what would not arrive as the caller meant it. A line break in a header would start another header."""
    if not _is_url(request.url, ("http", "https")):
        raise ConfigError(f"{public(request.url)} cannot be called", hint="base_url is an http:// or https:// address")
    if request.proxy is not None and not _is_url(request.proxy, ("http", "https", *SOCKS)):
        raise ConfigError("the proxy's URL is not one", hint='proxy = "http://host:port", or https:, socks4:, socks5:')
    for name, value in request.headers.items():
        if not HEADER_NAME.fullmatch(name) or name.lower() in FRAMING:
            known = HEADER_NAME.match(name)
            raise ConfigError(f"no header can be set that is named {known[0] if known else ''!r}")
        if CONTROL.search(value):
            message = f"the header {name!r} has a line break or a control character in it"
            raise ConfigError(message, hint="look for one in the key and in custom_headers")


def _is_socks(proxy: str | None) -> bool:
    return proxy is not None and urlsplit(proxy).scheme in SOCKS


def _payload(body: bytes | None) -> bytes | io.BytesIO | None:
    return io.BytesIO(body) if body is not None and len(body) >= LARGE_BODY else body


# Connections


class _Call:
    """A call until its headers are here: what must be closed if they never come, and by when."""

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
        """aiohttp only closes, which waits until all of the request is sent."""
        if self.connection is not None:
            self.connection.abort()


_CALL: ContextVar[_Call] = ContextVar("call")


class _Connector(aiohttp.TCPConnector):
    """Tells the call when it has its connection, so that each has its own limit."""

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        _CALL.get().connected(connection)
        return connection


class _ProxyRefused(aiohttp.ClientError):
    """A SOCKS proxy would not connect us."""


def _public_socket(address: Any) -> socket.socket:
    """A socket for an address about to be connected to, resolved or literal; raises where that is not a public one."""
    family, kind, protocol, _, (host, *_) = address
    if not is_public(host):
        raise PermissionError(errno.EPERM, "not an address of the open internet")
    return socket.socket(family, kind, protocol)


def _open(proxy: str | None, tls: Tls | None, public: bool) -> aiohttp.ClientSession:
    security = True if tls is None else _context(tls)
    options: dict[str, Any] = {"limit": 0, "keepalive_timeout": KEEP_ALIVE, "ssl": security}
    if public:
        options["socket_factory"] = _public_socket
    return aiohttp.ClientSession(
        connector=_socks(proxy, options) if proxy and _is_socks(proxy) else _Connector(**options),
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
                raise _ProxyRefused(str(error) if isinstance(error, ProxyError) else "it broke off") from None

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


def _context(tls: Tls) -> ssl.SSLContext:
    file = tls.ca
    try:
        context = ssl.create_default_context(cafile=tls.ca and Path(tls.ca).expanduser())
        if tls.cert is not None:
            file = tls.cert
            key = None if tls.key is None else Path(tls.key).expanduser()
            # without a password given here, OpenSSL would ask for one on the terminal
            context.load_cert_chain(Path(tls.cert).expanduser(), key, password="")
    except OSError as error:
        why = "it holds no such thing" if isinstance(error, ssl.SSLError) else (error.strerror or "unreadable").lower()
        hint = "tls.ca, tls.cert and tls.key are PEM files, the key without a password"
        raise ConfigError(f"cannot use {file}: {why}", hint=hint) from None
    context.set_alpn_protocols(["http/1.1"])
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


# What went wrong


NETWORK = "check the network, and whether this machine needs a VPN or a proxy"
AGAIN = "try again; if it goes on, a proxy or firewall on the way may be cutting connections"
TOO_LARGE = (
    "no model's answer is that large: modelbay stopped reading; trust that server only if you know why it does so"
)
NOBODY = "start the server, or correct base_url: nothing listens there"
PASSWORD_WANTED = "wants a user and a password that it knows"
CLIENT_CERTIFICATE = "if that server asks for a certificate, set tls.cert and tls.key"
AUTHORITY = "if you or your company signed it, set tls.ca to that authority's file; tls.insecure = true trusts anyone"
EXPIRED = "its owner must renew it, or this machine's clock is wrong"
OTHER_NAME = "base_url must use a name that the certificate was made for"
CERTIFICATE = {9: EXPIRED, 10: EXPIRED, 62: OTHER_NAME, 64: OTHER_NAME}  # OpenSSL's X509_V_ERR codes
LATE = {
    "connect": ("did not accept a connection within {:g} s", f"{NETWORK}; timeout.connect sets the limit"),
    "first_byte": ("did not begin to reply within {:g} s", "timeout.first_byte sets the limit; thinking takes long"),
    "idle": ("fell silent for {:g} s in the middle of its reply", "try again; timeout.idle sets the limit"),
}


def _timed_out(stage: Literal["connect", "first_byte", "idle"], request: Request) -> TimedOut:
    what, hint = LATE[stage]
    seconds: float = getattr(request.limits, stage)
    who = f"the proxy {origin(request.proxy)}" if stage == "connect" and request.proxy else request.server
    return TimedOut(f"{who} {what.format(seconds)}", stage=stage, hint=hint)


def _cut(request: Request, received: int) -> IncompleteReply:
    return IncompleteReply(f"{request.server} broke off its reply after {received:,} bytes", hint=AGAIN)


def _final(error: E) -> E:
    """The same request will not fare better."""
    error.retryable = False
    return error


def _refused(response: Response, request: Request) -> ModelbayError | None:
    """The error in an answer that no protocol should see."""
    status, packing = response.status, response.headers.get("content-encoding", "").lower()
    if status == 407 and request.proxy:
        return _proxy_refused(request, PASSWORD_WANTED)
    if 300 <= status < 400 and status != 304:
        return _redirected(response, request)
    if packing not in PACKINGS | {"", "identity"}:
        return _final(MalformedReply(f"{request.server} packed its reply as {packing[:20]!r}, which was not asked for"))
    return None


def _redirected(response: Response, request: Request) -> Redirected:
    try:
        location = urljoin(request.url, response.headers["location"])
    except (KeyError, ValueError):
        location = None
    where = public(location)[:200] if location else "nowhere"
    error = Redirected(
        f"{request.server} answered {response.status} and points to {where}", status=response.status, location=location
    )
    error.hint = "nothing was sent there: if you trust that address, make it the base_url"
    return error


def _proxy_refused(request: Request, why: str) -> ConnectFailed:
    who = f"the proxy {origin(request.proxy or '')}"
    if why == PASSWORD_WANTED:
        return _final(ConnectFailed(f"{who} {why}", hint='proxy is written "http://user:password@host:port"'))
    return ConnectFailed(f"{who} would not connect to {request.server}: {why}", hint="try again, or without the proxy")


def _explained(error: Exception, request: Request, *, connected: bool) -> ModelbayError:
    """Why no answer came, in the system's words only: aiohttp's quote URLs, headers and what the server sent."""
    reason = _root(error)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _proxy_refused(request, PASSWORD_WANTED if error.status == 407 else f"it answered {error.status}")
    if isinstance(error, _ProxyRefused):
        return _proxy_refused(request, PASSWORD_WANTED if "authentication" in str(error).lower() else str(error))
    if isinstance(reason, ssl.SSLError):
        return _tls_failed(reason, request)
    if isinstance(error, aiohttp.ClientResponseError):
        large = error.message.startswith(("Got more", "Too many"))
        what = "sent headers that are too large" if large else "does not answer in HTTP"
        hint = "base_url must be an API's address; where it begins with http://, https:// may be meant"
        return _final(MalformedReply(f"{request.server} {what}", hint=hint))
    if isinstance(error, ValueError):
        return ConfigError(f"{public(request.url)} cannot be called", hint="check base_url and custom_headers")
    if connected:
        return Disconnected(f"{request.server} closed the connection without an answer", hint=AGAIN)
    who = f"the proxy {origin(request.proxy)}" if request.proxy else request.server
    if isinstance(reason, socket.gaierror):
        return ConnectFailed(f"{who} is not known: no such name", hint=f"check base_url for a typing error; {NETWORK}")
    code = reason.errno if isinstance(reason, OSError) and reason.errno else 0
    if request.public and code == errno.EPERM:
        return _final(ConnectFailed(f"{request.server} is not on the open internet", hint="fetch it yourself"))
    why = os.strerror(code).lower() if code else "it broke off"
    hint = NOBODY if code == errno.ECONNREFUSED else NETWORK if code else CLIENT_CERTIFICATE
    return ConnectFailed(f"cannot connect to {who}: {why}", hint=hint)


def _root(error: BaseException) -> BaseException:
    """What aiohttp wrapped."""
    while cause := getattr(error, "os_error", None) or error.__cause__:
        error = cause
    return error


def _tls_failed(reason: ssl.SSLError, request: Request) -> ConnectFailed:
    if isinstance(reason, ssl.SSLCertVerificationError):
        message = f"the certificate of {request.server} is not trusted: {reason.verify_message.lower()}"
        hint = CERTIFICATE.get(reason.verify_code, AUTHORITY)
    else:
        why = (reason.reason or "it broke off").lower().replace("_", " ")
        message = f"no TLS connection to {request.server}: {why}"
        hint = CLIENT_CERTIFICATE if "alert" in why else "if that server has no TLS, base_url begins with http://"
    return _final(ConnectFailed(message, hint=hint))
