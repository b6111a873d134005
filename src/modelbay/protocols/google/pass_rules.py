"""Rules for Gemini requests that are passed on. The model is in the path."""

from modelbay.conversation import Json
from modelbay.protocols.google.errors import error_object
from modelbay.protocols.google.parts import ENVELOPE
from modelbay.protocols.google.resource import resource_name, resource_path
from modelbay.protocols.google.usual import is_plain
from modelbay.protocols.pass_rules import PassRules
from modelbay.protocols.shapes import items

_FAILED = frozenset((
    "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE", "MALFORMED_RESPONSE",
    "OTHER", "NO_IMAGE", "IMAGE_OTHER",
))  # fmt: skip
"""Finish reasons of a model that failed."""


def _names_failure(fields: dict[str, Json]) -> bool:
    first = next(iter(items(fields.get("candidates"))), None)
    return isinstance(first, dict) and first.get("finishReason") in _FAILED


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
    bare_failure=error_object,
    names_failure=_names_failure,
)
