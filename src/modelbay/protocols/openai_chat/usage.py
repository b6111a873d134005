"""Chat Completions usage: prompt tokens include cached ones, completion tokens include reasoning. Vendors use different
fields, including those of Responses."""

from typing import Any

from modelbay.conversation import Json
from modelbay.dialect import Dialect
from modelbay.protocols.shapes import count, mapping
from modelbay.usage import Usage

_OTHER_DETAILS = (
    "audio_tokens",
    "text_tokens",
    "image_tokens",
    "accepted_prediction_tokens",
    "rejected_prediction_tokens",
)
"""Counts that are part of others; passed on unchanged."""


_TOTALS = frozenset(("prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens"))
"""The counts of a usage without details."""


def _first(*values: Json) -> int | None:
    """The first value that is a count."""
    for value in values:
        if value is not None and (found := count(value)) is not None:
            return found
    return None


def parse_usage(raw: Json, dialect: Dialect) -> Usage | None:
    """Disjoint counts, or None if nothing was reported."""
    if not isinstance(raw, dict):
        return None
    prompt = _first(raw.get("prompt_tokens"), raw.get("input_tokens"))
    completion = _first(raw.get("completion_tokens"), raw.get("output_tokens"))
    if prompt is None and completion is None:
        return None
    if _TOTALS.issuperset(raw):  # of most local servers
        return Usage(input=prompt, output=completion, raw=raw)
    into = mapping(raw.get("prompt_tokens_details") or raw.get("input_tokens_details"))
    out = mapping(raw.get("completion_tokens_details") or raw.get("output_tokens_details"))
    cache_read = _first(
        into.get("cached_tokens"),
        raw.get("cached_tokens"),  # Moonshot
        raw.get("num_cached_tokens"),  # Mistral
        raw.get("prompt_cache_hit_tokens"),  # DeepSeek
        raw.get("cache_read_input_tokens"),  # gateways in front of Claude
    )
    cache_write = _first(
        into.get("cache_write_tokens"),
        into.get("cache_creation_tokens"),
        raw.get("cache_creation_input_tokens"),  # Vercel
        into.get("cache_creation_input_tokens"),
    )
    reasoning = _first(out.get("reasoning_tokens"), raw.get("reasoning_tokens"))
    output = completion
    if completion is not None and reasoning and _contains_reasoning(raw, prompt, completion, reasoning, dialect):
        output = completion - reasoning
    cached = (cache_read or 0) + (cache_write or 0)
    if prompt is not None and cached <= prompt:  # more cached than prompt tokens: Azure's Grok counts only the rest
        prompt -= cached
    return Usage(
        input=prompt,
        cache_read=cache_read,
        cache_write=cache_write,
        output=output,
        reasoning=reasoning,
        raw=raw,
    )


def _contains_reasoning(
    raw: dict[str, Any], prompt: int | None, completion: int, reasoning: int, dialect: Dialect
) -> bool:
    """Whether completion tokens include reasoning. If not, the numbers show it (xAI's total, Vercel)."""
    if reasoning > completion:
        return False
    total = count(raw.get("total_tokens"))
    if total is not None and prompt is not None and total == prompt + completion + reasoning:
        return False
    if total is not None and prompt is not None and total == prompt + completion:
        return True
    return dialect.reasoning_in_output


def render_usage(usage: Usage) -> dict[str, Any]:
    """The official form; details only if they were reported."""
    prompt, completion = usage.input_total, usage.output_total
    body: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    into: dict[str, int | None] = {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write}
    if usage.cache_write_1h:
        into["cache_write_tokens"] = (usage.cache_write or 0) + usage.cache_write_1h
    out = {"reasoning_tokens": usage.reasoning}
    for name, counts in (("prompt_tokens_details", into), ("completion_tokens_details", out)):
        details = {word: number for word, number in counts.items() if number is not None}
        if given := mapping((usage.raw or {}).get(name)):
            details |= {word: given[word] for word in _OTHER_DETAILS if count(given.get(word)) is not None}
        if details:
            body[name] = details
    return body
