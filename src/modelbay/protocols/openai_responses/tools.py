"""Responses tools: parsing."""

from typing import Any

from modelbay.conversation import Tool
from modelbay.protocols import other_forms, tool_search
from modelbay.protocols.shapes import objects, without, word


def parse_tool(tool: dict[str, Any]) -> Tool:
    kind, name = str(tool.get("type")), word(tool.get("name")) or ""
    if (not name or kind not in ("function", "custom") or "input_schema" in tool) and (
        other := other_forms.function_tool(tool)
    ) is not None:
        return other
    if kind == "function":
        return Tool(
            name=name,
            description=word(tool.get("description")),
            schema=tool.get("parameters"),
            strict=tool.get("strict"),
            extra=without(tool, "type", "name", "description", "parameters", "strict"),
        )
    if kind == "custom":
        return Tool(
            "freeform",
            name=name,
            description=word(tool.get("description")),
            grammar=tool["format"] if isinstance(tool.get("format"), dict) else None,
            extra=without(tool, "type", "name", "description", "format"),
        )
    if kind == "namespace":
        inside = [parse_tool(member) for member in objects(tool.get("tools"))]
        return Tool(
            "namespace",
            name=name or kind,
            description=word(tool.get("description")),
            native=kind,
            raw=tool,
            tools=inside,
        )
    if kind == tool_search.NAME and tool.get("execution") == "client":
        return Tool(
            "search",
            name=kind,
            description=word(tool.get("description")),
            schema=tool.get("parameters"),
            native=kind,
            raw=tool,
        )
    return Tool("vendor", name=name or kind, native=kind, raw=tool)
