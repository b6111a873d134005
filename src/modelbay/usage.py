"""Token counts in disjoint buckets, so that no sum counts a token twice."""

from msgspec import Struct

from modelbay.conversation import Extra


class Usage(Struct, omit_defaults=True):
    """None is "not reported", which is not 0. The buckets add up to what is billed; totals are derived."""

    input: int | None = None
    """Prompt tokens neither read from nor written to a cache, tool prompts excluded."""
    cache_read: int | None = None
    cache_write: int | None = None
    """Written to the provider's usual cache (Anthropic: five minutes)."""
    cache_write_1h: int | None = None
    output: int | None = None
    """Generated tokens without reasoning."""
    reasoning: int | None = None
    tool_prompt: int | None = None
    """Prompt tokens that a provider's own tools added (Gemini)."""
    raw: Extra | None = None
    """The provider's own object."""

    @property
    def input_total(self) -> int:
        """Every token that went in."""
        return sum(
            n or 0 for n in (self.input, self.cache_read, self.cache_write, self.cache_write_1h, self.tool_prompt)
        )

    @property
    def output_total(self) -> int:
        return (self.output or 0) + (self.reasoning or 0)

    @property
    def total(self) -> int:
        return self.input_total + self.output_total
