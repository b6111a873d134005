"""What real providers refuse, in their words: the rules of each protocol, checked before the brain sees a request.

A rule raises the error. Places are named as the provider names them, by the indexes of the wire.
"""

import re
from collections.abc import Callable, Iterator

from msgspec import Struct

from modelbay.conversation import AnyPart, Conversation, Media, Text, Thinking, ToolCall, ToolResult, Turn
from modelbay.simulator.brain import thinks, thought_before
from modelbay.simulator.complaints import bad_request, overflow
from modelbay.simulator.manners import Manners
from modelbay.simulator.models import Facts
from modelbay.simulator.signatures import SECRET, Prefix, signed_text
from modelbay.simulator.usage import prompt_tokens

_THINKING_DOCS = "https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
_DUMMIES = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
_DUMMIES_ENCODED = ("c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I", "Y29udGV4dF9lbmdpbmVlcmluZ19pc190aGVfd2F5X3RvX2dv")


class Request(Struct):
    conversation: Conversation
    facts: Facts
    manners: Manners
    secret: bytes = SECRET

    @property
    def messages(self) -> list[tuple[int, Turn]]:
        """The turns with their index among the messages; what stood beside them (`system`, `instructions`) is not one."""
        inside = [turn for turn in self.conversation.turns if turn.native not in _BESIDE]
        return list(enumerate(inside))

    def signed(self) -> Iterator[tuple[int, int, AnyPart, Prefix]]:
        """Every part of the model's own turns, with its place and what was said before it."""
        prefix = Prefix(self.manners.protocol, self.secret)
        for index, turn in self.messages:
            if turn.role != "assistant":
                prefix.add_turn(turn)
                continue
            for place, part in enumerate(turn.parts):
                if type(part) is Text:  # its signature signs what was said up to its end
                    prefix.add("assistant", part)
                    yield index, place, part, prefix
                    continue
                yield index, place, part, prefix
                prefix.add("assistant", part)


_BESIDE = ("system", "instructions", "systemInstruction", "system_instruction")
Rule = Callable[[Request], None]


def check(request: Request) -> None:
    for rule in RULES[request.manners.protocol]:
        rule(request)


def _refuse(request: Request, message: str, param: str | None = None, code: str | None = None) -> None:
    raise bad_request(request.manners.protocol, message, param=param, code=code)


# --- every protocol ----------------------------------------------------------------------------------------------------


def fits_the_context(request: Request) -> None:
    count = prompt_tokens(request.conversation)
    if count > request.facts.context:
        raise overflow(request.manners.protocol, count, request.facts.context)


def wants_one_choice(request: Request) -> None:
    if (request.conversation.settings.n or 1) != 1:
        _refuse(request, "Only one choice is supported: 'n' must be 1.", "n", "invalid_value")


_UNSEEN = {
    "openai_chat": "Invalid content type. {}_url is only supported by certain models.",
    "openai_responses": "Invalid value: 'input_{}'. This model does not support {} input.",
    "anthropic": "This model does not support {} input.",
    "google": "{} input modality is not enabled for this model",
}


def sees_its_media(request: Request) -> None:
    for _, turn in request.messages:
        for part in turn.parts:
            if type(part) is Media and not request.facts.can(f"{part.kind}_in"):  # type: ignore[arg-type]
                _refuse(request, _UNSEEN[request.manners.protocol].format(part.kind, part.kind))


# --- Anthropic ---------------------------------------------------------------------------------------------------------


def wants_max_tokens(request: Request) -> None:
    if request.conversation.settings.max_output_tokens is None:
        _refuse(request, "max_tokens: Field required")
    if (most := request.facts.model.max_output_tokens) and request.conversation.settings.max_output_tokens > most:  # type: ignore[operator]
        count = request.conversation.settings.max_output_tokens
        _refuse(
            request,
            f"max_tokens: {count} > {most}, which is the maximum allowed number of output tokens for {request.facts.id}",
        )


def wants_messages(request: Request) -> None:
    if not request.messages:
        _refuse(request, "messages: at least one message is required")


