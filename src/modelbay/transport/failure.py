"""What went wrong, as an error with a hint: in the system's words, without secrets."""

import errno
import os
import re
import socket
import ssl
from collections.abc import Mapping
from typing import Literal, TypeAlias, TypeVar
from urllib.parse import urljoin, urlsplit

import aiohttp

from modelbay.errors import (
    ConfigError,
    ConnectFailed,
    Disconnected,
    IncompleteReply,
    MalformedReply,
    ModelbayError,
    ProxyFailed,
    Redirected,
    TimedOut,
)
from modelbay.transport.request import PACKINGS, Request, is_socks, origin, public

E = TypeVar("E", bound=ModelbayError)
Stage: TypeAlias = Literal["connect", "first_byte", "idle", "first_event", "content"]

NETWORK = "check the network, and whether this machine needs a VPN or a proxy"
AGAIN = "try again; if it goes on, a proxy or firewall on the way may be cutting connections"
TOO_LARGE = "check what that server is: modelbay stopped reading, as no model's answer is that large"
NOBODY = "start the server, or correct base_url: nothing listens there"
DIRECTLY = 'NO_PROXY, or `proxy = "none"`, connects directly'
PASSWORD_WANTED = "wants a user and a password that it knows"
CLIENT_CERTIFICATE = "if that server asks for a certificate, set tls.cert and tls.key"
AUTHORITY = (
    "if you or your company signed it, set tls.ca, or `ca` of [network], to that authority's file; tls.insecure = true trusts "
    "anyone"
)
EXPIRED = "its owner must renew it, or this machine's clock is wrong"
OTHER_NAME = "base_url must use a name that the certificate was made for"
CERTIFICATE = {9: EXPIRED, 10: EXPIRED, 62: OTHER_NAME, 64: OTHER_NAME}  # OpenSSL's X509_V_ERR codes
WHOLE = re.compile(r"bytes\s+0-(\d{1,15})/(\d{1,15})")
GATEWAY_STATUSES = frozenset((502, 503, 504))
PROXY_WORDS = "requested url could not be retrieved"
PAGE = 8192
"""Bytes of an error page that are read."""
LATE = {
    "connect": ("did not accept a connection within {:g} s", f"{NETWORK}; timeout.connect sets the limit"),
    "first_byte": ("did not begin to reply within {:g} s", "timeout.first_byte sets the limit; thinking takes long"),
    "idle": ("fell silent for {:g} s in the middle of its reply", "try again; timeout.idle sets the limit"),
    "first_event": ("sent no content within {:g} s", "try again; timeout.first_event sets the limit"),
    "content": ("sent no further content for {:g} s", "try again; timeout.content sets the limit"),
}


class ProxyRefused(aiohttp.ClientError):
    """A SOCKS proxy would not connect us."""


def timed_out(stage: Stage, request: Request) -> TimedOut:
    what, hint = LATE[stage]
    seconds: float = getattr(request.limits, stage)
    if stage == "connect" and request.proxy:
        message = f"the proxy {origin(request.proxy)} did not connect to {request.server} within {seconds:g} s"
        return TimedOut(message, stage=stage, hint=f"check {request.proxy_setting}; timeout.connect sets the limit")
    return TimedOut(f"{request.server} {what.format(seconds)}", stage=stage, hint=hint)


def too_large(request: Request, limited: Literal["reply_bytes", "stream_bytes"]) -> MalformedReply:
    limit: int = getattr(request.limits, limited)
    hint = f"{TOO_LARGE}; limits.{limited} sets the limit"
    return final(MalformedReply(f"{request.server} sent a reply of more than {limit:,} bytes", hint=hint))


def cut_off(request: Request, received: int) -> IncompleteReply:
    return IncompleteReply(f"{request.server} broke off its reply after {received:,} bytes", hint=AGAIN)


def final(error: E) -> E:
    """The same request will not fare better."""
    error.retryable = False
    return error


def refused(status: int, headers: Mapping[str, str], request: Request) -> ModelbayError | None:
    """The error in an answer that no protocol should see."""
    packing = headers.get("content-encoding", "").lower()
    if status == 407 and request.proxy:
        return _proxy_refused(request, PASSWORD_WANTED)
    if 300 <= status < 400 and status != 304:
        return _redirected(status, headers, request)
    if packing not in PACKINGS | {"", "identity"}:
        return final(MalformedReply(f"{request.server} packed its reply as {packing[:20]!r}, which was not asked for"))
    if _is_part(status, headers):
        what = f"{request.server} sent only a part of its reply (status {status}), and no part was asked for"
        return IncompleteReply(what, hint=AGAIN)
    return None


def _is_part(status: int, headers: Mapping[str, str]) -> bool:
    """Whether an answer is a part of what was asked for (RFC 9110, 14.4). A range from first to last byte is the whole."""
    written = headers.get("content-range")
    if status >= 400 or (status != 206 and written is None):
        return False
    found = WHOLE.fullmatch((written or "").strip())
    return found is None or int(found[1]) + 1 != int(found[2])


