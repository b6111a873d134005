"""Rules for Responses requests that are passed on."""

from modelbay.protocols.codec import PassRules

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
)
