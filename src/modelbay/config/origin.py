"""An origin: scheme, host and port. A credential belongs to one and goes to no other."""

import ipaddress
from typing import NamedTuple
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if DEFAULT_PORTS.get(self.scheme) == self.port else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    @property
    def loopback(self) -> bool:
        """The machine itself, where no key is needed."""
        return self.host == "localhost" or self.host.endswith(".localhost") or self.host == "::1" or _is_127(self.host)


def origin(url: str) -> Origin:
    """The origin of an http(s) URL.

    Raises:
        ValueError: it is not an http(s) URL with a host; the message says what is wrong with it, without its user part.
    """
    if not url.isprintable() or " " in url:
        raise ValueError("the URL has spaces or control characters in it")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("the URL does not parse") from None
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError("the URL must start with http:// or https://")
    if not host:
        raise ValueError("the URL names no host")
    return Origin(parts.scheme, host.rstrip("."), DEFAULT_PORTS[parts.scheme] if port is None else port)


def _is_127(host: str) -> bool:
    numbers = host.split(".")
    return len(numbers) == 4 and numbers[0] == "127" and all(number.isdigit() for number in numbers)


_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet: not this machine, a private net, a cloud's metadata.

    An IPv4 address inside an IPv6 one (mapped, NAT64, 6to4, Teredo) counts as itself.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
    return ip.is_global and not ip.is_multicast
