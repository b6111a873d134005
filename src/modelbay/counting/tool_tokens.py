"""Tokens of a tool in the forms in which models read tools."""

from typing import Any, Literal, NamedTuple, TypeAlias

from modelbay.conversation import Tool
from modelbay.counting.text_tokens import text_tokens
from modelbay.json_text import encode

_INNER = ("items", "additionalProperties", "anyOf", "oneOf", "allOf", "prefixItems")
"""Words of a schema that have another schema, or several."""
_MOST_KNOWN = 1_024
"""Maximum number of tools whose tokens are kept. An agent sends the same tools with each request."""


ToolForm: TypeAlias = Literal["names", "json", "typescript"]
"""The form in which a model reads tools: JSON as in most chat templates, or a type in TypeScript as for OpenAI's models. For
`names` it is unknown, so that only names, descriptions and values count."""


class ToolTokens(NamedTuple):
    properties: int
    """The number of properties in the schema."""
    tokens: float
    """Of the tool in its form."""


_known: dict[tuple[int, str, ToolForm], ToolTokens] = {}
"""By the hash of the tool, the tokenizer and the form. The hash is keyed by Python: tools of clients are not kept."""


def described_tool(tool: Tool, form: ToolForm, tokenizer: str) -> ToolTokens:
    """The tokens of a tool. `tokenizer`: see `text_tokens`. Raises what `json_text.encode` raises."""
    text = encode({"name": tool.name, "description": tool.description, "parameters": tool.schema}).decode()
    key = hash(text), tokenizer, form
    found = _known.get(key)
    if found is None:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        names = [tool.name, tool.description or ""]
        properties = _read_schema(tool.schema, names)
        if form != "json":
            text = " ".join(names) if form == "names" else _typescript(tool)
        found = _known[key] = ToolTokens(properties, text_tokens(text, tokenizer))
    return found


def _read_schema(schema: Any, names: list[str]) -> int:
    """The number of properties in a schema. Their names, descriptions and values are added to `names`."""
    count = 0
    waiting: list[Any] = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        if not isinstance(value, dict):
            continue
        for table in ("properties", "$defs", "definitions"):
            if isinstance(inner := value.get(table), dict):
                count += len(inner)
                names += inner
                waiting += inner.values()
        waiting += [inner for name in _INNER if (inner := value.get(name)) is not None]
        names += [value["description"]] if isinstance(value.get("description"), str) else []
        names += map(str, value["enum"]) if isinstance(value.get("enum"), list) else []
    return count


# --- TypeScript, as in github.com/openai/harmony and github.com/hmarr/openai-chat-tokens ---


def _typescript(tool: Tool) -> str:
    comment = "".join(f"// {line}\n" for line in (tool.description or "").splitlines())
    members = _members(tool.schema)
    parameters = f"_: {{\n{members}}}" if members else ""
    return f"{comment}type {tool.name} = ({parameters}) => any;\n\n"


def _members(schema: Any) -> str:
    if not isinstance(schema, dict) or not isinstance(properties := schema.get("properties"), dict):
        return ""
    required = schema.get("required")
    lines: list[str] = []
    for name, value in properties.items():
        described = value if isinstance(value, dict) else {}
        if isinstance(description := described.get("description"), str):
            lines.append(f"// {description}\n")
        mark = "" if isinstance(required, list) and name in required else "?"
        default = f" // default: {encode(described['default']).decode()}" if "default" in described else ""
        lines.append(f"{name}{mark}: {_type(described)},{default}\n")
    return "".join(lines)


def _type(schema: Any) -> str:
    if not isinstance(schema, dict):
        return "any"
    for name in ("enum", "anyOf", "oneOf"):
        if isinstance(choices := schema.get(name), list):
            return " | ".join(encode(one).decode() if name == "enum" else _type(one) for one in choices)
    kind = schema.get("type")
    if isinstance(kind, list):  # each type once: nested lists of one type would take time without end
        names = dict.fromkeys(one for one in kind if isinstance(one, str))
        return " | ".join(_type({**schema, "type": one}) for one in names)
    match kind:
        case "array":
            return f"{_type(schema.get('items'))}[]"
        case "integer" | "number":
            return "number"
        case "object" | None if members := _members(schema):
            return f"{{\n{members}}}"
    return str(kind or "any")