def of_hop(
    error: ModelbayError, status: int, headers: Mapping[str, str], body: bytes, request: Request
) -> ModelbayError:
    """The error in an answer, said of the hop that made it. Without TLS a proxy may answer in the server's place; where it
    says so, that is its error, else both are named.
    """
    if request.proxy is None or is_socks(request.proxy) or urlsplit(request.url).scheme != "http":
        return error
    text = body[:PAGE].decode("utf-8", "replace").lower()
    host = (urlsplit(request.proxy).hostname or "").lower()
    told = "x-squid-error" in headers or "error=" in headers.get("proxy-status", "")
    if told or (status in GATEWAY_STATUSES and (host in text or PROXY_WORDS in text)):
        return _proxy_refused(request, f"it answered {status}")
    if status in GATEWAY_STATUSES and not text.lstrip().startswith("{"):
        error.message += f" (from {request.server}, or from the proxy {origin(request.proxy)})"
    return error


def _redirected(status: int, headers: Mapping[str, str], request: Request) -> Redirected:
    try:
        location = urljoin(request.url, headers["location"])
    except (KeyError, ValueError):
        location = None
    where = public(location)[:200] if location else "nowhere"
    error = Redirected(f"{request.server} answered {status} and points to {where}", status=status, location=location)
    error.hint = "nothing was sent there: if you trust that address, make it the base_url"
    return error


def _proxy_refused(request: Request, why: str) -> ProxyFailed:
    who = f"the proxy {origin(request.proxy or '')}"
    if why == PASSWORD_WANTED:
        hint = f'write it with both, as "http://user:password@host:port": {request.proxy_setting}'
        return final(ProxyFailed(f"{who} {why}", hint=hint))
    hint = f"try again, or check {request.proxy_setting}; {DIRECTLY}"
    return ProxyFailed(f"{who} would not connect to {request.server}: {why}", hint=hint)


def explained(error: Exception, request: Request, *, connected: bool) -> ModelbayError:
    """Why no answer came, in the system's words only: aiohttp's quote URLs, headers and what the server sent."""
    reason = _root(error)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _proxy_refused(request, PASSWORD_WANTED if error.status == 407 else f"it answered {error.status}")
    if isinstance(error, ProxyRefused):
        return _proxy_refused(request, PASSWORD_WANTED if "authentication" in str(error).lower() else str(error))
    if isinstance(reason, ssl.SSLError):
        return _tls_failed(reason, request, _is_of_proxy(error, request))
    if isinstance(error, aiohttp.ClientResponseError):
        large = error.message.startswith(("Got more", "Too many"))
        what = "sent headers that are too large" if large else "does not answer in HTTP"
        hint = "base_url must be an API's address; where it begins with http://, https:// may be meant"
        return final(MalformedReply(f"{request.server} {what}", hint=hint))
    if isinstance(error, ValueError):
        return ConfigError(f"{public(request.url)} cannot be called", hint="check base_url and custom_headers")
    if connected:
        return Disconnected(f"{request.server} closed the connection without an answer", hint=AGAIN)
    code = reason.errno if isinstance(reason, OSError) and reason.errno else 0
    if request.proxy:
        unknown = isinstance(reason, socket.gaierror)
        why = "no such name" if unknown else os.strerror(code).lower() if code else "it broke off"
        hint = f"check {request.proxy_setting}; {DIRECTLY}"
        return ProxyFailed(f"cannot connect to the proxy {origin(request.proxy)}: {why}", hint=hint)
    if isinstance(reason, socket.gaierror):
        hint = f"check base_url for a typing error; {NETWORK}"
        return ConnectFailed(f"{request.server} is not known: no such name", hint=hint)
    if request.public and code == errno.EPERM:
        return not_public(request)
    why = os.strerror(code).lower() if code else "it broke off"
    hint = NOBODY if code == errno.ECONNREFUSED else NETWORK if code else CLIENT_CERTIFICATE
    return ConnectFailed(f"cannot connect to {request.server}: {why}", hint=hint)


def not_public(request: Request) -> ConnectFailed:
    return final(ConnectFailed(f"{request.server} is not on the open internet", hint="fetch it yourself"))


def _root(error: BaseException) -> BaseException:
    """What aiohttp wrapped."""
    while cause := getattr(error, "os_error", None) or error.__cause__:
        error = cause
    return error


def _is_of_proxy(error: Exception, request: Request) -> bool:
    """Whether it was the connection to the proxy itself that failed."""
    if request.proxy is None or not isinstance(error, aiohttp.ClientConnectorError):
        return False
    proxy = urlsplit(request.proxy)
    return isinstance(error, aiohttp.ClientProxyConnectionError) or (
        proxy.scheme == "https" and (error.host, error.port) == (proxy.hostname, proxy.port or 443)
    )


def _tls_failed(reason: ssl.SSLError, request: Request, of_proxy: bool) -> ConnectFailed:
    if of_proxy:
        why = getattr(reason, "verify_message", None) or (reason.reason or "it broke off").replace("_", " ")
        message = f"no TLS connection to the proxy {origin(request.proxy or '')}: {why.lower()}"
        hint = (
            f"check {request.proxy_setting}: most proxies are written with http://; `ca` of [network] adds an authority"
        )
        return final(ProxyFailed(message, hint=hint))
    if isinstance(reason, ssl.SSLCertVerificationError):
        message = f"the certificate of {request.server} is not trusted: {reason.verify_message.lower()}"
        hint = CERTIFICATE.get(reason.verify_code, AUTHORITY)
    else:
        why = (reason.reason or "it broke off").lower().replace("_", " ")
        message = f"no TLS connection to {request.server}: {why}"
        hint = CLIENT_CERTIFICATE if "alert" in why else "if that server has no TLS, base_url begins with http://"
    return final(ConnectFailed(message, hint=hint))
