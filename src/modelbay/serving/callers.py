"""Which callers a server accepts: programs that address it by a local name, but no page of another web site.

Any web page can make a browser send requests to this machine. `Origin` names the page's site. With DNS rebinding, a
foreign name resolves to this machine and the page has the same origin; then `Host` has the foreign name.
"""

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache

from msgspec import Struct

from modelbay.origin import ANYWHERE, origin


class Callers(Struct, frozen=True):
    """Host names under which a server may be called. Loopback names are always accepted."""

    bound: str
    """The host that the server is bound to."""
    names: frozenset[str] = frozenset()
    """Further host names, in lower case."""
    origins: frozenset[str] = frozenset()
    """Origins of other web sites whose pages may send requests."""
    fix: str = ""
    """How the user adds `{}` to `names`; "" if that is not possible."""

    def refusal(self, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
        """The reason to refuse a request with these headers, or None."""
        hosts, origins = [], []
        for name, value in headers:
            if name == b"host":
                hosts.append(value.decode("latin-1"))
            elif name == b"origin":
                origins.append(value.decode("latin-1"))
        if len(hosts) != 1 or not _is_here(self, f"http://{hosts[0]}"):
            named = _NAME.match(hosts[0]) if len(hosts) == 1 else None
            fix = f": {self.fix.format(named[0])}" if named and self.fix else ""
            return f"the Host header does not name this server{fix}"
        if origins and (len(origins) != 1 or not (origins[0] in self.origins or _is_here(self, origins[0]))):
            return "requests from other web sites are refused (Origin header)"
        return None


_NAME = re.compile(r"[A-Za-z0-9._-]{1,253}(?=:\d+\Z|\Z)")
_LONGEST = 300
"""Maximum characters of a URL with a host name."""


def _is_here(callers: Callers, url: str) -> bool:
    """Whether the host of a URL is one of the server."""
    return len(url) <= _LONGEST and _has_own_host(callers, url)  # longer ones would stay in memory


@lru_cache(maxsize=256)
def _has_own_host(callers: Callers, url: str) -> bool:
    try:
        where = origin(url)
    except ValueError:
        return False
    if "@" in url or url.count("/") > 2:  # such as `Host: a/b`
        return False
    if where.loopback or where.host == callers.bound.lower() or where.host in callers.names:
        return True
    # DNS rebinding needs a name, so an IP address is one of this machine
    return callers.bound in ANYWHERE and _is_address(where.host)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
