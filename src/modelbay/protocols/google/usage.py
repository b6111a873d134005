"""Gemini usage: prompt tokens include cached ones, candidates exclude thoughts, tool prompt tokens are counted
separately."""

from typing import Any

from modelbay.conversation import Json
from modelbay.usage import Usage


def parse_usage(raw: Json) -> Usage | None:
    """Disjoint counts, or None if nothing was counted: Vertex AI's first chunks only contain the type of traffic."""
    if not isinstance(raw, dict):
        return None
    prompt, cached = _count(raw.get("promptTokenCount")), _count(raw.get("cachedContentTokenCount"))
    output, reasoning = _count(raw.get("candidatesTokenCount")), _count(raw.get("thoughtsTokenCount"))
    if prompt is None and output is None and reasoning is None:
        return None
    if prompt is not None and cached is not None and cached <= prompt:
        prompt -= cached
    return Usage(
        input=prompt,
        cache_read=cached,
        output=output,
        reasoning=reasoning,
        tool_prompt=_count(raw.get("toolUsePromptTokenCount")),
        raw=raw,
    )


def _count(value: Json) -> int | None:
    return value if type(value) is int and value >= 0 else None


def render_usage(usage: Usage) -> dict[str, Any]:
    """The official form. Gemini's own numbers are restored, with details by modality."""
    if usage.raw is not None and "promptTokenCount" in usage.raw:
        return usage.raw
    prompt = usage.input_total - (usage.tool_prompt or 0)
    counts = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": usage.output or 0,
        "totalTokenCount": usage.total,
        "cachedContentTokenCount": usage.cache_read,
        "thoughtsTokenCount": usage.reasoning,
        "toolUsePromptTokenCount": usage.tool_prompt,
    }
    return {name: count for name, count in counts.items() if count is not None}
