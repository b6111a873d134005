"""A short summary of a model that fits on a line."""

from decimal import Decimal

from modelbay.model import Capability, Cost, Model

SHOWN: dict[Capability, str] = {
    "thinking": "thinking",
    "image_in": "images",
    "video_in": "video",
    "audio_in": "audio",
    "document_in": "documents",
    "tool_use": "tools",
}
"""Capabilities that distinguish models."""


def facts(model: Model) -> str:
    """The known facts, such as "200k context · $3 in, $15 out · thinking, images"."""
    words = [f"{size(model.max_context_tokens)} context"] if model.max_context_tokens else []
    if model.cost is not None and (price := prices(model.cost)):
        words.append(price)
    can = [word for capability, word in SHOWN.items() if model.can(capability)]
    if can:
        words.append(", ".join(can))
    return " · ".join(words)


def prices(cost: Cost) -> str:
    """Dollars per million tokens."""
    known = [(cost.input, "in"), (cost.output, "out")]
    if not any(price for price, _ in known):
        return "free" if all(price is not None for price, _ in known) else ""
    return ", ".join(f"${dollars(price)} {word}" for price, word in known if price is not None)


def dollars(price: float) -> str:
    """A price without an exponent, such as 15, 0.5 or 0.0000005."""
    return f"{Decimal(f'{price:g}'):f}"


def size(tokens: int | None) -> str:
    """A number of tokens in short form: 128k, 1M, 4,096."""
    if not tokens:
        return ""
    for unit, letter in ((1_000_000, "M"), (1_000, "k")):
        if tokens >= unit and round(tokens / unit, 2) * unit == tokens and tokens % (unit // 100) == 0:
            return f"{tokens / unit:g}{letter}"
    return f"{tokens:,}"


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