def refuses_threads(request: Request) -> None:
    if "thread" in (request.conversation.settings.state or {}):
        _refuse(request, "thread: this endpoint keeps no threads")


def refuses_empty_text(request: Request) -> None:
    for _, turn in request.messages:
        if any(type(part) is Text and not part.text for part in turn.parts):
            _refuse(request, "messages: text content blocks must be non-empty")
    last = request.messages[-1][1]
    if last.role == "assistant" and last.parts and type(last.parts[-1]) is Text and last.parts[-1].text[-1].isspace():
        _refuse(request, "messages: final assistant content cannot end with trailing whitespace")


def results_follow_calls(request: Request) -> None:
    """Every call is answered at the head of the next message, and nothing else is."""
    before: list[str | None] = []
    messages = request.messages
    for index, turn in messages:
        for place, part in enumerate(turn.parts):
            if type(part) is ToolResult and part.call_id not in before:
                _refuse(
                    request,
                    f"messages.{index}.content.{place}: unexpected `tool_use_id` found in `tool_result` blocks: {part.call_id}. "
                    "Each `tool_result` block must have a corresponding `tool_use` block in the previous message.",
                )
        before = [part.id for part in turn.parts if type(part) is ToolCall]
        following = messages[index + 1][1].parts if index + 1 < len(messages) else []
        leading = _leading_results(following)
        if missing := [id for id in before if id not in leading]:
            _refuse(
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


def names_tools_well(request: Request) -> None:
    for index, tool in enumerate(request.conversation.settings.tools or ()):
        if tool.kind == "function" and not re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", tool.name):
            _refuse(request, f"tools.{index}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
    for index, turn in request.messages:
        for place, part in enumerate(turn.parts):
            if type(part) is ToolCall and not re.fullmatch(r"[a-zA-Z0-9_-]+", part.id or ""):
                _refuse(
                    request,
                    f"messages.{index}.content.{place}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'",
                )


def balances_thinking(request: Request) -> None:
    settings = request.conversation.settings
    reasoning = settings.reasoning
    if (settings.temperature or 0) > 1:
        _refuse(request, "temperature: Input should be less than or equal to 1")
    if reasoning is None or not reasoning.enabled:
        return
    if reasoning.budget is not None:
        if reasoning.budget < 1024:
            _refuse(request, "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
        if reasoning.budget >= (settings.max_output_tokens or 0):
            _refuse(
                request,
                "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at "
                f"{_THINKING_DOCS}#max-tokens-and-context-window-size",
            )
    elif not reasoning.adaptive:
        _refuse(request, "thinking.enabled.budget_tokens: Field required")
    if settings.tool_choice is not None and settings.tool_choice.mode in ("required", "tool"):
        _refuse(request, "Thinking may not be enabled when tool_choice forces tool use.")
    if settings.temperature not in (None, 1, 1.0):
        _refuse(
            request,
            "`temperature` may only be set to 1 when thinking is enabled. Please consult our documentation at "
            f"{_THINKING_DOCS}#important-considerations-when-using-extended-thinking",
        )


def keeps_thinking_signed(request: Request) -> None:
    """Thinking comes back as it was given: the same text, at the same place, after the same conversation."""
    for index, place, part, prefix in request.signed():
        if type(part) is not Thinking:
            continue
        redacted = part.native == request.manners.redacted
        what, block = ("data", "redacted_thinking") if redacted else ("signature", "thinking")
        where = f"messages.{index}.content.{place}"
        # an origin was in one of our envelopes, which mean nothing to a provider
        if part.origin is None and part.opaque is None:
            _refuse(request, f"{where}.{block}.{what}: Field required")
        if part.origin is not None or not prefix.holds(*signed_text(part), part.opaque):
            _refuse(request, f"{where}: Invalid `{what}` in `{block}` block")


def thinks_before_calling(request: Request) -> None:
    """The turn whose calls are being answered still has the thinking that led to them."""
    reasoning = request.conversation.settings.reasoning
    if reasoning is None or not reasoning.enabled:
        return
    own = [(index, turn) for index, turn in request.messages if turn.role == "assistant"]
    if not own or not own[-1][1].parts or not any(type(part) is ToolCall for part in own[-1][1].parts):
        return
    index, turn = own[-1]
    calls = [part for part in turn.parts if type(part) is ToolCall]
    first = turn.parts[0]
    # an adaptive model may not have thought; whether this one had, its ids tell
    if type(first) is Thinking or (reasoning.adaptive and not thought_before(calls[0].id, request.manners)):
        return
    found = {Text: "text", ToolCall: "tool_use"}.get(type(first), "image")
    _refuse(
        request,
        f"messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{found}`. When `thinking` is "
        "enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` and "
        "`tool_result` blocks). We recommend you include thinking blocks from previous turns. To avoid this requirement, "
        f"disable `thinking`. Please consult our documentation at {_THINKING_DOCS}",
    )


# --- Chat Completions --------------------------------------------------------------------------------------------------


def spells_max_tokens(request: Request) -> None:
    settings = request.conversation.settings
    if not request.facts.refuses_max_tokens:
        return
    if settings.spelling.get("max_output_tokens") == "max_tokens":
        _refuse(
            request,
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            "max_tokens",
            "unsupported_parameter",
        )
    if settings.temperature not in (None, 1, 1.0):
        _refuse(
            request,
            f"Unsupported value: 'temperature' does not support {settings.temperature:g} with this model. "
            "Only the default (1) value is supported.",
            "temperature",
            "unsupported_value",
        )


def answers_tool_calls(request: Request) -> None:
    """Tool messages stand right behind the message with their calls."""
    pending: list[str | None] = []
    for index, turn in request.messages:
        results = [part for part in turn.parts if type(part) is ToolResult]
        for result in results:
            if result.call_id not in pending and turn.native != "function":
                _refuse(
                    request,
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
                    "'tool_calls'.",
                    f"messages.[{index}].role",
                )
        if results:
            pending = [id for id in pending if id not in [result.call_id for result in results]]
            continue
        _unanswered(request, pending, index)
        calls = [part for part in turn.parts if type(part) is ToolCall and part.native != "function_call"]
        pending = [call.id for call in calls]
    _unanswered(request, pending, len(request.messages))


def _unanswered(request: Request, pending: list[str | None], index: int) -> None:
    if pending:
        _refuse(
            request,
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
            f"The following tool_call_ids did not have response messages: {', '.join(str(id) for id in pending)}",
            f"messages.[{index}].role",
        )


def says_json(request: Request) -> None:
    form = request.conversation.settings.output_format
    if form is None or form.kind != "json" or form.schema is not None:
        return
    texts = [part.text for _, turn in request.messages for part in turn.parts if type(part) is Text]
    if not any("json" in text.lower() for text in texts):
        _refuse(
            request,
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            "messages",
        )


def gets_reasoning_back(request: Request) -> None:
    """DeepSeek's and Moonshot's rule, for a model that has it."""
    if not request.facts.wants_reasoning_back or not thinks(request.conversation, request.facts):
        return
    for index, turn in request.messages:
        has_calls = any(type(part) is ToolCall for part in turn.parts)
        if has_calls and not any(type(part) is Thinking for part in turn.parts):
            _refuse(
                request,
                "The `reasoning_content` in the thinking mode must be passed back to the API. thinking is enabled but "
                f"reasoning_content is missing in assistant tool call message at index {index}",
            )


# --- Responses ---------------------------------------------------------------------------------------------------------


def answers_function_calls(request: Request) -> None:
    parts = [part for _, turn in request.messages for part in turn.parts]
    calls = {part.id for part in parts if type(part) is ToolCall}
    answered = {part.call_id for part in parts if type(part) is ToolResult}
    for id in [part.id for part in parts if type(part) is ToolCall and part.id not in answered]:
        _refuse(request, f"No tool output found for function call {id}.", "input")
    for id in answered - calls:
        _refuse(request, f"No tool call found for function call output with call_id {id}.", "input")


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
                _refuse(
                    request,
                    f"The encrypted content for item {item} could not be verified. Reason: Encrypted content could not be "
                    "decrypted or parsed.",
                    "input",
                    "invalid_encrypted_content",
                )
        elif re.fullmatch(r"(fc|msg)_T[0-9a-f]{20}\d\d", item) and _group(item) not in reasoned:
            kind = "function_call" if item.startswith("fc") else "message"
            _refuse(
                request,
                f"Item '{item}' of type '{kind}' was provided without its required 'reasoning' item: 'rs_{_group(item)}00'.",
                "input",
            )


def _group(item_id: str) -> str:
    """What the items of one reply have in common."""
    return item_id.partition("_")[2][:-2]


def wants_input(request: Request) -> None:
    if not request.conversation.turns and not request.conversation.settings.state:
        _refuse(
            request,
            "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation' must be provided.",
            "input",
            "missing_required_parameter",
        )


def keeps_no_state(request: Request) -> None:
    state = request.conversation.settings.state or {}
    if (id := state.get("previous_response_id")) is not None:
        _refuse(
            request,
            f"Previous response with id '{id}' not found.",
            "previous_response_id",
            "previous_response_not_found",
        )
    if (id := state.get("conversation")) is not None:
        _refuse(request, f"Conversation with id '{id}' not found.", "conversation")


# --- Gemini ------------------------------------------------------------------------------------------------------------


def keeps_thought_signatures(request: Request) -> None:
    """In the turn under way, the first call of every step carries the state that led to it; older ones may."""
    asked = max((i for i, turn in request.messages if turn.role != "assistant" and _asks(turn)), default=-1)
    for index, place, part, prefix in request.signed():
        if isinstance(part, Thinking):
            continue
        if part.origin is None and part.opaque is None:
            if type(part) is ToolCall and index > asked and request.facts.can("always_thinking"):
                _signature_missing(request, index, place, part)
        elif part.origin is not None or not _holds(part, prefix):
            _refuse(request, "Corrupted thought signature.")


def _holds(part: AnyPart, prefix: Prefix) -> bool:
    plain = (part.opaque or "").rstrip("=")
    return plain in _DUMMIES or plain in _DUMMIES_ENCODED or prefix.holds(*signed_text(part), part.opaque)


def _asks(turn: Turn) -> bool:
    return any(type(part) is Text and part.text for part in turn.parts) and not any(
        type(part) is ToolResult for part in turn.parts
    )


def _signature_missing(request: Request, index: int, place: int, call: ToolCall) -> None:
    turn = request.messages[index][1]
    if any(type(part) is ToolCall for part in turn.parts[:place]):
        return
    _refuse(
        request,
        "Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly, and "
        "missing thought_signature may lead to degraded model performance. Additional data, function call "
        f"`default_api:{call.name}` , position {index + 1}. Please refer to https://ai.google.dev/gemini-api/docs/"
        "thought-signatures for more details.",
    )


def responses_match_calls(request: Request) -> None:
    calls = 0
    for _, turn in request.messages:
        results = sum(type(part) is ToolResult for part in turn.parts)
        if results and results != calls:
            _refuse(
                request,
                "Please ensure that the number of function response parts is equal to the number of function call parts of "
                "the function call turn.",
            )
        calls = sum(type(part) is ToolCall for part in turn.parts)


RULES: dict[str, tuple[Rule, ...]] = {
    "openai_chat": (
        wants_one_choice,
        spells_max_tokens,
        answers_tool_calls,
        says_json,
        sees_its_media,
        gets_reasoning_back,
        fits_the_context,
    ),
    "openai_responses": (
        wants_input,
        keeps_no_state,
        answers_function_calls,
        keeps_reasoning_items,
        sees_its_media,
        fits_the_context,
    ),
    "anthropic": (
        wants_messages,
        wants_max_tokens,
        refuses_threads,
        names_tools_well,
        refuses_empty_text,
        results_follow_calls,
        balances_thinking,
        keeps_thinking_signed,
        thinks_before_calling,
        sees_its_media,
        fits_the_context,
    ),
    "google": (
        wants_one_choice,
        responses_match_calls,
        keeps_thought_signatures,
        sees_its_media,
        fits_the_context,
    ),
}
