"""Converts JSON Schema to and from Gemini's `Schema`, a subset of OpenAPI 3.0 with upper-case types."""

from typing import Any

from modelbay.conversation import Json
from modelbay.protocols.schema.folding import all_of
from modelbay.protocols.schema.references import inlined
from modelbay.protocols.schema.types import type_of_words, types_of, values_of
from modelbay.protocols.schema.words import (
    ARRAY_WORDS,
    NUMBER_WORDS,
    OBJECT_WORDS,
    STRING_WORDS,
    Schema,
    rebuilt,
    required_of,
    sane,
)
from modelbay.protocols.shapes import whole_number

_PLAIN_WORDS = (
    "title", "description", "default", "example", "pattern", "minimum", "maximum", "minLength", "maxLength",
    "minItems", "maxItems", "minProperties", "maxProperties", "required", "propertyOrdering",
)  # fmt: skip
_FORMATS = {"string": ("date-time", "enum"), "number": ("float", "double"), "integer": ("int32", "int64")}
"""Gemini rejects any other `format`."""


def openapi(schema: Schema) -> Schema:
    """The schema as Gemini's `Schema`: `$ref` inlined, `const` as an `enum` of one, `oneOf` as `anyOf`, upper-case
    types.

    Unsupported keywords (`additionalProperties`, `not`, `patternProperties` …) are dropped.
    """
    return _openapi(inlined(sane(schema)))


def _openapi(node: Json) -> Schema:
    if not isinstance(node, dict):  # `true` allows anything, which has no type in Gemini's `Schema`
        return {"type": "STRING"}
    if "$ref" in node:  # a recursive schema: deeper levels are not described
        return {"type": "OBJECT", **({"description": node["description"]} if "description" in node else {})}
    node = all_of(node)
    written = {word: node[word] for word in _PLAIN_WORDS if node.get(word) is not None}
    types, nullable = _types_said(node)
    # an object's `anyOf` only restricts combinations of its properties, and Gemini allows no keywords next to `anyOf`
    choices = [] if "properties" in node else [*(node.get("anyOf") or ()), *(node.get("oneOf") or ())]
    if any(choice == {"type": "null"} for choice in choices):
        nullable, choices = True, [choice for choice in choices if choice != {"type": "null"}]
    if len(types) > 1 and not choices:
        choices, types = [{**_own_words(node, name), "type": name} for name in types], []
    if len(choices) == 1:
        written = {**_openapi(choices[0]), **written}
    elif choices:
        written = {word: value for word, value in written.items() if word in ("title", "description")}
        written["anyOf"] = [_openapi(choice) for choice in choices]
    else:
        _write_type(node, types[0] if types else type_of_words(node), written)
    if nullable or node.get("nullable") is True:
        written["nullable"] = True
    return written


def _write_type(node: Schema, name: str, written: Schema) -> None:
    name = name.lower()
    written["type"] = name.upper()
    if node.get("format") in _FORMATS.get(name, ()):
        written["format"] = node["format"]
    values = [value for value in values_of(node) if value is not None]
    if values and name not in ("boolean", "object", "array"):  # an enum is a list of strings, for any type
        written["enum"] = [value if isinstance(value, str) else str(value) for value in values]
        if name != "string":
            written["format"] = "enum"
    properties = node.get("properties") if name == "object" else None
    if properties:  # Gemini rejects empty properties
        written["properties"] = {key: _openapi(child) for key, child in properties.items()}
    written.pop("required", None)
    required = [key for key in required_of(node) if key in written.get("properties", ())]
    if required:
        written["required"] = required
    if name == "array":
        written["items"] = _openapi(_items(node))


def _items(node: Schema) -> Json:
    """The schema of a list's items. If each position has its own schema, any of them."""
    items, places = node.get("items"), node.get("prefixItems")
    if isinstance(items, list):
        items, places = None, items
    if places:
        return {"anyOf": places} if len(places) > 1 else places[0]
    return items if items is not None else {"type": "string"}


def _types_said(node: Schema) -> tuple[list[str], bool]:
    """The types, and whether null is one of them."""
    kind = node.get("type")
    values = values_of(node)
    types = [kind] if isinstance(kind, str) else list(kind) if isinstance(kind, list) else []
    if not types and values:
        types = sorted(types_of(values))
    kept = [name for name in types if name != "null"]
    return kept, len(kept) < len(types) or None in values


def _own_words(node: Schema, name: str) -> Schema:
    """The keywords that apply to one of several types."""
    words = {"object": OBJECT_WORDS, "array": ARRAY_WORDS, "string": (*STRING_WORDS, "enum"),
             "number": NUMBER_WORDS, "integer": NUMBER_WORDS}.get(name, ())  # fmt: skip
    return {word: node[word] for word in words if word in node}


_RENAMED = {
    "any_of": "anyOf", "min_items": "minItems", "max_items": "maxItems", "min_length": "minLength",
    "max_length": "maxLength", "min_properties": "minProperties", "max_properties": "maxProperties",
    "additional_properties": "additionalProperties",
}  # fmt: skip
_COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_TYPES = {"1": "string", "2": "number", "3": "integer", "4": "boolean", "5": "array", "6": "object", "7": "null"}
"""Type numbers, which Google's own client writes if enums are sent as numbers."""
_DROPPED = ("propertyOrdering", "property_ordering", "nullable", "example")


def json_schema(node: Json) -> Json:
    """Gemini's `Schema` as JSON Schema. JSON Schema is returned unchanged."""
    if not isinstance(node, dict):
        return node
    named = {str(word): value for word, value in node.items() if word not in _DROPPED}
    schema: Schema = {_RENAMED.get(word, word): value for word, value in named.items()}
    for word in _COUNTS:  # an int64 may be a string
        if isinstance(schema.get(word), str) and (number := whole_number(schema[word])) is not None:
            schema[word] = number
    kind = _TYPES.get(str(schema.get("type")), schema.get("type"))
    if isinstance(kind, str):
        schema["type"] = kind.lower()
        if schema["type"] in ("integer", "number") and isinstance(schema.get("enum"), list):
            schema["enum"] = [_number(value) for value in schema["enum"]]
    if schema.get("format") == "enum":
        del schema["format"]
    if "example" in node:
        schema["examples"] = [node["example"]]
    if node.get("nullable") is True:
        _allow_null(schema)
    return rebuilt(schema, json_schema)


def _number(value: Any) -> Any:
    try:
        return value if not isinstance(value, str) else int(value) if value.lstrip("-").isdigit() else float(value)
    except ValueError:
        return value


def _allow_null(schema: Schema) -> None:
    if isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
        if isinstance(schema.get("enum"), list):
            schema["enum"] = [*schema["enum"], None]
    elif isinstance(schema.get("anyOf"), list):
        schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]
