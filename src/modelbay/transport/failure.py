"""Translates failures of the HTTP client into our errors, with hints, in the system's words and without secrets."""

import errno
import os
import re
import socket
import ssl
from collections.abc import Mapping
from typing import Literal, TypeAlias, TypeVar
from urllib.parse import urljoin, urlsplit

from modelbay.errors import (
    ConnectFailed,
    Disconnected,
    IncompleteReply,
    MalformedReply,
    ModelbayError,
    ProxyFailed,
    Redirected,
    TimedOut,
)
from modelbay.transport.request import ENCODINGS, Request, invalid, is_socks, origin, public

E = TypeVar("E", bound=ModelbayError)
Stage: TypeAlias = Literal["connect", "first_byte", "idle", "first_event", "content"]

NETWORK = "check the network connection, and whether a VPN or proxy is required"
AGAIN = "try again; if it keeps failing, a proxy or firewall may be cutting connections"
TOO_LARGE = "check base_url: reading was stopped because no model sends a reply this large"
NOT_LISTENING = "start the server, or fix base_url: nothing is listening at that address"
DIRECTLY = 'set NO_PROXY or `proxy = "none"` to connect directly'
PASSWORD_WANTED = "requires a valid username and password"
CLIENT_CERTIFICATE = "if the server requires a client certificate, set tls.cert and tls.key"
AUTHORITY = (
    "if you or your company signed it, set tls.ca, or `ca` in [network], to the CA bundle; tls.insecure = true turns off "
    "certificate checks"
)
EXPIRED = "the certificate must be renewed, or this machine's clock is wrong"
OTHER_NAME = "use a host name in base_url that the certificate is valid for"
CERTIFICATE = {9: EXPIRED, 10: EXPIRED, 62: OTHER_NAME, 64: OTHER_NAME}  # OpenSSL's X509_V_ERR codes
WHOLE = re.compile(r"bytes\s+0-(\d{1,15})/(\d{1,15})")
_TELLING = frozenset(("content-encoding", "content-range"))
"""Headers that may make a reply unusable."""
HIGHEST_STATUS = 599
GATEWAY_STATUSES = frozenset((502, 503, 504))
PROXY_WORDS = "requested url could not be retrieved"
PAGE = 8192
"""Maximum bytes of an error page to search."""
LATE = {
    "connect": ("did not accept a connection within {:g} s", f"{NETWORK}; or increase timeout.connect"),
    "first_byte": (
        "did not start to reply within {:g} s",
        "increase timeout.first_byte if the model thinks for a long time",
    ),
    "idle": ("sent nothing for {:g} s in the middle of its reply", "try again, or increase timeout.idle"),
    "first_event": ("sent no content within {:g} s", "try again, or increase timeout.first_event"),
    "content": ("sent no further content for {:g} s", "try again, or increase timeout.content"),
}


class ProxyRefused(Exception):
    """A proxy refused to connect."""

    def __init__(self, why: str, *, password: bool = False) -> None:
        super().__init__(why)
        self.password = password
        """Whether it requires a user name and password."""


class NotHttp(Exception):
    """The server sent something that is not HTTP, or exceeds a limit."""

    def __init__(self, *, large: bool = False) -> None:
        super().__init__()
        self.large = large
        """Whether its headers are too large."""


def timed_out(stage: Stage, request: Request) -> TimedOut:
    what, hint = LATE[stage]
    seconds: float = getattr(request.limits, stage)
    if stage == "connect" and request.proxy:
        message = f"the proxy {origin(request.proxy)} did not connect to {request.server} within {seconds:g} s"
        return TimedOut(message, stage=stage, hint=f"check {request.proxy_setting}, or increase timeout.connect")
    return TimedOut(f"{request.server} {what.format(seconds)}", stage=stage, hint=hint)


def too_large(request: Request, limited: Literal["reply_bytes", "stream_bytes"]) -> MalformedReply:
    limit: int = getattr(request.limits, limited)
    hint = f"{TOO_LARGE}; the limit is limits.{limited}"
    error = MalformedReply(f"{request.server} sent a reply of more than {limit:,} bytes", hint=hint)
    error.too_large = True
    return final(error)


def cut_off(request: Request, received: int) -> IncompleteReply:
    # agents repeat a request after an error with the words "connection closed"
    message = f"connection closed by {request.server} in the middle of its reply, after {received:,} bytes"
    return IncompleteReply(message, hint=AGAIN)


def final(error: E) -> E:
    """Mark an error as not retryable: the same request would fail again."""
    error.retryable = False
    return error


def refused(status: int, headers: Mapping[str, str], request: Request) -> ModelbayError | None:
    """The error for a response that must not reach a protocol codec: proxy login, redirect, unknown compression, invalid
    status; else None."""
    if status == 200 and not headers.keys() & _TELLING:  # the usual reply
        return None
    encoding = headers.get("content-encoding", "").lower()
    if status > HIGHEST_STATUS:
        return MalformedReply(f"{request.server} answered with an invalid status ({status})", hint=AGAIN)
    if status == 407 and request.proxy:
        return _proxy_refused(request, PASSWORD_WANTED)
    if 300 <= status < 400 and status != 304:
        return _redirected(status, headers, request)
    if encoding not in ENCODINGS | {"", "identity"}:
        return final(
            MalformedReply(f"{request.server} compressed its reply with {encoding[:20]!r}, which was not requested")
        )
    if _is_part(status, headers):
        what = f"{request.server} sent only part of its reply (status {status}), which was not requested"
        return IncompleteReply(what, hint=AGAIN)
    return None


