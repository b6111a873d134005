"""Tokens of a tool in the forms in which models read tools."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

from modelbay.conversation import Tool
from modelbay.counting.text_tokens import text_tokens
from modelbay.counting.tool_forms import declaration, python, typescript
from modelbay.errors import MalformedReply
from modelbay.json_text import decode, encode, spaced

_INNER = ("items", "additionalProperties", "anyOf", "oneOf", "allOf", "prefixItems")
"""Words of a schema that have another schema, or several."""
_MOST_KNOWN = 1_024
"""Maximum number of tools whose tokens are kept. An agent sends the same tools with each request."""


ToolForm: TypeAlias = Literal["names", "json", "spaced", "indented", "typescript", "python", "declaration"]
"""The form in which a model reads tools: JSON, with or without spaces, or indented as for Llama, a type in TypeScript as for
OpenAI's models, a function in Python as for Gemini 2.5, or a declaration as for Gemini 3. For `names` it is unknown, so that only
names, descriptions and values count."""
CallForm: TypeAlias = Literal["json", "values"]
"""The form in which a model reads the arguments of a call: JSON, or each value as it is, so that code has no escaped signs."""
_FORMS: dict[ToolForm, Callable[[Tool], str]] = {
    "typescript": typescript, "python": python, "declaration": declaration,
}  # fmt: skip


class ToolTokens(NamedTuple):
    properties: int
    """The number of properties in the schema."""
    tokens: float
    """Tokens of the tool in its form."""


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
        if form in _FORMS:
            text = _FORMS[form](tool)
        elif form == "names":
            text = " ".join(names)
        elif form == "spaced":
            text = spaced(text)
        elif form == "indented":
            text = spaced(f'{{"type":"function","function":{text}}}', indent=4)
        found = _known[key] = ToolTokens(properties, text_tokens(text, tokenizer))
    return found


def with_calls(texts: list[str | tuple[str, str]], form: CallForm) -> tuple[str, int]:
    """The texts of a conversation as one, with the name and the arguments of each call between them, and the number of arguments
    in the form `values`."""
    found: list[str] = []
    count = 0
    for text in texts:
        if isinstance(text, str):
            found.append(text)
            continue
        name, arguments = text
        members = _members(arguments) if form == "values" else None
        if members is None:
            found += [name, " ", arguments]
        else:
            count += len(members)
            found.append(name)
            for key, value in members.items():
                found += ["\n", key, "\n", _value(value)]
            found.append("\n")
    return "".join(found), count


def _members(arguments: str) -> dict[str, Any] | None:
    try:
        found = decode(arguments)
    except MalformedReply:
        return None
    return found if isinstance(found, dict) else None


def _value(value: Any) -> str:
    return value if isinstance(value, str) else encode(value).decode()


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
