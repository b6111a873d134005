"""Responses usage: input tokens include cached ones, output tokens include reasoning."""

from typing import Any

from modelbay.conversation import Json
from modelbay.dialect import Dialect
from modelbay.usage import Usage


def _count(value: Json, name: str) -> int | None:
    count = value.get(name) if isinstance(value, dict) else None
    return count if type(count) is int and count >= 0 else None


def parse_usage(raw: Json, dialect: Dialect) -> Usage | None:
    """Disjoint counts, or None if nothing was reported."""
    read, written = _count(raw, "input_tokens"), _count(raw, "output_tokens")
    if read is None and written is None:  # servers that were made for Chat Completions
        read, written = _count(raw, "prompt_tokens"), _count(raw, "completion_tokens")
    if read is None and written is None:
        return None
    into, out = raw.get("input_tokens_details"), raw.get("output_tokens_details")
    cache_read, cache_write = _count(into, "cached_tokens"), _count(into, "cache_write_tokens")
    reasoning = _count(out, "reasoning_tokens")
    cached = (cache_read or 0) + (cache_write or 0)
    if read is not None and cached <= read:
        read -= cached
    if written is not None and reasoning and _contains(raw, written, reasoning, dialect):
        written -= reasoning
    return Usage(
        input=read, cache_read=cache_read, cache_write=cache_write, output=written, reasoning=reasoning, raw=raw
    )


def _contains(raw: dict[str, Any], written: int, reasoning: int, dialect: Dialect) -> bool:
    """Whether output tokens include reasoning. If not, the total shows it."""
    read, total = _count(raw, "input_tokens"), _count(raw, "total_tokens")
    if reasoning > written:
        return False
    if read is None or total is None:
        return dialect.reasoning_in_output
    return total != read + written + reasoning


def render_usage(usage: Usage | None) -> dict[str, Any]:
    """Always complete: opencode retries forever if it is missing, and the SDK's types require every field."""
    usage = usage or Usage()
    return {
        "input_tokens": usage.input_total,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read or 0,
            "cache_write_tokens": (usage.cache_write or 0) + (usage.cache_write_1h or 0),
        },
        "output_tokens": usage.output_total,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
        "total_tokens": usage.total,
    }