def _is_part(status: int, headers: Mapping[str, str]) -> bool:
    """Whether a response is only a part (RFC 9110, section 14.4). A range from the first to the last byte is complete."""
    written = headers.get("content-range")
    if status >= 400 or (status != 206 and written is None):
        return False
    found = WHOLE.fullmatch((written or "").strip())
    return found is None or int(found[1]) + 1 != int(found[2])


def of_hop(
    error: ModelbayError, status: int, headers: Mapping[str, str], body: bytes, request: Request
) -> ModelbayError:
    """The error in a response, attributed to the hop that sent it.

    Without TLS a proxy may answer instead of the server. If the response shows this, it is the proxy's error; otherwise
    both are named.
    """
    if request.proxy is None or is_socks(request.proxy) or urlsplit(request.url).scheme != "http":
        return error
    text = body[:PAGE].decode("utf-8", "replace").lower()
    host = (urlsplit(request.proxy).hostname or "").lower()
    marked = "x-squid-error" in headers or "error=" in headers.get("proxy-status", "")
    if marked or (status in GATEWAY_STATUSES and (host in text or PROXY_WORDS in text)):
        return _proxy_refused(request, f"it answered {status}")
    if status in GATEWAY_STATUSES and not text.lstrip().startswith("{"):
        error.message += f" (from {request.server}, or from the proxy {origin(request.proxy)})"
    return error


def _redirected(status: int, headers: Mapping[str, str], request: Request) -> Redirected:
    try:
        location = urljoin(request.url, headers["location"])
    except (KeyError, ValueError):
        location = None
    where = public(location)[:200] if location else "an invalid address"
    error = Redirected(
        f"{request.server} answered with a redirect ({status}) to {where}", status=status, location=location
    )
    error.hint = "redirects are not followed: if you trust that address, set it as base_url"
    return error


def _proxy_refused(request: Request, why: str) -> ProxyFailed:
    who = f"the proxy {origin(request.proxy or '')}"
    if why == PASSWORD_WANTED:
        hint = f'write them into the URL, as "http://user:password@host:port": {request.proxy_setting}'
        return final(ProxyFailed(f"{who} {why}", hint=hint))
    hint = f"try again, or check {request.proxy_setting}; {DIRECTLY}"
    return ProxyFailed(f"{who} refused to connect to {request.server}: {why}", hint=hint)


def explained(
    error: BaseException | None, request: Request, *, connected: bool, of_proxy: bool = False
) -> ModelbayError:
    """The error for a request without a response, in the system's words only.

    `error`: what the client met; None if the connection was closed. `of_proxy`: whether connecting to the proxy itself
    failed.
    """
    reason = None if error is None else _root(error)
    if isinstance(error, ProxyRefused):
        return _proxy_refused(request, PASSWORD_WANTED if error.password else str(error))
    if isinstance(reason, ssl.SSLError):
        return _tls_failed(reason, request, of_proxy)
    if isinstance(error, NotHttp):
        what = "sent headers that are too large" if error.large else "did not answer with HTTP"
        hint = "base_url must be the URL of an API; if it begins with http://, try https://"
        return final(MalformedReply(f"{request.server} {what}", hint=hint))
    if isinstance(error, ValueError):
        return invalid(request)
    if connected:
        return Disconnected(f"{request.server} closed the connection without a response", hint=AGAIN)
    code = reason.errno if isinstance(reason, OSError) and reason.errno else 0
    if request.proxy:
        unknown = isinstance(reason, socket.gaierror)
        why = "could not resolve host" if unknown else os.strerror(code).lower() if code else "connection closed"
        hint = f"check {request.proxy_setting}; {DIRECTLY}"
        return ProxyFailed(f"could not connect to the proxy {origin(request.proxy)}: {why}", hint=hint)
    if isinstance(reason, socket.gaierror):
        hint = "check base_url for typos, the network connection, and whether a VPN or proxy is required"
        return ConnectFailed(f"could not resolve host {urlsplit(request.url).hostname}", hint=hint)
    if request.public and code == errno.EPERM:
        return not_public(request)
    why = os.strerror(code).lower() if code else "connection closed"
    hint = NOT_LISTENING if code == errno.ECONNREFUSED else NETWORK if code else CLIENT_CERTIFICATE
    return ConnectFailed(f"could not connect to {request.server}: {why}", hint=hint)


def not_public(request: Request) -> ConnectFailed:
    return final(ConnectFailed(f"{request.server} is not a public address", hint="download it yourself"))


def _root(error: BaseException) -> BaseException:
    """The error that a client wrapped."""
    while cause := getattr(error, "os_error", None) or error.__cause__:
        error = cause
    return error


def _tls_failed(reason: ssl.SSLError, request: Request, of_proxy: bool) -> ConnectFailed:
    if of_proxy:
        why = getattr(reason, "verify_message", None) or (reason.reason or "connection closed").replace("_", " ")
        message = f"could not open a TLS connection to the proxy {origin(request.proxy or '')}: {why.lower()}"
        hint = f"check {request.proxy_setting}: most proxies use http://; `ca` in [network] adds a CA bundle"
        return final(ProxyFailed(message, hint=hint))
    if isinstance(reason, ssl.SSLCertVerificationError):
        message = f"could not verify the certificate of {request.server}: {reason.verify_message.lower()}"
        hint = CERTIFICATE.get(reason.verify_code, AUTHORITY)
    else:
        why = (reason.reason or "connection closed").lower().replace("_", " ")
        message = f"could not open a TLS connection to {request.server}: {why}"
        hint = CLIENT_CERTIFICATE if "alert" in why else "if the server does not use TLS, write http:// in base_url"
    return final(ConnectFailed(message, hint=hint))
