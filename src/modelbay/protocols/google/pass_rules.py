"""Rules for Gemini requests that are passed on. The model is in the path."""

from modelbay.protocols.codec import PassRules

PASS = PassRules(
    paths={
        "generate": "/{model}:generateContent",
        "stream": "/{model}:streamGenerateContent?alt=sse",
        "count": "/{model}:countTokens",
        "embed": "/{model}:embedContent",
        "embed_batch": "/{model}:batchEmbedContents",
    },
    headers=("x-server-timeout", "idempotency-key"),
    limits=("generationConfig.maxOutputTokens",),
    budgets=("generationConfig.thinkingConfig.thinkingBudget",),
)
