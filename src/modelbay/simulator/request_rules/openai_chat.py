"""Requests that OpenAI refuses in Chat Completions, with its messages, and a rule of DeepSeek and Moonshot."""

from modelbay.conversation import Media, Text, Thinking, ToolCall, ToolResult
from modelbay.simulator.brain import thinks
from modelbay.simulator.request_rules.request import CheckedRequest, refuse

UPLOADED = "ms://"
"""The prefix of the URL of an uploaded file."""


def spells_max_tokens(request: CheckedRequest) -> None:
    settings = request.conversation.settings
    if not request.facts.refuses_max_tokens:
        return
    if settings.spelling.get("max_output_tokens") == "max_tokens":
        refuse(
            request,
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            "max_tokens",
            "unsupported_parameter",
        )
    if settings.temperature not in (None, 1, 1.0):
        refuse(
            request,
            f"Unsupported value: 'temperature' does not support {settings.temperature:g} with this model. "
            "Only the default (1) value is supported.",
            "temperature",
            "unsupported_value",
        )


def streams_with_its_options(request: CheckedRequest) -> None:
    if request.call.body.get("stream_options") is not None and not request.conversation.stream:
        refuse(
            request,
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            "stream_options",
        )


def counts_alternatives(request: CheckedRequest) -> None:
    settings = request.conversation.settings
    if settings.top_logprobs is not None and not settings.logprobs:
        refuse(request, "'top_logprobs' is only allowed when 'logprobs' is enabled.", "top_logprobs", "invalid_value")


def finds_its_files(request: CheckedRequest) -> None:
    """A URL `ms://…` must refer to a file that was uploaded to Moonshot."""
    for _, turn in request.messages:
        for part in turn.parts:
            url = part.url or "" if type(part) is Media else ""
            if url.startswith(UPLOADED) and url.removeprefix(UPLOADED) not in request.files:
                refuse(request, f"file {url.removeprefix(UPLOADED)} not found")


def answers_tool_calls(request: CheckedRequest) -> None:
    """Tool messages must follow directly after the message with their calls."""
    pending: list[str | None] = []
    for index, turn in request.messages:
        results = [part for part in turn.parts if type(part) is ToolResult]
        for result in results:
            if result.call_id not in pending and turn.native != "function":
                refuse(
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


def _unanswered(request: CheckedRequest, pending: list[str | None], index: int) -> None:
    if pending:
        refuse(
            request,
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
            f"The following tool_call_ids did not have response messages: {', '.join(str(id) for id in pending)}",
            f"messages.[{index}].role",
        )


def says_json(request: CheckedRequest) -> None:
    form = request.conversation.settings.output_format
    if form is None or form.kind != "json" or form.schema is not None:
        return
    texts = [part.text for _, turn in request.messages for part in turn.parts if type(part) is Text]
    if not any("json" in text.lower() for text in texts):
        refuse(
            request,
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            "messages",
        )


def gets_reasoning_back(request: CheckedRequest) -> None:
    """A rule of DeepSeek and Moonshot, for models that have it."""
    if not request.facts.requires_reasoning_back or not thinks(request.conversation, request.facts):
        return
    for index, turn in request.messages:
        has_calls = any(type(part) is ToolCall for part in turn.parts)
        if has_calls and not any(type(part) is Thinking for part in turn.parts):
            refuse(
                request,
                "The `reasoning_content` in the thinking mode must be passed back to the API. thinking is enabled but "
                f"reasoning_content is missing in assistant tool call message at index {index}",
            )
