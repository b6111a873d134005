"""Tools in the forms in which models read them.

A schema may be that of a hostile client: references that multiply, or that form a circle.
"""

import re
from collections.abc import Iterator
from typing import Any

from modelbay.conversation import Tool
from modelbay.json_text import encode

_MOST_NODES = 2_000
"""Maximum number of schemas that are written for a tool, of which each may be a reference to another."""
_MOST_LEVELS = 64
"""Maximum depth of the schemas of a tool that are written."""


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _properties(schema: Any) -> dict[str, Any]:
    return _mapping(_mapping(schema).get("properties"))


def _is_required(schema: Any, name: str) -> bool:
    required = _mapping(schema).get("required")
    return isinstance(required, list) and name in required


def _choices(schema: dict[str, Any]) -> list[Any] | None:
    return next((found for name in ("anyOf", "oneOf") if isinstance(found := schema.get(name), list)), None)


def _types(schema: dict[str, Any]) -> list[str]:
    kind = schema.get("type")
    found = kind if isinstance(kind, list) else [kind]
    return [one for one in dict.fromkeys(map(_text, found)) if one]


# --- TypeScript, as in github.com/openai/harmony and github.com/hmarr/openai-chat-tokens ---


def typescript(tool: Tool) -> str:
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


# --- Python, as models of Gemini 2.5 show it ---

_PYTHON = {
    "string": "str", "integer": "int", "number": "float", "boolean": "bool", "object": "dict[str, Any]", "array": "list",
    "null": "None",
}  # fmt: skip


def python(tool: Tool) -> str:
    """A function, after the data classes of its arguments."""
    return _PythonFunction(tool).text()


class _PythonFunction:
    def __init__(self, tool: Tool) -> None:
        self._tool = tool
        schema = _mapping(tool.schema)
        self._definitions = _mapping(schema.get("$defs")) or _mapping(schema.get("definitions"))
        self._classes: dict[str, str] = {}
        self._left = _MOST_NODES

    def text(self) -> str:
        tool = self._tool
        arguments = "".join(f"  {line},\n" for line in self._fields(tool.schema, _class_name(tool.name), 0))
        described = "".join(_described(tool.schema))
        classes = "".join(self._classes.values())
        return f'{classes}def {tool.name}(\n{arguments}) -> dict:\n  """{tool.description or ""}\n\n  Args:\n{described}  """\n\n'

    def _fields(self, schema: Any, owner: str, level: int) -> list[str]:
        return [
            f"  {name}: {self._type(value, owner + _class_name(name), level)}"
            + ("" if _is_required(schema, name) else " | None = None")
            for name, value in _properties(schema).items()
        ]

    def _type(self, schema: Any, name: str, level: int) -> str:
        if not isinstance(schema, dict) or self._left <= 0 or level > _MOST_LEVELS:
            return "Any"
        self._left -= 1
        level += 1
        if reference := _text(schema.get("$ref")):
            name = reference.rpartition("/")[2]
            return name if name in self._classes else self._type(self._definitions.get(name), name, level)
        if isinstance(values := schema.get("enum"), list):
            return "Literal[" + ", ".join(map(repr, values)) + "]"
        if (choices := _choices(schema)) is not None:
            return " | ".join([self._type(one, name, level) for one in choices])
        types = _types(schema)
        if types == ["array"]:
            return f"list[{self._type(schema.get('items'), name, level)}]"
        if types == ["object"] and _properties(schema):
            self._add_class(schema, name, level)
            return name
        return " | ".join([_PYTHON.get(one, one) for one in types]) or "Any"

    def _add_class(self, schema: dict[str, Any], name: str, level: int) -> None:
        if name in self._classes:
            return
        self._classes[name] = ""  # before its fields, which may refer to it
        fields = "".join(f"{line}\n" for line in self._fields(schema, name, level))
        described, about = "".join(_described(schema)), _text(schema.get("description"))
        self._classes[name] = (
            f'@dataclass(kw_only=True)\nclass {name}:\n  """{about}\n\n  Attributes:\n{described}  """\n{fields}\n\n'
        )


def _class_name(name: str) -> str:
    return "".join([word[:1].upper() + word[1:] for word in re.split(r"[_\W]+", name)])


def _described(schema: Any) -> Iterator[str]:
    for name, value in _properties(schema).items():
        yield f"    {name}: {_text(_mapping(value).get('description'))}\n"


# --- declarations of Gemini 3, as in Google's FunctionGemma ---

_QUOTE = "\n"
"""Stands for the token of a quotation mark, and for those around a declaration."""


def declaration(tool: Tool) -> str:
    return _Declaration(tool).text()


class _Declaration:
    def __init__(self, tool: Tool) -> None:
        self._tool = tool
        schema = _mapping(tool.schema)
        self._definitions = _mapping(schema.get("$defs")) or _mapping(schema.get("definitions"))
        self._open: set[str] = set()
        """The definitions that are being written: a circle ends where it closes."""
        self._left = _MOST_NODES

    def text(self) -> str:
        tool = self._tool
        about = f"description:{_quoted(tool.description)}," if tool.description else ""
        return f"{_QUOTE}declaration:{tool.name}{{{about}parameters:{self._schema(tool.schema, 0)}}}{_QUOTE}"

    def _schema(self, schema: Any, level: int) -> str:
        if not isinstance(schema, dict) or self._left <= 0 or level > _MOST_LEVELS:
            return "{}"
        self._left -= 1
        if reference := _text(schema.get("$ref")):
            name = reference.rpartition("/")[2]
            if name in self._open:
                return "{}"
            self._open.add(name)
            found = self._schema(self._definitions.get(name), level + 1)
            self._open.remove(name)
            return found
        members = [f"{name}:{_quoted(text)}" for name in ("description", "title") if (text := _text(schema.get(name)))]
        if isinstance(values := schema.get("enum"), list):
            members.append(f"enum:[{','.join([_quoted(str(one)) for one in values])}]")
        if (items := schema.get("items")) is not None:
            members.append(f"items:{self._schema(items, level + 1)}")
        if (choices := _choices(schema)) is not None:
            members.append(f"any_of:[{','.join([self._schema(one, level + 1) for one in choices])}]")
        if properties := _properties(schema):
            inner = [f"{name}:{self._schema(value, level + 1)}" for name, value in properties.items()]
            members.append(f"properties:{{{','.join(inner)}}}")
        if isinstance(required := schema.get("required"), list) and required:
            members.append(f"required:[{','.join([_quoted(str(one)) for one in required])}]")
        types = _types(schema)
        if "null" in types:
            members.append("nullable:true")
        members += [f"type:{_quoted(one.upper())}" for one in types if one != "null"][:1]
        return f"{{{','.join(members)}}}"


def _quoted(text: str) -> str:
    return f"{_QUOTE}{text}{_QUOTE}"
