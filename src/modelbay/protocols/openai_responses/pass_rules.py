"""Rules for Responses requests that are passed on."""

import re

from modelbay.errors import MalformedReply
from modelbay.json_text import decode
from modelbay.protocols.pass_rules import PassRules

_REASONING = re.compile(rb'"type"\s*:\s*"reasoning"')


def has_lost_reasoning(body: bytes) -> bool:
    """Whether a body has reasoning that providers reject: without state and content, and with an ID only in a request that is not
    stored. Kimi Code and opencode send it without an ID, and pi if it does not know that a model thinks."""
    if len(_REASONING.findall(body)) <= body.count(b'"encrypted_content"'):
        return False
    try:
        request = decode(body)
        items, stored = request.get("input"), request.get("store") is not False
    except (MalformedReply, AttributeError):
        return False
    return isinstance(items, list) and any(
        isinstance(item, dict)
        and item.get("type") == "reasoning"
        and not (item.get("id") and stored)
        and not (item.get("encrypted_content") or item.get("content"))
        for item in items
    )


PASS = PassRules(
    paths={
        "generate": "/responses",
        "stream": "/responses",
        "count": "/responses/input_tokens",
        "compact": "/responses/compact",
        "retrieve": "/responses/{id}",
        "delete": "/responses/{id}",
        "input_items": "/responses/{id}/input_items",
        "cancel": "/responses/{id}/cancel",
    },
    headers=("openai-", "idempotency-key", "x-client-request-id"),
    limits=("max_output_tokens",),
    turns="input",
    counted=(
        "conversation",
        "input",
        "instructions",
        "model",
        "parallel_tool_calls",
        "previous_response_id",
        "reasoning",
        "text",
        "tool_choice",
        "tools",
        "truncation",
    ),
    damaged=has_lost_reasoning,
    is_failure=lambda _, fields: fields.get("type") in ("error", "response.failed"),
    freeform=re.compile(rb'"type"\s*:\s*"custom(?:_tool_call(?:_output)?)?"'),
    other_tools=re.compile(rb'"function"\s*,\s*"function"\s*:\s*\{|"input_?[sS]chema"\s*:\s*\{'),
    compaction=re.compile(rb'"type"\s*:\s*"compaction_trigger"'),
)
