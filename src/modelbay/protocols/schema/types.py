"""Types in a schema, explicit or derived. `typed` is Moonshot's rule: `$ref`s inlined where possible, a `type` on every
nested schema."""

from modelbay.conversation import Json
from modelbay.errors import Unsupported
from modelbay.protocols.schema.references import inlined
from modelbay.protocols.schema.words import (
    ARRAY_WORDS,
    COMPOSED,
    NUMBER_WORDS,
    OBJECT_WORDS,
    STRING_WORDS,
    Schema,
    rebuilt,
)


def typed(schema: Schema) -> Schema:
    """The schema as Moonshot's validator requires it: local `$ref`s inlined, and a type on every nested schema.

    Raises:
        Unsupported: an `enum` without a type has values of several types.
    """
    return rebuilt(inlined(schema), _with_type)


def _with_type(node: Json) -> Json:
    if not isinstance(node, dict):
        return node
    if not any(word in node for word in COMPOSED):
        values = values_of(node)
        if "type" not in node:
            node = {**node, "type": _type_of_values(values) if values else type_of_words(node)}
        elif values and isinstance(node["type"], str):
            node = _corrected(node, values)
    return rebuilt(node, _with_type)


def values_of(node: Schema) -> list[Json]:
    enum = node.get("enum")
    if isinstance(enum, list) and enum:
        return enum
    return [node["const"]] if "const" in node else []


def _corrected(node: Schema, values: list[Json]) -> Schema:
    """The schema with the type of its values, if they contradict its type (Xcode's MCP server calls a list of strings
    an object)."""
    types = types_of(values)
    if len(types) != 1 or node["type"] in types or (node["type"] == "number" and types == {"integer"}):
        return node
    found = types.pop()
    wrong = (*(OBJECT_WORDS if found != "object" else ()), *(ARRAY_WORDS if found != "array" else ()))
    return {**{word: value for word, value in node.items() if word not in wrong}, "type": found}


def _type_of_values(values: list[Json]) -> str:
    types = types_of(values)
    if len(types) != 1:
        raise Unsupported(
            f"an `enum` of a tool's schema mixes types: {', '.join(sorted(types))}",
            setting="tools",
            hint="give all values the same type, or add a `type`",
        )
    return types.pop()


def types_of(values: list[Json]) -> set[str]:
    """The JSON types of some values; integers count as numbers if there are others."""
    types = {_type_of(value) for value in values}
    return types - {"integer"} if "number" in types else types


def _type_of(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def type_of_words(node: Schema) -> str:
    for name, words in (
        ("object", OBJECT_WORDS), ("array", ARRAY_WORDS), ("string", STRING_WORDS), ("number", NUMBER_WORDS),
    ):  # fmt: skip
        if any(word in node for word in words):
            return name
    return "string"
