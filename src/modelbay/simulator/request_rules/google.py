"""Requests that Gemini refuses, with its messages."""

from modelbay.conversation import AnyPart, Text, Thinking, ToolCall, ToolResult, Turn
from modelbay.simulator.request_rules.request import CheckedRequest, refuse
from modelbay.simulator.signatures import Prefix, signed_text

_DUMMIES = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
_DUMMIES_ENCODED = ("c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I", "Y29udGV4dF9lbmdpbmVlcmluZ19pc190aGVfd2F5X3RvX2dv")
"""Signatures that Gemini accepts for calls from other models."""


def keeps_thought_signatures(request: CheckedRequest) -> None:
    """In the current turn, the first call of every step must have a signature. In older turns it may."""
    asked = max((i for i, turn in request.messages if turn.role != "assistant" and _asks(turn)), default=-1)
    for index, place, part, prefix in request.signed():
        if isinstance(part, Thinking):
            continue
        if part.origin is None and part.opaque is None:
            if type(part) is ToolCall and index > asked and request.facts.can("always_thinking"):
                _signature_missing(request, index, place, part)
        elif part.origin is not None or not _holds(part, prefix):
            refuse(request, "Corrupted thought signature.")


def _holds(part: AnyPart, prefix: Prefix) -> bool:
    plain = (part.opaque or "").rstrip("=")
    return plain in _DUMMIES or plain in _DUMMIES_ENCODED or prefix.holds(*signed_text(part), part.opaque)


def _asks(turn: Turn) -> bool:
    return any(type(part) is Text and part.text for part in turn.parts) and not any(
        type(part) is ToolResult for part in turn.parts
    )


def _signature_missing(request: CheckedRequest, index: int, place: int, call: ToolCall) -> None:
    turns = [turn for _, turn in request.messages]
    before = turns[index].parts[:place]
    start = index
    while start > 0 and turns[start - 1].role == "assistant":  # a step; Google's SDK writes a content for each chunk
        start -= 1
        before = [*turns[start].parts, *before]
    if any(type(part) is ToolCall for part in before):
        return
    refuse(
        request,
        "Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly, and "
        "missing thought_signature may lead to degraded model performance. Additional data, function call "
        f"`default_api:{call.name}` , position {index + 1}. Please refer to https://ai.google.dev/gemini-api/docs/"
        "thought-signatures for more details.",
    )


def takes_no_ids_at_vertex(request: CheckedRequest) -> None:
    """The API v1 of Vertex AI has no IDs of calls."""
    if "/v1/" not in request.call.path or "/publishers/" not in request.call.path:
        return
    for index, turn in request.messages:
        for place, part in enumerate(turn.parts):
            field = "function_call" if type(part) is ToolCall else "function_response"
            if (type(part) is ToolCall and part.id) or (type(part) is ToolResult and part.call_id):
                where = f"contents[{index}].parts[{place}].{field}"
                refuse(request, f"Invalid JSON payload received. Unknown name \"id\" at '{where}': Cannot find field.")


def responses_match_calls(request: CheckedRequest) -> None:
    calls = 0
    for _, turn in request.joined():
        results = sum(type(part) is ToolResult for part in turn.parts)
        if results and not calls:
            refuse(
                request,
                "Please ensure that function response turn comes immediately after a function call turn.",
            )
        if results != calls and (results or any(type(part) is not ToolResult for part in turn.parts)):
            refuse(
                request,
                "Please ensure that the number of function response parts is equal to the number of function call parts of "
                "the function call turn.",
            )
        calls = sum(type(part) is ToolCall for part in turn.parts)
