"""Responses items: conversion of one item to a turn, or to the parts of a reply, and back.

Fields of an item besides its content (`id`, `status`, `phase`) are in the turn's `item`. Parts of a reply have no turn
yet; there they are in `item_id` and under `OF_ITEM` in `extra`.
"""

from typing import Any

import msgspec

from modelbay.conversation import (
    AnyPart,
    Extra,
    Json,
    Media,
    Part,
    Refusal,
    ResponsesItem,
    Role,
    ServerToolCall,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    UnknownPart,
)
from modelbay.errors import MalformedReply
from modelbay.json_text import decode
from modelbay.protocols import tool_search
from modelbay.protocols.openai_responses.parts import INPUT, OF_ITEM, OUTPUT, parse_content, reply_content
from modelbay.protocols.openai_responses.tools import parse_tool
from modelbay.protocols.shapes import objects, shown, unknown, without, word

MESSAGE, EASY, REFERENCE = "message", "easy", "item_reference"
"""The `native` of a turn that was a message with a type, of one without, and of a part that only references an item."""
FREEFORM_RESULT = "custom_tool_call_output"
"""The type of the item with the result of a freeform tool, and the `native` of its part."""

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_ITEM = ("type", "id", "status", "phase")
_BESIDE = frozenset(_ITEM) - {"type"}
_MESSAGE = frozenset((*_ITEM, "role", "content"))
_CALL = [frozenset((*_ITEM, "call_id", "name", field)) for field in ("arguments", "input")]
"""By whether the call is one of a freeform tool."""
_RESULT = frozenset((*_ITEM, "call_id", "output"))
_CONTENT = (str, list, type(None))
CALL_OF_SEARCH = "web_search_call"
_SERVER_RUN = {
    CALL_OF_SEARCH: "action",
    "file_search_call": "queries",
    "code_interpreter_call": "code",
    "mcp_call": "arguments",
    "mcp_list_tools": "server_label",
}
"""Calls that the provider ran itself, and the field with their input."""
_TOOLS_IN = ("additional_tools", tool_search.RESULT)
"""Items with tools that the model may call from there on."""
_BY_CLIENT = {"execution": "client"}
"""The field of a search that the client runs."""
_TEXTS = {"summary": "summary_text", "content": "reasoning_text"}
"""The lists of a reasoning item, and the type of their texts."""


# --- parsing -----------------------------------------------------------------------------------------------------------


def parse_item(item: dict[str, Any]) -> Turn:
    """Parse an item of a request's `input`."""
    kind, wire_role = word(item.get("type")), word(item.get("role"))
    if kind == "message" or (kind is None and wire_role is not None):
        return _parse_message(item, wire_role)
    turn = Turn(_role(kind, wire_role), [parse_part_of_item(item)])
    turn.item = _beside(item)
    if kind in _TOOLS_IN and isinstance(item.get("tools"), list):
        turn.tools = [parse_tool(tool) for tool in objects(item["tools"])]
    return turn


def _beside(item: dict[str, Any]) -> ResponsesItem | None:
    if _BESIDE.isdisjoint(item):
        return None
    found = ResponsesItem(word(item.get("id")), word(item.get("status")), word(item.get("phase")))
    return found if found != ResponsesItem() else None


def _parse_message(item: dict[str, Any], wire_role: str | None) -> Turn:
    role = _ROLES.get(wire_role or "", "user")
    turn = Turn(role, parse_content(item.get("content"), OUTPUT if role == "assistant" else INPUT))
    turn.native = MESSAGE if "type" in item else EASY
    turn.item = _beside(item)
    turn.extra = unknown(item, _MESSAGE if role == wire_role else _MESSAGE - {"role"})
    return turn


def _role(kind: str | None, wire_role: str | None) -> Role:
    if wire_role in _ROLES:
        return _ROLES[wire_role]
    answers = (kind or "").endswith(("_output", "_response"))
    return "tool" if answers else "assistant"


