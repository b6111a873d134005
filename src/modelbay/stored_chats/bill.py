"""Tokens, time and cost of an answer, as text."""

from modelbay.model import Model
from modelbay.usage import Usage


def bill(model: Model, usage: Usage | None, seconds: float, cost: float | None) -> str:
    """Such as "sim · 12 tokens in, 34 out · 0.8 s · $0.0002"."""
    words = [model.alias or model.id]
    if usage is not None:
        cached = f" ({usage.cache_read:,} cached)" if usage.cache_read else ""
        thought = f" ({usage.reasoning:,} thinking)" if usage.reasoning else ""
        words.append(f"{usage.input_total:,} tokens in{cached}, {usage.output_total:,} out{thought}")
    words.append(f"{seconds:.1f} s")
    if cost is not None:
        words.append(dollars(cost))
    return " · ".join(words)


def dollars(cost: float) -> str:
    """An amount in US dollars: two decimals from $1 on, up to six below."""
    return f"${cost:.2f}" if cost >= 1 else f"${cost:.6f}".rstrip("0").rstrip(".")
