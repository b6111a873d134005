"""Requests that OpenAI refuses in Responses, with its messages."""

import re

from modelbay.conversation import Text, Thinking, ToolCall, ToolResult
from modelbay.simulator.error_messages import bad_request
from modelbay.simulator.request_rules.request import CheckedRequest, refuse
from modelbay.simulator.signatures import signed_text


def answers_function_calls(request: CheckedRequest) -> None:
    parts = [part for _, turn in request.messages for part in turn.parts]
    calls = {part.id for part in parts if type(part) is ToolCall}
    results = [part.call_id for part in parts if type(part) is ToolResult]
    answered = set(results)
    for id in [part.id for part in parts if type(part) is ToolCall and part.id not in answered]:
        refuse(request, f"No tool output found for function call {id}.", "input")
    for id in answered - calls:
        refuse(request, f"No tool call found for function call output with call_id {id}.", "input")
    if len(results) > len(answered):
        id = next(id for id in results if results.count(id) > 1)
        refuse(request, f"Duplicate function call output found for call_id {id}.", "input")


def keeps_reasoning_items(request: CheckedRequest) -> None:
    """Reasoning must precede the item that it led to, and must be signed by the provider."""
    reasoned: set[str] = set()
    stored = request.conversation.settings.extra.get("store") is not False
    for _, _, part, prefix in request.signed():
        item = part.item_id or ""
        if type(part) is Thinking:
            reasoned.add(_group(item))
            if part.opaque is None and part.origin is None and not stored and not request.has_reasoning(item):
                raise bad_request(
                    request.traits.protocol,
                    f"Item with id '{item}' not found. Items are not persisted when `store` is set to false. Try again with "
                    "`store` set to true, or remove this item from your input.",
                    param="input",
                    status=404,
                )
            signed = part.opaque is None or prefix.holds(*signed_text(part), part.opaque)
            if part.origin is not None or not signed:
                refuse(
                    request,
                    f"The encrypted content for item {item} could not be verified. Reason: Encrypted content could not be "
                    "decrypted or parsed.",
                    "input",
                    "invalid_encrypted_content",
                )
        elif re.fullmatch(r"(fc|msg)_T[0-9a-f]{20}\d\d", item) and _group(item) not in reasoned:
            kind = "function_call" if item.startswith("fc") else "message"
            refuse(
                request,
                f"Item '{item}' of type '{kind}' was provided without its required 'reasoning' item: 'rs_{_group(item)}00'.",
                "input",
            )


def _group(item_id: str) -> str:
    """The part of an item ID that all items of one reply share."""
    return item_id.partition("_")[2][:-2]


def wants_input(request: CheckedRequest) -> None:
    if not request.conversation.turns and not request.conversation.settings.state:
        refuse(
            request,
            "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation' must be provided.",
            "input",
            "missing_required_parameter",
        )


def says_json(request: CheckedRequest) -> None:
    """JSON mode requires the word in a message; `instructions` do not count."""
    form = request.conversation.settings.output_format
    if form is None or form.kind != "json":
        return
    texts = [part.text for _, turn in request.messages for part in turn.parts if type(part) is Text]
    if texts and not any("json" in text.lower() for text in texts):
        refuse(
            request,
            "Response input messages must contain the word 'json' in some form to use 'text.format' of type 'json_object'.",
            "input",
        )


def keeps_no_conversations(request: CheckedRequest) -> None:
    state = request.conversation.settings.state or {}
    if (id := state.get("conversation")) is not None:
        refuse(request, f"Conversation with id '{id}' not found.", "conversation")
