"""Anthropic usage: input tokens exclude cache reads and writes; output tokens include thinking."""

from typing import Any

from modelbay.conversation import Json
from modelbay.protocols.shapes import count
from modelbay.usage import Usage

_SEARCHES = "web_search_requests"
_TOTALS = frozenset(("input_tokens", "output_tokens"))
"""The counts of a usage without details."""


def parse_usage(raw: Json) -> Usage | None:
    if not isinstance(raw, dict):
        return None
    input, output = count(raw.get("input_tokens")), count(raw.get("output_tokens"))
    if input is None and output is None:
        return None
    if _TOTALS.issuperset(raw):  # of most compatible hosts
        return Usage(input=input, output=output, raw=raw)
    written = count(raw.get("cache_creation_input_tokens"))
    by_age = raw.get("cache_creation")
    hour = count(by_age.get("ephemeral_1h_input_tokens")) if isinstance(by_age, dict) else None
    if isinstance(by_age, dict) and written is None:
        written = (count(by_age.get("ephemeral_5m_input_tokens")) or 0) + (hour or 0)
    details = raw.get("output_tokens_details")
    reasoning = count(details.get("thinking_tokens")) if isinstance(details, dict) else None
    searches = raw.get("server_tool_use")
    return Usage(
        input=input,
        cache_read=count(raw.get("cache_read_input_tokens")),
        cache_write=None if written is None else max(0, written - (hour or 0)),
        cache_write_1h=hour,
        output=None if output is None else max(0, output - (reasoning or 0)),
        reasoning=reasoning,
        web_searches=count(searches.get(_SEARCHES)) if isinstance(searches, dict) else None,
        raw=raw,
    )


def merge_usage(before: dict[str, Any], after: Json) -> dict[str, Any]:
    """Later reports overwrite earlier ones: the counts of `message_delta` are cumulative, and adding them would count
    twice. A zero does not: some hosts repeat all fields there, without the counts of `message_start`."""
    if not isinstance(after, dict):
        return before
    return before | {name: value for name, value in after.items() if value or (value == 0 and not before.get(name))}


def render_usage(usage: Usage | None) -> dict[str, Any]:
    """Always has its two counts: clients read them without checking."""
    usage = usage or Usage()
    body: dict[str, Any] = {
        "input_tokens": (usage.input or 0) + (usage.tool_prompt or 0),
        "output_tokens": usage.output_total,
    }
    if usage.cache_read is not None:
        body["cache_read_input_tokens"] = usage.cache_read
    if usage.cache_write is not None or usage.cache_write_1h is not None:
        body["cache_creation_input_tokens"] = (usage.cache_write or 0) + (usage.cache_write_1h or 0)
    if usage.cache_write_1h is not None:
        body["cache_creation"] = {
            "ephemeral_5m_input_tokens": usage.cache_write or 0,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        }
    if usage.reasoning is not None:
        body["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    if usage.web_searches is not None:
        body["server_tool_use"] = {_SEARCHES: usage.web_searches, "web_fetch_requests": 0}
    return body
