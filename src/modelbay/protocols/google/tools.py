"""Gemini tools and toolConfig: parsing and rendering.

Every entry of `tools` contains function declarations or a tool of Google's. Some clients put all declarations into one
entry, others each into its own (Kimi Code); this is restored, and so is the field of each schema.
"""

from typing import Any

from modelbay.conversation import Extra, Json, Settings, Tool, ToolChoice
from modelbay.dialect import Dialect
from modelbay.errors import Unsupported
from modelbay.protocols.google.case import Fields, camel, written
from modelbay.protocols.google.parts import SNAKE
from modelbay.protocols.schema import json_schema
from modelbay.protocols.shapes import without
from modelbay.protocols.shared_tools import copied, derived

ENTRY = "entry."
"""Index of the entry of `tools` that contained a tool."""
SCHEMA = "schema."
"""The field of a schema, and the schema itself if it was spelled differently from JSON Schema."""
_MODES = {"AUTO": "auto", "ANY": "required", "NONE": "none", "VALIDATED": "auto"}
_DEFAULT_MODE = "MODE_UNSPECIFIED"
_CONFIG = "toolConfig."
_CALLING = "toolConfig.functionCallingConfig."


# --- parsing -----------------------------------------------------------------------------------------------------------


def parse_tools(value: Json, settings: Settings) -> None:
    if value is None:
        return
    settings.tools = derived(_listed(value), _parse_entries)
    if any("function_declarations" in entry and _declarations(entry) for entry in _listed(value)):
        settings.spelling["functionDeclarations"] = "function_declarations"


def _parse_entries(entries: list[Json]) -> list[Tool]:
    if not all(isinstance(entry, dict) for entry in entries):
        raise Unsupported("`tools` must be a list of objects", setting="tools")
    tools: list[Tool] = []
    for number, entry in enumerate(entries):
        functions = _declarations(entry)
        for declaration in functions:
            tool = _parse_declaration(declaration)
            tool.extra = {**(tool.extra or {}), ENTRY: number}
            tools.append(tool)
        rest = {name: item for name, item in entry.items() if not functions or name not in _DECLARATIONS}
        if rest:
            name = next(iter(rest))
            tools.append(Tool("vendor", name=name, native=name, raw=rest, extra={ENTRY: number}))
    return tools


def _declarations(entry: Fields) -> list[Json]:
    """The functions that an entry declares; none if one of them is not a declaration."""
    functions = _listed(camel(entry)[0].get("functionDeclarations"))
    return functions if all(map(_is_declaration, functions)) else []


def _listed(value: Json) -> list[Json]:
    """The items of a list. Google reads a single object as a list of one, and Goose sends its tools so."""
    return value if isinstance(value, list) else [] if value is None else [value]


_DECLARATIONS = ("functionDeclarations", "function_declarations")


def _is_declaration(item: Json) -> bool:
    return (
        isinstance(item, dict) and isinstance(item.get("name"), str) and isinstance(item.get("description"), str | None)
    )


def _parse_declaration(declaration: Fields) -> Tool:
    fields, snake = camel(declaration)
    field = "parameters" if fields.get("parameters") is not None else "parametersJsonSchema"
    said = fields.get(field)
    extra: Extra = without(fields, "name", "description", "parameters", "parametersJsonSchema") or {}
    if field == "parameters":
        schema = json_schema(said)
        extra[SCHEMA] = said if schema != said else None
    else:
        schema = said
    if snake:
        extra[SNAKE] = snake
    return Tool(name=fields["name"], description=fields.get("description"), schema=schema, extra=extra)


def parse_tool_config(value: Json, settings: Settings) -> None:
    if value is None:
        return
    if not isinstance(value, dict):
        raise Unsupported("`toolConfig` must be an object", setting="tool_choice")
    config, snake = camel(value)
    _keep_names(snake, _CONFIG, settings)
    for name, item in config.items():
        if name != "functionCallingConfig" and item is not None:
            settings.extra[_CONFIG + name] = item
    said = config.get("functionCallingConfig")
    if said is None:
        return
    if not isinstance(said, dict):
        raise Unsupported("`functionCallingConfig` must be an object", setting="tool_choice")
    calling, snake = camel(said)
    _keep_names(snake, _CALLING, settings)
    for name, item in calling.items():
        if name not in ("mode", "allowedFunctionNames") and item is not None:
            settings.extra[_CALLING + name] = item
    mode, names = calling.get("mode"), calling.get("allowedFunctionNames") or []
    if not isinstance(mode, str | None) or not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise Unsupported("`functionCallingConfig` must have a mode and a list of names", setting="tool_choice")
    choice = ToolChoice(_MODES.get((mode or "").upper()))  # type: ignore[arg-type]
    if mode and choice.mode is None and mode.upper() != _DEFAULT_MODE:
        settings.keep_unknown(_CALLING + "mode", mode, *_MODES)
    if names and choice.mode == "required" and len(names) == 1:
        choice.mode = "tool"
    elif names and choice.mode != "none":
        choice.required = choice.mode == "required"
        choice.mode = "allowed"
    choice.names = names
    if mode is not None:
        settings.spelling["tool_choice"] = mode
    settings.tool_choice = choice


