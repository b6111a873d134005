"""Rules for Chat Completions requests that are passed on, and for the other calls of OpenAI's API."""

import re

from modelbay.protocols.openai_chat.usual import is_plain
from modelbay.protocols.pass_rules import PassRules

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
    # Cursor always has such a tool, so its other odd forms need no search in the messages, which are long
    other_tools=re.compile(
        rb'"(?:function|custom)"\s*,\s*"(?:name|description|parameters|strict|format)"\s*:|"input_?[sS]chema"\s*:\s*\{'
    ),
    is_plain=is_plain,
)