def parse_part_of_item(item: dict[str, Any]) -> AnyPart:
    """The part for an item other than a message. Server tools and unknown items are kept whole."""
    kind, id = word(item.get("type")), word(item.get("id"))
    part: AnyPart | None = None
    match kind:
        case "function_call" | "custom_tool_call":
            part = _parse_call(item, kind == "custom_tool_call")
        case "function_call_output" | "custom_tool_call_output":
            content = item.get("output")
            parts = parse_content(content, INPUT) if type(content) in _CONTENT else _raw(content)
            part = ToolResult(call_id=word(item.get("call_id")), parts=parts, extra=unknown(item, _RESULT))
            part.native = FREEFORM_RESULT if kind == FREEFORM_RESULT else None
        case tool_search.CALL | tool_search.RESULT if item.get("execution") == "client" and word(item.get("call_id")):
            part = _parse_search(item)
        case "reasoning":
            part = parse_reasoning(item)
        case "image_generation_call" if isinstance(item.get("result"), str):
            part = Media(kind="image", data=item["result"], extra=without(item, "result", *_ITEM))
            part.media_type = f"image/{word(item.get('output_format')) or 'png'}"
        case "item_reference" | None:
            part = UnknownPart(native=REFERENCE, raw=item)
        case str() if kind in _SERVER_RUN:
            part = ServerToolCall(name=kind.removesuffix("_call"), id=id, native=kind, extra=item)
            part.arguments = arguments_text(item.get(_SERVER_RUN[kind]))
    part = part or UnknownPart(native=kind, raw=item)
    part.item_id = id
    return part


def _raw(content: Json) -> list[AnyPart]:
    return [UnknownPart(native="content", raw=content)]


def arguments_text(value: Json) -> str:
    """Arguments as text; some proxies send an object."""
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _parse_call(item: dict[str, Any], freeform: bool) -> ToolCall:
    field = "input" if freeform else "arguments"
    call = ToolCall(name=shown(item.get("name")), arguments=arguments_text(item.get(field)))
    call.id = word(item.get("call_id")) or None
    call.format = "text" if freeform else "json"
    call.namespace = word(item.get("namespace"))
    known = _CALL[freeform]
    call.extra = unknown(item, known | {"namespace"} if call.namespace else known)
    return call


def _parse_search(item: dict[str, Any]) -> ToolCall | ToolResult:
    """A search for tools, or its result, whose tools are those of its turn."""
    id, extra = word(item.get("call_id")), without(item, "call_id", "execution", "arguments", *_ITEM)
    if item["type"] == tool_search.RESULT:
        return ToolResult(call_id=id, native=tool_search.RESULT, extra=extra)
    arguments = arguments_text(item.get("arguments"))
    return ToolCall(name=tool_search.NAME, id=id, arguments=arguments, native=tool_search.CALL, extra=extra)


def parse_reasoning(item: dict[str, Any], *, prefer: str = "content") -> Thinking | None:
    """Thinking: the reasoning itself if present, else its summary. The other one is kept in `extra`."""
    texts: dict[str, list[str]] = {}
    for field, kind in _TEXTS.items():
        given = item.get(field) or []
        found = [word(part.get("text")) for part in objects(given) if part.get("type") == kind]
        texts[field] = [text for text in found if text is not None]
        if not isinstance(given, list) or len(texts[field]) != len(given):
            return None
    field, other = ("content", "summary") if texts["content"] else ("summary", "content")
    if texts[other] and prefer == other:
        field, other = other, field
    opaque = word(item.get("encrypted_content"))
    thinking = Thinking(texts=texts[field], summary=field == "summary", opaque=opaque)
    thinking.extra = without(item, field, "encrypted_content", *(() if texts[other] else (other,)), *_ITEM)
    return thinking


