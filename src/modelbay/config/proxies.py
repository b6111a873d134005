"""The proxy for a URL: `[network] proxy`, else the environment (HTTPS_PROXY and the like).

The rules are the ones that curl and Go share: names in both cases, lower case first; NO_PROXY with host names, suffixes,
ports, addresses and CIDR blocks. Loopback addresses are never reached through a proxy.
"""

import ipaddress
import re
from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct

from modelbay.origin import Origin
from modelbay.storage.paths import environment

NONE = "none"
"""The value of `proxy` for direct connections, regardless of the environment."""
SETTING = "proxy of [network]"
_PORT = re.compile(r"(?P<host>\[[^]]*\]|[^:]*)(?::(?P<port>\d+))?")


class Proxy(NamedTuple):
    url: str
    setting: str
    """Where it was set, for hints."""


class Proxies(Struct, frozen=True):
    """The proxy for each scheme, and the hosts that are reached directly."""

    http: Proxy | None = None
    https: Proxy | None = None
    bypass: tuple[str, ...] = ()

    def of(self, where: Origin) -> Proxy | None:
        """The proxy for an origin; None for a direct connection."""
        proxy = self.https if where.scheme == "https" else self.http
        return None if proxy is None or where.loopback or _is_bypassed(self.bypass, where) else proxy

    @property
    def urls(self) -> list[str]:
        return [proxy.url for proxy in (self.http, self.https) if proxy is not None]


def proxies(setting: str | None) -> Proxies:
    """The proxies for a value of `[network] proxy`."""
    if setting is not None and setting.lower() == NONE:
        return Proxies()
    bypass = _variable("NO_PROXY")
    names = tuple(re.split(r"[,\s]+", bypass[1].strip().lower())) if bypass else ()
    if setting is not None:
        proxy = Proxy(_url(setting), SETTING)
        return Proxies(proxy, proxy, names)
    # in a CGI program, HTTP_PROXY is the client's `Proxy` header
    http = _variable("HTTP_PROXY", lower_only=environment("REQUEST_METHOD") is not None)
    found = [_proxy(one or _variable("ALL_PROXY")) for one in (http, _variable("HTTPS_PROXY"))]
    return Proxies(found[0], found[1], names)


def _variable(name: str, *, lower_only: bool = False) -> tuple[str, str] | None:
    for spelling in (name.lower(),) if lower_only else (name.lower(), name):
        if value := environment(spelling):
            return spelling, value.strip()
    return None


def _proxy(found: tuple[str, str] | None) -> Proxy | None:
    return None if found is None else Proxy(_url(found[1]), found[0])


def _url(text: str) -> str:
    """A proxy as a URL: `host:port` means HTTP, and desktop settings write `socks:` for SOCKS 5."""
    scheme, mark, rest = text.partition("://")
    if not mark:
        return f"http://{text}"
    return f"socks5://{rest}" if scheme.lower() == "socks" else f"{scheme.lower()}://{rest}"


@lru_cache(maxsize=256)
def _is_bypassed(bypass: tuple[str, ...], where: Origin) -> bool:
    address = _address(where.host)
    return any(_matches(entry, where, address) for entry in bypass if entry)


def _matches(entry: str, where: Origin, address: "ipaddress.IPv4Address | ipaddress.IPv6Address | None") -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_network(
                entry.replace("[", "").replace("]", ""), strict=False
            )
        except ValueError:
            return False
    if (plain := _address(entry)) is not None:
        return plain == address
    found = _PORT.fullmatch(entry)
    if found is None or (found["port"] and int(found["port"]) != where.port):
        return False
    host = found["host"]
    if (plain := _address(host.strip("[]"))) is not None:
        return plain == address
    name = host.removeprefix("*").lstrip(".").rstrip(".")
    return bool(name) and address is None and (where.host == name or where.host.endswith(f".{name}"))


def _address(text: str) -> "ipaddress.IPv4Address | ipaddress.IPv6Address | None":
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
