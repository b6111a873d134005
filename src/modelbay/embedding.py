"""Embeddings: texts as vectors of numbers, of which similar ones belong to texts of similar meaning."""

from collections.abc import Callable
from math import isfinite
from typing import TYPE_CHECKING, Any, NoReturn

from msgspec import Struct, field

from modelbay.conversation import Extra
from modelbay.errors import MalformedReply
from modelbay.events import Warned
from modelbay.other_names import EMBEDDINGS, unknown
from modelbay.usage import Priced, Usage


class EmbeddingRequest(Struct, kw_only=True):
    """Texts to embed. A setting that is None has the default of the model."""

    texts: list[str]
    model: str | None = None
    """The model that a client asks for."""
    dimensions: int | None = None
    """Length of the vectors."""
    input_type: str | None = None
    """Purpose of the vectors: "query", "document", or a value of the vendor."""
    user: str | None = None
    base64: bool = False
    """Whether the client asks for vectors in Base64."""
    single: bool = False
    """Whether the client asks for one vector instead of a list."""
    extra: Extra = field(default_factory=dict)
    """Fields of the provider's own API."""


class Embeddings(Priced):
    """The vectors of some texts, in the order of the texts. The result of `Hub.embed`."""

    vectors: list[list[float]]
    """One vector for each text."""
    model: str | None = None
    """The model that made them, as the provider calls it."""
    usage: Usage | None = None
    """Tokens of the texts; None if the provider did not count them."""
    warnings: list[Warned] = field(default_factory=list)
    """Settings that were not applied as requested, and attempts that failed."""
    provider: str | None = None
    """The ID of the provider in the configuration."""

    @property
    def cost(self) -> float | None:
        """Cost in US dollars; None if the price or the usage is unknown. The first use may load a list of prices, which takes a
        quarter of a second."""
        priced: Callable[[Usage], float | None] | None = self.__dict__.get("priced")
        return None if priced is None or self.usage is None else priced(self.usage)

    @property
    def dimensions(self) -> int | None:
        """Length of the vectors; None if there are none."""
        return len(self.vectors[0]) if self.vectors else None

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            raise unknown(self, name, EMBEDDINGS)

    def __repr__(self) -> str:
        count = len(self.vectors)
        of = f" of {self.dimensions} dimensions" if self.vectors else ""
        return f"Embeddings({count} vector{'' if count == 1 else 's'}{of}, model={self.model!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("vectors", len(self.vectors)), ("dimensions", self.dimensions), ("model", self.model)]


def checked_vectors(vectors: list[list[float]], count: int) -> list[list[float]]:
    """The vectors of a reply about `count` texts.

    Raises:
        MalformedReply: there are more or fewer, one is empty, or has a value that is not a number.
    """
    if len(vectors) != count:
        raise MalformedReply(f"the provider returned {len(vectors)} vectors for {count} texts")
    for place, vector in enumerate(vectors):
        if not vector or not isfinite(sum(vector)):
            fault = "is empty" if not vector else "has values that are not numbers, or infinite"
            raise MalformedReply(f"vector {place} of the reply {fault}")
    return vectors
