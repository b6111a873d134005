"""Rules for Chat Completions requests that are passed on, and for the other calls of OpenAI's API."""

import re

from modelbay.protocols.codec import PassRules
from modelbay.protocols.openai_chat.usual import is_plain

_BLOCK = re.compile(rb'"type"\s*:\s*"tool_(?:use|result)"')
_NO_CONTENT = (b'"content":[]', b'"content": []')
"""As programs in JavaScript and Python write it: searches for a text are much faster than patterns, and bodies are long."""


def is_of_cursor(body: bytes) -> bool:
    """Whether a body has messages that providers reject, and that Cursor sends: an empty list as the content beside tool calls, and
    calls and results as blocks of Anthropic."""
    return ((b'"tool_use"' in body or b'"tool_result"' in body) and _BLOCK.search(body) is not None) or (
        any(text in body for text in _NO_CONTENT) and b'"tool_calls"' in body
    )


PASS = PassRules(
    paths={
        "generate": "/chat/completions",
        "stream": "/chat/completions",
        "completions": "/completions",
        "embed": "/embeddings",
        "moderations": "/moderations",
        "rerank": "/rerank",
    },
    # the last two name the application, in the rankings of aggregators
    headers=("openai-", "idempotency-key", "x-client-request-id", "http-referer", "x-title"),
    limits=("max_tokens", "max_completion_tokens"),
    budgets=("thinking.budget_tokens", "reasoning.max_tokens", "thinking_budget"),
    reasoning="reasoning_content",
    freeform=re.compile(rb'"type"\s*:\s*"custom"'),
    damaged=is_of_cursor,
    other_tools=re.compile(
        rb'"(?:function|custom)"\s*,\s*"(?:name|description|parameters|strict|format)"\s*:|"input_?[sS]chema"\s*:\s*\{'
    ),
    is_plain=is_plain,
)
