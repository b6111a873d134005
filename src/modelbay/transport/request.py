"""A request as it is sent: what must be in it, and what must not."""

import re
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct, field

from modelbay.config.schema import Tls
from modelbay.errors import ConfigError


class Limits(Struct, frozen=True):
    """Seconds and bytes. `first_byte` runs from the connection, sending included, to the first byte of the body.

    Keep-alives end a silence (`idle`), but are no content.
    """

    connect: float = 10.0
    first_byte: float = 300.0
    idle: float = 120.0
    first_event: float = 600.0
    """From the connection to the first content."""
    content: float = 600.0
    """Between two pieces of content. Reasoning models think for minutes behind keep-alives."""
    reply_bytes: int = 64 * 2**20
    """Of a reply read whole."""
    stream_bytes: int = 256 * 2**20
    """Of a stream: some thirty times what the longest answer of a model takes."""
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
    """Its own proxy, or "none"; None: the transport's."""
    tls: Tls | None = None
    public: bool = False
    """The address came from elsewhere than the user: only the open internet may be connected to."""
    proxy_setting: str = "`proxy` of the provider"
    """Where `proxy` was set, for hints."""

    def __repr__(self) -> str:
        return f"<Request {self.method} {public(self.url)}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("method", self.method), ("url", public(self.url))]

    @property
    def server(self) -> str:
        """Who is asked, as errors name it."""
        return origin(self.url)


HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
NOT_IN_URL = re.compile(r"[\x00-\x20\x7f]")
FRAMING = {"connection", "content-length", "transfer-encoding"}
PACKINGS = {"gzip", "deflate"}
"""Compressions that a reply may use."""
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


def check(request: Request) -> None:
    """Refuse what would not arrive as the caller meant it. A line break in a header would start another header."""
    if not _is_url(request.url, ("http", "https")):
        raise ConfigError(f"{public(request.url)} cannot be called", hint="base_url is an http:// or https:// address")
    for name, value in request.headers.items():
        if not HEADER_NAME.fullmatch(name) or name.lower() in FRAMING:
            known = HEADER_NAME.match(name)
            raise ConfigError(f"no header can be set that is named {known[0] if known else ''!r}")
        if CONTROL.search(value):
            message = f"the header {name!r} has a line break or a control character in it"
            raise ConfigError(message, hint="look for one in the key and in custom_headers")


def check_proxy(request: Request) -> None:
    if request.proxy is not None and not _is_url(request.proxy, ("http", "https", *SOCKS)):
        hint = 'write it as "http://host:port", or with https:, socks4:, socks5:'
        raise ConfigError(f"the proxy's URL cannot be used: {request.proxy_setting}", hint=hint)


def is_socks(proxy: str | None) -> bool:
    return proxy is not None and urlsplit(proxy).scheme in SOCKS
