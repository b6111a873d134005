"""A request and its validation."""

import re
from base64 import b64encode
from collections.abc import AsyncIterable
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from msgspec import Struct, field

from modelbay.config.schema import Tls
from modelbay.errors import ConfigError
from modelbay.origin import DEFAULT_PORTS, ascii_host


class Limits(Struct, frozen=True):
    """Time limits in seconds and size limits in bytes.

    `first_byte` runs from the connection to the first byte of the response body, sending the request included.
    Keep-alives reset `idle`, but do not count as content.
    """

    connect: float = 10.0
    first_byte: float = 300.0
    idle: float = 120.0
    first_event: float = 600.0
    """From the connection to the first content."""
    content: float = 600.0
    """Between two pieces of content. Reasoning models think for minutes and send only keep-alives."""
    reply_bytes: int = 64 * 2**20
    """Size of a reply that is read as a whole."""
    stream_bytes: int = 256 * 2**20
    """Size of a stream: about thirty times the longest reply of a model."""
    max_expansion: int = 200
    """Maximum expansion of a compressed reply. JSON compresses by a factor of 5 to 20, a decompression bomb by 1,000."""


class Request(Struct):
    """An HTTP request. The URL is sent unchanged. `proxy` is a URL: http, https, socks4, socks4a, socks5 or socks5h."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | AsyncIterable[bytes] | None = None
    limits: Limits = Limits()
    proxy: str | None = None
    """Proxy of this request, or "none". Default: the transport's."""
    tls: Tls | None = None
    public: bool = False
    """Connect to public addresses only. For URLs that do not come from the user."""
    proxy_setting: str = "`proxy` of the provider"
    """Name of the setting that `proxy` comes from, for hints."""
    length: int | None = None
    """Length of a body in pieces in bytes, if it is known."""
    head: "Head | None" = None
    """Set by `with_body` and by the transport."""

    def with_body(self, body: bytes | None) -> "Request":
        """This request with another body. What all of them have in common is checked and encoded once, so its headers must
        not be changed any more."""
        head = self.head
        if head is None:
            head = self.head = Head(self)
        return Request(
            self.method, self.url, self.headers, body, self.limits, self.proxy, self.tls, self.public,
            self.proxy_setting, None, head,
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"<Request {self.method} {public(self.url)}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("method", self.method), ("url", public(self.url))]

    @property
    def server(self) -> str:
        """Scheme, host and port of the server, for error messages."""
        return origin(self.url)


HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
NOT_IN_URL = re.compile(r"[\x00-\x20\x7f]")
_NAMES = "check custom_headers and extra_headers: modelbay sets the headers about the length of a request itself"
FRAMING = {"connection", "content-length", "transfer-encoding"}
"""Headers that the transport sets itself."""
ENCODINGS = {"gzip", "deflate"}
"""Content encodings that a reply may use."""
SOCKS = {"socks4": False, "socks4a": True, "socks5": True, "socks5h": True}
"""SOCKS schemes, and whether the proxy resolves host names (it knows internal names, and lookups stay private)."""


def public(url: str) -> str:
    """A URL without user, password, query and fragment, which may be secret."""
    try:
        return f"{origin(url)}{urlsplit(url).path}"
    except ValueError:
        return "(invalid URL)"


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


def check(request: Request) -> None:
    """Validate a request. A line break in a header value would start another header.

    Raises:
        ConfigError: the URL or a header is invalid.
    """
    if not _is_url(request.url, ("http", "https")):
        raise ConfigError(f"invalid URL: {public(request.url)}", hint="base_url must be an http:// or https:// URL")
    for name, value in request.headers.items():
        if not HEADER_NAME.fullmatch(name) or name.lower() in FRAMING:
            known = HEADER_NAME.match(name)
            raise ConfigError(f"the header name {known[0] if known else ''!r} is invalid or reserved", hint=_NAMES)
        if CONTROL.search(value):
            message = f"the header {name!r} contains a line break or control character"
            raise ConfigError(message, hint="check the API key, custom_headers and extra_headers")


ACCEPTED = {"Accept": "*/*", "Accept-Encoding": ", ".join(sorted(ENCODINGS)), "User-Agent": "modelbay"}
"""Headers of every request that has no others of these names."""
ASCII = "".join(map(chr, range(0x21, 0x7F)))


class Head:
    """The part of a request that does not depend on its body: checked, and as bytes."""

    def __init__(self, request: Request) -> None:
        """Raises ConfigError: the request is invalid."""
        check(request)
        self.method, self.url, self.headers = request.method, request.url, request.headers
        parts = urlsplit(request.url)
        names = {name.lower() for name in request.headers}
        try:
            self.host = ascii_host(parts.hostname or "")
            self.port = parts.port or DEFAULT_PORTS[parts.scheme]
            self.secure = parts.scheme == "https"
            own = {name: value for name, value in ACCEPTED.items() if name.lower() not in names}
            if "host" not in names:
                shown = f"[{self.host.partition('%')[0]}]" if ":" in self.host else self.host
                own = {"Host": shown if self.port == DEFAULT_PORTS[parts.scheme] else f"{shown}:{self.port}", **own}
            user, mark, _ = parts.netloc.rpartition("@")
            if mark:
                if "authorization" in names:
                    raise ValueError("both a user in the URL and a header for it")
                name, _, password = user.partition(":")
                own["Authorization"] = "Basic " + b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()
            target = quote(f"{parts.path or '/'}{'?' * bool(parts.query)}{parts.query}", safe=ASCII)
            if not HEADER_NAME.fullmatch(request.method):
                raise ValueError("not a method")
            lines = [f"{request.method} {target} HTTP/1.1"]
            lines += [f"{name}: {value}" for name, value in (own | request.headers).items()]
            self.start = "\r\n".join([*lines, ""]).encode()
            """The request line and all headers but those of the body's length, without the blank line."""
        except ValueError:
            raise invalid(request) from None

    def __repr__(self) -> str:
        return f"<Head of {public(self.url)}>"

    def fits(self, request: Request) -> bool:
        """Whether it is still the head of a request, which may have been copied with changes."""
        return self.method is request.method and self.url is request.url and self.headers is request.headers


def invalid(request: Request) -> ConfigError:
    return ConfigError(f"invalid request to {public(request.url)}", hint="check base_url and custom_headers")


def check_proxy(request: Request) -> None:
    if request.proxy is not None and not _is_url(request.proxy, ("http", "https", *SOCKS)):
        hint = 'use "http://host:port"; the scheme can also be https, socks4, socks4a, socks5 or socks5h'
        raise ConfigError(f"invalid proxy URL: {request.proxy_setting}", hint=hint)


def is_socks(proxy: str | None) -> bool:
    return proxy is not None and urlsplit(proxy).scheme in SOCKS
