"""Who may call a server of ours: programs that name this machine, and no page of a foreign web site.

A browser sends requests to this machine for any page that asks it to. `Origin` names that page's site. With DNS rebinding a
foreign name resolves to this machine, and the page counts as ours; then `Host` names the foreign site.
"""

import ipaddress
from collections.abc import Iterable

from msgspec import Struct

from modelbay.origin import origin

ANYWHERE = ("0.0.0.0", "::", "")
"""Addresses that stand for all of this machine's."""


class Callers(Struct, frozen=True):
    """The names under which a server may be called. Loopback names are among them, whatever they are."""

    bound: str
    """The host that the server listens at."""
    names: frozenset[str] = frozenset()
    """More host names, in lower case."""

    def refusal(self, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
        """Why a request with these headers is refused; None: it is not."""
        found = list(headers)
        hosts = [value.decode("latin-1") for name, value in found if name == b"host"]
        if len(hosts) != 1 or not self._is_here(f"http://{hosts[0]}"):
            return "the Host header does not name this server"
        origins = [value.decode("latin-1") for name, value in found if name == b"origin"]
        if origins and (len(origins) != 1 or not self._is_here(origins[0])):
            return "requests of other web sites (Origin header) are not served"
        return None

    def _is_here(self, url: str) -> bool:
        try:
            where = origin(url)
        except ValueError:
            return False
        if "@" in url or url.count("/") > 2:  # `Host: a/b` and the like
            return False
        if where.loopback or where.host == self.bound.lower() or where.host in self.names:
            return True
        # rebinding needs a name, so an address is that of this machine
        return self.bound in ANYWHERE and _is_address(where.host)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
