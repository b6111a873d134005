"""What went wrong, as an error with a hint: in the system's words, without secrets."""

import errno
import os
import socket
import ssl
from collections.abc import Mapping
from typing import Literal, TypeAlias, TypeVar
from urllib.parse import urljoin

import aiohttp

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
from modelbay.transport.request import PACKINGS, Request, origin, public

E = TypeVar("E", bound=ModelbayError)
Stage: TypeAlias = Literal["connect", "first_byte", "idle", "first_event", "content"]

NETWORK = "check the network, and whether this machine needs a VPN or a proxy"
AGAIN = "try again; if it goes on, a proxy or firewall on the way may be cutting connections"
TOO_LARGE = "check what that server is: modelbay stopped reading, as no model's answer is that large"
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
    "first_event": ("sent no content within {:g} s", "try again; timeout.first_event sets the limit"),
    "content": ("sent no further content for {:g} s", "try again; timeout.content sets the limit"),
}


class ProxyRefused(aiohttp.ClientError):
    """A SOCKS proxy would not connect us."""


def timed_out(stage: Stage, request: Request) -> TimedOut:
    what, hint = LATE[stage]
    seconds: float = getattr(request.limits, stage)
    who = f"the proxy {origin(request.proxy)}" if stage == "connect" and request.proxy else request.server
    return TimedOut(f"{who} {what.format(seconds)}", stage=stage, hint=hint)


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
    return None


def _redirected(status: int, headers: Mapping[str, str], request: Request) -> Redirected:
    try:
        location = urljoin(request.url, headers["location"])
    except (KeyError, ValueError):
        location = None
    where = public(location)[:200] if location else "nowhere"
    error = Redirected(f"{request.server} answered {status} and points to {where}", status=status, location=location)
    error.hint = "nothing was sent there: if you trust that address, make it the base_url"
    return error


def _proxy_refused(request: Request, why: str) -> ConnectFailed:
    who = f"the proxy {origin(request.proxy or '')}"
    if why == PASSWORD_WANTED:
        return final(ConnectFailed(f"{who} {why}", hint='proxy is written "http://user:password@host:port"'))
    return ConnectFailed(f"{who} would not connect to {request.server}: {why}", hint="try again, or without the proxy")


def explained(error: Exception, request: Request, *, connected: bool) -> ModelbayError:
    """Why no answer came, in the system's words only: aiohttp's quote URLs, headers and what the server sent."""
    reason = _root(error)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _proxy_refused(request, PASSWORD_WANTED if error.status == 407 else f"it answered {error.status}")
    if isinstance(error, ProxyRefused):
        return _proxy_refused(request, PASSWORD_WANTED if "authentication" in str(error).lower() else str(error))
    if isinstance(reason, ssl.SSLError):
        return _tls_failed(reason, request)
    if isinstance(error, aiohttp.ClientResponseError):
        large = error.message.startswith(("Got more", "Too many"))
        what = "sent headers that are too large" if large else "does not answer in HTTP"
        hint = "base_url must be an API's address; where it begins with http://, https:// may be meant"
        return final(MalformedReply(f"{request.server} {what}", hint=hint))
    if isinstance(error, ValueError):
        return ConfigError(f"{public(request.url)} cannot be called", hint="check base_url and custom_headers")
    if connected:
        return Disconnected(f"{request.server} closed the connection without an answer", hint=AGAIN)
    who = f"the proxy {origin(request.proxy)}" if request.proxy else request.server
    if isinstance(reason, socket.gaierror):
        return ConnectFailed(f"{who} is not known: no such name", hint=f"check base_url for a typing error; {NETWORK}")
    code = reason.errno if isinstance(reason, OSError) and reason.errno else 0
    if request.public and code == errno.EPERM:
        return final(ConnectFailed(f"{request.server} is not on the open internet", hint="fetch it yourself"))
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
    return final(ConnectFailed(message, hint=hint))
