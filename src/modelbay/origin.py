"""Origins: scheme, host and port. A credential belongs to one origin and is sent to no other."""

import ipaddress
from typing import NamedTuple
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}

ANYWHERE = ("0.0.0.0", "::", "")
"""Addresses of a server that listens on all interfaces."""

METADATA = "metadata.google.internal"
"""The name of the metadata service that issues default credentials."""


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
        """Whether it is this machine, where no key is needed."""
        return self.host == "localhost" or self.host.endswith(".localhost") or self.host == "::1" or _is_127(self.host)

    @property
    def link_local(self) -> bool:
        """Whether it is on this machine's own link, as a cloud's metadata service is: a proxy would reach its own."""
        try:
            return ipaddress.ip_address(self.host.partition("%")[0]).is_link_local
        except ValueError:
            return self.host == METADATA


def origin(url: str) -> Origin:
    """The origin of an http(s) URL.

    Raises:
        ValueError: not an http(s) URL with a host; the message gives the reason, without the URL's user part.
    """
    if not url.isprintable() or " " in url:
        raise ValueError("the URL contains spaces or control characters")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("the URL does not parse") from None
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError("the URL must start with http:// or https://")
    if not host:
        raise ValueError("the URL has no host")
    return Origin(parts.scheme, host.rstrip("."), DEFAULT_PORTS[parts.scheme] if port is None else port)


def is_loopback(host: str) -> bool:
    """Whether a server at this host name or address can be reached from this machine only."""
    return Origin("http", host.lower().strip("[]"), 80).loopback


def ascii_host(host: str) -> str:
    """A host name in the form that DNS uses: letters of other scripts encoded (IDNA), so that equal hosts are equal texts.

    Raises:
        ValueError: it cannot be encoded.
    """
    return host if host.isascii() else host.encode("idna").decode().lower().rstrip(".")


def _is_127(host: str) -> bool:
    numbers = host.split(".")
    return len(numbers) == 4 and numbers[0] == "127" and all(number.isdigit() for number in numbers)


_CARRYING = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "::/96")))
"""IPv6 networks whose addresses end in an IPv4 address: NAT64, and a deprecated form."""
_CLOSED = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "64:ff9b:1::/48", "fec0::/10")))
"""Networks that some Python releases consider global: the first contains a cloud's metadata service."""
_ISATAP = (0x00005EFE, 0x02005EFE)


def is_public(address: str) -> bool:
    """Whether an IP address is on the public internet: not loopback, private, or a cloud's metadata service.

    An IPv4 address inside an IPv6 one (mapped, NAT64, 6to4, Teredo, ISATAP) counts as itself.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if any(ip in net for net in _CARRYING) or int(ip) >> 32 & 0xFFFFFFFF in _ISATAP:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            ip = inner
    return ip.is_global and not ip.is_multicast and not any(ip in net for net in _CLOSED)


INSIDE = frozenset({"local", "internal", "localdomain", "lan", "home.arpa"})
"""Top-level names that public DNS does not resolve."""


def is_open(where: Origin) -> bool:
    """Whether a host may be on the public internet, as far as its name tells; the address is checked again when connecting.

    127.1 and 0x7f000001 are addresses, too, and letters of other scripts may spell "localhost".
    """
    try:
        host = ascii_host(where.host)
    except ValueError:
        return False
    if where._replace(host=host).loopback:
        return False
    try:
        return is_public(host)
    except ValueError:
        labels = host.lower().split(".")
        is_number = labels[-1].isdigit() or labels[-1].startswith("0x")
        return len(labels) > 1 and not is_number and not INSIDE & {labels[-1], ".".join(labels[-2:])}
