"""Estimates of input tokens, for providers that do not count them.

The amounts of each thing in a conversation (`contents`, `media_tokens`) are multiplied by the factors of the model's family
(`token_factors`). `learned_counts` corrects the estimates.
"""

from typing import NamedTuple

from modelbay.conversation import Conversation, Protocol
from modelbay.counting.contents import Contents
from modelbay.counting.media_tokens import media_tokens
from modelbay.counting.token_factors import FACTORS, row_for, table_of
from modelbay.dialect import PLAIN, Dialect
from modelbay.model import Model


class Estimate(NamedTuple):
    """The amounts in a conversation, and the factors of the model's family, in the order of `FACTORS`."""

    amounts: list[float]
    factors: list[float]
    complete: bool
    """Whether all that the provider counts is text in the conversation: no media, and nothing of the provider's own tools."""

    @property
    def tokens(self) -> int:
        """The estimated input tokens, at least 1."""
        return max(1, round(sum(a * f for a, f in zip(self.amounts, self.factors, strict=True))))


def estimate(
    conversation: Conversation, model: Model, protocol: Protocol | None = None, dialect: Dialect = PLAIN
) -> Estimate:
    """Estimate the input tokens of a conversation. `protocol` and `dialect` are the provider's."""
    contents, table = Contents.of(conversation), table_of(model.family)
    row = row_for(table.family, model, protocol, dialect)
    amounts = contents.amounts(row)
    amounts["media"] = media_tokens(contents.media, contents.returned, row_for(table.media, model, protocol, dialect))
    complete = not contents.hidden and not contents.media and not contents.returned
    return Estimate([float(amounts[name]) for name in FACTORS], [getattr(row, name) for name in FACTORS], complete)
