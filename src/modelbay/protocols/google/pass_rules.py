"""Rules for Gemini requests that are passed on. The model is in the path."""

from modelbay.protocols.codec import PassRules
from modelbay.protocols.google.parts import ENVELOPE
from modelbay.protocols.google.resource import resource_name, resource_path
from modelbay.protocols.google.usual import is_plain

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
    tool_name=r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}",
    is_plain=is_plain,
    turns="contents",
    counted=("contents", "systemInstruction", "tools", "generationConfig"),
    envelope=ENVELOPE.encode(),
    in_path=resource_path,
    named=resource_name,
    budgets=("generationConfig.thinkingConfig.thinkingBudget",),
)
