"""The heads of requests: method, target and headers, without the length of the body. Clients send the same head many times."""

from typing import Any, TypeAlias

Fields: TypeAlias = list[tuple[bytes, bytes]]

LONGEST = 4 * 1024
"""Maximum size in bytes of a head that is kept."""
MOST = 256
"""Maximum number of heads that are kept."""
_LENGTHS = (b"\r\nContent-Length: ", b"\r\ncontent-length: ")
_UNUSUAL = frozenset(("expect", "upgrade", "transfer-encoding"))
"""Headers of requests that a parser must read."""


class RequestHead:
    """A valid head. It does not change, so facts that follow from it are derived once."""

    def __init__(
        self, method: str, target: bytes, fields: Fields, *, version: str = "1.1", keep_alive: bool = True
    ) -> None:
        """`fields`: the headers, with names in lower case; without `content-length`."""
        self.method = method
        path, _, query = target.partition(b"?")
        self.path = path.decode("latin-1")
        """The raw path, still percent-encoded."""
        self.query = query.decode("latin-1")
        self.fields = fields
        self.version = version
        self.keep_alive = keep_alive
        """Whether the client keeps the connection."""
        self.headers: dict[str, str] = {}
        """The headers by name. Repeated ones are joined, as HTTP defines."""
        for name, value in fields:
            key, text = name.decode("latin-1"), value.decode("latin-1")
            before = self.headers.get(key)
            self.headers[key] = text if before is None else f"{before}, {text}"
        self.derived: Any = None
        """Facts that the handler derived from it, for the next request with this head."""


class KnownHeads:
    """Heads that a parser has read. A request that has one of them needs no parser."""

    def __init__(self) -> None:
        self._heads: dict[bytes, RequestHead] = {}

    def __len__(self) -> int:
        return len(self._heads)

    def find(self, key: bytes) -> RequestHead | None:
        return self._heads.get(key)

    def add(self, key: bytes, head: RequestHead) -> None:
        """Keep the head of a request whose `split` has this key, unless a request with it must be parsed."""
        if head.version != "1.1" or not head.keep_alive or not _UNUSUAL.isdisjoint(head.headers):
            return
        if len(self._heads) >= MOST:
            self._heads.clear()
        self._heads[key] = head


def split(data: bytes) -> tuple[bytes, int, int] | None:
    """The head without the digits of the body's length, the place where the body begins, and the number of its missing bytes. None
    unless the data is one request with a body, or the beginning of one with its whole head."""
    end = data.find(b"\r\n\r\n", 0, LONGEST)
    if end < 0:
        return None
    for name in _LENGTHS:
        if (at := data.find(name, 0, end)) >= 0:
            begin = at + len(name)
            stop = data.find(b"\r\n", begin)
            digits = data[begin:stop]
            if len(digits) < 10 and digits.isdigit() and (missing := int(digits) + end + 4 - len(data)) >= 0:
                return data[:begin] + data[stop:end], end + 4, missing
    return None
