"""A model as it appears in a list."""

from typing import Literal, TypeAlias

from msgspec import Struct, field

from modelbay.catalog.facts import Facts
from modelbay.conversation import Extra, Protocol

Kind: TypeAlias = Literal[
    "chat", "completion", "embedding", "rerank", "image", "audio", "video", "moderation", "answer", "other"
]
"""Purpose of a model. Only `chat` models can be asked; an unspecified purpose counts as chat."""
Status: TypeAlias = Literal["deprecated", "alpha", "beta", "inactive"]


class Gaps(Struct):
    """Parts of a source that were not read. A model that may be in one of them is unknown, not gone, so it is not removed."""

    reasons: list[str] = field(default_factory=list)
    """Why entries with unknown IDs are missing, such as a page that failed."""
    entries: dict[str, str] = field(default_factory=dict)
    """By ID: why an entry that is in the source cannot be used."""

    def __bool__(self) -> bool:
        return bool(self.reasons or self.entries)

    def covers(self, id: str) -> str | None:
        """Why the source may still have this ID; None if it was read and does not have it."""
        return self.entries.get(id) or (self.reasons[0] if self.reasons else None)

    def add(self, more: "Gaps") -> None:
        self.reasons += more.reasons
        self.entries |= more.entries


class Listed(Struct, kw_only=True, omit_defaults=True):
    """A model of a list."""

    id: str
    """Model ID sent to the provider."""
    facts: Facts = field(default_factory=Facts)
    kind: Kind = "chat"
    status: Status | None = None
    protocols: list[Protocol] = field(default_factory=list)
    """Protocols that the list gives for the model; usually none."""
    extra: Extra = field(default_factory=dict)
    """The unchanged entry of the list."""

    @property
    def name(self) -> str:
        return self.facts.name or self.id

    @property
    def chats(self) -> bool:
        return self.kind == "chat"
