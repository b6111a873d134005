"""Requests that Anthropic refuses, with its messages."""

import re

from modelbay.conversation import AnyPart, Text, Thinking, ToolCall, ToolResult, Turn
from modelbay.simulator.brain import thinks, thought_before
from modelbay.simulator.request_rules.request import CheckedRequest, refuse
from modelbay.simulator.signatures import signed_text

_VERTEX_VERSION = "vertex-2023-10-16"
_THINKING_DOCS = "https://docs.claude.com/en/docs/build-with-claude/extended-thinking"


def names_its_version(request: CheckedRequest) -> None:
    """The version must be in a header; on Vertex AI in the body, because the path contains the model."""
    body = request.call.body
    if "/publishers/" not in request.call.path:
        if "anthropic-version" not in request.call.headers:
            refuse(request, "anthropic-version: header is required")
        return
    if body.get("anthropic_version") != _VERTEX_VERSION:
        given = "Field required" if "anthropic_version" not in body else f"Input should be '{_VERTEX_VERSION}'"
        refuse(request, f"anthropic_version: {given}")
    if "model" in body and not request.call.path.partition("?")[0].endswith("/count-tokens:rawPredict"):
        refuse(request, "model: Extra inputs are not permitted")


def wants_max_tokens(request: CheckedRequest) -> None:
    if request.conversation.settings.max_output_tokens is None:
        refuse(request, "max_tokens: Field required")
    if (most := request.facts.model.max_output_tokens) and request.conversation.settings.max_output_tokens > most:  # type: ignore[operator]
        count = request.conversation.settings.max_output_tokens
        refuse(
            request,
            f"max_tokens: {count} > {most}, which is the maximum allowed number of output tokens for {request.facts.id}",
        )


def wants_messages(request: CheckedRequest) -> None:
    if not request.messages:
        refuse(request, "messages: at least one message is required")


def refuses_threads(request: CheckedRequest) -> None:
    if "thread" in (request.conversation.settings.state or {}):
        refuse(request, "thread: this endpoint keeps no threads")


def refuses_empty_text(request: CheckedRequest) -> None:
    for _, turn in request.messages:
        if any(type(part) is Text and not part.text for part in turn.parts):
            refuse(request, "messages: text content blocks must be non-empty")
    last = request.messages[-1][1]
    if last.role == "assistant" and last.parts and type(last.parts[-1]) is Text and last.parts[-1].text[-1].isspace():
        refuse(request, "messages: final assistant content cannot end with trailing whitespace")


def results_follow_calls(request: CheckedRequest) -> None:
    """Each call must have exactly one result at the beginning of the next message. Consecutive messages of one role are one."""
    calls: list[str | None] = []
    seen: set[str | None] = set()
    messages = request.joined()
    for position, (index, turn) in enumerate(messages):
        results = [part.call_id for part in turn.parts if type(part) is ToolResult]
        for place, part in enumerate(turn.parts):
            if type(part) is ToolResult and part.call_id not in calls:
                refuse(
                    request,
                    f"messages.{index}.content.{place}: unexpected `tool_use_id` found in `tool_result` blocks: {part.call_id}. "
                    "Each `tool_result` block must have a corresponding `tool_use` block in the previous message.",
                )
        if twice := next((id for id in results if results.count(id) > 1), None):
            refuse(
                request,
                f"messages.{index}.content: each tool_use must have a single result. Found multiple `tool_result` blocks with "
                f"id: {twice}",
            )
        calls = [part.id for part in turn.parts if type(part) is ToolCall]
        if seen.intersection(calls) or len(set(calls)) < len(calls):
            refuse(request, f"messages.{index}.content: `tool_use` ids must be unique")
        seen.update(calls)
        following = messages[position + 1][1].parts if position + 1 < len(messages) else []
        leading = _leading_results(following)
        if missing := [id for id in calls if id not in leading]:
            refuse(
                request,
                f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(str(id) for id in missing)}. Each `tool_use` block must have a corresponding `tool_result` block "
                "in the next message.",
            )


