"""Rules for Messages requests that are passed on."""

import re

from modelbay.protocols.anthropic.usual import is_plain
from modelbay.protocols.pass_rules import PassRules

PASS = PassRules(
    paths={"generate": "/v1/messages", "stream": "/v1/messages", "count": "/v1/messages/count_tokens"},
    headers=("anthropic-", "x-claude-code-", "idempotency-key"),
    limits=("max_tokens",),
    tool_name=r"[a-zA-Z0-9_-]{1,128}",
    other_tools=re.compile(rb'"type"\s*:\s*"function"|"inputSchema"\s*:\s*\{'),
    is_plain=is_plain,
    is_failure=lambda name, _: name == "error",
    budgets=("thinking.budget_tokens",),
    counted=(
        "anthropic_version",
        "cache_control",
        "context_management",
        "mcp_servers",
        "messages",
        "model",
        "output_config",
        "output_format",
        "speed",
        "system",
        "thinking",
        "tool_choice",
        "tools",
    ),
    betas={
        "context-management-": ("context_management",),
        "compact-": ("context_management",),
        "effort-": ("output_config", "output_config.effort"),
        "task-budgets-": ("output_config",),
        "structured-outputs-": ("output_config", "output_format"),
        "interleaved-thinking-": ("thinking",),
        "redact-thinking-": ("thinking",),
        "mcp-client-": ("mcp_servers",),
        "fast-mode-": ("speed",),
        "dangerous-tool-use-": ("safeguards",),
        "advanced-tool-use-": ("tools.*.defer_loading", "tools.*.input_examples", "tools.*.allowed_callers"),
        "tool-search-tool-": ("tools.*.defer_loading",),
        "prompt-caching-scope-": ("**.cache_control.scope",),
        "extended-cache-ttl-": ("**.cache_control.ttl",),
        "thinking-display-": ("thinking.display",),
    },
)
