"""What a source says when it is asked again, before anything is written."""

from collections.abc import Callable

from msgspec import Struct

from modelbay.config.edit import Edit
from modelbay.errors import ModelbayError
from modelbay.onboarding.sources.merge import WrittenProvider

LIST, LOGIN = "list", "login"
"""The kinds of providers that came from no other place: their own lists are asked, or the service that one logs in to."""


class Move(Struct, frozen=True):
    """A source says that its provider is somewhere else now. It stays where it is until somebody agrees."""

    old: str
    new: str


class SourceUpdate(Struct, kw_only=True):
    """What a source said. `error`: it could not be asked, and nothing is to be written."""

    kind: str
    providers: list[str]
    write: Callable[[Edit, bool], list[WrittenProvider]] | None = None
    """Writes it; the switch says whether its move is agreed to."""
    remember: Callable[[bool], None] = lambda agreed: None
    """To be called once it is written."""
    move: Move | None = None
    error: ModelbayError | None = None