def _leading_results(parts: list[AnyPart]) -> list[str | None]:
    found = []
    for part in parts:
        if type(part) is not ToolResult:
            break
        found.append(part.call_id)
    return found


def names_tools_well(request: CheckedRequest) -> None:
    for index, tool in enumerate(request.conversation.settings.tools or ()):
        if tool.kind == "function" and not re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", tool.name):
            refuse(request, f"tools.{index}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
    for index, turn in request.messages:
        for place, part in enumerate(turn.parts):
            if type(part) is ToolCall and not re.fullmatch(r"[a-zA-Z0-9_-]+", part.id or ""):
                refuse(
                    request,
                    f"messages.{index}.content.{place}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'",
                )


def sets_few_cache_marks(request: CheckedRequest) -> None:
    conversation = request.conversation
    parts = [part for turn in conversation.turns for part in turn.parts]
    marks = sum(item.cache is not None for item in (*parts, *(conversation.settings.tools or ())))
    if marks > 4:
        refuse(request, f"A maximum of 4 blocks with cache_control may be provided. Found {marks}.")


def balances_thinking(request: CheckedRequest) -> None:
    settings = request.conversation.settings
    reasoning = settings.reasoning
    if (settings.temperature or 0) > 1:
        refuse(request, "temperature: Input should be less than or equal to 1")
    if reasoning is None or not reasoning.enabled:
        return
    if reasoning.budget is not None:
        if reasoning.budget < 1024:
            refuse(request, "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
        if reasoning.budget >= (settings.max_output_tokens or 0):
            refuse(
                request,
                "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at "
                f"{_THINKING_DOCS}#max-tokens-and-context-window-size",
            )
    elif not reasoning.adaptive:
        refuse(request, "thinking.enabled.budget_tokens: Field required")
    if settings.tool_choice is not None and settings.tool_choice.mode in ("required", "tool"):
        refuse(request, "Thinking may not be enabled when tool_choice forces tool use.")
    if settings.temperature not in (None, 1, 1.0):
        refuse(
            request,
            "`temperature` may only be set to 1 when thinking is enabled. Please consult our documentation at "
            f"{_THINKING_DOCS}#important-considerations-when-using-extended-thinking",
        )


def keeps_thinking_signed(request: CheckedRequest) -> None:
    """Thinking must be sent back unchanged: the same text at the same position after the same conversation."""
    for index, place, part, prefix in request.signed():
        if type(part) is not Thinking:
            continue
        redacted = part.native == request.traits.redacted
        what, block = ("data", "redacted_thinking") if redacted else ("signature", "thinking")
        where = f"messages.{index}.content.{place}"
        # an origin comes from an envelope of modelbay, which a provider does not know
        if part.origin is None and part.opaque is None:
            refuse(request, f"{where}.{block}.{what}: Field required")
        if part.origin is not None or not prefix.holds(*signed_text(part), part.opaque):
            refuse(request, f"{where}: Invalid `{what}` in `{block}` block")


def thinks_before_calling(request: CheckedRequest) -> None:
    """The turn with the last calls must contain the thinking before them."""
    if not thinks(request.conversation, request.facts):
        return
    own = [(index, turn) for index, turn in request.messages if turn.role == "assistant"]
    index, turn = own[-1] if own else (0, Turn("assistant"))
    calls = [part for part in turn.parts if type(part) is ToolCall]
    if not calls or type(turn.parts[0]) is Thinking:
        return
    # with adaptive thinking, the model may not have thought; the IDs of its calls show whether it did
    reasoning = request.conversation.settings.reasoning
    decided = reasoning is not None and reasoning.enabled and not reasoning.adaptive
    if not decided and not thought_before(calls[0].id, request.traits):
        return
    found = {Text: "text", ToolCall: "tool_use"}.get(type(turn.parts[0]), "image")
    refuse(
        request,
        f"messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{found}`. When `thinking` is "
        "enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` and "
        "`tool_result` blocks). We recommend you include thinking blocks from previous turns. To avoid this requirement, "
        f"disable `thinking`. Please consult our documentation at {_THINKING_DOCS}",
    )
