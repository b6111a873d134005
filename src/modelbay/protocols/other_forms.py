"""Parts, tools and tool choices that a client wrote in the form of another protocol than its own.

Programs mix the forms: editors send tools of Responses or Anthropic to Chat Completions, and results of MCP servers are put into
messages as they are. Without this, a model would miss the tool, the image or the result.
"""

from typing import Any

from msgspec.structs import replace

from modelbay.conversation import AnyPart, Json, Media, Text, Tool, ToolCall, ToolChoice, ToolResult, Turn, UnknownPart
from modelbay.json_text import encode
from modelbay.protocols.freeform import CALLED_AS_FUNCTION
from modelbay.protocols.media_types import take_url
from modelbay.protocols.shapes import items, mapping, word

_SCHEMAS = ("parameters", "input_schema", "inputSchema", "parametersJsonSchema")
_MODES = {"auto": "auto", "none": "none", "required": "required", "any": "required"}


# --- tools -------------------------------------------------------------------------------------------------------------


def function_tool(tool: dict[str, Any]) -> Tool | None:
    """A function in the form of any protocol, or None for other tools, which a type names."""
    nested = mapping(tool.get("function")) or mapping(tool.get("custom"))
    body = nested or tool
    name = word(body.get("name"))
    schema = next((body[place] for place in _SCHEMAS if isinstance(body.get(place), dict)), None)
    kind = tool.get("type")
    if not name or kind not in (None, "function", "custom") or (schema is None and not nested and kind != "function"):
        return None
    strict = body.get("strict")
    return Tool(
        name=name,
        description=word(body.get("description")),
        schema=schema,
        strict=strict if isinstance(strict, bool) else None,
        cache=mapping(tool.get("cache_control")) or None,
    )


def freeform_tool(tool: dict[str, Any]) -> Tool | None:
    """A freeform tool of Responses in Chat Completions, or None for other tools. Cursor sends its tool for patches like this."""
    name = word(tool.get("name"))
    if tool.get("type") != "custom" or not name:
        return None
    return Tool(
        "freeform",
        name=name,
        description=word(tool.get("description")),
        grammar=mapping(tool.get("format")) or None,
        native=CALLED_AS_FUNCTION,
    )


def tool_choice(choice: Json, tools: list[Tool] | None) -> ToolChoice | None:
    """A tool choice in the form of any protocol: a mode or the name of a tool, alone or in an object. None for other
    values."""
    if isinstance(choice, str):
        kind, name = choice, choice
    elif isinstance(choice, dict):
        kind = word(choice.get("type")) or "tool"
        name = word(choice.get("name")) or word(mapping(choice.get("function")).get("name")) or ""
    else:
        return None
    if kind in _MODES and not (isinstance(choice, dict) and name):
        return ToolChoice(_MODES[kind])  # type: ignore[arg-type]
    return ToolChoice("tool", [name]) if any(name == tool.name for tool in tools or ()) else None


# --- parts -------------------------------------------------------------------------------------------------------------


def with_calls(turn: Turn) -> Turn:
    """The turn with tool calls and results that are blocks of Anthropic as what they are. Cursor sends them in Chat Completions to
    models whose names begin with "claude"."""
    for part in turn.parts:
        if type(part) is UnknownPart and part.native in _BLOCKS:
            return replace(turn, parts=[_call_or_result(part) for part in turn.parts])
    return turn


_BLOCKS = ("tool_use", "tool_result")


def _call_or_result(part: AnyPart) -> AnyPart:
    if type(part) is not UnknownPart or part.native not in _BLOCKS:
        return part
    raw = mapping(part.raw)
    if part.native == "tool_use":
        return ToolCall(
            name=word(raw.get("name")) or "",
            arguments=encode(mapping(raw.get("input"))).decode(),
            id=word(raw.get("id")),
        )
    inner: list[AnyPart] = [UnknownPart(raw=item) for item in items(raw.get("content"))]
    return ToolResult(
        call_id=word(raw.get("tool_use_id")),
        parts=[usual for one in inner for usual in _of_result(one)],
        is_error=True if raw.get("is_error") is True else None,
    )


def with_usual_parts(turn: Turn) -> Turn:
    """The turn with parts of other forms as the parts that they are. In a tool result, everything else becomes text."""
    if not any(type(part) is UnknownPart or type(part) is ToolResult for part in turn.parts):
        return turn
    parts: list[AnyPart] = []
    for part in turn.parts:
        if type(part) is UnknownPart and part.origin is None:
            parts += _usual(part) or [part]
        elif type(part) is ToolResult and any(type(inner) is UnknownPart for inner in part.parts):
            parts.append(replace(part, parts=[usual for inner in part.parts for usual in _of_result(inner)]))
        else:
            parts.append(part)
    return replace(turn, parts=parts)


def _of_result(part: AnyPart) -> list[AnyPart]:
    if type(part) is not UnknownPart:
        return [part]
    if (usual := _usual(part)) is not None:
        return usual
    return [] if part.raw in (None, "", [], {}) else [Text(text=encode(part.raw).decode())]


def _usual(part: UnknownPart) -> list[AnyPart] | None:
    found = [_part(item) for item in items(part.raw)]
    return None if not found or None in found else [usual for usual in found if usual is not None]


def _part(raw: Json) -> AnyPart | None:
    """A text, an image or a file in any form."""
    if isinstance(raw, str):
        return Text(text=raw)
    if not isinstance(raw, dict):
        return None
    kind = raw.get("type")
    if kind in (None, "text", "input_text", "output_text") and isinstance(raw.get("text"), str):
        found: AnyPart | None = Text(text=raw["text"])
    elif kind in ("image", "image_url", "input_image"):
        found = _media(Media(kind="image"), raw, raw.get("image_url") or raw.get("image") or raw.get("url"))
    elif kind in ("document", "file", "input_file"):
        inner = mapping(raw.get("file")) or raw
        name = word(inner.get("filename")) or word(raw.get("title"))
        found = _media(Media(kind="document", name=name), raw, inner.get("file_data") or inner.get("file_url"))
    elif kind == "search_result":
        found = _search_result(raw)
    elif kind == "resource" and isinstance(text := mapping(raw.get("resource")).get("text"), str):
        found = Text(text=text)
    else:
        return None
    if found is not None and isinstance(mark := raw.get("cache_control"), dict):
        found.cache = mark
    return found


def _media(media: Media, raw: dict[str, Any], address: Json) -> Media | None:
    source = mapping(raw.get("source"))
    address = mapping(address).get("url") or address or source.get("url")
    data = source.get("data") or raw.get("data")
    media.media_type = word(source.get("media_type")) or word(raw.get("mimeType")) or word(raw.get("media_type"))
    if isinstance(address, str):
        take_url(media, address)
    elif not isinstance(data, str):
        return None
    elif source.get("type") == "text":
        media.text = data
    else:
        media.data = data
    return media


def _search_result(raw: dict[str, Any]) -> Media | None:
    texts: list[AnyPart] = [part for item in items(raw.get("content")) if isinstance(part := _part(item), Text)]
    title = ", ".join(text for name in ("title", "source") if (text := word(raw.get(name))))
    return Media(kind="document", parts=texts, name=title or None) if texts else None
