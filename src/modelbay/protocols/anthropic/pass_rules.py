"""Rules for Messages requests that are passed on."""

from modelbay.protocols.codec import PassRules

PASS = PassRules(
    paths={"generate": "/v1/messages", "stream": "/v1/messages", "count": "/v1/messages/count_tokens"},
    headers=("anthropic-", "x-claude-code-", "idempotency-key"),
    limits=("max_tokens",),
    budgets=("thinking.budget_tokens",),
    betas={
        "context-management-": ("context_management",),
        "compact-": ("context_management",),
        "effort-": ("output_config",),
        "task-budgets-": ("output_config",),
        "structured-outputs-": ("output_config", "output_format"),
        "interleaved-thinking-": ("thinking",),
        "redact-thinking-": ("thinking",),
        "mcp-client-": ("mcp_servers",),
        "fast-mode-": ("speed",),
    },
)
