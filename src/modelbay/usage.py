"""Token usage in disjoint counts, so that no sum counts a token twice."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

from msgspec import Struct
from msgspec.structs import astuple, replace

from modelbay.conversation import Extra
from modelbay.other_names import USAGE, unknown


class Usage(Struct, omit_defaults=True):
    """Token counts. None means not reported, which is not 0. The counts add up to what is billed; totals are computed."""

    input: int | None = None
    """Prompt tokens neither read from nor written to a cache, without tool prompts."""
    cache_read: int | None = None
    """Prompt tokens read from a cache."""
    cache_write: int | None = None
    """Tokens written to the provider's default cache (Anthropic: five minutes)."""
    cache_write_1h: int | None = None
    """Tokens written to a cache that lasts an hour."""
    output: int | None = None
    """Output tokens without reasoning."""
    reasoning: int | None = None
    """Output tokens of reasoning."""
    tool_prompt: int | None = None
    """Prompt tokens added by the provider's own tools (Gemini)."""
    web_searches: int | None = None
    """Web searches that the provider, or the gateway in its place, ran for the reply."""
    raw: Extra | None = None
    """The provider's usage object."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            raise unknown(self, name, USAGE)

    def __repr__(self) -> str:
        counts = ((name, getattr(self, name)) for name in self.__struct_fields__ if name != "raw")
        return f"Usage({', '.join(f'{name}={count}' for name, count in counts if count is not None)})"

    @property
    def input_total(self) -> int:
        """All input tokens."""
        cached = (self.cache_read or 0) + (self.cache_write or 0) + (self.cache_write_1h or 0)
        return (self.input or 0) + cached + (self.tool_prompt or 0)

    @property
    def output_total(self) -> int:
        """All output tokens, with reasoning."""
        return (self.output or 0) + (self.reasoning or 0)

    @property
    def total(self) -> int:
        """All tokens."""
        return self.input_total + self.output_total


class Priced(Struct, dict=True):
    """Something that a Hub prices. It is copied with its price and the other values in `__dict__`, which msgspec does not copy."""

    def __copy__(self) -> Self:
        return changed(self)

    def __reduce__(self) -> tuple[Any, ...]:
        price: Callable[[Usage], float | None] | None = self.__dict__.get("priced")
        kept = self.__dict__
        usage: Usage | None = getattr(self, "usage", None)
        if price is not None:  # it has a Hub, which cannot be pickled
            kept = {**kept, "priced": _KnownCost(None if usage is None else price(usage))}
        return _restored, (type(self), astuple(self), kept)


T = TypeVar("T", bound=Priced)


class _KnownCost(Struct, frozen=True):
    """The price of a copy."""

    dollars: float | None

    def __call__(self, usage: Usage) -> float | None:
        return self.dollars


def changed(value: T, **changes: Any) -> T:
    """A copy with other fields, the same price, and the same other values in `__dict__`."""
    found = replace(value, **changes)
    found.__dict__.update(value.__dict__)
    return found


def _restored(kind: type[T], fields: tuple[Any, ...], kept: dict[str, Any]) -> T:
    found = kind(*fields)
    found.__dict__.update(kept)
    return found


def sum_of(counts: Iterable[Usage]) -> Usage:
    """The counts of several calls together. A count that none of them reported stays None."""
    total = Usage()
    for usage in counts:
        for name in Usage.__struct_fields__:
            more = getattr(usage, name)
            if name != "raw" and more is not None:
                setattr(total, name, (getattr(total, name) or 0) + more)
    return total
