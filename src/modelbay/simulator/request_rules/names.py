"""Valid names of tools."""

import re
from collections.abc import Iterator

from modelbay.conversation import Tool, ToolCall
from modelbay.simulator.request_rules.request import CheckedRequest, refuse

_OPENAI = re.compile(r"[a-zA-Z0-9_-]+")
_GEMINI = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}")
_LONGEST = 64


def _functions(tools: list[Tool] | None) -> Iterator[tuple[int, Tool]]:
    return ((index, tool) for index, tool in enumerate(tools or ()) if tool.kind in ("function", "freeform"))


def of_openai(request: CheckedRequest) -> None:
    """Check the names of tools, and of calls in the history."""
    nested = request.traits.protocol == "openai_chat"
    for index, tool in _functions(request.conversation.settings.tools):
        kind = "custom" if tool.kind == "freeform" else "function"
        _check(request, tool.name, f"tools[{index}].{kind}.name" if nested else f"tools[{index}].name")
    for index, turn in request.messages:
        calls = [part for part in turn.parts if type(part) is ToolCall]
        for place, call in enumerate(calls):
            inside = f"messages[{index}].tool_calls[{place}].function.name"
            _check(request, call.name, inside if nested else f"input[{index}].name")


def _check(request: CheckedRequest, name: str, place: str) -> None:
    if len(name) > _LONGEST:
        refuse(
            request,
            f"Invalid '{place}': string too long. Expected a string with maximum length {_LONGEST}, but got a string with "
            f"length {len(name)} instead.",
            place,
            "string_above_max_length",
        )
    if not _OPENAI.fullmatch(name):
        refuse(
            request,
            f"Invalid '{place}': string does not match pattern. Expected a string that matches the pattern "
            "'^[a-zA-Z0-9_-]+$'.",
            place,
            "invalid_value",
        )


def of_gemini(request: CheckedRequest) -> None:
    for index, tool in _functions(request.conversation.settings.tools):
        if not _GEMINI.fullmatch(tool.name):
            refuse(
                request,
                f"* GenerateContentRequest.tools[0].function_declarations[{index}].name: Invalid function name. Must start "
                "with a letter or an underscore. Must be alphanumeric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), "
                f"or dashes (-), with a maximum length of {_LONGEST}.",
            )


def are_unique(request: CheckedRequest) -> None:
    names = [tool.name for _, tool in _functions(request.conversation.settings.tools)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        refuse(request, f"tools: Tool names must be unique: {twice}", "tools")
