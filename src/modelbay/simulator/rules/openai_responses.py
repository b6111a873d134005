"""What OpenAI refuses in Responses, in its words."""

import re

from modelbay.conversation import Thinking, ToolCall, ToolResult
from modelbay.simulator.complaints import bad_request
from modelbay.simulator.rules.request import Request, refuse
from modelbay.simulator.signatures import signed_text


def answers_function_calls(request: Request) -> None:
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


def keeps_reasoning_items(request: Request) -> None:
    """Reasoning stands before the item it led to, and only its maker can have written it."""
    reasoned: set[str] = set()
    stored = request.conversation.settings.extra.get("store") is not False
    for _, _, part, prefix in request.signed():
        item = part.item_id or ""
        if type(part) is Thinking:
            reasoned.add(_group(item))
            if part.opaque is None and part.origin is None and not stored:
                raise bad_request(
                    request.manners.protocol,
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
    """What the items of one reply have in common."""
    return item_id.partition("_")[2][:-2]


def wants_input(request: Request) -> None:
    if not request.conversation.turns and not request.conversation.settings.state:
        refuse(
            request,
            "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation' must be provided.",
            "input",
            "missing_required_parameter",
        )


def keeps_no_state(request: Request) -> None:
    state = request.conversation.settings.state or {}
    if (id := state.get("previous_response_id")) is not None:
        refuse(
            request,
            f"Previous response with id '{id}' not found.",
            "previous_response_id",
            "previous_response_not_found",
        )
    if (id := state.get("conversation")) is not None:
        refuse(request, f"Conversation with id '{id}' not found.", "conversation")
