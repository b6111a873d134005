"""The facts in the head of a client's request."""

from msgspec import Struct

from modelbay.gateway.headers import Field
from modelbay.secrecy import Hidden
from modelbay.serving.callers import Callers
from modelbay.serving.routes import Route


class Asked(Struct, frozen=True):
    """The facts in the head of a request. They are read once for all requests with the same head."""

    callers: Callers
    """The rules that the head was checked by. After a change of the configuration it is checked again."""
    route: Route
    protocol: str
    """The protocol of the response."""
    query: str
    """The query without a key."""
    keys: list[Hidden]
    """The keys in it. One of them must be a client's."""
    separate_key: Hidden | None
    """The key in a header of its own, beside a login: see `client_login`."""
    cors: list[Field]
    """The headers of the response that let a page of an allowed origin read it."""
    sent_on: dict[str, str] | None
    """The headers of the client that are sent on if its request is passed on unchanged; None if it cannot be a `Passage`."""