def reply_parts(item: dict[str, Any]) -> list[AnyPart]:
    """The parts of an item of a reply's `output`."""
    content = item.get("content")
    if item.get("type") != "message":
        parts = [parse_part_of_item(item)]
    elif content and item.get("role", "assistant") == "assistant":
        parts = reply_content(content)
    else:  # an empty message, which the reasoning before it may require; a compaction's copy of the user's message
        parts = [UnknownPart(native=MESSAGE, raw=item)]
    of_item = {name: item[name] for name in ("status", "phase") if word(item.get(name)) is not None}
    if of_item.get("status") == "completed":
        del of_item["status"]
    for part in parts:
        part.item_id = word(item.get("id"))
        if isinstance(part, UnknownPart) and item.get("type") == "message" and part.native != MESSAGE:
            part.extra = {OF_ITEM: of_item}
        elif of_item and not keeps_item(part):
            part.extra = {**(part.extra or {}), OF_ITEM: of_item}
    return parts


# --- rendering ---------------------------------------------------------------------------------------------------------


def is_content(part: AnyPart) -> bool:
    """Whether a part belongs in a message; otherwise it is an item."""
    kind = type(part)
    return kind is Text or kind is Refusal or (kind is UnknownPart and OF_ITEM in (part.extra or {}))


def keeps_item(part: AnyPart) -> bool:
    """Whether a part contains its whole item."""
    return isinstance(part, ServerToolCall) or (isinstance(part, UnknownPart) and not is_content(part))


def kept_item(part: AnyPart) -> dict[str, Any] | None:
    """The whole item in a part."""
    raw = part.extra if isinstance(part, ServerToolCall) else part.raw if isinstance(part, UnknownPart) else None
    return raw if isinstance(raw, dict) and ("type" in raw or "id" in raw) else None


def item_of(part: Part, turn: Turn | None = None) -> ResponsesItem:
    """The fields of an item besides its content."""
    if turn is not None and turn.item is not None:
        return turn.item
    more = (part.extra or {}).get(OF_ITEM) or {}
    return ResponsesItem(part.item_id, more.get("status"), more.get("phase"))


def has_phase(part: Part) -> bool:
    """Whether a part of a reply is a comment or a final answer by its phase. Models that are not shown the phases of their earlier
    messages may stop after a comment."""
    return part.extra is not None and "phase" in (part.extra.get(OF_ITEM) or ())


def fields(item: ResponsesItem) -> Extra:
    fields = {"id": item.id, "status": item.status, "phase": item.phase}
    return {name: value for name, value in fields.items() if value is not None}


def own(part: Part) -> Extra:
    """A part's own unknown fields."""
    return {name: value for name, value in (part.extra or {}).items() if name != OF_ITEM}


def render_call(call: ToolCall, call_id: str) -> dict[str, Any]:
    if call.native == tool_search.CALL:
        return {"type": call.native, "call_id": call_id, **_BY_CLIENT, "arguments": _search_arguments(call)}
    kind, field = ("custom_tool_call", "input") if call.format == "text" else ("function_call", "arguments")
    space = {} if call.namespace is None else {"namespace": call.namespace}
    return {"type": kind, "call_id": call_id, "name": call.name, **space, field: call.arguments}


def _search_arguments(call: ToolCall) -> Json:
    """The arguments of a search, which are not text."""
    try:
        return decode(call.arguments or "{}")
    except MalformedReply:
        return {}


def render_search_result(result: ToolResult, call_id: str) -> dict[str, Any]:
    """The result of a search; its tools are in `extra`, as they were written."""
    return {"type": tool_search.RESULT, "call_id": call_id, **_BY_CLIENT, **own(result)}


def render_reasoning(part: Thinking) -> dict[str, Any]:
    item: dict[str, Any] = {"type": "reasoning", "summary": []}
    field = "summary" if part.summary else "content"
    if part.texts or part.summary:
        item[field] = [{"type": _TEXTS[field], "text": text} for text in part.texts]
    if part.opaque is not None:
        item["encrypted_content"] = part.opaque
    return item | own(part)


def render_image(part: Media) -> dict[str, Any]:
    """A generated image."""
    return {"type": "image_generation_call", "result": part.data, **own(part)}
