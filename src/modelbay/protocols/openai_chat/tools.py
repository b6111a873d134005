"""Chat Completions tools and tool choice: parsing and rendering."""

from typing import Any

from modelbay.conversation import Extra, Json, Settings, Tool, ToolChoice
from modelbay.dialect import Dialect
from modelbay.protocols import other_forms
from modelbay.protocols.shapes import mapping, objects, without, word
from modelbay.protocols.shared_tools import copied, derived

_CHOICES = {"auto": "auto", "none": "none", "required": "required", "any": "required"}

_ALLOWED_MODES = ("auto", "required")


def parse_tools(body: dict[str, Json], settings: Settings) -> None:
    tools = body.get("tools")
    if tools is not None:
        settings.tools = derived(tools, _parse_list)
    elif body.get("functions") is not None:  # functions are the predecessor of tools
        settings.tools = [_parse_function(function) for function in body["functions"]]
        settings.spelling["tools"] = "functions"
    choice = body.get("tool_choice") or body.get("function_call")
    parallel = body.get("parallel_tool_calls")
    if choice is None and parallel is None:
        return
    chosen = ToolChoice(parallel=parallel)
    other = None if _is_own(choice) else other_forms.tool_choice(choice, settings.tools)
    if other is not None:
        chosen.mode, chosen.names = other.mode, other.names
    elif isinstance(choice, str):
        chosen.mode = _CHOICES.get(choice)  # type: ignore[assignment]
        if chosen.mode is None:
            chosen.extra = {"tool_choice": choice}
        elif choice == "any":
            settings.spelling["tool_choice"] = "any"
    elif isinstance(choice, dict):
        kind = word(choice.get("type")) or "function"
        body_of = mapping(choice.get(kind)) or choice
        if kind == "allowed_tools":
            tools_of = [mapping(tool.get(str(tool.get("type")))) or tool for tool in objects(body_of.get("tools"))]
            chosen.mode, chosen.extra = "allowed", {"tool_choice": choice}
            chosen.required = body_of.get("mode") == "required"
            if body_of.get("mode") not in (None, *_ALLOWED_MODES):
                settings.keep_unknown("tool_choice.mode", body_of["mode"], *_ALLOWED_MODES)
            chosen.names = [word(tool.get("name")) or "" for tool in tools_of]
        else:
            name = word(body_of.get("name"))
            if name is not None or kind == "function":
                chosen.mode, chosen.names = "tool", [name or ""]
            if kind != "function":
                chosen.extra = {"tool_choice": choice}
    settings.tool_choice = chosen


def _is_own(choice: Json) -> bool:
    """Whether a tool choice has a form of this protocol."""
    if not isinstance(choice, dict):
        return isinstance(choice, str) and choice in _CHOICES
    kind = choice.get("type")
    return kind in ("allowed_tools", None) or (isinstance(kind, str) and kind in choice)


def _parse_list(tools: list[Json]) -> list[Tool]:
    return [_parse_tool(tool) for tool in tools]


def _parse_tool(tool: Json) -> Tool:
    kind = tool.get("type") or "function"
    if kind == "function" and isinstance(tool.get("function"), dict):
        parsed = _parse_function(tool["function"])
        parsed.cache = tool.get("cache_control")
        if rest := without(tool, "type", "function", "cache_control"):
            parsed.extra = {**(parsed.extra or {}), "tool.": rest}
        return parsed
    if kind == "custom" and isinstance(tool.get("custom"), dict):
        custom = tool["custom"]
        return Tool(
            "freeform",
            name=custom.get("name") or "",
            description=custom.get("description"),
            grammar=custom.get("format"),
            extra=without(custom, "name", "description", "format"),
        )
    found = other_forms.function_tool(tool) or other_forms.freeform_tool(tool)
    return found or Tool("vendor", name=tool.get("name") or kind, native=kind, raw=tool)


def _parse_function(function: dict[str, Any]) -> Tool:
    return Tool(
        name=function.get("name") or "",
        description=function.get("description"),
        schema=function.get("parameters"),
        strict=function.get("strict"),
        extra=without(function, "name", "description", "parameters", "strict"),
    )


def render_tools(body: dict[str, Any], settings: Settings, dialect: Dialect, same: bool) -> None:
    """Write tools and tool choice into `body`. `same`: whether the request used this protocol; then unknown fields are
    kept."""
    legacy = settings.spelling.get("tools") == "functions"
    choice, tools = settings.tool_choice, settings.tools
    if choice is not None and choice.mode == "none" and "none" not in dialect.tool_choices:
        return  # Together has no "none": without tools there is nothing to call
    if tools and legacy:
        body["functions"] = [_render_function(tool, dialect.strict_tools, same) for tool in tools]
    elif tools:  # many servers reject an empty list
        body["tools"] = copied(derived(tools, _render_list, dialect.strict_tools, same, same or dialect.cache_marks))
    if choice is None or not (tools or same):
        return
    if choice.parallel is not None:
        body["parallel_tool_calls"] = choice.parallel
    if choice.mode is not None or choice.extra:
        body["function_call" if legacy else "tool_choice"] = _render_choice(choice, settings, dialect, legacy)


def _render_choice(choice: ToolChoice, settings: Settings, dialect: Dialect, legacy: bool) -> Json:
    if choice.extra and "tool_choice" in choice.extra:
        return choice.extra["tool_choice"]
    match choice.mode:
        case "required":
            return settings.spelling.get("tool_choice", dialect.required_word)
        case "tool":
            return {"name": choice.names[0]} if legacy else _chosen(choice.names[0], _freeform(settings))
        case "allowed":
            freeform = _freeform(settings)
            tools = [_chosen(name, freeform) for name in choice.names]
            mode = "required" if choice.required else "auto"
            return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}
        case mode:
            return mode


def _freeform(settings: Settings) -> set[str]:
    return {tool.name for tool in settings.tools or () if tool.kind == "freeform"}


def _chosen(name: str, freeform: set[str]) -> Extra:
    kind = "custom" if name in freeform else "function"
    return {"type": kind, kind: {"name": name}}


def _render_list(tools: list[Tool], strict: bool, same: bool, marks: bool) -> list[Extra]:
    """`strict` and `marks`: whether `strict` and cache control are sent."""
    return [_render_tool(tool, strict, same, marks) for tool in tools]


def _render_tool(tool: Tool, strict: bool, same: bool, marks: bool) -> Extra:
    if tool.kind in ("vendor", "namespace"):
        return tool.raw or {}
    extra = tool.extra or {} if same else {}
    if tool.kind == "freeform":
        custom = {"name": tool.name, "description": tool.description, "format": _grammar(tool.grammar), **extra}
        return {"type": "custom", "custom": {k: v for k, v in custom.items() if v is not None}}
    item = {"type": "function", "function": _render_function(tool, strict, same), **extra.get("tool.", {})}
    if tool.cache is not None and marks:
        item["cache_control"] = tool.cache
    return item


def _grammar(form: Extra | None) -> Extra | None:
    """A freeform tool's format: Responses has a flat grammar, Chat Completions an object."""
    if form is None or "syntax" not in form:
        return form
    return {"type": form.get("type", "grammar"), "grammar": {k: v for k, v in form.items() if k != "type"}}


def _render_function(tool: Tool, strict: bool, same: bool) -> Extra:
    function: Extra = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.schema is not None:
        function["parameters"] = tool.schema
    # Codex says false of every tool, which is the default here
    if strict and (tool.strict or (same and tool.strict is not None)):
        function["strict"] = tool.strict
    return function | {name: value for name, value in (tool.extra or {} if same else {}).items() if name != "tool."}