def _keep_names(snake: list[str], place: str, settings: Settings) -> None:
    for name in snake:
        settings.spelling[place + name] = name


# --- rendering ---------------------------------------------------------------------------------------------------------


def render_tools(settings: Settings, dialect: Dialect, same: bool) -> list[Fields]:
    """The entries of `tools`."""
    declarations = settings.spelling.get("functionDeclarations", "functionDeclarations")
    return copied(derived(settings.tools or [], _entries, declarations, dialect.schema == "openapi", same))


def _entries(tools: list[Tool], declarations: str, openapi: bool, same: bool) -> list[Fields]:
    """`openapi`: whether schemas are in OpenAPI's form."""
    entries: list[Fields] = []
    by_number: dict[int, Fields] = {}
    last: Fields | None = None
    for tool in tools:
        number = (tool.extra or {}).get(ENTRY) if same else None
        # a tool without an entry joins the functions before it
        entry = by_number.get(number) if number is not None else last
        if entry is None:
            entry = {}
            entries.append(entry)
            if number is not None:
                by_number[number] = entry
        if tool.kind in ("vendor", "namespace"):
            entry |= tool.raw or {}
        else:
            entry.setdefault(declarations, []).append(_render_declaration(tool, openapi, same))
            last = entry
    return entries


def _render_declaration(tool: Tool, openapi: bool, same: bool) -> Fields:
    declaration: Fields = {"name": tool.name}
    if tool.description is not None:
        declaration["description"] = tool.description
    extra = tool.extra or {} if same else {}
    schema = tool.schema
    if SCHEMA in extra:
        said = extra[SCHEMA]
        declaration["parameters"] = said if said is not None and json_schema(said) == schema else schema
    elif schema is not None:
        declaration |= _render_schema(schema, openapi, same)
    declaration |= {name: value for name, value in extra.items() if not name.endswith(".")}
    return written(declaration, extra.get(SNAKE, ()))


def _render_schema(schema: Any, openapi: bool, same: bool) -> Fields:
    if same or not openapi:
        return {"parametersJsonSchema": schema}
    # a function without parameters has no schema: an object without properties is rejected
    return {"parameters": schema} if schema.get("properties") else {}


def render_tool_config(settings: Settings) -> Fields:
    calling = {name.removeprefix(_CALLING): item for name, item in settings.extra.items() if name.startswith(_CALLING)}
    choice = settings.tool_choice
    if choice is not None:
        calling |= _render_choice(choice, settings.spelling.get("tool_choice"))
    config = {
        name.removeprefix(_CONFIG): item
        for name, item in settings.extra.items()
        if name.startswith(_CONFIG) and not name.startswith(_CALLING)
    }
    if calling:
        config["functionCallingConfig"] = written(calling, _names(settings, _CALLING))
    return written(config, [name for name in _names(settings, _CONFIG) if "." not in name])


def _names(settings: Settings, place: str) -> list[str]:
    return [name.removeprefix(place) for name in settings.spelling if name.startswith(place)]


def _render_choice(choice: ToolChoice, said: str | None) -> Fields:
    match choice.mode:
        case "required" | "tool":
            mode = "ANY"
        case "allowed":
            mode = "ANY" if choice.required else "VALIDATED"  # AUTO accepts no names
        case "none":
            mode = "NONE"
        case "auto":
            mode = "AUTO"
        case _:
            mode = "AUTO" if choice.parallel is not None else ""
    if said is not None and (_MODES.get(said.upper()) == _MODES.get(mode) or not mode):
        mode = said
    calling: Fields = {"mode": mode} if mode else {}
    if choice.names:
        calling["allowedFunctionNames"] = choice.names
    return calling
