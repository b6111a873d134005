"""The search for tools (`tool_search` of Responses) for targets that do not have it.

A client with many tools offers only the search, which it runs itself. Its result contains tools that the model may call from
there on. Other targets get a function; the tools that were found are offered with the others.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from modelbay.conversation import Text, Tool, ToolCall, ToolResult

NAME = "tool_search"
CALL, RESULT = "tool_search_call", "tool_search_output"
"""The types of the items, and the `native` of a call and of its result."""


def as_function(tool: Tool) -> Tool:
    return replace(tool, kind="function", native=None, raw=None)


def as_function_call(call: ToolCall) -> ToolCall:
    return replace(call, native=None, extra=None)


def as_function_result(result: ToolResult, names: Iterable[str]) -> ToolResult:
    """The result of a search as text. `names`: the names under which the found tools are sent."""
    found = ", ".join(names)
    text = f"These tools can be called from now on: {found}" if found else "No tools were found."
    return replace(result, native=None, extra=None, parts=[Text(text=text)])
