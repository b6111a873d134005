"""An update from a source, before anything is written."""

from collections.abc import Callable

from msgspec import Struct

from modelbay.config.edit import Edit
from modelbay.errors import ModelbayError
from modelbay.onboarding.sources.merge import WrittenProvider

LIST, LOGIN = "list", "login"
"""The kinds of updates for providers without a source document: from the provider's own list, or from a login's service."""


class Move(Struct, frozen=True):
    """A new base URL of a provider, according to its source. It is written only if the user agrees."""

    old: str
    new: str


class SourceUpdate(Struct, kw_only=True):
    """An update from one source. `error`: the source could not be read, and nothing is written."""

    kind: str
    providers: list[str]
    write: Callable[[Edit, bool], list[WrittenProvider]] | None = None
    """Writes the update. The flag: the user agreed to `move`."""
    remember: Callable[[bool], None] = lambda agreed: None
    """Stores the state of the source, after the update is written."""
    move: Move | None = None
    error: ModelbayError | None = None
