"""A lesson from a 400 about the schema of a tool: schemas are sent as a translation writes them.

Requests that are passed on keep the schemas that the client wrote, such as those of an MCP server with `oneOf` at the root, and one
of them makes a provider refuse the whole request.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from modelbay.conversation import Json, Tool
from modelbay.dialect import PLAIN
from modelbay.protocols.schema import Fitting

REFUSED = re.compile(
    r"invalid schema for function|invalid_function_parameters|tools\.\d+\.(?:custom\.)?input_schema\b(?!: extra inputs)"
    r"|function_declarations\b.*schema|flavored json schema",
    re.IGNORECASE | re.DOTALL,
)
"""The words of OpenAI and its imitators, Anthropic, Gemini and Moonshot."""


class _Declaration(NamedTuple):
    """An object of a body that declares a tool, and the name of its member with the schema."""

    protocol: str
    fields: dict[str, Any]
    schema: str


def _declarations(tools: Json) -> Iterator[_Declaration]:
    """The functions in the tools of a body of any protocol, which may have any form."""
    for tool in tools if isinstance(tools, list) else ():
        if not isinstance(tool, dict):
            continue
        if isinstance(function := tool.get("function"), dict):
            yield _Declaration("openai_chat", function, "parameters")
        elif "input_schema" in tool:
            yield _Declaration("anthropic", tool, "input_schema")
        elif tool.get("type") == "function":
            yield _Declaration("openai_responses", tool, "parameters")
        elif tool.get("type") == "namespace":
            yield from _declarations(tool.get("tools"))
        for function in _list(tool.get("functionDeclarations")) + _list(tool.get("function_declarations")):
            if isinstance(function, dict) and "parametersJsonSchema" in function:
                yield _Declaration("google", function, "parametersJsonSchema")


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _changes(body: dict[str, Any]) -> list[tuple[_Declaration, Tool]]:
    found = list(_declarations(body.get("tools")))
    if not found:
        return []
    given = [Tool(name=str(f.get("name")), schema=f.get(schema), strict=f.get("strict")) for _, f, schema in found]
    fitted = Fitting(found[0].protocol, PLAIN, []).tools(given)
    return [(one, new) for one, old, new in zip(found, given, fitted, strict=True) if new is not old]


def can_fit(body: dict[str, Any]) -> bool:
    """Whether a tool of the body has a schema that a translation would change."""
    return bool(_changes(body))


def fit(body: dict[str, Any]) -> bool:
    """Change the schemas of the tools. Returns whether one changed."""
    found = _changes(body)
    for (_, fields, schema), fitted in found:
        fields[schema] = fitted.schema
        if fitted.strict is None:
            fields.pop("strict", None)
    return bool(found)
