"""A request and its validation."""

import re
from collections.abc import AsyncIterable
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct, field

from modelbay.config.schema import Tls
from modelbay.errors import ConfigError


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
FRAMING = {"connection", "content-length", "transfer-encoding"}
PACKINGS = {"gzip", "deflate"}
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
            raise ConfigError(f"the header name {known[0] if known else ''!r} is invalid or reserved")
        if CONTROL.search(value):
            message = f"the header {name!r} contains a line break or control character"
            raise ConfigError(message, hint="check the API key and custom_headers")


def check_proxy(request: Request) -> None:
    if request.proxy is not None and not _is_url(request.proxy, ("http", "https", *SOCKS)):
        hint = 'use "http://host:port"; the scheme can also be https, socks4, socks4a, socks5 or socks5h'
        raise ConfigError(f"invalid proxy URL: {request.proxy_setting}", hint=hint)


def is_socks(proxy: str | None) -> bool:
    return proxy is not None and urlsplit(proxy).scheme in SOCKS
