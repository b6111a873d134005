"""Tools of Responses that the client runs: `shell`, `local_shell` and `apply_patch`. OpenAI's models know them without a schema.

Models of other protocols get functions. Their calls become the items of these tools again, so that clients run them. The tools for
a computer are not translated, as those of Anthropic are not.
"""

from typing import NamedTuple

from msgspec.structs import replace

from modelbay.conversation import AnyPart, Conversation, Extra, Text, Tool, ToolCall, ToolResult, Turn, UnknownPart
from modelbay.errors import MalformedReply
from modelbay.json_text import decode, encode
from modelbay.protocols.shapes import mapping, word
from modelbay.protocols.shared_tools import derived


class _ClientTool(NamedTuple):
    call: str
    """The type of the item with a call, and the `native` of the call. That of its result ends with `_output`."""
    field: str
    """The field of the item with the arguments."""
    fixed: Extra
    """Fields in it that the model does not write."""
    description: str
    properties: Extra
    required: list[str]


_TIMEOUT = {"type": "integer", "description": "Maximum time in milliseconds."}
_TOOLS = {
    "shell": _ClientTool(
        "shell_call",
        "action",
        {},
        "Runs shell commands on the user's machine, one after the other, and returns the output and exit code of each.",
        {
            "commands": {"type": "array", "items": {"type": "string"}, "description": "The commands."},
            "timeout_ms": _TIMEOUT,
            "max_output_length": {"type": "integer", "description": "Maximum number of characters of the output."},
        },
        ["commands"],
    ),
    "local_shell": _ClientTool(
        "local_shell_call",
        "action",
        {"type": "exec", "env": {}},
        "Runs a program on the user's machine and returns its output. For a command line, call a shell: bash, -lc, LINE.",
        {
            "command": {"type": "array", "items": {"type": "string"}, "description": "The program and its arguments."},
            "working_directory": {"type": "string", "description": "The folder in which it runs."},
            "timeout_ms": _TIMEOUT,
        },
        ["command"],
    ),
    "apply_patch": _ClientTool(
        "apply_patch_call",
        "operation",
        {},
        "Creates, updates or deletes a file. The diff has only hunks: `@@` or `@@ LINE OF CONTEXT`, then lines that begin with a "
        "space (unchanged), `-` (removed) or `+` (added), without line numbers and file headers. In a new file, each line begins "
        "with `+`.",
        {
            "type": {"type": "string", "enum": ["create_file", "update_file", "delete_file"]},
            "path": {"type": "string", "description": "Path of the file, relative to the workspace."},
            "diff": {"type": "string", "description": "The diff; empty for `delete_file`."},
        },
        ["type", "path", "diff"],
    ),
}
"""By the type of the tool. From OpenAI's pages on its tools, 2026-11."""
CALLS = {tool.call: tool for tool in _TOOLS.values()}
PREFIXES = {"shell_call": "sh", "local_shell_call": "lsh", "apply_patch_call": "apc"}
"""Beginnings of the IDs of these items."""
_NAMES = {tool.call: name for name, tool in _TOOLS.items()}
_RESULTS = {f"{tool.call}_output" for tool in _TOOLS.values()}


def as_functions(conversation: Conversation) -> tuple[Conversation, dict[str, str]]:
    """The conversation with functions in place of the tools that the client runs, and the types of the items that the calls of
    these functions are for the client, by name. Without such tools, the conversation itself."""
    tools = conversation.settings.tools
    if not tools or conversation.protocol != "openai_responses" or not (names := dict(derived(tools, _declared))):
        return conversation, {}
    functions = [_function(tool) if _own(tool) in names else tool for tool in tools]
    settings = replace(conversation.settings, tools=functions)
    return replace(conversation, settings=settings, turns=[_turn(turn) for turn in conversation.turns]), names


def _declared(tools: list[Tool]) -> list[tuple[str, str]]:
    others = {tool.name for tool in tools if tool.kind != "vendor"}
    return [(name, _TOOLS[name].call) for tool in tools if (name := _own(tool)) and name not in others]


def _own(tool: Tool) -> str:
    """The type of a tool that the client runs; "" for other tools, such as a shell in a container of OpenAI."""
    if tool.kind != "vendor" or tool.native not in _TOOLS:
        return ""
    environment = mapping(mapping(tool.raw).get("environment"))
    return tool.native if environment.get("type", "local") == "local" else ""


def _function(tool: Tool) -> Tool:
    found = _TOOLS[_own(tool)]
    schema = {"type": "object", "properties": found.properties, "required": found.required}
    return Tool(name=_own(tool), description=found.description, schema=schema)


def _turn(turn: Turn) -> Turn:
    if not any(type(part) is UnknownPart and (part.native in CALLS or part.native in _RESULTS) for part in turn.parts):
        return turn
    return replace(turn, parts=[_part(part) for part in turn.parts])


def _part(part: AnyPart) -> AnyPart:
    if type(part) is not UnknownPart:
        return part
    raw = mapping(part.raw)
    if part.native in CALLS:
        tool = CALLS[part.native]
        given = {name: value for name, value in mapping(raw.get(tool.field)).items() if name not in tool.fixed}
        return ToolCall(name=_NAMES[part.native], id=word(raw.get("call_id")), arguments=encode(given).decode())
    if part.native in _RESULTS:
        output = raw.get("output")
        text = (
            output if isinstance(output, str) else encode(output).decode() if output else word(raw.get("status")) or ""
        )
        # OpenAI's SDK names the call of a local shell in `id`
        return ToolResult(call_id=word(raw.get("call_id")) or word(raw.get("id")), parts=[Text(text=text)])
    return part


def render_call(call: ToolCall, call_id: str) -> Extra:
    """A call as the item that the client runs."""
    tool = CALLS[call.native or ""]
    try:
        given = mapping(decode(call.arguments or "{}"))
    except MalformedReply:
        given = {}
    if given.get("type") == "delete_file":
        given.pop("diff", None)
    return {"type": tool.call, "call_id": call_id, tool.field: {**tool.fixed, **given}}
